-- Who signed in, and who changed who may do what; each entry holds the digest of the one before it.
CREATE TABLE audit (
    tenant_id VARCHAR(36)  NOT NULL,
    position  BIGINT       NOT NULL,
    at_ms     BIGINT       NOT NULL,
    subject   VARCHAR(190) NOT NULL, -- empty: nobody who is known
    action    VARCHAR(64)  NOT NULL,
    object_id VARCHAR(36)  NOT NULL,
    name      VARCHAR(190) NOT NULL,
    roles     VARCHAR(190) NOT NULL,
    origin    VARCHAR(190) NOT NULL,
    reason    VARCHAR(500) NOT NULL,
    detail    VARCHAR(190) NOT NULL,
    previous  VARCHAR(64)  NOT NULL,
    sha256    VARCHAR(64)  NOT NULL,
    PRIMARY KEY (tenant_id, position)
);

-- The last entry of each tenant's chain: locked by whoever adds one.
CREATE TABLE audit_heads (
    tenant_id VARCHAR(36) NOT NULL PRIMARY KEY,
    position  BIGINT      NOT NULL,
    sha256    VARCHAR(64) NOT NULL
);
INSERT INTO audit_heads (tenant_id, position, sha256) SELECT id, 0, '' FROM tenants;
