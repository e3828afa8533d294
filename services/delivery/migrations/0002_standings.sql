-- Hospitals that auth has said are not active: nothing goes out of them.
CREATE TABLE stopped (
    tenant_id VARCHAR(36) NOT NULL PRIMARY KEY,
    state     VARCHAR(16) NOT NULL, -- suspended, closed
    since_ms  BIGINT      NOT NULL
);

-- The titles of the application entities at both ends, of a destination that takes C-STORE.
ALTER TABLE destinations ADD COLUMN called_ae VARCHAR(16) NOT NULL DEFAULT '';
ALTER TABLE destinations ADD COLUMN calling_ae VARCHAR(16) NOT NULL DEFAULT '';
-- What it has said that it takes and what not, in words; empty: it was not asked yet, or says no such thing.
ALTER TABLE destinations ADD COLUMN takes VARCHAR(500) NOT NULL DEFAULT '';
