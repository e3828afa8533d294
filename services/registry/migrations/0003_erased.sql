-- Scans of patients who were erased: a comparison that is told of one late is not kept.
CREATE TABLE erased_scans (
    tenant_id VARCHAR(36) NOT NULL,
    scan_id   VARCHAR(36) NOT NULL,
    erased_ms BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, scan_id)
);
CREATE INDEX comparisons_by_scan ON comparisons (tenant_id, scan_id);
