-- Whether a report is a patient's word, which its reporter has passed on: 0 or 1.
ALTER TABLE incidents ADD COLUMN from_patient BIGINT NOT NULL DEFAULT 0;
