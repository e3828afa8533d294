//! What is said of a mask is true of it: cases with known answers, and laws that hold for every mask.

use domain::ErrorKind;
use imaging::phantom::{Phantom, Settings};
use imaging::{Criteria, Findings, Geometry, Known, Role, Shape, Unit};
use proptest::prelude::*;

const CRITERIA: Criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };

fn find(mask: &[u8], shape: Shape, geometry: Option<&Geometry>) -> Findings {
    let probabilities: Vec<f32> = mask.iter().map(|&inside| 0.9 * f32::from(inside)).collect();
    Findings::new(&probabilities, shape, geometry, CRITERIA).expect("these are probabilities")
}

fn drawn(shape: Shape, inside: impl Fn(usize, usize, usize) -> bool) -> Vec<u8> {
    let at = |index: usize| {
        let (slice, rest) = (index / shape.slice_len(), index % shape.slice_len());
        inside(slice, rest / shape.columns, rest % shape.columns)
    };
    (0..shape.len()).map(|index| u8::from(at(index))).collect()
}

/// Steps of 2, 0.8 and 0.5 mm, turned about two axes; slices slide over one another when `sheared`.
fn oblique(sheared: bool) -> Geometry {
    let (s, c) = 0.4_f64.sin_cos();
    let (t, d) = 0.7_f64.sin_cos();
    let column = [c, s, 0.0];
    let row = [-s * d, c * d, t];
    let normal = [s * t, -c * t, d];
    let slide = if sheared { 0.6 } else { 0.0 };
    Geometry {
        origin: [-31.0, 12.0, 55.0],
        slice_step: std::array::from_fn(|axis| 2.0 * normal[axis] + slide * row[axis]),
        row_step: row.map(|part| 0.8 * part),
        column_step: column.map(|part| 0.5 * part),
        known: Known::Place,
    }
}

#[test]
fn a_box_is_measured_exactly_in_an_oblique_and_a_sheared_stack() {
    let shape = Shape { slices: 6, rows: 20, columns: 30 };
    let mask = drawn(shape, |s, r, c| {
        (1..4).contains(&s) && (5..15).contains(&r) && (10..30).contains(&c)
    });
    for sheared in [false, true] {
        let geometry = oblique(sheared);
        let Findings { findings, .. } = find(&mask, shape, Some(&geometry));
        let [finding] = &findings[..] else { panic!("one box, {} findings", findings.len()) };
        assert_eq!((finding.voxels, finding.area_px, finding.unit), (600, 200, Unit::Millimetre));
        assert!((finding.volume_ml.unwrap() - 600.0 * 2.0 * 0.8 * 0.5 / 1000.0).abs() < 1e-9);
        assert!((finding.area_mm2.unwrap() - 80.0).abs() < 1e-9);
        assert_eq!((finding.bounds.from, finding.bounds.to), ([1, 5, 10], [4, 15, 30]));
        assert_eq!(finding.centroid, [2.0, 9.5, 19.5]);
        assert_eq!(finding.centroid_mm.unwrap(), geometry.position(2.0, 9.5, 19.5));
        let [_, height, width] = finding.bounds.size;
        assert!((height - 8.0).abs() < 1e-9 && (width - 10.0).abs() < 1e-9);
        assert!((finding.confidence - 0.9).abs() < 1e-6);
    }
}

#[test]
fn the_patient_box_of_an_upright_stack_is_the_box_itself() {
    let shape = Shape { slices: 4, rows: 10, columns: 10 };
    let geometry = Geometry {
        origin: [-100.0, -50.0, 20.0],
        slice_step: [0.0, 0.0, 3.0],
        row_step: [0.0, 2.0, 0.0],
        column_step: [1.0, 0.0, 0.0],
        known: Known::Place,
    };
    let mask = drawn(shape, |s, r, c| s == 1 && r == 2 && (3..5).contains(&c));
    let finding = &find(&mask, shape, Some(&geometry)).findings[0];
    assert_eq!(finding.bounds.patient_mm, Some([[-97.5, -47.0, 21.5], [-95.5, -45.0, 24.5]]));
    assert_eq!(finding.bounds.size, [3.0, 2.0, 2.0]);
}

#[test]
fn a_phantoms_lesion_has_the_size_that_it_was_made_with() {
    let shape = Shape { slices: 40, rows: 160, columns: 160 };
    for seed in 0..3 {
        let lesion_ml = Some(18.0);
        let settings =
            Settings { shape, spacing: [3.0, 1.5, 1.5], lesion_ml, ..Settings::slice(seed) };
        let phantom = Phantom::new(&settings).unwrap();
        let Findings { mask, findings } =
            find(&phantom.truth, shape, phantom.volume.geometry.as_ref());
        assert_eq!((findings.len(), &mask), (1, &phantom.truth));
        let ml = findings[0].volume_ml.unwrap();
        assert!((ml / 18.0 - 1.0).abs() < 0.02, "seed {seed}: {ml} mL");
        let centroid = findings[0].centroid_mm.unwrap();
        let truth = phantom.lesion.unwrap().centre_mm;
        assert!(
            (0..3).all(|axis| (centroid[axis] - truth[axis]).abs() < 8.0),
            "{centroid:?} {truth:?}"
        );
    }
}

#[test]
fn without_geometry_lengths_are_in_pixels_and_say_so() {
    let shape = Shape { slices: 1, rows: 40, columns: 40 };
    let disc = drawn(shape, |_, r, c| (r as f64 - 20.0).hypot(c as f64 - 18.0) <= 10.0);
    let finding = &find(&disc, shape, None).findings[0];
    let none =
        (finding.volume_ml, finding.area_mm2, finding.centroid_mm, finding.bounds.patient_mm);
    assert_eq!((finding.unit, none), (Unit::Pixel, (None, None, None, None)));
    assert!((finding.longest_diameter.length - 21.0).abs() < 0.5);
    assert!((finding.perpendicular_diameter.length - 21.0).abs() < 0.5);
}

#[test]
fn one_slice_of_unknown_thickness_has_an_area_and_no_volume() {
    let shape = Shape { slices: 1, rows: 4, columns: 4 };
    let flat = Geometry { slice_step: [0.0; 3], ..oblique(false) };
    let finding = &find(&drawn(shape, |_, r, _| r == 1), shape, Some(&flat)).findings[0];
    assert!((finding.area_mm2.unwrap() - 4.0 * 0.4).abs() < 1e-9);
    assert_eq!(finding.volume_ml, None);
}

#[test]
fn diameters_are_taken_where_the_finding_is_longest_not_where_it_is_largest() {
    let shape = Shape { slices: 2, rows: 30, columns: 30 };
    let mask = drawn(shape, |s, r, c| match s {
        0 => (10..20).contains(&r) && (10..20).contains(&c),
        _ => r == 15,
    });
    let finding = &find(&mask, shape, None).findings[0];
    assert_eq!(
        (finding.slice, finding.diameter_slice, finding.longest_diameter.length),
        (0, 1, 30.0)
    );
}

#[test]
fn specks_below_the_minimum_leave_the_mask_too() {
    let shape = Shape { slices: 1, rows: 8, columns: 8 };
    let mask = drawn(shape, |_, r, c| r == 0 && c == 0 || r > 5);
    let probabilities: Vec<f32> = mask.iter().map(|&inside| f32::from(inside)).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 2, grows_from: None };
    let found = Findings::new(&probabilities, shape, None, criteria).unwrap();
    assert_eq!((found.findings.len(), found.mask[0], found.findings[0].voxels), (1, 0, 16));
}

#[test]
fn what_is_no_probability_is_an_error_and_never_an_empty_mask() {
    let shape = Shape { slices: 1, rows: 2, columns: 2 };
    let refused = |values: &[f32]| Findings::new(values, shape, None, CRITERIA).unwrap_err().kind();
    for bad in [f32::NAN, f32::INFINITY, -0.01, 1.01] {
        assert_eq!(refused(&[0.0, bad, 0.0, 0.0]), ErrorKind::Internal, "{bad}");
    }
    assert_eq!(refused(&[0.0; 3]), ErrorKind::Internal);
    assert_eq!(refused(&[0.0; 5]), ErrorKind::Internal);
}

const SMALL: Shape = Shape { slices: 3, rows: 7, columns: 6 };

fn any_mask() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::bool::weighted(0.25).prop_map(u8::from), SMALL.len())
}

/// What does not depend on where a region lies, in an order that does not either.
fn sizes(findings: &Findings) -> Vec<(usize, usize, i64)> {
    let rounded = |length: f64| (length * 1e6).round() as i64;
    let size = |f: &imaging::Finding| (f.voxels, f.area_px, rounded(f.longest_diameter.length));
    let mut sizes: Vec<_> = findings.findings.iter().map(size).collect();
    sizes.sort_unstable();
    sizes
}

proptest! {
    #[test]
    fn findings_share_out_the_mask_without_gap_or_overlap(mask in any_mask()) {
        let found = find(&mask, SMALL, None);
        let total: usize = found.findings.iter().map(|finding| finding.voxels).sum();
        prop_assert_eq!(total, mask.iter().filter(|&&inside| inside == 1).count());
        prop_assert_eq!(found.mask, mask);
        prop_assert!(found.findings.is_sorted_by(|a, b| a.voxels >= b.voxels && a.label < b.label));
    }

    #[test]
    fn moving_everything_in_the_image_changes_no_size(mask in any_mask(), down in 0_usize..4, right in 0_usize..4) {
        let wide = Shape { slices: 3, rows: 11, columns: 10 };
        let moved = drawn(wide, |s, r, c| {
            let inside = (down..down + 7).contains(&r) && (right..right + 6).contains(&c);
            inside && mask[(s * 7 + r - down) * 6 + c - right] == 1
        });
        prop_assert_eq!(sizes(&find(&moved, wide, None)), sizes(&find(&mask, SMALL, None)));
    }

    #[test]
    fn a_quarter_turn_of_the_image_changes_no_size(mask in any_mask()) {
        let turned_shape = Shape { slices: 3, rows: 6, columns: 7 };
        let turned = drawn(turned_shape, |s, r, c| mask[(s * 7 + 6 - c) * 6 + r] == 1);
        prop_assert_eq!(sizes(&find(&turned, turned_shape, None)), sizes(&find(&mask, SMALL, None)));
    }

    #[test]
    fn turning_the_patient_in_the_scanner_changes_no_size(mask in any_mask(), angle in 0.0_f64..6.3) {
        let turn = |[x, y, z]: [f64; 3]| {
            let (s, c) = angle.sin_cos();
            [x, c * y - s * z, s * y + c * z]
        };
        let still = oblique(true);
        let turned = Geometry {
            origin: turn(still.origin),
            slice_step: turn(still.slice_step),
            row_step: turn(still.row_step),
            column_step: turn(still.column_step),
            known: Known::Place,
        };
        let (a, b) = (find(&mask, SMALL, Some(&still)), find(&mask, SMALL, Some(&turned)));
        prop_assert_eq!(sizes(&a), sizes(&b));
        for (a, b) in a.findings.iter().zip(&b.findings) {
            prop_assert!((a.volume_ml.unwrap() - b.volume_ml.unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn the_perpendicular_diameter_is_never_the_longer_one(mask in any_mask()) {
        for finding in find(&mask, SMALL, None).findings {
            prop_assert!(finding.perpendicular_diameter.length <= finding.longest_diameter.length + 1e-9);
            prop_assert!(finding.perpendicular_diameter.length > 0.0);
        }
    }
}

/// Probabilities of slices of one row each.
fn apart(rows: &[[f32; 8]]) -> Findings {
    let shape = Shape { slices: rows.len(), rows: 1, columns: 8 };
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: Some(0.2) };
    Findings::new(&rows.concat(), shape, None, criteria).expect("probabilities of that shape")
}

#[test]
fn the_largest_region_goes_on_into_the_slices_beyond_and_others_are_lesser() {
    let found = apart(&[
        [0.3, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.3, 0.3, 0.1, 0.0, 0.0, 0.3, 0.0, 0.0],
        [0.9, 0.9, 0.3, 0.0, 0.0, 0.0, 0.9, 0.0],
        [0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.1, 0.1, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]);
    assert_eq!(found.mask[..8], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(found.mask[8..16], [1, 1, 0, 0, 0, 0, 0, 0]);
    // Within its own slices it stays as it is.
    assert_eq!(found.mask[16..24], [1, 1, 0, 0, 0, 0, 2, 0]);
    assert_eq!(found.mask[32..], [0; 8]);
    let said: Vec<(usize, Role, usize)> =
        found.findings.iter().map(|f| (f.label, f.role, f.voxels)).collect();
    assert_eq!(said, [(1, Role::Main, 6), (2, Role::Lesser, 1)]);
    assert_eq!(found.main().count(), 1);
}

#[test]
fn what_the_main_region_reaches_belongs_to_it_and_is_counted_once() {
    let found = apart(&[
        [0.9, 0.9, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.3, 0.3, 0.3, 0.9, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.9, 0.0],
    ]);
    assert_eq!(found.mask[8..], [0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
    assert_eq!((found.findings[0].voxels, found.findings[1].voxels), (8, 1));
}

#[test]
fn of_a_slice_alone_and_of_nothing_all_findings_are_main() {
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: Some(0.2) };
    let shape = Shape { slices: 1, rows: 1, columns: 4 };
    let found = Findings::new(&[0.9, 0.0, 0.9, 0.3], shape, None, criteria).unwrap();
    assert_eq!(found.mask, [1, 0, 1, 0]);
    assert!(apart(&[[0.4; 8]; 2]).findings.is_empty());
}
