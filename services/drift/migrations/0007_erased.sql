-- Scans of patients who were erased: what is told of one late, or once more, is not kept.
CREATE TABLE erased_scans (
    tenant_id VARCHAR(36) NOT NULL,
    scan_id   VARCHAR(36) NOT NULL,
    erased_ms BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, scan_id)
);
