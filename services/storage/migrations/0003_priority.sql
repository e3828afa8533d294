-- How urgent the upload said that it is: routine or stat.
ALTER TABLE jobs ADD COLUMN priority VARCHAR(16) NOT NULL DEFAULT 'routine';
