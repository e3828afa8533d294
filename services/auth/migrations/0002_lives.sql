-- Hospitals that are suspended or closed, and what each of them may have.
ALTER TABLE tenants ADD COLUMN state VARCHAR(16) NOT NULL DEFAULT 'active'; -- active, suspended, closed
ALTER TABLE tenants ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tenants ADD COLUMN languages VARCHAR(64) NOT NULL DEFAULT 'en'; -- with blanks between, the first is the default
ALTER TABLE tenants ADD COLUMN users_max BIGINT NOT NULL DEFAULT 1000;
ALTER TABLE tenants ADD COLUMN clients_max BIGINT NOT NULL DEFAULT 100;

-- Tokens say the epoch that they were signed in. Whatever takes a right away begins the next one.
ALTER TABLE users ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN state VARCHAR(16) NOT NULL DEFAULT 'active'; -- invited, active, disabled
ALTER TABLE users ADD COLUMN must_change BIGINT NOT NULL DEFAULT 0; -- 1: nothing but another password is taken
ALTER TABLE users ADD COLUMN signed_in_ms BIGINT NOT NULL DEFAULT 0; -- 0: never

ALTER TABLE clients ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN old_secret_hash VARCHAR(64) NOT NULL DEFAULT ''; -- valid too while the secret is rotated
ALTER TABLE clients ADD COLUMN scopes VARCHAR(190) NOT NULL DEFAULT ''; -- with blanks between, empty: all
ALTER TABLE clients ADD COLUMN expires_ms BIGINT NOT NULL DEFAULT 0; -- 0: never
ALTER TABLE clients ADD COLUMN used_ms BIGINT NOT NULL DEFAULT 0; -- 0: never

ALTER TABLE sessions ADD COLUMN begun_ms BIGINT NOT NULL DEFAULT 0; -- 0: before this was kept
ALTER TABLE sessions ADD COLUMN place VARCHAR(64) NOT NULL DEFAULT ''; -- the network address of the sign-in

-- Links that set a password once: invitations, and an administrator's resets. The token itself is kept nowhere.
CREATE TABLE links (
    tenant_id  VARCHAR(36) NOT NULL,
    user_id    VARCHAR(36) NOT NULL,
    token_hash VARCHAR(64) NOT NULL UNIQUE,
    expires_ms BIGINT      NOT NULL,
    -- One for each user: the next one takes its place.
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);

-- Whose tokens of earlier epochs are refused, for as long as there may be any. No foreign key: it outlives a deleted user.
CREATE TABLE revocations (
    kind       VARCHAR(16) NOT NULL, -- subject, tenant
    id         VARCHAR(36) NOT NULL,
    epoch      BIGINT      NOT NULL,
    revoked_ms BIGINT      NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX revocations_by_time ON revocations (revoked_ms);

-- Whom operators belong to: no hospital, and the owner of nothing.
INSERT INTO tenants (id, name, created_ms) VALUES ('00000000-0000-0000-0000-000000000001', '(operators)', 0);
