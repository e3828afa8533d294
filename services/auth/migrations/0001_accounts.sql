-- Hospitals.
CREATE TABLE tenants (
    id         VARCHAR(36)  NOT NULL PRIMARY KEY,
    name       VARCHAR(128) NOT NULL UNIQUE,
    created_ms BIGINT       NOT NULL
);

-- A name signs in without naming its tenant, so it is unique in all of them.
CREATE TABLE users (
    tenant_id     VARCHAR(36)  NOT NULL,
    id            VARCHAR(36)  NOT NULL,
    user_name     VARCHAR(128) NOT NULL UNIQUE,
    password_hash VARCHAR(190) NOT NULL,
    roles         VARCHAR(128) NOT NULL,
    created_ms    BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- Programs. Their secrets are 256 random bits, for which SHA-256 is hash enough.
CREATE TABLE clients (
    tenant_id   VARCHAR(36)  NOT NULL,
    id          VARCHAR(36)  NOT NULL UNIQUE,
    name        VARCHAR(128) NOT NULL,
    secret_hash VARCHAR(64)  NOT NULL,
    roles       VARCHAR(128) NOT NULL,
    created_ms  BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- A session is the family of all refresh tokens that follow from one sign-in.
CREATE TABLE sessions (
    tenant_id  VARCHAR(36) NOT NULL,
    id         VARCHAR(36) NOT NULL,
    user_id    VARCHAR(36) NOT NULL,
    expires_ms BIGINT      NOT NULL,
    revoked_ms BIGINT      NOT NULL, -- 0: it is not
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX sessions_of_user ON sessions (tenant_id, user_id);

CREATE TABLE refresh_tokens (
    tenant_id  VARCHAR(36) NOT NULL,
    token_hash VARCHAR(64) NOT NULL UNIQUE,
    session_id VARCHAR(36) NOT NULL,
    used_ms    BIGINT      NOT NULL, -- 0: not yet
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, session_id) REFERENCES sessions (tenant_id, id)
);
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (tenant_id, session_id);
