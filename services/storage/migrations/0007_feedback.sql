-- What readers say of results: each word stands beside the others, and none is changed or deleted. Their masks are artefacts.
CREATE TABLE feedback (
    tenant_id     VARCHAR(36)  NOT NULL,
    id            VARCHAR(36)  NOT NULL,
    scan_id       VARCHAR(36)  NOT NULL,
    position      BIGINT       NOT NULL, -- from 1, among the words about one scan
    reader_id     VARCHAR(190) NOT NULL,
    reader        VARCHAR(190) NOT NULL, -- the user's name at that time
    given_ms      BIGINT       NOT NULL,
    verdict       VARCHAR(16)  NOT NULL, -- agree, correct, reject, unsure
    truth         VARCHAR(16)  NOT NULL, -- tumour, no_tumour; empty: not said
    reason        VARCHAR(16)  NOT NULL, -- empty: not said
    note          TEXT         NOT NULL,
    findings_json MEDIUMTEXT   NOT NULL, -- labels and what the reader makes of each
    missed_json   MEDIUMTEXT   NOT NULL, -- places in the pictures
    mask_name     VARCHAR(64)  NOT NULL, -- empty: none
    dice          DOUBLE,                -- of that mask beside the result's main findings
    model_name    VARCHAR(190) NOT NULL, -- that made the result; empty: none did
    model_version VARCHAR(190) NOT NULL,
    model_sha256  VARCHAR(64)  NOT NULL,
    supersedes    VARCHAR(36)  NOT NULL, -- the same reader's word before; empty: this is their first
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, scan_id, position),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX feedback_by_reader ON feedback (tenant_id, scan_id, reader_id);

-- As `idempotency` for uploads; the digest is of the reader and the key, so that no two readers share one.
CREATE TABLE feedback_keys (
    tenant_id   VARCHAR(36) NOT NULL,
    key_sha256  VARCHAR(64) NOT NULL,
    fingerprint VARCHAR(64) NOT NULL, -- digest of all that came with the key
    feedback_id VARCHAR(36) NOT NULL,
    PRIMARY KEY (tenant_id, key_sha256),
    FOREIGN KEY (tenant_id, feedback_id) REFERENCES feedback (tenant_id, id)
);

-- What the latest words of a scan's readers come to: follows from the rows above, and is written with them.
ALTER TABLE scans ADD COLUMN review VARCHAR(16) NOT NULL DEFAULT 'unreviewed';
-- Of the model that made the result; empty: none did, or nobody has asked since it was kept.
ALTER TABLE scans ADD COLUMN model_version VARCHAR(190) NOT NULL DEFAULT '';
CREATE INDEX scans_by_review ON scans (tenant_id, review, id);
CREATE INDEX scans_by_model ON scans (tenant_id, model_version, id);
