-- Events of no scan, as they came and as they are pushed: they stay as long as their deliveries, which may be sent again.
CREATE TABLE events (
    tenant_id VARCHAR(36) NOT NULL,
    event_id  VARCHAR(64) NOT NULL,
    body      TEXT        NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);

-- The type of the event that is pushed, where `scan_id` is empty; empty where a scan's result is.
ALTER TABLE deliveries ADD COLUMN event_type VARCHAR(32) NOT NULL DEFAULT '';
