use sha2::{Digest, Sha256};

use super::*;
use crate::phantom::{Phantom, Settings};
use crate::{Format, Geometry, ImageKind, Known, Orientation, Protocol, Shape};

/// An ellipse of brightness 100 with a darker middle on air, its half axes a part of the slice's.
fn head(rows: usize, columns: usize, tall: f64, wide: f64) -> Vec<f32> {
    let at = |index: usize| {
        let y = (2.0 * (index / columns) as f64 + 1.0) / rows as f64 - 1.0;
        let x = (2.0 * (index % columns) as f64 + 1.0) / columns as f64 - 1.0;
        let distance = (y / tall).hypot(x / wide);
        if distance < 0.3 {
            60.0
        } else if distance < 1.0 {
            100.0
        } else {
            0.0
        }
    };
    (0..rows * columns).map(at).collect()
}

fn dice(a: &[f32], b: &[f32]) -> f64 {
    let inside = |v: &f32| f64::from(u8::from(*v > 0.5));
    let overlap: f64 = a.iter().zip(b).map(|(a, b)| inside(a) * inside(b)).sum();
    2.0 * overlap / (a.iter().map(inside).sum::<f64>() + b.iter().map(inside).sum::<f64>())
}

#[test]
fn eight_bits_sixteen_bits_and_raw_values_are_prepared_alike() {
    let raw = Phantom::new(&Settings::slice(3)).unwrap().volume.voxels;
    let once = prepare(&raw, 256, 256, 128).unwrap();
    for (gain, offset) in [(0.2, 0.0), (60.0, 0.0), (0.7, -1024.0)] {
        let other: Vec<f32> = raw.iter().map(|value| gain * value + offset).collect();
        let other = prepare(&other, 256, 256, 128).unwrap();
        assert_eq!(other.placement, once.placement);
        let alike = once.pixels.iter().zip(&other.pixels).all(|(a, b)| (a - b).abs() < 2e-3);
        assert!(alike, "gain {gain}, offset {offset}");
    }
}

#[test]
fn air_is_minus_one_the_median_nought_and_a_lesion_above() {
    let phantom = Phantom::new(&Settings::slice(5)).unwrap();
    let prepared = prepare(&phantom.volume.voxels, 256, 256, 128).unwrap();
    let truth: Vec<f32> = phantom.truth.iter().map(|inside| f32::from(*inside)).collect();
    let inside = prepared.placement.sample(&truth, 0.0);
    let lesion: Vec<f32> =
        prepared.pixels.iter().zip(&inside).filter(|(_, i)| **i > 0.9).map(|(v, _)| *v).collect();
    assert!(lesion.iter().sum::<f32>() / lesion.len() as f32 > 0.3);
    assert!(prepared.pixels[0] < -0.9 && prepared.pixels.iter().all(|v| (-1.0..=3.0).contains(v)));
}

#[test]
fn a_mask_finds_its_way_back_whatever_the_size() {
    for (rows, columns) in [(64, 64), (256, 256), (200, 320), (512, 384), (1000, 700)] {
        let slice = head(rows, columns, 0.7, 0.6);
        let placement = prepare(&slice, rows, columns, 128).unwrap().placement;
        let mask = head(rows, columns, 0.3, 0.25).iter().map(|v| v / 100.0).collect::<Vec<_>>();
        let back = restore(&placement.sample(&mask, 0.0), &placement);
        assert_eq!(back.len(), rows * columns);
        assert!(dice(&mask, &back) > 0.98, "{rows} x {columns}: {}", dice(&mask, &back));
    }
}

#[test]
fn nothing_moves_by_even_half_a_pixel_on_the_way_and_back() {
    let slice = head(255, 301, 0.8, 0.7);
    let placement = prepare(&slice, 255, 301, 128).unwrap().placement;
    let ramp: Vec<f32> =
        (0..255 * 301).map(|i| (i / 301) as f32 + 0.01 * (i % 301) as f32).collect();
    let back = restore(&placement.sample(&ramp, 0.0), &placement);
    for index in [127 * 301 + 150, 100 * 301 + 120, 170 * 301 + 200] {
        assert!((back[index] - ramp[index]).abs() < 0.05, "{} for {}", back[index], ramp[index]);
    }
}

#[test]
fn the_head_fills_the_square_and_keeps_its_proportions() {
    let placement = prepare(&head(400, 300, 0.5, 0.6), 400, 300, 128).unwrap().placement;
    // 200 rows by 180 columns and the margin, nearly: lines that only graze the head do not count.
    assert!((placement.extent - 200.0 * (1.0 + MARGIN)).abs() < 6.0, "{placement:?}");
    assert!((placement.top + placement.extent / 2.0 - 199.5).abs() < 1.0);
    assert!((placement.left + placement.extent / 2.0 - 149.5).abs() < 1.0);
}

#[test]
fn the_top_of_a_head_is_not_blown_up() {
    let placement = prepare(&head(256, 256, 0.15, 0.12), 256, 256, 128).unwrap().placement;
    assert_eq!(placement.extent, 0.55 * 256.0);
}

/// A volume whose file says nothing of sizes.
fn unsized_volume(shape: Shape, voxels: Vec<f32>, window: [f32; 2]) -> Volume {
    Volume {
        shape,
        voxels,
        geometry: None,
        modality: None,
        kind: ImageKind::Unknown,
        format: Format::Png,
        window,
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    }
}

#[test]
fn neighbours_lie_in_the_same_place_on_the_same_scale() {
    let shape = Shape { slices: 3, rows: 64, columns: 64 };
    let small = head(64, 64, 0.4, 0.4);
    let large: Vec<f32> = head(64, 64, 0.8, 0.8).iter().map(|value| 2.0 * value).collect();
    let voxels = [small.clone(), large.clone(), small.clone()].concat();
    let volume = unsized_volume(shape, voxels, [0.0, 200.0]);
    let framed = Framed::new(&volume, Preprocessing::HeadSquare1).unwrap();
    let middle = framed.slice(1, 32).unwrap();
    let alone = prepare(&large, 64, 64, 32).unwrap();
    assert_eq!((&middle.pixels, middle.placement), (&alone.pixels, alone.placement));
    let [before, after] = middle.neighbours;
    assert_eq!(before, after);
    // Half as bright, and half as wide: at the middle a dark core of 0.6 of the median, then air.
    let before = before.unwrap();
    assert!((before[16 * 32 + 22] + 0.5).abs() < 0.01 && before[16 * 32 + 2] < -0.99);
    let first = framed.slice(0, 32).unwrap();
    assert!(first.neighbours[0].is_none() && first.neighbours[1].is_some());
    assert_eq!(alone.neighbours, [None, None]);
}

#[test]
fn slices_of_a_volume_share_their_levels_and_their_place() {
    let shape = Shape { slices: 3, rows: 64, columns: 64 };
    let (small, large) = (head(64, 64, 0.4, 0.4), head(64, 64, 0.9, 0.7));
    let dim: Vec<f32> = small.iter().map(|value| 0.5 * value).collect();
    let voxels = [dim, large.clone(), small].concat();
    let volume = unsized_volume(shape, voxels, [0.0, 100.0]);
    let framed = Framed::new(&volume, Preprocessing::HeadSquare2).unwrap();
    let [dim, large, small] = [0, 1, 2].map(|index| framed.slice(index, 32).unwrap());
    assert_eq!((dim.placement, small.placement), (large.placement, large.placement));
    // What is before a slice is what that slice itself looks like.
    assert_eq!(
        (&large.neighbours[0], &large.neighbours[1]),
        (&Some(dim.pixels.clone()), &Some(small.pixels.clone()))
    );
    // The rim of the small head is as bright as the large one's; of the dim one it is half of that.
    let at = 16 * 32 + 20;
    assert!((large.pixels[at] - small.pixels[at]).abs() < 0.02);
    assert!((dim.pixels[at] + 0.5).abs() < 0.02, "{}", dim.pixels[at]);
    // Alone, a slice is its own measure, whatever the way.
    let alone = Volume {
        shape: Shape { slices: 1, ..shape },
        voxels: volume.slice(0).to_vec(),
        ..volume.clone()
    };
    let [old, new] = [Preprocessing::HeadSquare1, Preprocessing::HeadSquare2]
        .map(|way| Framed::new(&alone, way).unwrap().slice(0, 32).unwrap());
    assert_eq!(old, new);
    assert_eq!(old.pixels, prepare(volume.slice(0), 64, 64, 32).unwrap().pixels);
}

#[test]
fn a_way_to_prepare_is_known_by_its_name() {
    for &way in Preprocessing::VARIANTS {
        assert_eq!(Preprocessing::named(way.name()).unwrap(), way);
    }
    assert_eq!(Preprocessing::NEWEST.name(), "head-square-2");
    let why = Preprocessing::named("head-square-9").unwrap_err().to_string();
    assert!(why.contains("head-square-9") && why.contains("head-square-2"), "{why}");
}

#[test]
fn a_slice_without_contrast_is_air() {
    let prepared = prepare(&[7.0; 64 * 64], 64, 64, 32).unwrap();
    assert!(prepared.pixels.iter().all(|value| *value == -1.0));
}

#[test]
fn what_is_no_slice_is_refused() {
    let refused = |slice: &[f32], rows, columns, side| {
        prepare(slice, rows, columns, side).unwrap_err().kind() == ErrorKind::Invalid
    };
    assert!(refused(&[], 0, 0, 32) && refused(&[0.0; 6], 2, 2, 32) && refused(&[0.0; 4], 2, 2, 0));
    assert!(refused(&[0.0, 1.0, f32::NAN, 2.0], 2, 2, 32));
    assert!(refused(&[0.0; 4], usize::MAX, 2, 32));
}

#[test]
fn one_pixel_is_a_slice() {
    let prepared = prepare(&[3.0], 1, 1, 32).unwrap();
    assert_eq!(restore(&prepared.pixels, &prepared.placement).len(), 1);
}

#[test]
fn square_pixels_are_prepared_as_the_weights_learned_them() {
    let slice = head(250, 310, 0.8, 0.7);
    let prepared = prepare(&slice, 250, 310, 96).unwrap();
    let back = restore(&prepared.pixels, &prepared.placement);
    let bits = prepared.pixels.iter().chain(&back).flat_map(|value| value.to_le_bytes());
    let digest = domain::hex(&Sha256::digest(bits.collect::<Vec<u8>>()));
    // A change of this digest is a change of `PREPROCESSING`.
    assert_eq!(digest, "1e7442e51bb343d5b84704eb30e116e1613b7f7cee6a485dc989ff0576f84559");
}

/// A head of 100 by 80 mm in pixels of that height and width.
fn in_millimetres(row_mm: f64, column_mm: f64) -> Volume {
    let (rows, columns) = ((140.0 / row_mm) as usize, (140.0 / column_mm) as usize);
    let voxels = head(rows, columns, 100.0 / 140.0, 80.0 / 140.0);
    let geometry = Geometry {
        origin: [0.0; 3],
        slice_step: [0.0, 0.0, 5.0],
        row_step: [0.0, row_mm, 0.0],
        column_step: [column_mm, 0.0, 0.0],
        known: Known::Place,
    };
    let shape = Shape { slices: 1, rows, columns };
    let (format, window) = (Format::Dicom, [0.0, 100.0]);
    Volume {
        shape,
        voxels,
        geometry: Some(geometry),
        modality: None,
        kind: ImageKind::Unknown,
        format,
        window,
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    }
}

#[test]
fn a_head_in_oblong_pixels_is_the_same_head() {
    let prepared =
        |volume: &Volume| Framed::new(volume, Preprocessing::NEWEST).unwrap().slice(0, 64).unwrap();
    let tile = prepared(&in_millimetres(1.0, 1.0));
    for (row_mm, column_mm) in [(1.0, 2.0), (2.0, 1.0), (0.7, 1.75)] {
        let oblong = in_millimetres(row_mm, column_mm);
        let prepared = prepared(&oblong);
        let pairs = tile.pixels.iter().zip(&prepared.pixels);
        let apart = pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / (64.0 * 64.0);
        assert!(apart < 0.06, "{row_mm} x {column_mm} mm: {apart}");
        // The way back ends in the scan's own pixels.
        let mask: Vec<f32> = oblong.voxels.iter().map(|value| value / 100.0).collect();
        let back = restore(&prepared.placement.sample(&mask, 0.0), &prepared.placement);
        assert!(dice(&mask, &back) > 0.97, "{row_mm} x {column_mm} mm: {}", dice(&mask, &back));
        let area = prepared.placement.pixel_area() * row_mm * column_mm;
        assert!((area / tile.placement.pixel_area() - 1.0).abs() < 0.05, "{area}");
    }
}
