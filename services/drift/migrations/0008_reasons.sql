-- Why the reader does not agree with the result; empty: not said, or not told.
ALTER TABLE reviews ADD COLUMN reason VARCHAR(16) NOT NULL DEFAULT '';
-- The same of its findings: how often each reason was given, as `outline=2,quality=1`.
ALTER TABLE reviews ADD COLUMN finding_reasons VARCHAR(255) NOT NULL DEFAULT '';
