//! The network: a ResNet-50 U-Net on libtorch, its weights files, training and evaluation.
//!
//! The only crate that names tch; what goes in and out are slices and plain values.

#![deny(missing_docs)]

/// Labelled scans: manifests of slices with a mask for each, read, checked and split by patient.
pub mod dataset;
mod device;
pub mod evaluate;
mod kind_head;
mod network;
mod parallel;
mod parameters;
mod segmenter;
pub mod tracking;
pub mod train;
mod weights;

pub use device::Device;
pub use network::Design;
pub use segmenter::Segmenter;
pub use weights::{Manifest, Weights, WeightsFacts};
