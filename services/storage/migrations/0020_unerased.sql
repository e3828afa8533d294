-- Scans that an erasure is of and that are not erased yet: a hold came in between, or a crash.
CREATE TABLE unerased_scans (
    tenant_id  VARCHAR(36) NOT NULL,
    scan_id    VARCHAR(36) NOT NULL,
    erasure_id VARCHAR(36) NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, erasure_id),
    FOREIGN KEY (tenant_id, erasure_id) REFERENCES erasures (tenant_id, id)
);
