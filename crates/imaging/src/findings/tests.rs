//! Regions, their growth and their diameters, each against a way to find them that is slow and plain.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Known;

const SHAPE: Shape = Shape { slices: 4, rows: 4, columns: 5 };

fn any_voxels(shape: Shape, weight: f64) -> impl Strategy<Value = Vec<bool>> {
    prop::collection::vec(prop::bool::weighted(weight), shape.len())
}

/// Slice, row and column.
fn at(index: usize) -> [usize; 3] {
    let (slice, rest) = (index / SHAPE.slice_len(), index % SHAPE.slice_len());
    [slice, rest / SHAPE.columns, rest % SHAPE.columns]
}

/// Whether two voxels share a face, an edge or a corner, or are one.
fn touch(one: usize, other: usize) -> bool {
    at(one).into_iter().zip(at(other)).all(|(a, b)| a.abs_diff(b) <= 1)
}

/// All of `voxels` that lead to one of `from`, step by step.
fn flooded(voxels: &BTreeSet<usize>, from: BTreeSet<usize>) -> BTreeSet<usize> {
    let (mut reached, mut left) = (from, voxels.clone());
    loop {
        let near = |voxel: &usize| reached.iter().any(|other| touch(*voxel, *other));
        let (next, others): (BTreeSet<usize>, BTreeSet<usize>) = left.into_iter().partition(near);
        if next.is_empty() {
            return reached;
        }
        reached.extend(next);
        left = others;
    }
}

fn set(voxels: &[bool]) -> BTreeSet<usize> {
    (0..voxels.len()).filter(|index| voxels[*index]).collect()
}

fn voxels_of(runs: &[Run]) -> Vec<usize> {
    let run = |run: &Run| {
        let begin = index(SHAPE, run);
        begin..begin + run.to - run.from
    };
    runs.iter().flat_map(run).collect()
}

/// The region with what goes on beyond its ends, slice by slice: parts of the next slice that touch the one before.
fn gone_on(region: &BTreeSet<usize>, counts: &[bool]) -> BTreeSet<usize> {
    let of = |voxels: &BTreeSet<usize>, slice: usize| -> BTreeSet<usize> {
        voxels.iter().copied().filter(|index| at(*index)[0] == slice).collect()
    };
    let slices = region.iter().map(|index| at(*index)[0]);
    let (first, last) = (slices.clone().min().unwrap(), slices.max().unwrap());
    let (mut grown, all) = (region.clone(), set(counts));
    let mut go = |end: usize, next: usize| {
        let (end, here) = (of(&grown, end), of(&all, next));
        let reached = flooded(&here, end.clone());
        grown.extend(reached.difference(&end));
    };
    (0..first).rev().for_each(|slice| go(slice + 1, slice));
    (last + 1..SHAPE.slices).for_each(|slice| go(slice - 1, slice));
    grown
}

/// A slice's pixel spacing, sheared a little, and turned out of the patient's axes.
fn oblique([row_mm, column_mm, slide]: [f64; 3]) -> Geometry {
    let (sin, cos) = 0.6_f64.sin_cos();
    Geometry {
        origin: [1.0, 2.0, 3.0],
        slice_step: [0.0, -3.0 * sin, 3.0 * cos],
        row_step: [slide, row_mm * cos, row_mm * sin],
        column_step: [column_mm, 0.0, 0.0],
        known: Known::Place,
    }
}

type Vector = [f64; 3];

fn between(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|axis| b[axis] - a[axis])
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The places in the patient halfway between each pixel and its four neighbours.
fn outline(pixels: &[usize], geometry: &Geometry) -> Vec<Vector> {
    const SIDES: [[f64; 2]; 4] = [[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]];
    let sides = pixels.iter().flat_map(|index| {
        SIDES.map(|[down, across]| {
            let [_, row, column] = at(*index);
            geometry.position(0.0, row as f64 + down, column as f64 + across)
        })
    });
    sides.collect()
}

/// The longest line across the hull of these points in a direction: at some point's height, between two of the lines that
/// join any two points.
fn widest(points: &[Vector], along: Vector, across: Vector) -> f64 {
    let flat: Vec<[f64; 2]> = points.iter().map(|p| [dot(*p, along), dot(*p, across)]).collect();
    let width = |height: f64| {
        let pairs = flat.iter().flat_map(|a| flat.iter().map(move |b| (a, b)));
        let crossed = pairs.filter(|(a, b)| a[0] <= height && height <= b[0] && a[0] < b[0]);
        let crossings: Vec<f64> =
            crossed.map(|(a, b)| a[1] + (b[1] - a[1]) * (height - a[0]) / (b[0] - a[0])).collect();
        let least = crossings.iter().copied().fold(f64::INFINITY, f64::min);
        crossings.into_iter().fold(f64::NEG_INFINITY, f64::max) - least
    };
    flat.iter().map(|point| width(point[0])).fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn regions_are_what_a_flood_reaches(voxels in any_voxels(SHAPE, 0.2)) {
        let found = components(SHAPE, |index| voxels[index]);
        let mut left = set(&voxels);
        let mut expected: Vec<Vec<usize>> = Vec::new();
        while let Some(first) = left.first().copied() {
            let region = flooded(&left, BTreeSet::from([first]));
            left = left.difference(&region).copied().collect();
            expected.push(region.into_iter().collect());
        }
        let found: Vec<Vec<usize>> = found.iter().map(|runs| voxels_of(runs)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_region_grows_into_what_touches_it_slice_by_slice(
        voxels in any_voxels(SHAPE, 0.12),
        counts in any_voxels(SHAPE, 0.35),
    ) {
        for region in components(SHAPE, |index| voxels[index]) {
            let expected = gone_on(&voxels_of(&region).into_iter().collect(), &counts);
            let found = voxels_of(&grown(SHAPE, region, |index| counts[index]));
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn diameters_are_the_longest_in_the_patient_and_at_a_right_angle_in_any_pixels(
        pixels in any_voxels(Shape { slices: 1, ..SHAPE }, 0.4),
        row_mm in 0.3_f64..2.0,
        column_mm in 0.3_f64..2.0,
        slide in -0.2_f64..0.2,
    ) {
        let geometry = oblique([row_mm, column_mm, slide]);
        let shape = Shape { slices: 1, ..SHAPE };
        for runs in components(shape, |index| pixels[index]) {
            let points = outline(&voxels_of(&runs), &geometry);
            let [long, across] = bidirectional(&runs, &Plane::new(Some(&geometry)));
            let pairs = points.iter().flat_map(|a| points.iter().map(move |b| between(*a, *b)));
            let longest = pairs.map(|line| dot(line, line).sqrt()).fold(0.0, f64::max);
            prop_assert!((long.length - longest).abs() < 1e-9, "{} {longest}", long.length);
            let line = |diameter: Diameter| {
                let [a, b] = diameter.ends.map(|[row, column]| geometry.position(0.0, row, column));
                between(a, b)
            };
            let (along, beside) = (line(long), line(across));
            prop_assert!(dot(along, beside).abs() < 1e-9 * longest.max(1.0));
            prop_assert!((dot(beside, beside).sqrt() - across.length).abs() < 1e-9);
            // In the plane, at a right angle to the longest.
            let normal = crate::volume::cross(geometry.column_step, geometry.row_step);
            let unit = |v: Vector| v.map(|part| part / dot(v, v).sqrt());
            let (along, right) = (unit(along), unit(crate::volume::cross(normal, along)));
            let expected = widest(&points, along, right);
            prop_assert!((across.length - expected).abs() < 1e-6, "{} {expected}", across.length);
        }
    }
}
