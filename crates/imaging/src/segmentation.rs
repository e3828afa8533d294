//! DICOM segmentations that somebody has drawn elsewhere: of which images they are, and where their frames lie on a scan's own grid.

use domain::Identity;
use serde::{Deserialize, Serialize};

use crate::volume::{dot, length};
use crate::{Geometry, Shape};

/// How far a voxel of one grid may lie from the same voxel of the other, in voxels: what rounding leaves is far less, and the next
/// voxel far more.
pub const APART_MAX: f64 = 0.25;

const NO_PLACE: &str = "The scan's files do not say where it lies in the patient, so that no DICOM segmentation can be laid on it: send \
    the mask in the form of the scan's own, `mask.png` or `mask.nii.gz`.";
const OTHER_FRAME: &str = "The segmentation is drawn in another frame of reference than the scan's: draw it on the scan itself.";
const OTHER_SERIES: &str =
    "The segmentation is drawn on another series than the scan's: draw it on the scan itself.";
const UNNAMED: &str = "The segmentation names neither a frame of reference nor the images that it is drawn on, so that nobody knows \
    whether they are the scan's.";
const ELSEWHERE: &str = "lies elsewhere in the patient than any slice of the scan: draw it on the scan itself, and save it in the scan's \
    own geometry.";
const OUTSIDE: &str = "lies outside of the scan.";

/// Everything that is known of a DICOM segmentation besides what it marks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SegmentationFacts {
    /// The frame of reference of its coordinates (0020,0052); None: it does not say.
    pub frame_of_reference: Option<String>,
    /// The series that it says it is drawn on, by their UIDs.
    pub series: Vec<String>,
    /// The images that it says it is drawn on, by their UIDs.
    pub instances: Vec<String>,
    /// As many slices as it has planes, in any order, with gaps or without.
    pub shape: Shape,
    /// Where the pixels of each plane lie in the patient; a plane has no step to the next.
    pub planes: Vec<Geometry>,
}

impl SegmentationFacts {
    /// Whether it is drawn on the images of that scan. An error says why not, as a sentence.
    pub fn check_source(&self, scan: &Identity) -> Result<(), String> {
        let frame = said(scan.frame_of_reference_uid.as_ref()).ok_or(NO_PLACE)?;
        let own_frame = said(self.frame_of_reference.as_ref());
        if own_frame.is_some_and(|own| own != frame) {
            return Err(OTHER_FRAME.to_owned());
        }
        if self.series.is_empty() && self.instances.is_empty() {
            return own_frame.map(|_| ()).ok_or_else(|| UNNAMED.to_owned());
        }
        let series = said(scan.series_instance_uid.as_ref());
        let of_series = self.series.iter().any(|named| said(Some(named)) == series);
        let of_instance = |named: &String| {
            scan.sop_instance_uids.iter().any(|own| said(Some(own)) == said(Some(named)))
        };
        let is_of_scan = (series.is_some() && of_series) || self.instances.iter().any(of_instance);
        if is_of_scan { Ok(()) } else { Err(OTHER_SERIES.to_owned()) }
    }

    /// What is marked on a grid of that shape and geometry, 1 or 0 in the grid's order; slices without a plane are empty. `marked` is
    /// that of the planes, one after another. An error says why they do not lie on the grid, as a sentence.
    pub fn laid_on(
        &self,
        marked: &[u8],
        shape: Shape,
        geometry: Option<&Geometry>,
    ) -> Result<Vec<u8>, String> {
        let grid = geometry.and_then(Geometry::in_patient).ok_or(NO_PLACE)?;
        let mut laid = vec![0; shape.len()];
        let planes = self.planes.iter().zip(marked.chunks(self.shape.slice_len().max(1)));
        for (number, (plane, pixels)) in (1..).zip(planes) {
            let of_all = |why: String| format!("Plane {number} of {} {why}", self.shape.slices);
            let placed = Placed::on(plane, self.shape, grid, shape).map_err(of_all)?;
            for (pixel, _) in pixels.iter().enumerate().filter(|(_, marked)| **marked != 0) {
                laid[placed.voxel(pixel / self.shape.columns, pixel % self.shape.columns)] = 1;
            }
        }
        Ok(laid)
    }
}

/// A UID without the padding that files have around it; None for an empty one.
fn said(uid: Option<&String>) -> Option<&str> {
    uid.map(|uid| uid.trim_matches([' ', '\0'])).filter(|uid| !uid.is_empty())
}

/// Along which axis of a grid something runs, and whether against it.
#[derive(Clone, Copy)]
struct Along {
    axis: usize,
    against: bool,
}

impl Along {
    /// The axis that lies nearest to that step, whatever their lengths.
    fn nearest(step: [f64; 3], grid: &Geometry) -> Along {
        let steps = grid.steps();
        // Of a single slice of unknown thickness the step is nothing, and nothing lies along it.
        let along =
            |axis: usize| dot(step, steps[axis]) / length(steps[axis]).max(f64::MIN_POSITIVE);
        let axis = (0..3).max_by(|a, b| along(*a).abs().total_cmp(&along(*b).abs())).unwrap_or(0);
        Along { axis, against: along(axis) < 0.0 }
    }

    /// Where on an axis of that length something is that is so far along the run.
    fn at(self, length: usize, along: usize) -> usize {
        if self.against { length - 1 - along } else { along }
    }
}

/// A plane of a segmentation on the grid of a scan.
struct Placed {
    shape: Shape,
    rows: Along,
    columns: Along,
    /// The index on the axis that is across the plane.
    across: usize,
    at: usize,
}

impl Placed {
    /// Where the plane lies; an error says why it lies nowhere, after its name.
    fn on(plane: &Geometry, frame: Shape, grid: &Geometry, shape: Shape) -> Result<Placed, String> {
        let rows = Along::nearest(plane.row_step, grid);
        let columns = Along::nearest(plane.column_step, grid);
        if rows.axis == columns.axis {
            return Err(ELSEWHERE.to_owned());
        }
        let lengths = shape.lengths();
        let (height, width) = (lengths[rows.axis], lengths[columns.axis]);
        if (frame.rows, frame.columns) != (height, width) {
            let Shape { rows, columns, .. } = frame;
            return Err(format!(
                "has {columns} x {rows} pixels, and the scan {width} x {height} there."
            ));
        }
        let across = 3 - rows.axis - columns.axis;
        let at = nearest_slice(plane, [rows, columns], across, grid, shape);
        let mut placed = Placed { shape, rows, columns, across, at: 0 };
        if !placed.lies_alike(plane, at, grid) {
            return Err(ELSEWHERE.to_owned());
        }
        if !(0.0..lengths[across] as f64).contains(&at) {
            return Err(OUTSIDE.to_owned());
        }
        placed.at = at as usize;
        Ok(placed)
    }

    /// Slice, row and column of the grid for a row and a column of the plane, across which it is the first.
    fn index(&self, row: usize, column: usize) -> [usize; 3] {
        let (lengths, mut index) = (self.shape.lengths(), [0; 3]);
        index[self.rows.axis] = self.rows.at(lengths[self.rows.axis], row);
        index[self.columns.axis] = self.columns.at(lengths[self.columns.axis], column);
        index
    }

    fn voxel(&self, row: usize, column: usize) -> usize {
        let mut index = self.index(row, column);
        index[self.across] = self.at;
        let [slice, row, column] = index;
        (slice * self.shape.rows + row) * self.shape.columns + column
    }

    /// Whether the plane's corners are where the grid's are, in its slice of that number.
    fn lies_alike(&self, plane: &Geometry, at: f64, grid: &Geometry) -> bool {
        let lengths = self.shape.lengths();
        let (row, column) = (lengths[self.rows.axis] - 1, lengths[self.columns.axis] - 1);
        let [_, row_mm, column_mm] = plane.spacing();
        [(0, 0), (row, 0), (0, column)].into_iter().all(|(row, column)| {
            let mut index = self.index(row, column).map(|index| index as f64);
            index[self.across] = at;
            let [slice, grid_row, grid_column] = index;
            let there = grid.position(slice, grid_row, grid_column);
            let here = plane.position(0.0, row as f64, column as f64);
            length(difference(here, there)) <= APART_MAX * row_mm.min(column_mm)
        })
    }
}

/// The number of the slice across the plane that is nearest to it: whole, and of any size.
fn nearest_slice(
    plane: &Geometry,
    [rows, columns]: [Along; 2],
    across: usize,
    grid: &Geometry,
    shape: Shape,
) -> f64 {
    let first = Placed { shape, rows, columns, across, at: 0 };
    let [slice, row, column] = first.index(0, 0).map(|index| index as f64);
    let step = grid.steps()[across];
    let squared = dot(step, step);
    if squared == 0.0 {
        return 0.0;
    }
    let from = difference(plane.origin, grid.position(slice, row, column));
    (dot(from, step) / squared).round()
}

fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

#[cfg(test)]
mod tests;
