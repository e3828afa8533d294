-- What scans are counted by, beside what is there already. NULL: nobody says, or a pod of the version before has written the row.
ALTER TABLE observations ADD COLUMN site VARCHAR(64);
ALTER TABLE observations ADD COLUMN confidence DOUBLE;
ALTER TABLE observations ADD COLUMN expected_dice DOUBLE;
-- Why there is no answer, where there is none: no_model, stopped, failed.
ALTER TABLE observations ADD COLUMN refusal VARCHAR(32);

-- What was observed before. One dialect quotes what it takes out of JSON, and its `null` is none to SQL.
UPDATE observations SET
    confidence = NULLIF(REPLACE(JSON_EXTRACT(observation, '$.confidence'), '"', ''), 'null') + 0.0
WHERE JSON_VALID(observation) = 1;

-- The scan's slices, by what the model marks in them and what the reader does. NULL: it does not follow from the word.
ALTER TABLE reviews ADD COLUMN slices_both BIGINT;
ALTER TABLE reviews ADD COLUMN slices_model_only BIGINT;
ALTER TABLE reviews ADD COLUMN slices_reader_only BIGINT;
ALTER TABLE reviews ADD COLUMN slices_neither BIGINT;
