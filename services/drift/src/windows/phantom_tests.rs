//! Each drift seeded into images, as windows see it: what is measured on phantoms, before and after a scanner has changed.

use imaging::phantom::{Phantom, Settings};
use imaging::{Features, Shape, Volume, acquisition};

use super::alarm::Change;
use super::*;
use crate::reference::Distribution;

/// Scans of the training, and those that a drift has to be seen in.
const TRAINED: u64 = 200;
const SEEN: u64 = 60;
/// Slices, rows and columns of a head, and the millimetres between two of them.
const SHAPE: Shape = Shape { slices: 40, rows: 64, columns: 64 };
const SPACING_MM: f64 = 4.0;
/// Of another scanner, whose field of view is smaller.
const OTHER_MM: f64 = 3.0;
/// How far noise moves a voxel at most; white is 1000.
const NOISE: f32 = 100.0;

/// A scan: its image, and the part of it that is marked.
type Scan = (Volume, f64);

fn scans(seeds: std::ops::Range<u64>, in_plane_mm: f64) -> Vec<Scan> {
    let scan = |seed| {
        let spacing = [SPACING_MM, in_plane_mm, in_plane_mm];
        let settings = Settings { shape: SHAPE, spacing, ..Settings::slice(seed) };
        let Phantom { volume, truth, .. } = Phantom::new(&settings).unwrap();
        let marked = truth.iter().filter(|inside| **inside == 1).count();
        (volume, marked as f64 / truth.len() as f64)
    };
    seeds.map(scan).collect()
}

fn gain((mut volume, marked): Scan) -> Scan {
    volume.voxels.iter_mut().for_each(|voxel| *voxel *= 1.3);
    (volume, marked)
}

/// The mean over three by three voxels of a slice.
fn blur((mut volume, marked): Scan) -> Scan {
    let sharp = volume.voxels.clone();
    let columns = SHAPE.columns;
    for index in columns + 1..sharp.len() - columns - 1 {
        let rows = [index - columns, index, index + columns];
        volume.voxels[index] =
            rows.map(|at| sharp[at - 1] + sharp[at] + sharp[at + 1]).iter().sum::<f32>() / 9.0;
    }
    (volume, marked)
}

fn noise((mut volume, marked): Scan) -> Scan {
    for (index, voxel) in volume.voxels.iter_mut().enumerate() {
        // Evenly spread, and each unlike the next.
        let even = (index as f64 * 0.618_033_988_749_894_9) % 1.0;
        let scattered = (even * 7919.0) % 1.0;
        *voxel = (*voxel + NOISE * (2.0 * scattered as f32 - 1.0)).max(0.0);
    }
    (volume, marked)
}

/// Cut from side to side in place of from feet to head.
fn sagittal((mut volume, marked): Scan) -> Scan {
    let Shape { slices, rows, columns } = SHAPE;
    let axial = volume.voxels.clone();
    volume.shape = Shape { slices: columns, rows: slices, columns: rows };
    for (index, voxel) in volume.voxels.iter_mut().enumerate() {
        let (slice, row, column) = (index / (slices * rows), index / rows % slices, index % rows);
        *voxel = axial[(row * rows + column) * columns + slice];
    }
    if let Some(geometry) = &mut volume.geometry {
        let [feet_to_head, front_to_back, side_to_side] = geometry.steps();
        geometry.slice_step = side_to_side;
        geometry.row_step = feet_to_head;
        geometry.column_step = front_to_back;
    }
    (volume, marked)
}

fn negative((volume, _): Scan) -> Scan {
    (volume, 0.0)
}

fn members(scans: &[Scan]) -> Vec<Member> {
    let member = |(place, (volume, marked)): (usize, &Scan)| {
        let features = Features::new(volume).named().chain(acquisition(volume));
        let observation = Observation {
            features: features.map(|(name, value)| (name.to_owned(), value)).collect(),
            mask_fraction: Some(*marked),
            ..Observation::default()
        };
        let (id, observation) = (place.to_string(), Some(observation));
        Member {
            event_id: id.clone(),
            scan_id: id,
            site: None,
            answer: Answer::Found,
            completed_ms: 7,
            observation,
        }
    };
    scans.iter().enumerate().map(member).collect()
}

fn reference(scans: &[Scan]) -> Reference {
    let members = members(scans);
    let distribution = |sample| Distribution { edges: vec![0.0, 1.0], counts: vec![1], sample };
    let mut features: BTreeMap<_, _> = values(observations(&members))
        .into_iter()
        .map(|(name, sample)| (name.to_owned(), distribution(sample)))
        .collect();
    let taken = acquisition(&scans[0].0);
    let taken = taken.iter().filter_map(|(name, _)| features.remove_entry(*name)).collect();
    Reference { features, acquisition: taken, ..Reference::default() }
}

#[test]
fn each_drift_seeded_into_images_is_seen_within_sixty_scans_and_none_is_without() {
    let reference = reference(&scans(0..TRAINED, SPACING_MM));
    let told = |scans: &[Scan]| {
        let seen = Seen::new(&members(scans), ModelIdentity::default(), &reference);
        (Standing::default().after(&seen.features, seen.thresholds).1, seen.features)
    };
    let healthy = scans(1000..1000 + SEEN, SPACING_MM);
    let (change, features) = told(&healthy);
    assert_eq!(change, None, "{features:?}");
    let changed =
        |change: fn(Scan) -> Scan| healthy.iter().cloned().map(change).collect::<Vec<_>>();
    for (name, feature, scans) in [
        ("gain", "p99", changed(gain)),
        ("blur", "sharpness", changed(blur)),
        ("noise", "noise", changed(noise)),
        ("another scanner's spacing", "pixel_mm", scans(1000..1000 + SEEN, OTHER_MM)),
        ("another orientation", "tilt_degrees", changed(sagittal)),
        ("negatives", "mask_fraction", changed(negative)),
    ] {
        let (change, features) = told(&scans);
        assert_eq!(change, Some(Change::Detected), "{name}: {features:?}");
        let found = features.iter().find(|one| one.name == feature).unwrap();
        assert_eq!(found.verdict, Verdict::Drift, "{name}: {features:?}");
    }
}
