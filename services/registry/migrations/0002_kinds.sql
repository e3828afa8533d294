-- What serves single kinds of image of a modality, in place of the modality's own route. Apart from that one, which the
-- version before goes on reading.
CREATE TABLE kind_routes (
    modality   VARCHAR(16) NOT NULL,
    image_kind VARCHAR(16) NOT NULL, -- flair, t1_contrast
    name       VARCHAR(64) NOT NULL,
    version    VARCHAR(64) NOT NULL,
    generation BIGINT      NOT NULL,
    PRIMARY KEY (modality, image_kind)
);

CREATE TABLE past_kind_routes (
    modality   VARCHAR(16) NOT NULL,
    image_kind VARCHAR(16) NOT NULL,
    generation BIGINT      NOT NULL,
    name       VARCHAR(64) NOT NULL,
    version    VARCHAR(64) NOT NULL,
    PRIMARY KEY (modality, image_kind, generation)
);

-- The kind of image at which a shadow looks on; empty: any.
ALTER TABLE versions ADD COLUMN shadow_kind VARCHAR(16) NOT NULL DEFAULT '';

-- The kind of image that was meant; empty: any.
ALTER TABLE events ADD COLUMN image_kind VARCHAR(16) NOT NULL DEFAULT '';
