-- Audit record repositories that the deployment names: which instance sends to each, and what it has met with last.
CREATE TABLE audit_repositories (
    repository      VARCHAR(190) NOT NULL PRIMARY KEY, -- its address
    lease           VARCHAR(36)  NOT NULL, -- of the instance that sends
    leased_until_ms BIGINT       NOT NULL,
    words           VARCHAR(500) NOT NULL  -- why the last attempt has failed; empty: it has not
);

-- The last entry of each chain that a repository has confirmed.
CREATE TABLE audit_cursors (
    repository VARCHAR(190) NOT NULL,
    trail      VARCHAR(16)  NOT NULL, -- scans, accounts
    tenant_id  VARCHAR(36)  NOT NULL,
    position   BIGINT       NOT NULL,
    sha256     VARCHAR(64)  NOT NULL,
    PRIMARY KEY (repository, trail, tenant_id)
);
