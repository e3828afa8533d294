//! Pixels to files: PNG, NIfTI and DICOM.

mod dicom;
mod nifti;
mod png;

pub use dicom::{Series, dicom};
pub use nifti::{Sample, nifti, nifti_gz};
pub use png::{grey_png, rgb_png};
