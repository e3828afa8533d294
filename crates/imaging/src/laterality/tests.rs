use super::*;
use crate::phantom::{Phantom, Settings};
use crate::{Criteria, Findings, Orientation, Shape};

fn found(volume: &Volume, mask: &[u8]) -> Vec<Finding> {
    let probabilities: Vec<f32> = mask.iter().map(|inside| f32::from(*inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    Findings::new(&probabilities, volume.shape, volume.geometry.as_ref(), criteria)
        .unwrap()
        .findings
}

/// A phantom, and the mask of a cube of 12 mm whose centre lies so far to the left of the head's middle.
fn with_cube(left_mm: f64) -> (Volume, Vec<u8>) {
    let shape = Shape { slices: 12, rows: 90, columns: 90 };
    let settings =
        Settings { shape, spacing: [6.0, 2.5, 2.5], tumour: false, ..Settings::slice(3) };
    let volume = Phantom::new(&settings).unwrap().volume;
    let middle = Middle::of(&volume).unwrap();
    let inside = |index: usize| {
        let (slice, rest) = (index / shape.slice_len(), index % shape.slice_len());
        let at = [slice, rest / 90, rest % 90].map(|part| part as f64);
        let left = dot(middle.to_the_left, std::array::from_fn(|axis| at[axis] - middle.at[axis]));
        (left - left_mm).abs() <= 6.0 && (4..7).contains(&slice) && (40..45).contains(&(rest / 90))
    };
    let mask = (0..shape.len()).map(|index| u8::from(inside(index))).collect();
    (volume, mask)
}

#[test]
fn sides_are_the_patients_in_every_storage_order() {
    let cases = [
        (30.0, Laterality::Left),
        (-30.0, Laterality::Right),
        (0.0, Laterality::Midline),
        (4.0, Laterality::Midline),
    ];
    for (left_mm, side) in cases {
        let (volume, mask) = with_cube(left_mm);
        let truth =
            Volume { voxels: mask.iter().map(|i| f32::from(*i)).collect(), ..volume.clone() };
        for storage in ["LPS", "RAS", "LAS", "RPS", "LIA", "PSR"] {
            let shown = volume.stored_as(storage).unwrap().radiological();
            let mask = truth.stored_as(storage).unwrap().radiological().voxels;
            let mask: Vec<u8> = mask.into_iter().map(|value| value as u8).collect();
            let findings = found(&shown, &mask);
            assert_eq!(findings.len(), 1);
            let middle = Middle::of(&shown).unwrap();
            assert_eq!(middle.side_of(&findings[0]), side, "{left_mm} mm, {storage}");
            round_trip(&shown, &findings).unwrap();
        }
    }
}

#[test]
fn a_head_that_is_cut_off_or_lies_nobody_knows_how_has_no_middle() {
    let (volume, _) = with_cube(0.0);
    assert!(Middle::of(&volume).is_some());
    let unknown = Geometry { known: Known::Distances, ..volume.geometry.unwrap() };
    assert_eq!(Middle::of(&Volume { geometry: Some(unknown), ..volume.clone() }), None);
    assert_eq!(Middle::of(&Volume { geometry: None, ..volume.clone() }), None);
    // The left half of the head only.
    let shape = Shape { columns: 45, ..volume.shape };
    let half = volume.voxels.chunks(90).flat_map(|row| row[45..].to_vec()).collect();
    assert_eq!(Middle::of(&Volume { shape, voxels: half, ..volume.clone() }), None);
    let blank = vec![0.0; volume.shape.len()];
    assert_eq!(Middle::of(&Volume { voxels: blank, ..volume }), None);
}

#[test]
fn what_does_not_come_back_fails() {
    let (volume, mask) = with_cube(30.0);
    let findings = found(&volume, &mask);
    round_trip(&volume, &findings).unwrap();
    let mirrored = |volume: &Volume| {
        let mut findings = findings.clone();
        findings[0].centroid_mm = findings[0].centroid_mm.map(|[x, y, z]| [-x, y, z]);
        round_trip(volume, &findings).unwrap_err().kind()
    };
    assert_eq!(mirrored(&volume), ErrorKind::Internal);
    // A grid that says nothing leads nowhere.
    let nowhere = Geometry { row_step: [0.0; 3], ..volume.geometry.unwrap() };
    assert!(round_trip(&Volume { geometry: Some(nowhere), ..volume.clone() }, &findings).is_err());
    let turned = Orientation { axes: [0, 1, 2], flipped: [false, false, true] };
    round_trip(&Volume { stored: turned, ..volume }, &findings).unwrap();
}

#[test]
fn what_lies_beside_the_head_moves_no_middle_and_a_head_that_is_cut_off_has_none() {
    let (volume, _) = with_cube(0.0);
    let middle = Middle::of(&volume).unwrap();
    let columns = volume.shape.columns;
    let bright = volume.window[1];
    let mut padded = volume.clone();
    for (index, voxel) in padded.voxels.iter_mut().enumerate() {
        if index % columns < 3 {
            *voxel = bright;
        }
    }
    let beside = Middle::of(&padded).unwrap();
    let strayed = std::array::from_fn(|axis| beside.at[axis] - middle.at[axis]);
    assert!(dot(middle.to_the_left, strayed).abs() < 2.0, "{beside:?} {middle:?}");
    // Columns that hold much of the head become the picture's edge.
    let is_bright = |column: &usize| {
        volume.voxels.iter().skip(*column).step_by(columns).any(|voxel| *voxel > bright / 2.0)
    };
    let from = (0..columns).find(is_bright).unwrap() + 8;
    let mut cut = volume.clone();
    for row in cut.voxels.chunks_exact_mut(columns) {
        row.rotate_left(from);
        row[columns - from..].fill(0.0);
    }
    assert_eq!(Middle::of(&cut), None);
}
