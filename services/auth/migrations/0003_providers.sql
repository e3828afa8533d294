-- A hospital's own provider of identities (OpenID Connect Core 1.0): one for each.
CREATE TABLE providers (
    tenant_id     VARCHAR(36)   NOT NULL PRIMARY KEY,
    alias         VARCHAR(64)   NOT NULL UNIQUE, -- the last word of the address of its sign-in
    issuer        VARCHAR(1000) NOT NULL,
    client_id     VARCHAR(255)  NOT NULL,
    client_secret VARCHAR(2000) NOT NULL, -- sealed; empty: there is none
    passwords     BIGINT        NOT NULL, -- 0: whom it knows has no password here
    rules         VARCHAR(8000) NOT NULL, -- JSON
    changed_ms    BIGINT        NOT NULL,
    FOREIGN KEY (tenant_id) REFERENCES tenants (id)
);

-- Who of a hospital somebody is that its provider knows. A digest of issuer and subject: both databases compare it alike, while
-- names that differ in case only are different subjects.
CREATE TABLE provider_subjects (
    tenant_id    VARCHAR(36) NOT NULL,
    subject_hash VARCHAR(64) NOT NULL,
    user_id      VARCHAR(36) NOT NULL,
    PRIMARY KEY (tenant_id, subject_hash),
    UNIQUE (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);

-- What works once, and was used: states of sign-ins, ids of logout tokens. Nothing of a sign-in is kept before it succeeds.
CREATE TABLE spent (
    hash       VARCHAR(64) NOT NULL PRIMARY KEY,
    expires_ms BIGINT      NOT NULL
);
CREATE INDEX spent_by_time ON spent (expires_ms);

-- A digest of issuer and session at the provider; empty: it has named none, or the session was begun with a password.
ALTER TABLE sessions ADD COLUMN provider_session VARCHAR(64) NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN by_provider BIGINT NOT NULL DEFAULT 0;

ALTER TABLE tenants ADD COLUMN second_factor VARCHAR(16) NOT NULL DEFAULT 'optional'; -- optional, required

-- One-time passwords (RFC 6238) of those who sign in with a password.
CREATE TABLE second_factors (
    tenant_id    VARCHAR(36)  NOT NULL,
    user_id      VARCHAR(36)  NOT NULL,
    secret       VARCHAR(255) NOT NULL, -- sealed
    confirmed_ms BIGINT       NOT NULL, -- 0: nobody has shown yet that they have it
    last_step    BIGINT       NOT NULL, -- each works once: no step up to this one is taken again
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);

-- For whoever has lost their telephone; each works once.
CREATE TABLE recovery_codes (
    tenant_id VARCHAR(36) NOT NULL,
    user_id   VARCHAR(36) NOT NULL,
    code_hash VARCHAR(64) NOT NULL,
    PRIMARY KEY (tenant_id, user_id, code_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
