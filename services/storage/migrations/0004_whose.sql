-- What scans are found by: one column for each, without padding, at most as long as a key may be.
ALTER TABLE identities ADD COLUMN patient_id VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE identities ADD COLUMN accession_number VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE identities ADD COLUMN study_uid VARCHAR(190) NOT NULL DEFAULT '';
-- What the sender calls the scan.
ALTER TABLE identities ADD COLUMN reference VARCHAR(190) NOT NULL DEFAULT '';

-- What was kept before. One dialect quotes what it takes out of JSON, and calls nothing `null`.
UPDATE identities SET
    patient_id = SUBSTR(TRIM(COALESCE(NULLIF(REPLACE(JSON_EXTRACT(identity_json, '$.patient_id'), '"', ''), 'null'), '')), 1, 190),
    accession_number = SUBSTR(TRIM(COALESCE(NULLIF(REPLACE(JSON_EXTRACT(identity_json, '$.accession_number'), '"', ''), 'null'), '')), 1, 190),
    study_uid = SUBSTR(TRIM(COALESCE(NULLIF(REPLACE(JSON_EXTRACT(identity_json, '$.study_instance_uid'), '"', ''), 'null'), '')), 1, 190)
WHERE JSON_VALID(identity_json) = 1;

CREATE INDEX identities_by_patient ON identities (tenant_id, patient_id, scan_id);
CREATE INDEX identities_by_accession ON identities (tenant_id, accession_number, scan_id);
CREATE INDEX identities_by_study ON identities (tenant_id, study_uid, scan_id);
CREATE INDEX identities_by_reference ON identities (tenant_id, reference, scan_id);
CREATE INDEX scans_by_answer ON scans (tenant_id, answer, id);
CREATE INDEX scans_by_state ON scans (tenant_id, state, id);
CREATE INDEX scans_by_time ON scans (tenant_id, accepted_ms);
CREATE INDEX jobs_by_priority ON jobs (tenant_id, priority, scan_id);
