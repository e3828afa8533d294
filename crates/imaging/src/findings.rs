use std::cmp::Reverse;

use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::components::{Run, components};
use crate::growth::{grown, joined};
use crate::measure::{Diameter, Plane, bidirectional};
use crate::{Geometry, Laterality, Middle, Shape, Volume, round_trip};

/// What counts as tumour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Criteria {
    /// The probability from which on a voxel counts.
    pub threshold: f32,
    /// Regions of fewer voxels are noise.
    pub minimum_voxels: usize,
    /// Where one tumour is to be expected: the probability from which on the largest region goes on into the slices
    /// beyond its ends. What lies apart from it are lesser findings. None: all regions count alike.
    pub grows_from: Option<f32>,
}

/// What a finding is to the answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It counts in totals.
    #[default]
    Main,
    /// It lies apart from the one tumour that was to be expected: shown and listed, and in no total.
    Lesser,
}

impl Role {
    /// What stands in masks where such a finding is; elsewhere 0.
    pub fn label(self) -> u8 {
        match self {
            Self::Main => 1,
            Self::Lesser => 2,
        }
    }
}

/// What lengths are given in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Unit {
    /// Millimetres in the patient.
    #[serde(rename = "mm")]
    Millimetre,
    /// The scan does not say where its pixels lie.
    #[serde(rename = "px")]
    Pixel,
}

/// The voxels that count, and the regions that they form.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// The [label](Role::label) of the finding there, or 0; the order of the probabilities.
    pub mask: Vec<u8>,
    /// The main ones first, the largest of each role first.
    pub findings: Vec<Finding>,
}

/// One connected region (26 neighbours; 8 in a single slice).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// From 1, in the order of the findings.
    pub label: usize,
    /// Whether it counts in the totals.
    #[serde(default)]
    pub role: Role,
    /// What `longest_diameter`, `perpendicular_diameter` and `box.size` are given in.
    pub unit: Unit,
    /// How many voxels it has, over all slices.
    pub voxels: usize,
    /// None without known distances between voxels in all three directions.
    pub volume_ml: Option<f64>,
    /// The slice (from 0) in which the region is largest.
    pub slice: usize,
    /// Pixels of the section in `slice`.
    pub area_px: usize,
    /// None when pixels' sizes are unknown.
    pub area_mm2: Option<f64>,
    /// The slice (from 0) with the longest diameter of all: RANO's bidirectional measure is taken there.
    pub diameter_slice: usize,
    /// The longest line between two of its points within `diameter_slice`.
    pub longest_diameter: Diameter,
    /// The longest line at a right angle to that one, in the same slice.
    pub perpendicular_diameter: Diameter,
    /// The smallest box of voxels that holds it.
    #[serde(rename = "box")]
    pub bounds: Bounds,
    /// Mean voxel index: slice, row, column.
    pub centroid: [f64; 3],
    /// The centroid in the patient: millimetres, LPS. None where the file does not say where its voxels lie.
    pub centroid_mm: Option<[f64; 3]>,
    /// The patient's side that it lies on, measured from the middle of the head in this scan. None where the file does
    /// not say which way the patient lies, or the head is not seen from side to side.
    #[serde(default)]
    pub laterality: Option<Laterality>,
    /// The mean probability over the region.
    pub confidence: f64,
}

/// The smallest box around a region.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bounds {
    /// The first slice, row and column.
    pub from: [usize; 3],
    /// The slice, row and column after the last.
    pub to: [usize; 3],
    /// Lengths of the box's edges along slices, rows and columns, in the finding's unit (slices count as
    /// pixels when that is the unit).
    pub size: [f64; 3],
    /// The smallest and the largest patient coordinates (LPS, millimetres) of the box's eight corners,
    /// the voxels' own extent included; None where the file does not say where its voxels lie.
    pub patient_mm: Option<[[f64; 3]; 2]>,
}

impl Findings {
    /// Finds the regions in `probabilities`, one for each voxel of `shape`.
    ///
    /// `Internal` when there are more or fewer of them, or one is no probability: such an output says
    /// nothing about the patient, least of all that there is no tumour.
    pub fn new(
        probabilities: &[f32],
        shape: Shape,
        geometry: Option<&Geometry>,
        criteria: Criteria,
    ) -> Result<Findings> {
        if shape.is_empty() || probabilities.len() != shape.len() {
            return Err(ErrorKind::Internal.error("the model's output has the wrong shape"));
        }
        if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
            return Err(ErrorKind::Internal.error("the model's output is no probability"));
        }
        let mut regions = components(shape, |index| probabilities[index] >= criteria.threshold);
        regions.retain(|runs| voxels(runs) >= criteria.minimum_voxels);
        regions.sort_by_key(|runs| Reverse(voxels(runs)));
        let regions = match criteria.grows_from.filter(|_| shape.slices > 1) {
            Some(from) => apart(shape, regions, |index| probabilities[index] >= from),
            None => regions.into_iter().map(|runs| (Role::Main, runs)).collect(),
        };
        let mut mask = vec![0; shape.len()];
        for (role, runs) in &regions {
            for run in runs {
                mask[index(shape, run)..][..run.to - run.from].fill(role.label());
            }
        }
        let scan = Scan { probabilities, shape, geometry, plane: Plane::new(geometry) };
        let findings = (1..)
            .zip(&regions)
            .map(|(label, (role, runs))| Finding { role: *role, ..scan.finding(label, runs) });
        Ok(Findings { findings: findings.collect(), mask })
    }

    /// Says of each finding on which side of the patient it lies, and proves that pictures, positions and the file's
    /// own grid agree on where it is ([`round_trip`]).
    pub fn located(mut self, volume: &Volume) -> Result<Findings> {
        round_trip(volume, &self.findings)?;
        // Nobody asks for the middle of a head without findings, and it costs a look at all voxels.
        let middle = if self.findings.is_empty() { None } else { Middle::of(volume) };
        for finding in &mut self.findings {
            finding.laterality = middle.map(|middle| middle.side_of(finding));
        }
        Ok(self)
    }

    /// Those that count in totals.
    pub fn main(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.role == Role::Main)
    }
}

/// The first of the regions, gone on beyond its ends, and the others apart from it. What it reaches belongs to it.
fn apart(
    shape: Shape,
    regions: Vec<Vec<Run>>,
    counts: impl Fn(usize) -> bool,
) -> Vec<(Role, Vec<Run>)> {
    let mut regions = regions.into_iter();
    let Some(largest) = regions.next() else { return Vec::new() };
    let main = grown(shape, largest, counts);
    let mut inside = vec![false; shape.len()];
    main.iter().for_each(|run| inside[index(shape, run)..][..run.to - run.from].fill(true));
    let reached = |run: &Run| inside[index(shape, run)..][..run.to - run.from].contains(&true);
    let (reached, lesser): (Vec<_>, Vec<_>) = regions.partition(|runs| runs.iter().any(reached));
    let main = joined([main, reached.concat()].concat());
    let lesser = lesser.into_iter().map(|runs| (Role::Lesser, runs));
    std::iter::once((Role::Main, main)).chain(lesser).collect()
}

struct Scan<'a> {
    probabilities: &'a [f32],
    shape: Shape,
    geometry: Option<&'a Geometry>,
    plane: Plane,
}

impl Scan<'_> {
    fn finding(&self, label: usize, runs: &[Run]) -> Finding {
        let voxels = voxels(runs);
        let sections: Vec<&[Run]> = runs.chunk_by(|a, b| a.slice == b.slice).collect();
        let largest = sections.iter().max_by_key(|section| self::voxels(section));
        let largest = largest.expect("a region has runs");
        let measured =
            sections.iter().map(|section| (section[0].slice, bidirectional(section, &self.plane)));
        let longest = measured.max_by(|(_, [a, _]), (_, [b, _])| a.length.total_cmp(&b.length));
        let (diameter_slice, [longest_diameter, perpendicular_diameter]) =
            longest.expect("a region has runs");
        let centroid = centroid(runs);
        let area_px = self::voxels(largest);
        Finding {
            label,
            role: Role::Main,
            unit: if self.geometry.is_some() { Unit::Millimetre } else { Unit::Pixel },
            voxels,
            volume_ml: self.voxel_ml().map(|ml| ml * voxels as f64),
            slice: largest[0].slice,
            area_px,
            area_mm2: self.geometry.map(|_| self.plane.pixel_area() * area_px as f64),
            diameter_slice,
            longest_diameter,
            perpendicular_diameter,
            bounds: self.bounds(runs),
            centroid,
            centroid_mm: self
                .geometry
                .and_then(Geometry::in_patient)
                .map(|geometry| geometry.position(centroid[0], centroid[1], centroid[2])),
            laterality: None,
            confidence: self.confidence(runs, voxels),
        }
    }

    /// None also for one slice of unknown thickness.
    fn voxel_ml(&self) -> Option<f64> {
        self.geometry.map(|geometry| geometry.voxel_mm3() / 1000.0).filter(|ml| *ml > 0.0)
    }

    fn confidence(&self, runs: &[Run], voxels: usize) -> f64 {
        let run = |run: &Run| &self.probabilities[index(self.shape, run)..][..run.to - run.from];
        runs.iter().flat_map(run).map(|p| f64::from(*p)).sum::<f64>() / voxels as f64
    }

    fn bounds(&self, runs: &[Run]) -> Bounds {
        let fold = |from: fn(&Run) -> usize, to: fn(&Run) -> usize| {
            let first = runs.iter().map(from).min().unwrap_or(0);
            (first, runs.iter().map(to).max().unwrap_or(0))
        };
        let slices = fold(|run| run.slice, |run| run.slice + 1);
        let rows = fold(|run| run.row, |run| run.row + 1);
        let columns = fold(|run| run.from, |run| run.to);
        let axes = [slices, rows, columns];
        let spacing = self.geometry.map_or([1.0; 3], Geometry::spacing);
        Bounds {
            from: axes.map(|(from, _)| from),
            to: axes.map(|(_, to)| to),
            size: std::array::from_fn(|axis| (axes[axis].1 - axes[axis].0) as f64 * spacing[axis]),
            patient_mm: self
                .geometry
                .and_then(Geometry::in_patient)
                .map(|geometry| patient_box(geometry, axes)),
        }
    }
}

fn patient_box(geometry: &Geometry, axes: [(usize, usize); 3]) -> [[f64; 3]; 2] {
    let mut extremes = [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]];
    for corner in 0..8 {
        let [slice, row, column] = [0, 1, 2].map(|axis| {
            let (from, to) = axes[axis];
            (if corner >> axis & 1 == 0 { from as f64 } else { to as f64 }) - 0.5
        });
        for (axis, at) in geometry.position(slice, row, column).into_iter().enumerate() {
            extremes[0][axis] = extremes[0][axis].min(at);
            extremes[1][axis] = extremes[1][axis].max(at);
        }
    }
    extremes
}

/// The mean voxel index of all runs.
pub(crate) fn centroid(runs: &[Run]) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for run in runs {
        let length = (run.to - run.from) as f64;
        let middle = (run.from + run.to - 1) as f64 / 2.0;
        for (sum, at) in sums.iter_mut().zip([run.slice as f64, run.row as f64, middle]) {
            *sum += length * at;
        }
    }
    sums.map(|sum| sum / voxels(runs) as f64)
}

fn voxels(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.to - run.from).sum()
}

/// Where a run begins among the voxels.
fn index(shape: Shape, run: &Run) -> usize {
    (run.slice * shape.rows + run.row) * shape.columns + run.from
}

#[cfg(test)]
mod tests;
