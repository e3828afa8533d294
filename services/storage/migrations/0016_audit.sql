-- Who it was, from where, and why: as they were called then, as the gateway or the door knows it, and in their own words. Rows from
-- before say nothing here, and have digests without it.
ALTER TABLE audit ADD COLUMN name VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN roles VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN origin VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN reason VARCHAR(500) NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN detail VARCHAR(190) NOT NULL DEFAULT '';
CREATE INDEX audit_by_object ON audit (tenant_id, object_id);
