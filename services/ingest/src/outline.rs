//! Masks as the decoder tells them: on which grid they are, and how far two of them mark the same.

use bytes::Bytes;
use domain::statistics::dice;
use domain::{ErrorKind, Result};
use imaging::encode::{grey_png, nifti_gz};
use imaging::{APART_MAX, Format, Geometry, Limits, Orientation, Refusal, Shape};
use jail::answer::OutlineFacts;
use proto::events::SliceCounts;

use crate::process::{Rest, crashed};

/// A decoded mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// [`Format::name`].
    pub format: String,
    pub shape: Shape,
    pub geometry: Option<Geometry>,
    pub stored: Orientation,
    /// 1 in what is marked and 0 elsewhere, in the order of `shape`.
    pub marked: Bytes,
}

/// A reader's mask, once it is known to lie on the grid of the result's own.
pub struct Checked {
    /// In the form and on the grid of the result's own mask.
    pub file: Vec<u8>,
    /// Beside the result's main findings.
    pub dice: f64,
    /// Whether it marks nothing.
    pub is_empty: bool,
    /// The scan's slices, beside the result's main findings.
    pub slices: SliceCounts,
}

impl Outline {
    /// The mask that the decoder has announced; what it cannot be is not believed.
    pub async fn read(facts: OutlineFacts, mut rest: Rest) -> Result<Result<Outline, Refusal>> {
        let Some(voxels) = voxels_of(&facts) else { return Ok(Err(crashed())) };
        let OutlineFacts { format, shape, geometry, stored } = facts;
        let marked = rest.read(voxels).await?;
        Ok(Ok(Outline { format, shape, geometry, stored, marked }))
    }

    /// Compares the mask that a reader has drawn with the result's `own`. An error says why the two are not on one grid.
    pub fn check(&self, own: &Outline) -> Result<Result<Checked, String>> {
        let drawn = match self.on_grid_of(own) {
            Ok(drawn) => drawn,
            Err(misfit) => return Ok(Err(misfit)),
        };
        let dice = dice(&drawn, &own.as_stored());
        let is_empty = drawn.iter().all(|voxel| *voxel == 0);
        let (shape, geometry) = own.own_grid();
        // Slices are those of the pictures, however the file stores them.
        let slices = slices(&own.stored.turned(&drawn, shape), &own.marked, own.shape);
        let file = encoded(&own.format, &drawn, shape, geometry.as_ref())?;
        Ok(Ok(Checked { file, dice, is_empty, slices }))
    }

    /// What is marked, in the order in which the file of `other` stores it. An error says why they are not on one grid.
    ///
    /// Where both say how they lie in the patient, that is compared, however their files store it; else how they are stored.
    fn on_grid_of(&self, other: &Outline) -> Result<Vec<u8>, String> {
        if let (Some(own), Some(others)) = (self.place(), other.place()) {
            if self.shape != other.shape {
                return Err(another_shape(self.shape, other.shape));
            }
            if !lie_alike(own, others, self.shape) {
                return Err("The mask lies elsewhere in the patient than the scan: draw it on the scan itself, or on \
                    its `mask.nii.gz`."
                    .to_owned());
            }
            return Ok(other.stored.inverse().turned(&self.marked, self.shape));
        }
        let [own, others] = [self, other].map(|outline| outline.own_grid().0);
        if own != others { Err(another_shape(own, others)) } else { Ok(self.as_stored()) }
    }

    fn place(&self) -> Option<&Geometry> {
        self.geometry.as_ref().and_then(Geometry::in_patient)
    }

    /// What is marked, in the order in which the file stores it.
    fn as_stored(&self) -> Vec<u8> {
        self.stored.inverse().turned(&self.marked, self.shape)
    }

    /// The shape and the geometry of the grid that the file stores.
    fn own_grid(&self) -> (Shape, Option<Geometry>) {
        let back = self.stored.inverse();
        let geometry = self.geometry.map(|geometry| back.geometry(&geometry, self.shape));
        (back.shape(self.shape), geometry)
    }
}

/// In how many slices of that shape anything is marked: by the reader, by the model, by both or by neither.
fn slices(drawn: &[u8], own: &[u8], shape: Shape) -> SliceCounts {
    let mut counts = SliceCounts::default();
    let marks = |slice: &[u8]| slice.iter().any(|voxel| *voxel != 0);
    for (drawn, own) in drawn.chunks(shape.slice_len()).zip(own.chunks(shape.slice_len())) {
        let count = match (marks(own), marks(drawn)) {
            (true, true) => &mut counts.both,
            (true, false) => &mut counts.model_only,
            (false, true) => &mut counts.reader_only,
            (false, false) => &mut counts.neither,
        };
        *count += 1;
    }
    counts
}

/// How many voxels follow; None where no mask lies like that.
fn voxels_of(facts: &OutlineFacts) -> Option<usize> {
    let mut axes = facts.stored.axes;
    axes.sort_unstable();
    voxels_in(facts.shape).filter(|_| axes == [0, 1, 2])
}

/// How many voxels a mask of that shape has; None where no mask has it.
pub fn voxels_in(shape: Shape) -> Option<usize> {
    let [slices, rows, columns] = shape.lengths();
    let voxels = slices.checked_mul(rows)?.checked_mul(columns)?;
    (1..=Limits::default().voxels).contains(&voxels).then_some(voxels)
}

fn another_shape(drawn: Shape, own: Shape) -> String {
    let words = |Shape { slices, rows, columns }: Shape| {
        format!("{slices} slice(s) of {columns} x {rows} pixels")
    };
    format!("The mask has {}, and the scan's own mask has {}.", words(drawn), words(own))
}

/// Whether the same voxels of two grids of that shape lie in the same place.
fn lie_alike(one: &Geometry, other: &Geometry, shape: Shape) -> bool {
    let [slices, rows, columns] = shape.lengths().map(|length| (length - 1) as f64);
    let corners = [[0.0, 0.0, 0.0], [slices, 0.0, 0.0], [0.0, rows, 0.0], [0.0, 0.0, columns]];
    let [_, row_mm, column_mm] = one.spacing();
    let apart_max = APART_MAX * row_mm.min(column_mm);
    corners.iter().all(|&[slice, row, column]| {
        let [a, b] = [one, other].map(|grid| grid.position(slice, row, column));
        let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        apart.sqrt() <= apart_max
    })
}

/// The mask as a file of that format, as the result's own is: of a PNG what is marked is white.
fn encoded(
    format: &str,
    marked: &[u8],
    shape: Shape,
    geometry: Option<&Geometry>,
) -> Result<Vec<u8>> {
    if format == Format::Nifti.name() {
        return nifti_gz(marked, shape, geometry);
    }
    if shape.slices != 1 {
        return Err(ErrorKind::Internal.error("a picture has one slice"));
    }
    let white: Vec<u8> = marked.iter().map(|voxel| 255 * u8::from(*voxel != 0)).collect();
    grey_png(&white, shape.rows, shape.columns)
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
