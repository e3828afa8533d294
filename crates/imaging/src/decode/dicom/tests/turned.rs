//! Which way up a scan is, in which order its slices lie and where in the patient, however its files are written.

use super::*;
use crate::phantom::{Phantom, Settings};
use crate::{Geometry, Known};

/// [`PIXELS`] as a reader sees them, with the patient's left at the right and his back below, in a file whose rows and
/// columns lead elsewhere: along the patient's x (to the left) and y (to the back).
fn stored(across: [i32; 2], down: [i32; 2]) -> Vec<Element> {
    const ROW_MM: f64 = 0.5;
    const COLUMN_MM: f64 = 0.25;
    let upright = across[0] != 0;
    let [rows, columns] = if upright { [2, 4] } else { [4, 2] };
    let spacing = if upright { "0.5\\0.25" } else { "0.25\\0.5" };
    let last = [3.0, 1.0];
    let begin = [0, 1].map(|axis| if across[axis] + down[axis] < 0 { last[axis] } else { 0.0 });
    let pixel = |at: i32| {
        let [row, column] = [at / columns, at % columns];
        let [x, y] =
            [0, 1].map(|axis| begin[axis] as i32 + column * across[axis] + row * down[axis]);
        PIXELS[(4 * y + x) as usize]
    };
    let pixels = (0..8).flat_map(|at| EXPLICIT.u16(pixel(at) as u16)).collect();
    let [x, y] = [-10.0 + begin[0] * COLUMN_MM, -20.0 + begin[1] * ROW_MM];
    let cosines = format!("{}\\{}\\0\\{}\\{}\\0", across[0], across[1], down[0], down[1]);
    vec![
        (tags::IMAGE_POSITION_PATIENT, "DS", text(&format!("{x}\\{y}\\3"))),
        (tags::IMAGE_ORIENTATION_PATIENT, "DS", text(&cosines)),
        (tags::PIXEL_SPACING, "DS", text(spacing)),
        (tags::SLICE_THICKNESS, "DS", text("9")),
        EXPLICIT.us(tags::ROWS, rows as u16),
        EXPLICIT.us(tags::COLUMNS, columns as u16),
        (tags::PIXEL_DATA, "OW", pixels),
    ]
}

#[test]
fn a_slice_is_one_picture_in_one_place_whichever_way_its_rows_and_columns_run() {
    let place = Geometry {
        origin: [-10.0, -20.0, 3.0],
        slice_step: [0.0, 0.0, 9.0],
        row_step: [0.0, 0.5, 0.0],
        column_step: [0.25, 0.0, 0.0],
        known: Known::Place,
    };
    let along = [[1, 0], [-1, 0], [0, 1], [0, -1]];
    let ways = along.into_iter().flat_map(|across| along.map(|down| (across, down)));
    for (across, down) in ways.filter(|(across, down)| (across[0] == 0) != (down[0] == 0)) {
        let read = volume(EXPLICIT, &stored(across, down));
        assert_eq!(read.shape, Shape { slices: 1, rows: 2, columns: 4 }, "{across:?} {down:?}");
        assert_eq!(read.voxels, floats(&PIXELS), "{across:?} {down:?}");
        assert_eq!(read.geometry, Some(place), "{across:?} {down:?}");
    }
}

/// Slices at these heights, in the order of their files' names. The last pixel tells them apart: 4095 at nought, and one
/// less for each 9 mm. Rows lead along `across` on the patient's x.
fn series(across: i32, heights: [i32; 3]) -> Decoded {
    let file = |z: i32| {
        let number = z / 9;
        let mut pixels = PIXELS;
        pixels[7] -= number;
        let cosines = format!("{across}\\0\\0\\0\\1\\0");
        let more = [
            &place(f64::from(z))[..],
            &[
                (tags::SOP_INSTANCE_UID, "UI", text(&format!("1.2.{number}"))),
                (tags::SERIES_INSTANCE_UID, "UI", text("1.3")),
            ],
        ];
        let mut elements = slice(EXPLICIT, &pixels, &more.concat());
        elements.retain(|(tag, ..)| *tag != tags::IMAGE_ORIENTATION_PATIENT);
        elements.push((tags::IMAGE_ORIENTATION_PATIENT, "DS", text(&cosines)));
        EXPLICIT.file(&EXPLICIT.data_set(&elements))
    };
    let names = ["IM1", "IM2", "IM3"].into_iter().map(str::to_owned);
    let files: Vec<_> = names.zip(heights.map(file)).collect();
    decode::decode(&encode::zip(&files).unwrap(), &limits()).unwrap()
}

#[test]
fn a_series_sent_backwards_or_shuffled_gives_the_same_volume() {
    let forwards = series(1, [0, 9, 18]).volume;
    let geometry = forwards.geometry.unwrap();
    assert_eq!((geometry.origin, geometry.slice_step), ([-10.0, -20.0, 0.0], [0.0, 0.0, 9.0]));
    let last: Vec<f32> = (0..3).map(|index| forwards.slice(index)[7]).collect();
    assert_eq!(last, [4095.0, 4094.0, 4093.0]);
    for heights in [[18, 9, 0], [9, 18, 0], [0, 18, 9]] {
        assert_eq!(series(1, heights).volume, forwards, "{heights:?}");
    }
}

#[test]
fn a_series_whose_normal_points_to_the_feet_is_shown_from_the_feet_upwards_all_the_same() {
    for heights in [[0, 9, 18], [18, 9, 0]] {
        let Decoded { volume, identity, .. } = series(-1, heights);
        let last: Vec<f32> = (0..3).map(|index| volume.slice(index)[4]).collect();
        // Rows that led to the right are turned round: their last pixel is the first.
        assert_eq!(last, [4095.0, 4094.0, 4093.0], "{heights:?}");
        let geometry = volume.geometry.unwrap();
        assert_eq!(
            (geometry.slice_step, geometry.column_step),
            ([0.0, 0.0, 9.0], [0.25, 0.0, 0.0])
        );
        // Instances are counted as the files' own grid counts slices: there, the highest is the first.
        let own = volume.own_grid().1.unwrap();
        assert_eq!((own.origin[2], own.slice_step[2]), (18.0, -9.0), "{heights:?}");
        assert_eq!(identity.unwrap().sop_instance_uids, ["1.2.2", "1.2.1", "1.2.0"], "{heights:?}");
    }
}

/// Slices tilted about the left-right axis, each shifted against the one before as by a gantry.
fn tilted_head() -> Volume {
    let shape = Shape { slices: 6, rows: 96, columns: 96 };
    let settings = Settings { shape, spacing: [14.0, 2.4, 2.4], ..Settings::slice(2) };
    let volume = Phantom::new(&settings).unwrap().volume;
    let (sin, cos) = 0.2_f64.sin_cos();
    let geometry = Geometry {
        origin: [-110.5, -95.25, 12.125],
        slice_step: [0.0, 2.0 * cos - 14.0 * sin, 2.0 * sin + 14.0 * cos],
        row_step: [0.0, 2.4 * cos, 2.4 * sin],
        column_step: [2.4, 0.0, 0.0],
        known: Known::Place,
    };
    Volume { geometry: Some(geometry), ..volume }
}

#[test]
fn one_scan_is_the_same_volume_in_dicom_and_in_nifti_whichever_way_it_is_stored() {
    let head = tilted_head();
    for storage in ["LPS", "RAS", "LAS", "RPS", "LPI", "RAI", "PLS", "ARI"] {
        let file = head.stored_as(storage).unwrap();
        let series = encode::Series::of_seed(2);
        let slices = (0..6).map(|at| (at.to_string(), encode::dicom(&file, &series, at).unwrap()));
        let archive = encode::zip(&slices.collect::<Vec<_>>()).unwrap();
        let nifti = encode::nifti(&file.voxels, file.shape, file.geometry.as_ref()).unwrap();
        for (format, bytes, rounded) in [("DICOM", archive, 0.5), ("NIfTI", nifti, 0.0)] {
            let read = decode::decode(&bytes, &limits()).unwrap().volume;
            assert_eq!(read.shape, head.shape, "{format} {storage}");
            let mut pairs = read.voxels.iter().zip(&head.voxels);
            assert!(pairs.all(|(a, b)| (a - b).abs() <= rounded), "{format} {storage}");
            for [slice, row, column] in [[0.0; 3], [5.0, 95.0, 0.0], [2.0, 10.0, 95.0]] {
                let place = |volume: &Volume| volume.geometry.unwrap().position(slice, row, column);
                let apart = place(&read).into_iter().zip(place(&head)).map(|(a, b)| (a - b).abs());
                assert!(apart.fold(0.0, f64::max) < 1e-3, "{format} {storage}: {:?}", place(&read));
            }
        }
    }
}
