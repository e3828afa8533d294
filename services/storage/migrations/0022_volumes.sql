-- How large the main findings of a scan are together, in mL, as its result says: what lists show and are sorted by. NULL: the scan has
-- no result, or one from before this column that nobody has read since; below 0: the result says of none.
ALTER TABLE scans ADD COLUMN volume_ml DOUBLE;
