//! Images: bytes to [`Volume`], what a scan must be before it is analysed, and what is said of it after.
//!
//! Everything here is pure: no files, no clock, no network.

mod components;
pub mod encode;
mod features;
mod findings;
mod measure;
pub mod phantom;
mod render;
mod result;
mod decode;
mod identity;
mod refusal;
mod requirements;
mod volume;

pub use decode::{Archive, Decoded, Limits, decode};
pub use identity::Identity;
pub use refusal::{Problem, Refusal};
pub use requirements::check;
pub use features::Features;
pub use findings::{Bounds, Criteria, Finding, Findings, Unit};
pub use measure::Diameter;
pub use render::{mask_nifti, mask_png, overlay_png, preview_png, shown_slice};
pub use result::{
    About, ImageFacts, Inputs, Passport, Quality, ResultDocument, Timing, Totals, confidence,
};
pub use volume::{Format, Geometry, Modality, Shape, Volume};
