-- Keys that hospitals' data keys are wrapped with, each wrapped by the key ring: a row for each hospital. Backed up apart, as the next.
CREATE TABLE tenant_keys (
    tenant_id  VARCHAR(36)   NOT NULL PRIMARY KEY,
    wrapped_by VARCHAR(500)  NOT NULL, -- the ring's key, or the version of it
    wrapped    VARCHAR(1000) NOT NULL
);

-- Keys that objects are encrypted with: one for each patient, and of a scan of nobody one for itself. A row goes with the last object
-- that it opens. Backed up apart: without a row nothing opens what it was of, however old a copy that is.
CREATE TABLE data_keys (
    tenant_id VARCHAR(36)  NOT NULL,
    id        VARCHAR(36)  NOT NULL,
    whose     VARCHAR(64)  NOT NULL, -- digest of the patient, with the hospital's key; empty: no further scan gets it
    wrapped   VARCHAR(200) NOT NULL,
    made_ms   BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX data_keys_by_patient ON data_keys (tenant_id, whose);

-- With which key; empty: it is kept as it is.
ALTER TABLE artefacts ADD COLUMN data_key VARCHAR(36) NOT NULL DEFAULT '';
CREATE INDEX artefacts_by_data_key ON artefacts (tenant_id, data_key);

-- The keys of erased patients.
CREATE TABLE erased_keys (
    tenant_id    VARCHAR(36) NOT NULL,
    erasure_id   VARCHAR(36) NOT NULL,
    key_id       VARCHAR(36) NOT NULL,
    made_ms      BIGINT      NOT NULL,
    destroyed_ms BIGINT      NOT NULL, -- 0: not yet
    PRIMARY KEY (tenant_id, erasure_id, key_id),
    FOREIGN KEY (tenant_id, erasure_id) REFERENCES erasures (tenant_id, id)
);
CREATE INDEX erased_keys_by_key ON erased_keys (tenant_id, key_id);
