-- What has made the image; NULL: nobody says. And the window that a scan is in; NULL: none yet.
ALTER TABLE observations ADD COLUMN scanner VARCHAR(64);
ALTER TABLE observations ADD COLUMN window_id VARCHAR(36);
CREATE INDEX observations_by_window ON observations (window_id, model_name);

-- Scans of one model, kind of image and scanner of a hospital, one window after the other: their numbers are without gaps, and
-- two pods that close the same window have one of them.
CREATE TABLE drift_windows (
    tenant_id     VARCHAR(36)  NOT NULL,
    window_id     VARCHAR(36)  NOT NULL,
    model_name    VARCHAR(190) NOT NULL,
    model_version VARCHAR(190) NOT NULL,
    image_kind    VARCHAR(32)  NOT NULL, -- empty: not said
    scanner       VARCHAR(64)  NOT NULL, -- empty: not said
    number        BIGINT       NOT NULL,
    from_ms       BIGINT       NOT NULL,
    to_ms         BIGINT       NOT NULL,
    created_ms    BIGINT       NOT NULL,
    scans         BIGINT       NOT NULL,
    drifted       BIGINT       NOT NULL, -- 1 from drift.detected until drift.cleared
    calm          BIGINT       NOT NULL, -- windows in a row, up to this one, that are as in training
    document      MEDIUMTEXT   NOT NULL, -- model, answers, features and thresholds, as JSON
    PRIMARY KEY (tenant_id, window_id)
);
CREATE UNIQUE INDEX drift_windows_in_order
    ON drift_windows (tenant_id, model_name, model_version, image_kind, scanner, number);
CREATE INDEX drift_windows_by_time ON drift_windows (tenant_id, to_ms, window_id);

-- Events that the queue has not confirmed yet.
CREATE TABLE outbox (
    id    VARCHAR(36) NOT NULL PRIMARY KEY,
    topic VARCHAR(64) NOT NULL,
    body  TEXT        NOT NULL
);
