-- The systems that a hospital has its results pushed to.
CREATE TABLE destinations (
    tenant_id      VARCHAR(36)   NOT NULL,
    destination_id VARCHAR(36)   NOT NULL,
    name           VARCHAR(128)  NOT NULL,
    kind           VARCHAR(16)   NOT NULL, -- webhook, stow
    url            VARCHAR(1000) NOT NULL,
    formats        VARCHAR(190)  NOT NULL, -- with blanks between
    secret         VARCHAR(1000) NOT NULL, -- empty: none
    enabled        BIGINT        NOT NULL,
    created_ms     BIGINT        NOT NULL,
    failures       BIGINT        NOT NULL, -- attempts in a row that have failed
    resume_ms      BIGINT        NOT NULL, -- no attempt before
    PRIMARY KEY (tenant_id, destination_id)
);

-- Events that have become deliveries: the same event again changes nothing, whatever destinations there are by then.
CREATE TABLE heard (
    tenant_id VARCHAR(36) NOT NULL,
    event_id  VARCHAR(64) NOT NULL,
    heard_ms  BIGINT      NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

-- The outbox: what is pushed of one scan to one destination. A row stays when it has ended, and says how.
CREATE TABLE deliveries (
    tenant_id       VARCHAR(36)  NOT NULL,
    delivery_id     VARCHAR(36)  NOT NULL,
    event_id        VARCHAR(64)  NOT NULL,
    scan_id         VARCHAR(36)  NOT NULL,
    destination_id  VARCHAR(36)  NOT NULL,
    destination     VARCHAR(128) NOT NULL, -- its name then
    formats         VARCHAR(190) NOT NULL,
    answer          VARCHAR(16)  NOT NULL,
    state           VARCHAR(16)  NOT NULL, -- waiting, delivered, failed
    attempts        BIGINT       NOT NULL,
    made_ms         BIGINT       NOT NULL,
    since_ms        BIGINT       NOT NULL, -- from when on it is tried: when it was made, or when somebody has sent it again
    due_ms          BIGINT       NOT NULL,
    lease           VARCHAR(36)  NOT NULL, -- of the attempt that is under way; empty: none
    leased_until_ms BIGINT       NOT NULL,
    ended_ms        BIGINT       NOT NULL, -- 0: it has not
    words           VARCHAR(500) NOT NULL,
    PRIMARY KEY (tenant_id, delivery_id)
);
CREATE UNIQUE INDEX deliveries_once ON deliveries (tenant_id, event_id, destination_id);
CREATE INDEX deliveries_due ON deliveries (state, due_ms);
CREATE INDEX deliveries_by_destination ON deliveries (tenant_id, destination_id, state, due_ms);
CREATE INDEX deliveries_by_scan ON deliveries (tenant_id, scan_id);

-- What the audit trail is to be told, until storage has written it.
CREATE TABLE notes (
    id        VARCHAR(36)  NOT NULL PRIMARY KEY,
    tenant_id VARCHAR(36)  NOT NULL,
    at_ms     BIGINT       NOT NULL,
    subject   VARCHAR(190) NOT NULL,
    act       VARCHAR(32)  NOT NULL,
    object_id VARCHAR(36)  NOT NULL
);
