//! The orientation witness: the way from a picture's voxel into the patient and back through the file that was written.

use std::io::{self, Read};

use domain::{Error, ErrorKind, Result};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use crate::encode::NIFTI_HEADER_BYTES;
use crate::volume::index_of;
use crate::{Findings, Geometry, Known, Shape, Volume};

/// Further than this, in voxels, and what comes back is another voxel.
const ASTRAY: f64 = 0.5;

/// That voxels which are led from the pictures into the patient, and from there back through what was written, come to where
/// they were. Of a scan that does not say where in the patient its voxels lie there is none.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Witness {
    /// What says where in the patient a voxel of the file lies.
    pub by: WayBack,
    /// How many voxels were led: the grid's eight corners, and each that the mask marks.
    pub round_trips: usize,
    /// How far from where it was the worst of them came back, in voxels along one axis; at most 0.5.
    pub largest_error_voxels: f64,
}

/// What leads back from the patient.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WayBack {
    /// The affine in the header of `mask.nii.gz`, read from its bytes.
    MaskFile,
    /// The grid of the scan's own file, where no volume is written.
    OwnGrid,
}

impl Witness {
    /// Of a mask that [`mask_nifti`](crate::mask_nifti) has written, by its bytes alone: each voxel that it marks is marked in
    /// `findings`, at the place that the file's affine leads to, and no other is.
    ///
    /// `Internal` where it is not: such a mask could be on the other side of the patient.
    pub fn of_file(
        volume: &Volume,
        findings: &Findings,
        written: &[u8],
    ) -> Result<Option<Witness>> {
        let Some(shown) = volume.geometry.filter(|geometry| geometry.known == Known::Place) else {
            return Ok(None);
        };
        let mut file = GzDecoder::new(written);
        let mut header = [0; NIFTI_HEADER_BYTES];
        file.read_exact(&mut header).map_err(unreadable)?;
        let (shape, written) = grid(&header);
        let Some(written) = written.filter(|_| shape == volume.own_grid().0) else {
            return Err(contradiction("it has another grid than the scan"));
        };
        let mut trips = RoundTrips::new(shown, written);
        trips.lead_corners(volume);
        trips.lead_marked(file, shape, volume.shape, &findings.mask)?;
        trips.witness(WayBack::MaskFile)
    }

    /// Of the grid that the scan's own file has, where no volume is written.
    ///
    /// `Internal` where it leads elsewhere than the pictures'.
    pub fn of_grid(volume: &Volume) -> Result<Option<Witness>> {
        let geometries = volume.geometry.zip(volume.own_grid().1);
        let Some((shown, own)) = geometries.filter(|(shown, _)| shown.known == Known::Place) else {
            return Ok(None);
        };
        let mut trips = RoundTrips::new(shown, own);
        trips.lead_corners(volume);
        trips.witness(WayBack::OwnGrid)
    }
}

/// Voxels on their way, and how far the worst of them strayed.
struct RoundTrips {
    /// Of the pictures.
    shown: Geometry,
    /// Of what was written.
    written: Geometry,
    count: usize,
    largest: f64,
}

impl RoundTrips {
    fn new(shown: Geometry, written: Geometry) -> RoundTrips {
        RoundTrips { shown, written, count: 0, largest: 0.0 }
    }

    /// Leads the grid's corners from the picture into the patient and into the file. The scan says which voxel of the file
    /// each of them is.
    fn lead_corners(&mut self, volume: &Volume) {
        let (own, _) = volume.own_grid();
        let ends = own.lengths().map(|length| length as f64 - 1.0);
        for corner in 0..8 {
            let index: [f64; 3] =
                std::array::from_fn(|axis| if corner >> axis & 1 == 0 { 0.0 } else { ends[axis] });
            let [slice, row, column] = volume.stored.index(index, own);
            let back = index_of(&self.written, self.shown.position(slice, row, column));
            self.note(index, back, own);
        }
    }

    /// Leads each marked voxel of the file into the patient and into the picture, where the mask must say the same of it.
    fn lead_marked(
        &mut self,
        mut file: impl Read,
        own: Shape,
        shown: Shape,
        mask: &[u8],
    ) -> Result<()> {
        let mut marked = 0;
        let mut line = vec![0; own.columns];
        for (slice, row) in
            (0..own.slices).flat_map(|slice| (0..own.rows).map(move |row| (slice, row)))
        {
            // Line by line: a mask may be as large as the scan, and is held once already.
            file.read_exact(&mut line).map_err(unreadable)?;
            for (column, label) in line.iter().enumerate().filter(|(_, label)| **label != 0) {
                let at = self.written.position(slice as f64, row as f64, column as f64);
                let back = index_of(&self.shown, at);
                let nearest = back.map(f64::round);
                self.note(nearest, back, shown);
                if label_at(mask, shown, nearest) != Some(*label) {
                    return Err(contradiction("it marks a voxel where nothing was found"));
                }
                marked += 1;
            }
        }
        match marked == mask.iter().filter(|label| **label != 0).count() {
            true => Ok(()),
            false => Err(contradiction("it lacks voxels of what was found")),
        }
    }

    fn note(&mut self, index: [f64; 3], back: [f64; 3], shape: Shape) {
        self.count += 1;
        for (axis, length) in shape.lengths().into_iter().enumerate() {
            let error = (back[axis] - index[axis]).abs();
            // Across a single slice there is no other voxel to come to.
            if length > 1 {
                self.largest = if error.is_nan() { f64::INFINITY } else { self.largest.max(error) };
            }
        }
    }

    fn witness(self, by: WayBack) -> Result<Option<Witness>> {
        let RoundTrips { count: round_trips, largest: largest_error_voxels, .. } = self;
        if largest_error_voxels > ASTRAY {
            let how = format!(
                "a voxel comes back from the patient {largest_error_voxels:.1} voxels astray"
            );
            return Err(contradiction(&how));
        }
        Ok(Some(Witness { by, round_trips, largest_error_voxels }))
    }
}

/// What the mask says at a whole index; None outside of it. Of a single slice, whichever slice is meant.
fn label_at(mask: &[u8], shape: Shape, index: [f64; 3]) -> Option<u8> {
    let [slice, row, column] = index;
    let slice = if shape.slices == 1 { 0.0 } else { slice };
    let inside = |(at, length): (f64, usize)| (0.0..length as f64).contains(&at);
    if ![slice, row, column].into_iter().zip(shape.lengths()).all(inside) {
        return None;
    }
    let [slice, row, column] = [slice, row, column].map(|at| at as usize);
    mask.get((slice * shape.rows + row) * shape.columns + column).copied()
}

/// The grid that a NIfTI-1 header says; no geometry where it does not say where in the patient that lies.
fn grid(header: &[u8; NIFTI_HEADER_BYTES]) -> (Shape, Option<Geometry>) {
    let length = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let shape = Shape { slices: length(46), rows: length(44), columns: length(42) };
    let number = |at: usize| {
        let bytes = std::array::from_fn(|byte| header[at + byte]);
        f64::from(f32::from_le_bytes(bytes))
    };
    // The sform's rows, each for one axis of the patient: what a column, a row and a slice add, and where it begins. NIfTI's x
    // points to the right and y to the front, DICOM's the other ways.
    let along = |part: usize| -> [f64; 3] {
        std::array::from_fn(|axis| [-1.0, -1.0, 1.0][axis] * number(280 + 16 * axis + 4 * part))
    };
    let geometry = Geometry {
        column_step: along(0),
        row_step: along(1),
        slice_step: along(2),
        origin: along(3),
        known: Known::Place,
    };
    (shape, Some(geometry).filter(|_| length(254) > 0))
}

fn contradiction(how: &str) -> Error {
    ErrorKind::Internal.error(format!(
        "the mask's file and the scan contradict each other on where in the patient it lies, so that no side can be told: {how}"
    ))
}

fn unreadable(error: io::Error) -> Error {
    ErrorKind::Internal.error("the mask's file cannot be read back").because(error)
}

#[cfg(test)]
mod tests;
