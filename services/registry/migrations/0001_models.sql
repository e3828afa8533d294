-- A model's versions: what they are never changes, only their state does.
CREATE TABLE versions (
    name          VARCHAR(64)  NOT NULL,
    version       VARCHAR(64)  NOT NULL,
    state         VARCHAR(16)  NOT NULL, -- registered, shadow, serving, retired
    sha256        VARCHAR(64)  NOT NULL, -- of the weights
    modalities    VARCHAR(190) NOT NULL, -- DICOM terms, separated by commas
    preprocessing VARCHAR(64)  NOT NULL,
    source        VARCHAR(500) NOT NULL,
    git_commit    VARCHAR(64)  NOT NULL,
    data_version  VARCHAR(190) NOT NULL,
    registered_ms BIGINT       NOT NULL,
    registered_by VARCHAR(190) NOT NULL,
    forced        VARCHAR(900) NOT NULL, -- why it serves although the gate refused it
    signature     VARCHAR(190) NOT NULL, -- Ed25519, of name, version and the digests of all files
    announced_ms  BIGINT       NOT NULL, -- when workers were last told that it has no evaluation
    PRIMARY KEY (name, version)
);

CREATE TABLE files (
    name       VARCHAR(64)  NOT NULL,
    version    VARCHAR(64)  NOT NULL,
    file       VARCHAR(64)  NOT NULL,
    blob_key   VARCHAR(190) NOT NULL,
    sha256     VARCHAR(64)  NOT NULL,
    size_bytes BIGINT       NOT NULL,
    PRIMARY KEY (name, version, file),
    FOREIGN KEY (name, version) REFERENCES versions (name, version)
);

-- What serves each modality. The generation is raised with each change: of two that change the same the second is refused.
CREATE TABLE routes (
    modality   VARCHAR(16) NOT NULL,
    name       VARCHAR(64) NOT NULL,
    version    VARCHAR(64) NOT NULL,
    generation BIGINT      NOT NULL,
    PRIMARY KEY (modality)
);

-- What was served before, to go back to.
CREATE TABLE past_routes (
    modality   VARCHAR(16) NOT NULL,
    generation BIGINT      NOT NULL,
    name       VARCHAR(64) NOT NULL,
    version    VARCHAR(64) NOT NULL,
    PRIMARY KEY (modality, generation)
);

CREATE TABLE evaluations (
    name       VARCHAR(64) NOT NULL,
    version    VARCHAR(64) NOT NULL,
    evaluation TEXT        NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE comparisons (
    name            VARCHAR(64) NOT NULL,
    version         VARCHAR(64) NOT NULL,
    scan_id         VARCHAR(36) NOT NULL,
    tenant_id       VARCHAR(36) NOT NULL,
    serving_name    VARCHAR(64) NOT NULL,
    serving_version VARCHAR(64) NOT NULL,
    answer          VARCHAR(16) NOT NULL,
    serving_answer  VARCHAR(16) NOT NULL,
    dice            DOUBLE,
    volume_ml       DOUBLE,
    serving_ml      DOUBLE,
    at_ms           BIGINT      NOT NULL,
    PRIMARY KEY (name, version, scan_id)
);
CREATE INDEX comparisons_by_dice ON comparisons (name, version, dice);

-- Who did what, and why: only ever added to.
CREATE TABLE events (
    id      VARCHAR(36)  NOT NULL,
    at_ms   BIGINT       NOT NULL,
    subject VARCHAR(190) NOT NULL,
    action  VARCHAR(16)  NOT NULL,
    name    VARCHAR(64)  NOT NULL,
    version VARCHAR(64)  NOT NULL,
    reason  VARCHAR(900) NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX events_by_model ON events (name, id);
