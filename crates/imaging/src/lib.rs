//! Images: bytes to [`Volume`], what a scan must be before it is analysed, and what is said of it after.
//!
//! Everything here is pure: no files, no clock, no network.

pub mod phantom;
mod volume;

pub use volume::{Format, Geometry, Modality, Shape, Volume};
