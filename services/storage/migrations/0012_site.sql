-- What a list is asked for beside what it already has indexes for.
CREATE INDEX scans_by_site ON scans (tenant_id, site, id);
CREATE INDEX scans_by_modality ON scans (tenant_id, modality, id);
