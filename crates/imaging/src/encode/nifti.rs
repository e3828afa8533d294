use std::io::Write;

use domain::{ErrorKind, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{Geometry, Shape};

/// Where the voxels begin: 348 bytes of header and 4 that say "no extension".
pub(crate) const DATA_OFFSET: usize = 352;

/// What a voxel may be in a file.
pub trait Sample: Copy {
    /// NIfTI-1's `datatype` and `bitpix`.
    const TYPE: [i16; 2];

    /// Appends the voxel, little endian.
    fn append(self, bytes: &mut Vec<u8>);
}

impl Sample for u8 {
    const TYPE: [i16; 2] = [2, 8];

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl Sample for f32 {
    const TYPE: [i16; 2] = [16, 32];

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

/// A NIfTI-1 file (`.nii`) in the geometry given; without a place in the patient its affine is marked unknown.
///
/// `Invalid` when a length does not fit the format's 16 bits.
pub fn nifti<S: Sample>(
    voxels: &[S],
    shape: Shape,
    geometry: Option<&Geometry>,
) -> Result<Vec<u8>> {
    let mut bytes = nifti_header::<S>(shape, geometry)?;
    bytes.reserve_exact(size_of_val(voxels));
    voxels.iter().for_each(|voxel| voxel.append(&mut bytes));
    Ok(bytes)
}

/// What stands before the voxels in such a file.
pub(crate) fn nifti_header<S: Sample>(
    shape: Shape,
    geometry: Option<&Geometry>,
) -> Result<Vec<u8>> {
    let Shape { slices, rows, columns } = shape;
    let mut lengths = [0; 3];
    for (length, count) in lengths.iter_mut().zip([columns, rows, slices]) {
        *length = i16::try_from(count).map_err(|error| {
            ErrorKind::Invalid.error("too many voxels for NIfTI").because(error)
        })?;
    }
    let [x, y, z] = lengths;
    let mut header = Header(vec![0; DATA_OFFSET]);
    header.int32(0, 348);
    header.int16s(40, &[3, x, y, z, 1, 1, 1, 1]);
    header.int16s(70, &S::TYPE);
    let [slice_mm, row_mm, column_mm] = geometry.map_or([1.0; 3], Geometry::spacing);
    header.floats(76, &[1.0, column_mm, row_mm, slice_mm, 1.0, 1.0, 1.0, 1.0]);
    header.floats(108, &[DATA_OFFSET as f64, 1.0]);
    if geometry.is_some() {
        header.0[123] = 2; // millimetres
    }
    if let Some(geometry) = geometry.and_then(Geometry::in_patient) {
        // Scanner coordinates in the sform; no qform, which cannot hold a sheared stack.
        header.int16s(252, &[0, 1]);
        header.floats(280, &affine(geometry));
    }
    header.0[344..348].copy_from_slice(b"n+1\0");
    Ok(header.0)
}

/// The same, compressed (`.nii.gz`).
pub fn nifti_gz<S: Sample>(
    voxels: &[S],
    shape: Shape,
    geometry: Option<&Geometry>,
) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&nifti(voxels, shape, geometry)?).and_then(|()| encoder.finish()).map_err(
        |error| ErrorKind::Internal.error("a volume could not be compressed").because(error),
    )
}

/// The sform's three rows. NIfTI's x points to the right and y to the front; DICOM's the other ways.
fn affine(geometry: &Geometry) -> [f64; 12] {
    let Geometry { origin, slice_step, row_step, column_step, .. } = geometry;
    let mut rows = [0.0; 12];
    for (axis, sign) in [-1.0, -1.0, 1.0].into_iter().enumerate() {
        let row = [column_step[axis], row_step[axis], slice_step[axis], origin[axis]];
        rows[4 * axis..][..4].copy_from_slice(&row.map(|part| sign * part));
    }
    rows
}

struct Header(Vec<u8>);

impl Header {
    fn int32(&mut self, offset: usize, value: i32) {
        self.0[offset..][..4].copy_from_slice(&value.to_le_bytes());
    }

    fn int16s(&mut self, offset: usize, values: &[i16]) {
        for (place, value) in self.0[offset..].chunks_exact_mut(2).zip(values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }

    fn floats(&mut self, offset: usize, values: &[f64]) {
        for (place, value) in self.0[offset..].chunks_exact_mut(4).zip(values) {
            place.copy_from_slice(&(*value as f32).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { slices: 2, rows: 3, columns: 4 };

    #[test]
    fn voxels_follow_the_header_in_their_order() {
        let voxels: Vec<u8> = (0..24).collect();
        let file = nifti(&voxels, SHAPE, None).unwrap();
        assert_eq!((&file[344..348], &file[DATA_OFFSET..]), (&b"n+1\0"[..], &voxels[..]));
        assert_eq!(file[42..48], [4, 0, 3, 0, 2, 0]);
    }

    #[test]
    fn the_affine_is_right_anterior_superior() {
        let geometry = Geometry {
            origin: [10.0, 20.0, 30.0],
            slice_step: [0.0, 0.0, 5.0],
            row_step: [0.0, 2.0, 0.0],
            column_step: [1.5, 0.0, 0.0],
            known: crate::Known::Place,
        };
        let expected = [-1.5, 0.0, 0.0, -10.0, 0.0, -2.0, 0.0, -20.0, 0.0, 0.0, 5.0, 30.0];
        assert_eq!(affine(&geometry), expected);
    }

    #[test]
    fn a_length_beyond_sixteen_bits_is_refused() {
        let shape = Shape { slices: 1, rows: 1, columns: 40_000 };
        assert_eq!(nifti(&[0_u8; 40_000], shape, None).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
