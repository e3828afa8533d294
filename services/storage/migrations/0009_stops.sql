-- Where and with what a scan was made; empty: nobody says. Nothing of the patient.
ALTER TABLE scans ADD COLUMN site VARCHAR(64) NOT NULL DEFAULT '';
ALTER TABLE scans ADD COLUMN scanner VARCHAR(64) NOT NULL DEFAULT '';

-- When a hospital takes no more answers of a model: a row for each time that the rule was set, of which the last counts.
CREATE TABLE stop_rules (
    tenant_id    VARCHAR(36)  NOT NULL,
    position     BIGINT       NOT NULL, -- from 1
    error_max    DOUBLE       NOT NULL, -- the part of confirmed scans that may be answered wrongly; 0: no model is stopped
    budget_scans BIGINT       NOT NULL, -- confirmed scans for each false stop, at least
    decided_by   VARCHAR(190) NOT NULL, -- the id
    name         VARCHAR(190) NOT NULL, -- the user's name at that time
    decided_ms   BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, position)
);

-- Each time that a model was stopped, or let answer again; the last row of a model counts, and none is changed.
CREATE TABLE model_stops (
    tenant_id     VARCHAR(36)   NOT NULL,
    position      BIGINT        NOT NULL, -- from 1
    model_name    VARCHAR(190)  NOT NULL,
    model_version VARCHAR(190)  NOT NULL,
    stopped       BIGINT        NOT NULL, -- 1, or 0: it was lifted
    reason        VARCHAR(1000) NOT NULL,
    decided_by    VARCHAR(190)  NOT NULL, -- the id; empty: the rule
    name          VARCHAR(190)  NOT NULL, -- the user's name at that time; empty: the rule
    decided_ms    BIGINT        NOT NULL,
    PRIMARY KEY (tenant_id, position)
);

-- The words about one model's answers, in the order in which they were given.
CREATE INDEX feedback_by_model ON feedback (tenant_id, model_version, given_ms);
