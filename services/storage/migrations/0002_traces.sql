-- The trace of the upload that a job came from, as the header `traceparent` writes it; empty where nothing is traced.
ALTER TABLE jobs ADD COLUMN traceparent VARCHAR(55) NOT NULL DEFAULT '';
