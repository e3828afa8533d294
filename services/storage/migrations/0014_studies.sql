-- What studies are found by besides their numbers: the patient's name without padding, and the day, as YYYYMMDD.
ALTER TABLE identities ADD COLUMN patient_name VARCHAR(190) NOT NULL DEFAULT '';
ALTER TABLE identities ADD COLUMN study_date VARCHAR(8) NOT NULL DEFAULT '';

-- What was kept before. One dialect quotes what it takes out of JSON, and calls nothing `null`. Old files have points in dates.
UPDATE identities SET
    patient_name = SUBSTR(TRIM(COALESCE(NULLIF(REPLACE(JSON_EXTRACT(identity_json, '$.patient_name'), '"', ''), 'null'), '')), 1, 190),
    study_date = SUBSTR(REPLACE(TRIM(COALESCE(NULLIF(REPLACE(JSON_EXTRACT(identity_json, '$.study_date'), '"', ''), 'null'), '')), '.', ''), 1, 8)
WHERE JSON_VALID(identity_json) = 1;

CREATE INDEX identities_by_date ON identities (tenant_id, study_date, scan_id);
