//! A result's mask as outlines: a GeoJSON FeatureCollection (RFC 7946), for programs that draw and know no medical formats.
//!
//! Outlines run along the edges of pixels, so that filling them gives the mask back, pixel by pixel. Positions are (column, row) in the
//! pictures' own grid, not longitude and latitude, as the file itself says; nothing in it says whose scan it is.

mod outline;

use std::collections::BTreeMap;

use domain::{Answer, ErrorKind, Result, hex};
use imaging::{Finding, Geometry, ResultDocument, Role, Run, Shape, StoredGrid, regions};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Unmade, dicom, plain};
use outline::{Polygon, outlines};

/// The form of the foreign member; a change that could break a reader changes the number.
const SCHEMA: &str = "medseg.contours/1";
const POSITIONS: &str = "[column, row] in pixels of the pictures and of all indices in result.json, not longitude and latitude; centres of pixels lie at whole numbers, so that outlines run at halves. Outer rings run from the column axis to the row axis (anticlockwise by the numbers), holes the other way.";
const TOO_MANY: &str =
    "the outlines have more corners than one file holds: mask.nii.gz has the same voxels";
/// Corners of all outlines: a mask of noise must not become a file that nobody can read.
const CORNERS_MAX: usize = 2_000_000;

#[derive(Serialize)]
struct Collection<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    medseg: About<'a>,
    features: Vec<Feature>,
}

/// What the numbers mean, and of what they are.
#[derive(Serialize)]
struct About<'a> {
    schema: &'static str,
    software: &'a str,
    limits: &'static str,
    scan_id: &'a str,
    answer: Answer,
    /// The answer in a sentence.
    conclusion: String,
    model: Option<Model<'a>>,
    positions: &'static str,
    shape: Shape,
    /// Between slices, rows and columns; null: not known.
    spacing_mm: Option<[Option<f64>; 3]>,
    /// Takes (column, row, slice, 1) to the patient: millimetres, LPS; null where the file does not say where its voxels lie.
    affine_lps: Option<[[f64; 4]; 4]>,
    /// Of the mask's file that the outlines were made of; null where there is none.
    mask_sha256: Option<String>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    version: &'a str,
    sha256: &'a str,
}

/// A finding in one slice.
#[derive(Serialize)]
struct Feature {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    properties: Properties,
    geometry: MultiPolygon,
}

#[derive(Serialize)]
struct Properties {
    /// As in result.json, from 1.
    finding: usize,
    role: Role,
    name: String,
    /// From 0.
    slice: usize,
    pixels: usize,
}

#[derive(Serialize)]
struct MultiPolygon {
    #[serde(rename = "type")]
    kind: &'static str,
    coordinates: Vec<Polygon>,
}

/// The file. `mask` is the one that was kept with the result, and is not looked at where nothing was found. `Absent` for more corners
/// than a file holds; `Failed` where mask, grid and result contradict each other.
pub fn written(mask: &[u8], grid: &StoredGrid, result: &ResultDocument) -> Result<Vec<u8>, Unmade> {
    if !dicom::agree(grid, result) {
        let contradiction = "a result and the grid of its volume contradict each other";
        return Err(ErrorKind::Internal.error(contradiction).into());
    }
    let marked = !result.findings.is_empty();
    let features = if marked { features(mask, grid, result)? } else { Vec::new() };
    let about =
        About { mask_sha256: marked.then(|| hex(&Sha256::digest(mask))), ..about(grid, result) };
    let collection = Collection { kind: "FeatureCollection", medseg: about, features };
    serde_json::to_vec(&collection).map_err(|error| {
        ErrorKind::Internal.error("outlines cannot be written").because(error).into()
    })
}

fn about<'a>(grid: &StoredGrid, result: &'a ResultDocument) -> About<'a> {
    let geometry = grid.geometry();
    let known_mm = |mm: f64| Some(mm).filter(|mm| *mm > 0.0);
    About {
        schema: SCHEMA,
        software: &result.header.software,
        limits: plain::RESEARCH,
        scan_id: &result.scan_id,
        answer: result.answer,
        conclusion: plain::conclusion(result),
        model: result.model.as_ref().map(|model| Model {
            name: &model.name,
            version: &model.version,
            sha256: &model.sha256,
        }),
        positions: POSITIONS,
        shape: grid.shape(),
        spacing_mm: geometry.map(|geometry| geometry.spacing().map(known_mm)),
        affine_lps: geometry.as_ref().and_then(Geometry::in_patient).map(affine),
        mask_sha256: None,
    }
}

/// The steps of columns, rows and slices, then the origin, as columns of a matrix.
fn affine(geometry: &Geometry) -> [[f64; 4]; 4] {
    let columns = [geometry.column_step, geometry.row_step, geometry.slice_step, geometry.origin];
    let row = |axis: usize| columns.map(|column| column[axis]);
    [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
}

/// Findings in their order, each slice by slice.
fn features(
    mask: &[u8],
    grid: &StoredGrid,
    result: &ResultDocument,
) -> Result<Vec<Feature>, Unmade> {
    let labels = grid.labels(mask)?;
    let regions = regions(&labels, grid.shape(), &result.findings)?;
    drop(labels);
    let (mut features, mut corners) = (Vec::new(), 0_usize);
    for (finding, runs) in result.findings.iter().zip(&regions) {
        for (slice, runs) in by_slice(runs) {
            let polygons = outlines(&runs);
            corners += polygons.iter().flatten().map(Vec::len).sum::<usize>();
            if corners > CORNERS_MAX {
                return Err(Unmade::Absent(TOO_MANY));
            }
            features.push(feature(finding, slice, &runs, polygons));
        }
    }
    Ok(features)
}

fn by_slice(runs: &[Run]) -> BTreeMap<usize, Vec<Run>> {
    let mut slices: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    for run in runs {
        slices.entry(run.slice).or_default().push(*run);
    }
    slices
}

fn feature(finding: &Finding, slice: usize, runs: &[Run], polygons: Vec<Polygon>) -> Feature {
    let properties = Properties {
        finding: finding.label,
        role: finding.role,
        name: plain::called(finding),
        slice,
        pixels: runs.iter().map(|run| run.to - run.from).sum(),
    };
    Feature {
        kind: "Feature",
        id: format!("finding-{}-slice-{slice}", finding.label),
        properties,
        geometry: MultiPolygon { kind: "MultiPolygon", coordinates: polygons },
    }
}
