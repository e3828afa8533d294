-- A hospital's own word about which series of a study are analysed.
CREATE TABLE series_rules (
    tenant_id  VARCHAR(36)  NOT NULL,
    id         VARCHAR(36)  NOT NULL, -- in the order in which they were made
    site       VARCHAR(64)  NOT NULL, -- empty: of every site
    words      VARCHAR(64)  NOT NULL, -- what a series' description contains
    preference VARCHAR(16)  NOT NULL, -- `prefer` or `never`
    decided_by VARCHAR(190) NOT NULL, -- the id
    name       VARCHAR(190) NOT NULL, -- the user's name at that time
    decided_ms BIGINT       NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
-- How well a series of an archive fits the models, as JSON; NULL: it was compared with no other. Nothing of its description.
ALTER TABLE batch_entries ADD COLUMN series_json VARCHAR(1000);
