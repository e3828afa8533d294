-- Scans of patients who were erased: nothing goes out of them any more, whatever is told of them late, or once more.
CREATE TABLE erased_scans (
    tenant_id VARCHAR(36) NOT NULL,
    scan_id   VARCHAR(36) NOT NULL,
    erased_ms BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, scan_id)
);
