-- How often in a row its destination has answered that it does not take it, and may another time.
ALTER TABLE deliveries ADD COLUMN objections BIGINT NOT NULL DEFAULT 0;
