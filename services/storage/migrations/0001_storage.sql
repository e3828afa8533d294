-- One text for MySQL and SQLite. Times are milliseconds since the Unix epoch. Every key begins with
-- the tenant, and so does every link between tables: the database itself refuses to join two hospitals.

CREATE TABLE scans (
    tenant_id       VARCHAR(36)   NOT NULL,
    id              VARCHAR(36)   NOT NULL,
    state           VARCHAR(16)   NOT NULL, -- queued, running, done
    answer          VARCHAR(16)   NOT NULL, -- empty while not done
    reason          VARCHAR(1000) NOT NULL,
    accepted_ms     BIGINT        NOT NULL,
    completed_ms    BIGINT        NOT NULL, -- 0 while not done
    format          VARCHAR(32)   NOT NULL,
    modality        VARCHAR(16)   NOT NULL,
    shape           VARCHAR(64)   NOT NULL, -- slices, rows, columns, with commas between
    original_sha256 VARCHAR(64)   NOT NULL,
    volume_sha256   VARCHAR(64)   NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- What is to be done about a scan: the truth that messages only point to.
CREATE TABLE jobs (
    tenant_id VARCHAR(36)  NOT NULL,
    id        VARCHAR(36)  NOT NULL,
    scan_id   VARCHAR(36)  NOT NULL,
    state     VARCHAR(16)  NOT NULL, -- queued, leased, done, parked
    attempt   BIGINT       NOT NULL, -- raised when it is claimed; a result of an older one is refused
    due_ms    BIGINT       NOT NULL, -- queued: when to announce it (again); leased: when the lease ends
    worker    VARCHAR(190) NOT NULL,
    binding   VARCHAR(64)  NOT NULL, -- digest of tenant, scan, volume and patient
    PRIMARY KEY (tenant_id, id),
    UNIQUE (id),
    UNIQUE (tenant_id, scan_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX jobs_by_due ON jobs (state, due_ms);

-- Who the patient is: apart from everything else, and never joined to it but by name.
CREATE TABLE identities (
    tenant_id     VARCHAR(36)  NOT NULL,
    scan_id       VARCHAR(36)  NOT NULL,
    patient       VARCHAR(500) NOT NULL,
    identity_json TEXT         NOT NULL,
    PRIMARY KEY (tenant_id, scan_id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);

-- The objects that belong to a scan.
CREATE TABLE artefacts (
    tenant_id  VARCHAR(36)  NOT NULL,
    scan_id    VARCHAR(36)  NOT NULL,
    name       VARCHAR(64)  NOT NULL,
    blob_key   VARCHAR(190) NOT NULL,
    sha256     VARCHAR(64)  NOT NULL,
    size_bytes BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, scan_id, name),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX artefacts_by_key ON artefacts (tenant_id, blob_key);

-- Keys are kept as digests: of one length, and equal only when they are the same to the byte.
CREATE TABLE idempotency (
    tenant_id   VARCHAR(36) NOT NULL,
    key_sha256  VARCHAR(64) NOT NULL,
    fingerprint VARCHAR(64) NOT NULL, -- digest of the bytes that came with the key
    scan_id     VARCHAR(36) NOT NULL,
    PRIMARY KEY (tenant_id, key_sha256),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);

CREATE TABLE batches (
    tenant_id   VARCHAR(36) NOT NULL,
    id          VARCHAR(36) NOT NULL,
    accepted_ms BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE batch_entries (
    tenant_id    VARCHAR(36)  NOT NULL,
    batch_id     VARCHAR(36)  NOT NULL,
    position     BIGINT       NOT NULL,
    name         VARCHAR(500) NOT NULL,
    scan_id      VARCHAR(36),          -- one of the two
    refusal_json TEXT,
    PRIMARY KEY (tenant_id, batch_id, position),
    FOREIGN KEY (tenant_id, batch_id) REFERENCES batches (tenant_id, id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);

-- Messages decided on together with a change, until they are published.
CREATE TABLE outbox (
    id    VARCHAR(36) NOT NULL PRIMARY KEY,
    topic VARCHAR(64) NOT NULL,
    body  TEXT        NOT NULL
);

-- Who changed what, each entry holding the digest of the one before it.
CREATE TABLE audit (
    tenant_id VARCHAR(36)  NOT NULL,
    position  BIGINT       NOT NULL,
    at_ms     BIGINT       NOT NULL,
    subject   VARCHAR(190) NOT NULL,
    action    VARCHAR(64)  NOT NULL,
    object_id VARCHAR(36)  NOT NULL,
    previous  VARCHAR(64)  NOT NULL,
    sha256    VARCHAR(64)  NOT NULL,
    PRIMARY KEY (tenant_id, position)
);

-- The last entry of each tenant's chain: locked by whoever adds one.
CREATE TABLE audit_heads (
    tenant_id VARCHAR(36) NOT NULL PRIMARY KEY,
    position  BIGINT      NOT NULL,
    sha256    VARCHAR(64) NOT NULL
);
