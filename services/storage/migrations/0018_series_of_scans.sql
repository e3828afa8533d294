-- How well a scan's series fits the models, as JSON; NULL: it was compared with no other. Nothing of its description.
ALTER TABLE scans ADD COLUMN series_json VARCHAR(1000);
