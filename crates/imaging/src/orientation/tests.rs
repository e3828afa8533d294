use super::*;
use crate::phantom::{Phantom, Settings};
use crate::{Format, ImageKind, Protocol, Volume};

/// Where columns, rows and slices lead, as NIfTI's tools write it: `LPS` is what DICOM's axial slices are.
const STORAGES: [&str; 10] = ["LPS", "RAS", "LAS", "RPS", "LIA", "PSR", "PLS", "SPL", "ARI", "IRA"];

fn head(shape: [usize; 3], spacing: [f64; 3]) -> Volume {
    let [slices, rows, columns] = shape;
    let settings = Settings {
        shape: Shape { slices, rows, columns },
        spacing,
        tumour: false,
        ..Settings::slice(3)
    };
    Phantom::new(&settings).unwrap().volume
}

fn close(a: &Geometry, b: &Geometry) -> bool {
    let vectors = |geometry: &Geometry| [vec![geometry.origin], geometry.steps().to_vec()].concat();
    let pairs = vectors(a).concat().into_iter().zip(vectors(b).concat());
    pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9)
}

#[test]
fn one_head_in_every_storage_order_is_one_picture_and_finds_its_way_back() {
    // Thick slices, and voxels that are alike in all directions.
    for (shape, spacing) in [([12, 70, 80], [6.0, 2.5, 2.0]), ([66, 72, 80], [2.4, 2.2, 2.0])] {
        let axial = head(shape, spacing);
        for storage in STORAGES {
            let file = axial.stored_as(storage).unwrap();
            let (own_shape, own_geometry) = (file.shape, file.geometry.unwrap());
            let leads = leading(&own_geometry).unwrap();
            let letters: Vec<Direction> =
                storage.chars().rev().map(|letter| led_along(letter).unwrap()).collect();
            assert_eq!(leads.to_vec(), letters, "{storage}");
            let shown = file.clone().radiological();
            assert_eq!((shown.shape, &shown.voxels), (axial.shape, &axial.voxels), "{storage}");
            assert!(close(&shown.geometry.unwrap(), &axial.geometry.unwrap()), "{storage}");
            let (shape, geometry) = shown.own_grid();
            assert!(shape == own_shape && close(&geometry.unwrap(), &own_geometry), "{storage}");
            let back = shown.stored.inverse().turned(&shown.voxels, shown.shape);
            assert_eq!(back, file.voxels, "{storage}");
        }
    }
}

#[test]
fn a_sagittal_and_a_coronal_scan_keep_their_plane_and_are_shown_as_usual() {
    let cases = [
        ("PIR", [20, 90, 100], [6.0, 2.0, 2.0], Plane::Sagittal, ['A', 'P', 'H', 'F']),
        ("ASL", [20, 90, 100], [6.0, 2.0, 2.0], Plane::Sagittal, ['A', 'P', 'H', 'F']),
        ("LIP", [20, 90, 100], [6.0, 2.0, 2.0], Plane::Coronal, ['R', 'L', 'H', 'F']),
        ("RSA", [20, 90, 100], [6.0, 2.0, 2.0], Plane::Coronal, ['R', 'L', 'H', 'F']),
        // Alike in all directions: axial, however it was stored.
        ("PIR", [80, 90, 100], [1.2, 1.0, 1.0], Plane::Axial, ['R', 'L', 'A', 'P']),
        // One slice is the slice that it is.
        ("LIP", [1, 90, 100], [1.0, 2.0, 2.0], Plane::Coronal, ['R', 'L', 'H', 'F']),
        ("RPI", [1, 90, 100], [0.0, 2.0, 2.0], Plane::Axial, ['R', 'L', 'A', 'P']),
    ];
    for (storage, shape, spacing, plane, [left, right, top, bottom]) in cases {
        let steps: Vec<[f64; 3]> = storage
            .chars()
            .zip(spacing.iter().rev())
            .map(|(letter, mm)| {
                let (axis, along) = led_along(letter).unwrap();
                let mut step = [0.0; 3];
                step[axis] = if along { *mm } else { -mm };
                step
            })
            .collect();
        let geometry = Geometry {
            origin: [3.0, 4.0, 5.0],
            slice_step: steps[2],
            row_step: steps[1],
            column_step: steps[0],
            known: Known::Place,
        };
        let [slices, rows, columns] = shape;
        let shape = Shape { slices, rows, columns };
        let turn = Orientation::radiological(shape, Some(&geometry));
        let shown = turn.geometry(&geometry, shape);
        let view = View { plane, left, right, top, bottom };
        assert_eq!(View::of(&shown), Some(view), "{storage}");
        let handed = |geometry: &Geometry| {
            let [slice, row, column] = geometry.directions();
            crate::volume::dot(slice, crate::volume::cross(column, row))
        };
        assert!(handed(&shown) > 0.99, "{storage} is mirrored");
    }
}

#[test]
fn an_oblique_head_is_turned_by_whole_axes_only() {
    let (sin, cos) = 0.35_f64.sin_cos();
    let geometry = Geometry {
        origin: [0.0; 3],
        slice_step: [0.0, -5.0 * sin, 5.0 * cos],
        row_step: [0.0, -cos, -sin],
        column_step: [-1.0, 0.0, 0.0],
        known: Known::Place,
    };
    let shape = Shape { slices: 9, rows: 80, columns: 70 };
    let turn = Orientation::radiological(shape, Some(&geometry));
    assert_eq!(turn, Orientation { axes: [0, 1, 2], flipped: [false, true, true] });
    let shown = turn.geometry(&geometry, shape);
    assert_eq!(shown.row_step, [0.0, cos, sin]);
    assert_eq!(shown.position(0.0, 79.0, 69.0), geometry.position(0.0, 0.0, 0.0));
}

#[test]
fn what_does_not_say_which_way_the_patient_lies_stays_as_it_is() {
    let unknown = Geometry { known: Known::Distances, ..Geometry::of_distances([5.0, -1.0, 1.0]) };
    let shape = Shape { slices: 2, rows: 70, columns: 70 };
    assert_eq!(Orientation::radiological(shape, Some(&unknown)), Orientation::default());
    assert_eq!(Orientation::radiological(shape, None), Orientation::default());
    assert_eq!(View::of(&unknown), None);
}

#[test]
fn what_is_no_storage_order_is_none() {
    let volume = head([2, 64, 64], [5.0, 3.0, 3.0]);
    for storage in ["", "LP", "LPSA", "LLS", "XYZ", "LRS"] {
        assert_eq!(volume.stored_as(storage), None, "{storage}");
    }
}

#[test]
fn two_turns_are_one() {
    let first = Orientation { axes: [2, 0, 1], flipped: [true, false, true] };
    let second = Orientation { axes: [1, 0, 2], flipped: [false, true, true] };
    let shape = Shape { slices: 2, rows: 3, columns: 4 };
    let values: Vec<usize> = (0..shape.len()).collect();
    let once = first.turned(&values, shape);
    let twice = second.turned(&once, first.shape(shape));
    assert_eq!(first.then(second).turned(&values, shape), twice);
    let format = Format::Nifti;
    let voxels = values.iter().map(|value| *value as f32).collect();
    let volume = Volume {
        shape,
        voxels,
        geometry: None,
        modality: None,
        format,
        window: [0.0, 1.0],
        stored: Orientation::default(),
        protocol: Protocol::default(),
        remarks: Vec::new(),
        kind: ImageKind::Unknown,
    };
    assert_eq!(volume.clone().radiological(), volume);
    let index = [1.0, 2.0, 0.25];
    assert_eq!(first.inverse().index(first.index(index, shape), first.shape(shape)), index);
}

/// Every way to store one and the same grid.
fn storages() -> Vec<Orientation> {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let flips = (0..8).map(|bits| [0, 1, 2].map(|axis| bits >> axis & 1 == 1));
    flips.flat_map(|flipped| orders.map(|axes| Orientation { axes, flipped })).collect()
}

#[test]
fn a_head_between_two_planes_is_one_picture_in_every_storage_order() {
    let shape = Shape { slices: 70, rows: 80, columns: 90 };
    // About each patient axis, at 45 degrees but for rounding, either way.
    for (axis, degrees) in [0, 1, 2].into_iter().flat_map(|axis| [45.0, -45.0].map(|d| (axis, d))) {
        for noise in [0.0, 1e-6, -1e-6] {
            let (sin, cos) = (f64::to_radians(degrees) + noise).sin_cos();
            let step = |along: usize| {
                let (next, last) = ((axis + 1) % 3, (axis + 2) % 3);
                let mut step = [0.0; 3];
                match along {
                    _ if along == axis => step[axis] = 2.0,
                    _ if along == next => (step[next], step[last]) = (2.0 * cos, 2.0 * sin),
                    _ => (step[next], step[last]) = (-2.0 * sin, 2.0 * cos),
                }
                step
            };
            let geometry = Geometry {
                origin: [3.0, 4.0, 5.0],
                slice_step: step(2),
                row_step: step(1),
                column_step: step(0),
                known: Known::Place,
            };
            let shown = |stored: Orientation| {
                let (shape, geometry) = (stored.shape(shape), stored.geometry(&geometry, shape));
                let turn = Orientation::radiological(shape, Some(&geometry));
                (turn.shape(shape), turn.geometry(&geometry, shape))
            };
            let (shape, expected) = shown(Orientation::default());
            for stored in storages() {
                let (own, geometry) = shown(stored);
                assert!(own == shape && close(&geometry, &expected), "{axis} {degrees} {stored:?}");
            }
        }
    }
}

#[test]
fn rounding_does_not_choose_the_plane() {
    let shape = Shape { slices: 100, rows: 100, columns: 100 };
    // Sagittal slices that are one and a half times as thick as their pixels are wide.
    for thick in [1.2, f64::from(1.2_f32), 1.2 - 1e-7, 1.2 + 1e-7] {
        for thin in [0.8, f64::from(0.8_f32), 0.8 - 1e-7, 0.8 + 1e-7] {
            let geometry = Geometry {
                origin: [0.0; 3],
                slice_step: [-thick, 0.0, 0.0],
                row_step: [0.0, 0.0, -thin],
                column_step: [0.0, thin, 0.0],
                known: Known::Place,
            };
            let turn = Orientation::radiological(shape, Some(&geometry));
            let view = View::of(&turn.geometry(&geometry, shape)).unwrap();
            assert_eq!(view.plane, Plane::Axial, "{thick} {thin}");
        }
    }
    // Of two that are as thick as each other, the one that the file's slices lie along.
    for noise in [0.0, 1e-7, -1e-7] {
        let geometry = Geometry {
            origin: [0.0; 3],
            slice_step: [2.0, 0.0, 0.0],
            row_step: [0.0, 2.0 + noise, 0.0],
            column_step: [0.0, 0.0, 1.0],
            known: Known::Place,
        };
        let turn = Orientation::radiological(shape, Some(&geometry));
        assert_eq!(turn.axes[0], 0, "{noise}");
    }
}
