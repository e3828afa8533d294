//! Pixels to files: PNG, NIfTI and DICOM, and a zip of several.

mod dicom;
mod nifti;
mod png;
mod zip;

pub use dicom::{Series, decimal_string, dicom};
pub(crate) use nifti::{DATA_OFFSET as NIFTI_HEADER_BYTES, nifti_header};
pub use nifti::{Sample, nifti, nifti_gz};
pub use png::{grey_png, grey16_png, rgb_png};
pub use zip::zip;
