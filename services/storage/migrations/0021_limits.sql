-- What a hospital, and each of its API clients, may send: a row for whoever has a limit. Read and written while the hospital's audit trail
-- is held, as what is used of it is: so those that come at once are counted one after another, and no two wait for each other.
CREATE TABLE limits (
    tenant_id  VARCHAR(36)  NOT NULL,
    client_id  VARCHAR(36)  NOT NULL, -- empty: the hospital itself
    scans_max  BIGINT       NOT NULL, -- accepted in a day (UTC); 0: no limit, as of the next two
    bytes_max  BIGINT       NOT NULL, -- the same, of the files as they came
    jobs_max   BIGINT       NOT NULL, -- that wait or run at a time
    decided_by VARCHAR(190) NOT NULL, -- the id
    name       VARCHAR(190) NOT NULL, -- the user's name at that time
    decided_ms BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, client_id)
);

-- What was accepted of whoever has a limit.
CREATE TABLE limit_usage (
    tenant_id VARCHAR(36) NOT NULL,
    client_id VARCHAR(36) NOT NULL,
    utc_day   BIGINT      NOT NULL, -- since 1970
    scans     BIGINT      NOT NULL,
    bytes     BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, client_id, utc_day)
);

-- Who sent the scan: the user or the API client. Empty: it came before this column.
ALTER TABLE jobs ADD COLUMN sender VARCHAR(190) NOT NULL DEFAULT '';
-- How many of a hospital's jobs, and of a sender's, wait or run.
CREATE INDEX jobs_by_sender ON jobs (tenant_id, state, sender);
