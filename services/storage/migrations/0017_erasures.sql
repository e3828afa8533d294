-- Patients whose scans were erased on request: what is left to show that, and nothing that names them.
CREATE TABLE erasures (
    tenant_id VARCHAR(36)   NOT NULL,
    id        VARCHAR(36)   NOT NULL,
    reason    VARCHAR(1000) NOT NULL,
    asked_by  VARCHAR(190)  NOT NULL, -- the id
    name      VARCHAR(190)  NOT NULL, -- the user's name at that time
    begun_ms  BIGINT        NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE erased_scans (
    tenant_id         VARCHAR(36) NOT NULL,
    scan_id           VARCHAR(36) NOT NULL,
    erasure_id        VARCHAR(36) NOT NULL,
    erased_ms         BIGINT      NOT NULL,
    words             BIGINT      NOT NULL, -- of readers, that went with it
    incidents         BIGINT      NOT NULL, -- whose words were taken away
    pseudonym         VARCHAR(64) NOT NULL, -- in data sets; empty, as the next: the hospital has no key for such names
    patient_pseudonym VARCHAR(64) NOT NULL,
    PRIMARY KEY (tenant_id, scan_id),
    FOREIGN KEY (tenant_id, erasure_id) REFERENCES erasures (tenant_id, id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX erased_scans_by_time ON erased_scans (erased_ms);
CREATE INDEX erased_scans_by_erasure ON erased_scans (tenant_id, erasure_id, scan_id);

CREATE TABLE erased_objects (
    tenant_id  VARCHAR(36)  NOT NULL,
    scan_id    VARCHAR(36)  NOT NULL,
    name       VARCHAR(64)  NOT NULL,
    key_sha256 VARCHAR(64)  NOT NULL,
    blob_key   VARCHAR(190) NOT NULL, -- empty: it is gone
    size_bytes BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, name),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES erased_scans (tenant_id, scan_id)
);
CREATE INDEX erased_objects_left ON erased_objects (blob_key);

-- Deleted scans of which the object store has not been told yet: what it is told outlives a restore of this database.
CREATE TABLE unburied (
    tenant_id VARCHAR(36) NOT NULL,
    scan_id   VARCHAR(36) NOT NULL,
    erased    BIGINT      NOT NULL, -- 0: deleted; 1: with its patient
    PRIMARY KEY (tenant_id, scan_id)
);

-- What nobody may delete: scans, or all that there are and will be of a patient. A hold that is taken back is no row any more.
CREATE TABLE holds (
    tenant_id VARCHAR(36)   NOT NULL,
    id        VARCHAR(36)   NOT NULL,
    scan_id   VARCHAR(36),            -- one of the two
    patient   VARCHAR(500)  NOT NULL, -- as `identities` has it; empty: of a scan
    reason    VARCHAR(1000) NOT NULL,
    placed_by VARCHAR(190)  NOT NULL, -- the id
    name      VARCHAR(190)  NOT NULL, -- the user's name at that time
    placed_ms BIGINT        NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);

-- For how long a hospital keeps what: a row for each kind that it has set a rule for.
CREATE TABLE retention (
    tenant_id  VARCHAR(36)  NOT NULL,
    kind       VARCHAR(16)  NOT NULL, -- scans, originals, incidents
    days       BIGINT       NOT NULL, -- 0: for good
    decided_by VARCHAR(190) NOT NULL, -- the id
    name       VARCHAR(190) NOT NULL, -- the user's name at that time
    decided_ms BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, kind)
);

-- All scans of a patient, as the binding has them: number and issuer.
CREATE INDEX identities_by_patient_key ON identities (tenant_id, patient, scan_id);

-- What an erased scan's copies are found by: who was sent it, and who has learned from it.
CREATE INDEX audit_of_erased ON audit (tenant_id, object_id, position);
