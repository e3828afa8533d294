//! On which side of the head a finding lies, and the proof that pictures, positions and files agree on it.

use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::components::{Run, components};
use crate::volume::{dot, index_of};
use crate::{Finding, Geometry, Known, Volume};

/// The patient's side, not the picture's.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Laterality {
    /// The patient's left: on the right of a picture in the radiological convention.
    Left,
    /// The patient's right.
    Right,
    /// On the middle of the head, or on both sides of it.
    Midline,
}

/// The head's middle between left and right, as it is seen in this very scan: where the scanner's own zero lies says
/// nothing of the head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Middle {
    /// A voxel index on it.
    at: [f64; 3],
    /// Millimetres to the patient's left for one slice, one row and one column.
    to_the_left: [f64; 3],
}

/// Heads are not quite even, and lie a little turned: a centre so near to the middle is on no side.
const MIDLINE_MM: f64 = 5.0;
/// A finding of which more than this part reaches over the middle is on both sides.
const ACROSS: f64 = 0.2;
/// What is this far up from air to the brightest tissue belongs to the head.
const HEAD_LEVEL: f32 = 0.15;
/// A line belongs to the head when it holds this part of what the fullest one does.
const EDGE: f64 = 0.05;
/// A head that is seen whole ends before the picture does: its last line holds less than this part of the fullest. (Of a
/// ball, 4 mm are cut off then, and its middle is 2 mm off.)
const CUT: f64 = 0.1;
/// Fewer lines than this show no two sides.
const LINES_MIN: usize = 8;
/// How far, in voxels, an index may stray on its way to the patient and back.
const RETURN: f64 = 1e-3;

impl Middle {
    /// The middle of the head in a radiological volume; None where the file does not say which way the patient lies,
    /// or where the head is not seen from its left to its right end.
    pub fn of(volume: &Volume) -> Option<Middle> {
        let geometry = volume.geometry.filter(|geometry| geometry.known >= Known::Directions)?;
        let to_the_left = geometry.steps().map(|step| step[0]);
        let across = geometry.directions().map(|direction| direction[0].abs());
        let axis = (0..3).max_by(|a, b| across[*a].total_cmp(&across[*b]))?;
        let lines = head_lines(volume, axis);
        let fullest = *lines.counts.iter().max()? as f64;
        let part = |count: usize| count as f64 / fullest.max(1.0);
        let ends = [lines.counts[0], lines.counts[lines.counts.len() - 1]];
        if lines.counts.len() < LINES_MIN
            || fullest == 0.0
            || ends.map(part).iter().any(|end| *end > CUT)
        {
            return None;
        }
        let first = lines.counts.iter().position(|count| part(*count) > EDGE)?;
        let last = lines.counts.iter().rposition(|count| part(*count) > EDGE)?;
        let mut at = lines.centre;
        at[axis] = (first + last) as f64 / 2.0;
        Some(Middle { at, to_the_left })
    }

    /// The side of a finding: by its centre, unless much of it reaches over the middle.
    pub fn side_of(&self, finding: &Finding) -> Laterality {
        let left_mm = |index: [f64; 3]| {
            dot(self.to_the_left, std::array::from_fn(|axis| index[axis] - self.at[axis]))
        };
        let corners = corners(finding).map(left_mm);
        let least = corners.iter().copied().fold(f64::INFINITY, f64::min);
        let most = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let centre = left_mm(finding.centroid);
        let over = if centre > 0.0 { -least } else { most };
        if centre.abs() <= MIDLINE_MM || over > ACROSS * (most - least) {
            return Laterality::Midline;
        }
        if centre > 0.0 { Laterality::Left } else { Laterality::Right }
    }
}

struct Lines {
    /// Voxels of the head, which is the largest of what is bright and hangs together, in each line across the axis.
    counts: Vec<usize>,
    /// The mean index of all of them.
    centre: [f64; 3],
}

fn head_lines(volume: &Volume, axis: usize) -> Lines {
    let shape = volume.shape;
    let level = head_level(volume);
    let mut counts = vec![0; shape.lengths()[axis]];
    let (mut sums, mut all) = ([0.0; 3], 0.0_f64);
    let pieces = components(shape, |index| volume.voxels[index] > level);
    let size = |piece: &Vec<Run>| piece.iter().map(|run| run.to - run.from).sum::<usize>();
    for run in pieces.into_iter().max_by_key(size).unwrap_or_default() {
        for column in run.from..run.to {
            let at = [run.slice, run.row, column];
            counts[at[axis]] += 1;
            all += 1.0;
            sums.iter_mut().zip(at).for_each(|(sum, part)| *sum += part as f64);
        }
    }
    Lines { counts, centre: sums.map(|sum| sum / all.max(1.0)) }
}

fn head_level(volume: &Volume) -> f32 {
    let [air, brightest] = crate::window::percentiles(&volume.voxels, [0.05, 0.99]);
    air + HEAD_LEVEL * (brightest - air)
}

/// The corners of a finding's box as voxel indices, its voxels' own extent included.
fn corners(finding: &Finding) -> [[f64; 3]; 8] {
    let ([from, to], mut corners) = ([finding.bounds.from, finding.bounds.to], [[0.0; 3]; 8]);
    for (number, corner) in corners.iter_mut().enumerate() {
        *corner = std::array::from_fn(|axis| {
            (if number >> axis & 1 == 0 { from[axis] } else { to[axis] }) as f64 - 0.5
        });
    }
    corners
}

/// Checks that each finding leads from the picture into the patient, from there into the file's own grid, and back to
/// where it was in the picture. `Internal` where it does not: such a result could be on the wrong side.
pub fn round_trip(volume: &Volume, findings: &[Finding]) -> Result<()> {
    let Some(geometry) = volume.geometry.filter(|geometry| geometry.known >= Known::Directions)
    else {
        return Ok(());
    };
    let (own_shape, own_geometry) = volume.own_grid();
    let own_geometry = own_geometry.unwrap_or(geometry);
    let there_and_back = |index: [f64; 3]| {
        let [slice, row, column] = index;
        let own = index_of(&own_geometry, geometry.position(slice, row, column));
        volume.stored.index(own, own_shape)
    };
    let said = |finding: &Finding| -> Option<[[f64; 3]; 2]> {
        Some([index_of(&geometry, finding.centroid_mm?), finding.centroid])
    };
    for finding in findings {
        let ways = corners(finding).into_iter().chain([finding.centroid]);
        let mut pairs = ways.map(|index| [there_and_back(index), index]).chain(said(finding));
        if !pairs.all(|pair| returned(&geometry, pair)) {
            return Err(ErrorKind::Internal.error(
                "a finding does not come back from the patient to where it is in the picture",
            ));
        }
    }
    Ok(())
}

/// Along a single slice of unknown thickness nothing can be told, nor is anything said.
fn returned(geometry: &Geometry, [a, b]: [[f64; 3]; 2]) -> bool {
    let flat = geometry.slice_step == [0.0; 3];
    (usize::from(flat)..3).all(|axis| (a[axis] - b[axis]).abs() <= RETURN)
}

#[cfg(test)]
mod tests;
