-- When a row was last changed in a way that a list shows; 0: not since this column is there. A scan that was deleted stays as
-- a row in the state `deleted` that has no job, so that whoever follows the changes is told, and no key makes it once more.
ALTER TABLE scans ADD COLUMN changed_ms BIGINT NOT NULL DEFAULT 0;
CREATE INDEX scans_by_change ON scans (tenant_id, changed_ms, id);
-- When the analysis was asked for anew; 0: it is the first, asked for by the upload.
ALTER TABLE jobs ADD COLUMN renewed_ms BIGINT NOT NULL DEFAULT 0;

-- What there is of one scan. One dialect makes such an index for each link by itself, the other does not.
CREATE INDEX batch_entries_by_scan ON batch_entries (tenant_id, scan_id);
CREATE INDEX idempotency_by_scan ON idempotency (tenant_id, scan_id);
CREATE INDEX feedback_keys_by_feedback ON feedback_keys (tenant_id, feedback_id);
