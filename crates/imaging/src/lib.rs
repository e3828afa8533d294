//! Images: bytes to [`Volume`], what a scan must be before it is analysed, and what is said of it after.
//!
//! Everything here is pure: no files, no clock, no network.

#![deny(missing_docs)]

mod acquisition;
mod components;
mod decode;
mod dice_predictor;
mod dicom_instance;
mod embedding;
pub mod encode;
mod features;
mod findings;
mod growth;
mod instance;
mod kind;
mod label_map;
mod laterality;
mod measure;
mod model_info;
pub mod names;
mod orientation;
mod passport;
pub mod phantom;
pub mod picker;
mod prepare;
mod reading;
mod refusal;
mod regions;
mod render;
mod requirements;
mod result;
mod segmentation;
mod slices;
mod stored;
mod volume;
mod window;
mod witness;

pub use acquisition::{Protocol, acquisition, orientation};
pub use components::{Run, components};
pub use decode::{
    Archive, Decoded, DeidentificationReport, Deidentified, Group, Grouping, Limits, Naming,
    Treated, decode, decode_flat, deidentify, instance, instance_of, instances, may_be_image,
    segmentation, series_of, transfer_syntaxes,
};
pub use dice_predictor::{DICE_FEATURES, DicePredictor, ExpectedDice, dice_features};
pub use dicom_instance::DicomInstance;
pub use embedding::{EMBEDDING, EMBEDDING_WIDTH, Projection, embedding};
pub use features::Features;
pub use findings::{Bounds, Criteria, Finding, Findings, Role, Unit};
pub use instance::{Extent, Instance, PixelExtents, StoredInstance, attribute_named};
pub use kind::{ClassifiedKind, ImageKind, KindPrediction, KindSource};
pub use label_map::{is_label_map, marked};
pub use laterality::{Laterality, Middle, round_trip};
pub use measure::Diameter;
pub use model_info::{ModelFacts, ModelInfo, ModelUsed};
pub use orientation::{Orientation, Plane, View};
pub use passport::{Passport, PassportStatement, StatementSignature};
pub use picker::SeriesFacts;
pub use prepare::{Framed, Prepared, Preprocessing, TilePlacement, prepare, restore};
pub use reading::{
    Assessment, Calibration, Forms, NetworkInput, OperatingPoint, Reading, Readings,
    TilePrediction, restored,
};
pub use refusal::{KnownOfRefused, Refusal, RefusalReason};
pub use regions::regions;
pub use render::{
    ColourPicture, captioned, comparison_png, lettered_png, main_marked, mask_nifti, mask_png,
    overlay_png, shown_slice, slice_png,
};
pub use requirements::check;
pub use result::{
    DocumentHeader, ImageFacts, Inputs, Lesser, OwnGrid, Quality, ResultDocument, Timing, Totals,
    confidence,
};
pub use segmentation::{APART_MAX, SegmentationFacts};
pub use slices::{Slices, SlicesReader};
pub use stored::{StoredGrid, overlap};
pub use volume::{Format, Geometry, Known, Modality, Shape, Volume};
pub use witness::{WayBack, Witness};
