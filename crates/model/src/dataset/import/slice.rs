//! A slice of a volume, as a file of its own.

use domain::Result;
use imaging::encode::{Sample, grey_png, grey16_png, nifti_gz};
use imaging::{Geometry, Shape, Volume};

use crate::dataset::made::File;

/// A slice and its truth: as NIfTI, or as pictures where it is not known where they lie.
pub fn files(image: &Volume, slice: usize, truth: &[u8]) -> Result<[File; 2]> {
    match image.geometry {
        Some(_) => {
            Ok([nifti_of(image, slice, image.slice(slice))?, nifti_of(image, slice, truth)?])
        }
        None => pictures_of(image, slice, truth),
    }
}

/// One slice of a volume's grid as a file.
pub fn nifti_of<S: Sample>(grid: &Volume, slice: usize, voxels: &[S]) -> Result<File> {
    let at = |geometry: Geometry| Geometry {
        origin: geometry.position(slice as f64, 0.0, 0.0),
        ..geometry
    };
    let shape = Shape { slices: 1, ..grid.shape };
    let bytes = nifti_gz(voxels, shape, grid.geometry.map(at).as_ref())?;
    Ok(File { bytes, extension: "nii.gz".to_owned() })
}

/// A slice and its truth as grey pictures.
fn pictures_of(image: &Volume, slice: usize, truth: &[u8]) -> Result<[File; 2]> {
    let Shape { rows, columns, .. } = image.shape;
    let white: Vec<u8> = truth.iter().map(|inside| 255 * *inside).collect();
    let png = |bytes| File { bytes, extension: "png".to_owned() };
    Ok([png(picture_of(image, slice)?), png(grey_png(&white, rows, columns)?)])
}

/// In 8 bits where the whole scan fits into them: its slices are on one scale.
fn picture_of(image: &Volume, slice: usize) -> Result<Vec<u8>> {
    let Shape { rows, columns, .. } = image.shape;
    let levels = image.slice(slice).iter().map(|voxel| voxel.round());
    if image.voxels.iter().any(|voxel| voxel.round() > 255.0) {
        let pixels: Vec<u16> = levels.map(|level| level as u16).collect();
        return grey16_png(&pixels, rows, columns);
    }
    let pixels: Vec<u8> = levels.map(|level| level as u8).collect();
    grey_png(&pixels, rows, columns)
}
