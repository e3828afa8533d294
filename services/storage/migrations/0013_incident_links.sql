-- Links through which patients say what went wrong: whoever has the token may write a few reports, and read nothing.
CREATE TABLE incident_links (
    tenant_id    VARCHAR(36)  NOT NULL,
    id           VARCHAR(36)  NOT NULL,
    token_sha256 VARCHAR(64)  NOT NULL,
    scan_id      VARCHAR(36),           -- none: its reports are about the system
    made_ms      BIGINT       NOT NULL,
    expires_ms   BIGINT       NOT NULL,
    maker_id     VARCHAR(190) NOT NULL,
    maker        VARCHAR(190) NOT NULL, -- the user's name at that time
    PRIMARY KEY (tenant_id, id),
    UNIQUE (token_sha256),
    FOREIGN KEY (tenant_id, scan_id) REFERENCES scans (tenant_id, id)
);
CREATE INDEX incident_links_by_maker ON incident_links (tenant_id, maker_id, made_ms);
CREATE INDEX incident_links_by_end ON incident_links (tenant_id, expires_ms);
-- Whether the patient wrote it, through a link that the reporter has made: 0 or 1.
ALTER TABLE incidents ADD COLUMN by_link BIGINT NOT NULL DEFAULT 0;
