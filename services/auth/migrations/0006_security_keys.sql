-- Security keys and passkeys (WebAuthn) of those who sign in with a password. Of a key, there is its public half alone.
CREATE TABLE security_keys (
    tenant_id       VARCHAR(36)   NOT NULL,
    id              VARCHAR(36)   NOT NULL,
    user_id         VARCHAR(36)   NOT NULL,
    name            VARCHAR(128)  NOT NULL, -- as its owner calls it
    credential      VARCHAR(1400) NOT NULL, -- base64url, as the other two that are bytes
    credential_hash VARCHAR(64)   NOT NULL UNIQUE, -- both databases compare it alike, and have an index of it
    public_key      VARCHAR(255)  NOT NULL,
    state           VARCHAR(16)   NOT NULL, -- with the counter of its signatures
    transports      BIGINT        NOT NULL, -- by which browsers reach it: a bit for each
    created_ms      BIGINT        NOT NULL,
    used_ms         BIGINT        NOT NULL, -- 0: never
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX security_keys_by_user ON security_keys (tenant_id, user_id);

-- What a key has been asked and has not answered yet, for whichever instance the answer comes to. Each is taken once; of a user, the last
-- one for each purpose is kept.
CREATE TABLE key_challenges (
    challenge  VARCHAR(32)   NOT NULL PRIMARY KEY,
    tenant_id  VARCHAR(36)   NOT NULL,
    user_id    VARCHAR(36)   NOT NULL,
    purpose    VARCHAR(16)   NOT NULL, -- register, verify
    ceremony   VARCHAR(8000) NOT NULL, -- base64url
    expires_ms BIGINT        NOT NULL
);
CREATE INDEX key_challenges_by_user ON key_challenges (tenant_id, user_id);
