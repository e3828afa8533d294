-- How many bytes of objects a hospital has: the sizes of its artefacts. Changed in the unit that changes those, while the hospital's audit
-- trail is held. A version before this one counts nothing; what it has kept or deleted is counted within the hour.
CREATE TABLE stored_bytes (
    tenant_id VARCHAR(36) NOT NULL PRIMARY KEY,
    bytes     BIGINT      NOT NULL
);
INSERT INTO stored_bytes (tenant_id, bytes) SELECT tenant_id, SUM(size_bytes) FROM artefacts GROUP BY tenant_id;

-- Of the hospital itself, what it may have of them; 0: no limit.
ALTER TABLE limits ADD COLUMN stored_max BIGINT NOT NULL DEFAULT 0;
