-- What was seen of each completed scan; the event's id makes a redelivered event change nothing.
CREATE TABLE observations (
    tenant_id    VARCHAR(36)  NOT NULL,
    event_id     VARCHAR(64)  NOT NULL,
    scan_id      VARCHAR(36)  NOT NULL,
    answer       VARCHAR(16)  NOT NULL,
    completed_ms BIGINT       NOT NULL,
    response_ms  BIGINT,
    observation  TEXT         NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX observations_by_time ON observations (tenant_id, completed_ms);

CREATE TABLE reports (
    tenant_id  VARCHAR(36) NOT NULL,
    report_id  VARCHAR(36) NOT NULL,
    created_ms BIGINT      NOT NULL,
    report     MEDIUMTEXT  NOT NULL,
    PRIMARY KEY (tenant_id, report_id)
);
