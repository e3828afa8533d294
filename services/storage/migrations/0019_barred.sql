-- With what whoever was erased, or deleted, is known again: one key of each hospital. Digests with it name nobody by themselves; whoever has
-- both may try numbers.
CREATE TABLE erasure_keys (
    tenant_id VARCHAR(36) NOT NULL,
    key_hex   VARCHAR(64) NOT NULL,
    PRIMARY KEY (tenant_id)
);

-- What may not come back of itself.
CREATE TABLE barred (
    tenant_id  VARCHAR(36) NOT NULL,
    digest     VARCHAR(64) NOT NULL, -- of a study, a series or a file; or of a patient
    erasure_id VARCHAR(36) NOT NULL, -- after a restore the scan
    until_ms   BIGINT      NOT NULL, -- what had come by then; 0: whenever it comes
    noted_ms   BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, digest, erasure_id)
);
CREATE INDEX barred_by_erasure ON barred (tenant_id, erasure_id);

-- Scans that were deleted, and not with their patient: found by an erasure that comes later. Digests; empty: nobody says.
CREATE TABLE deleted_scans (
    tenant_id  VARCHAR(36) NOT NULL,
    scan_id    VARCHAR(36) NOT NULL,
    patient    VARCHAR(64) NOT NULL,
    study      VARCHAR(64) NOT NULL,
    series     VARCHAR(64) NOT NULL,
    original   VARCHAR(64) NOT NULL,
    deleted_ms BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, scan_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX deleted_scans_by_patient ON deleted_scans (tenant_id, patient, scan_id);

-- What came of erased patients, and was refused or dropped.
CREATE TABLE refused_arrivals (
    tenant_id  VARCHAR(36) NOT NULL,
    id         VARCHAR(36) NOT NULL,
    erasure_id VARCHAR(36) NOT NULL,
    at_ms      BIGINT      NOT NULL,
    instances  BIGINT      NOT NULL,
    dropped    BIGINT      NOT NULL, -- 0: it was refused; 1: it lay with ingest
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX refused_arrivals_by_erasure ON refused_arrivals (tenant_id, erasure_id, id);

-- When it was deleted, where that was before the erasure; 0: it was there.
ALTER TABLE erased_scans ADD COLUMN deleted_ms BIGINT NOT NULL DEFAULT 0;

-- When somebody let come back what was erased; 0: nobody has.
ALTER TABLE erasures ADD COLUMN lifted_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE erasures ADD COLUMN lifted_by VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE erasures ADD COLUMN lifted_reason VARCHAR(1000) NOT NULL DEFAULT '';
