-- What a word settles: ids of others' words on the same scan, as a list in JSON.
ALTER TABLE feedback ADD COLUMN adjudicates_json VARCHAR(2000) NOT NULL DEFAULT '[]';

-- Whether a hospital lets its confirmed scans be learned from: a row for each decision, of which the last counts.
CREATE TABLE consents (
    tenant_id  VARCHAR(36)  NOT NULL,
    position   BIGINT       NOT NULL, -- from 1
    learning   BIGINT       NOT NULL, -- 0 or 1
    decided_by VARCHAR(190) NOT NULL, -- the id
    name       VARCHAR(190) NOT NULL, -- the user's name at that time
    decided_ms BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, position)
);

-- What patients and scans are named with, in what is learned from. It names nobody by itself, and whoever reads it here can read
-- the identities, too.
CREATE TABLE pseudonym_keys (
    tenant_id VARCHAR(36) NOT NULL PRIMARY KEY,
    key_hex   VARCHAR(64) NOT NULL
);

-- What somebody reported that went wrong. No row is changed or deleted.
CREATE TABLE incidents (
    tenant_id   VARCHAR(36)  NOT NULL,
    id          VARCHAR(36)  NOT NULL,
    scan_id     VARCHAR(36),           -- none: about the system
    reported_ms BIGINT       NOT NULL,
    reporter_id VARCHAR(190) NOT NULL,
    reporter    VARCHAR(190) NOT NULL, -- the user's name at that time
    words       TEXT         NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX incidents_by_reporter ON incidents (tenant_id, reporter_id, reported_ms);
