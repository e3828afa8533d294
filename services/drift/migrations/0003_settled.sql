-- The feedback that a word settles, which counts no more: ids with commas between. Empty: none, or not told.
ALTER TABLE reviews ADD COLUMN adjudicates VARCHAR(2000) NOT NULL DEFAULT '';
