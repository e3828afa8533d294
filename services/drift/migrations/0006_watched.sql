-- Windows are of one site each from now on, so that their numbers are in order within it. A unique index cannot be dropped in the
-- same words on both databases, so the table is made anew. Empty, as of windows from before: nobody says.
CREATE TABLE drift_windows_by_site (
    tenant_id     VARCHAR(36)  NOT NULL,
    window_id     VARCHAR(36)  NOT NULL,
    model_name    VARCHAR(190) NOT NULL,
    model_version VARCHAR(190) NOT NULL,
    image_kind    VARCHAR(32)  NOT NULL, -- empty: not said
    scanner       VARCHAR(64)  NOT NULL, -- empty: not said
    site          VARCHAR(64)  NOT NULL DEFAULT '', -- a pod of the version before does not write it
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
INSERT INTO drift_windows_by_site (tenant_id, window_id, model_name, model_version, image_kind, scanner, number, from_ms, to_ms,
        created_ms, scans, drifted, calm, document)
    SELECT tenant_id, window_id, model_name, model_version, image_kind, scanner, number, from_ms, to_ms, created_ms, scans, drifted,
        calm, document
    FROM drift_windows;
DROP TABLE drift_windows;
ALTER TABLE drift_windows_by_site RENAME TO drift_windows;
CREATE UNIQUE INDEX drift_windows_in_order
    ON drift_windows (tenant_id, model_name, model_version, image_kind, scanner, site, number);
CREATE INDEX drift_windows_by_time ON drift_windows (tenant_id, to_ms, window_id);

-- Files that were refused at the door: how many, and nothing of any one. A row for each day, reason and place, of which a hospital's
-- day has so many at most, whatever the files say.
CREATE TABLE door_refusals (
    tenant_id  VARCHAR(36) NOT NULL,
    day_ms     BIGINT      NOT NULL, -- when the day begins, in UTC
    reason     VARCHAR(32) NOT NULL, -- the problem's name
    site       VARCHAR(64) NOT NULL, -- empty, as the two below: nobody says, or there are too many to tell apart
    scanner    VARCHAR(64) NOT NULL,
    image_kind VARCHAR(32) NOT NULL,
    files      BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, day_ms, reason, site, scanner, image_kind)
);

-- What `medseg evaluate` has measured on data whose truth is known, as it was reported.
CREATE TABLE evaluations (
    tenant_id      VARCHAR(36)  NOT NULL,
    evaluation_id  VARCHAR(36)  NOT NULL,
    evaluated_ms   BIGINT       NOT NULL, -- when it was reported
    model_name     VARCHAR(190) NOT NULL,
    model_version  VARCHAR(190) NOT NULL,
    model_sha256   VARCHAR(64)  NOT NULL,
    data_version   VARCHAR(190) NOT NULL,
    patients       BIGINT       NOT NULL,
    slices         BIGINT       NOT NULL,
    dice_mean      DOUBLE, -- NULL, as the next two: of no patient known
    dice_low       DOUBLE,
    dice_high      DOUBLE,
    dice_patients  BIGINT       NOT NULL,
    dice_empty     BIGINT       NOT NULL,
    dice_not_empty DOUBLE,
    far_count      BIGINT       NOT NULL,
    far_of         BIGINT       NOT NULL,
    frr_count      BIGINT       NOT NULL,
    frr_of         BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, evaluation_id)
);
CREATE INDEX evaluations_by_time ON evaluations (evaluated_ms);
