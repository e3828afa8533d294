-- What readers have said: each word is a row, and a later one of the same reader stands beside the earlier. The feedback's id
-- makes a redelivered event change nothing.
CREATE TABLE reviews (
    tenant_id     VARCHAR(36)  NOT NULL,
    feedback_id   VARCHAR(36)  NOT NULL,
    scan_id       VARCHAR(36)  NOT NULL,
    reader        VARCHAR(64)  NOT NULL, -- a digest, no name
    given_ms      BIGINT       NOT NULL,
    verdict       VARCHAR(16)  NOT NULL, -- agree, correct, reject, unsure
    truth         VARCHAR(16)  NOT NULL, -- tumour, no_tumour; empty: not said
    dice          DOUBLE,                -- of the reader's mask beside the model's
    answer        VARCHAR(16)  NOT NULL, -- the result's
    model_name    VARCHAR(190) NOT NULL,
    model_version VARCHAR(190) NOT NULL,
    image_kind    VARCHAR(32)  NOT NULL, -- empty: not said
    mask_fraction DOUBLE,
    PRIMARY KEY (tenant_id, feedback_id)
);
CREATE INDEX reviews_by_scan ON reviews (tenant_id, scan_id);
CREATE INDEX reviews_by_time ON reviews (given_ms);

-- What scans are counted by. NULL: nothing was observed, or a pod of the version before has written the row.
ALTER TABLE observations ADD COLUMN model_name VARCHAR(190);
ALTER TABLE observations ADD COLUMN model_version VARCHAR(190);
ALTER TABLE observations ADD COLUMN image_kind VARCHAR(32);
ALTER TABLE observations ADD COLUMN mask_fraction DOUBLE;

-- What was observed before. One dialect quotes what it takes out of JSON, and its `null` is none to SQL.
UPDATE observations SET
    model_name = SUBSTR(NULLIF(REPLACE(JSON_EXTRACT(observation, '$.model.name'), '"', ''), 'null'), 1, 190),
    model_version = SUBSTR(NULLIF(REPLACE(JSON_EXTRACT(observation, '$.model.version'), '"', ''), 'null'), 1, 190),
    image_kind = SUBSTR(NULLIF(REPLACE(JSON_EXTRACT(observation, '$.image_kind'), '"', ''), 'null'), 1, 32),
    mask_fraction = NULLIF(REPLACE(JSON_EXTRACT(observation, '$.mask_fraction'), '"', ''), 'null') + 0.0
WHERE JSON_VALID(observation) = 1;

CREATE INDEX observations_by_scan ON observations (tenant_id, scan_id);
CREATE INDEX observations_by_completion ON observations (completed_ms);
