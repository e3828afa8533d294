//! There and back: positions in the patient, and the stored form; and bytes that are not quite that.

use proptest::prelude::*;

use super::*;

fn length_of_one() -> impl Strategy<Value = [f64; 3]> {
    let angles = (0.0_f64..6.3, -1.5_f64..1.5);
    angles.prop_map(|(turn, rise)| {
        let ((sin, cos), (up, flat)) = (turn.sin_cos(), rise.sin_cos());
        [flat * cos, flat * sin, up]
    })
}

proptest! {
    #[test]
    fn a_position_leads_back_to_its_index_in_sheared_oblique_and_mirrored_grids(
        column in length_of_one(),
        other in length_of_one(),
        spacing in [0.3_f64..8.0, 0.2_f64..3.0, 0.2_f64..3.0],
        (slide, mirror) in (-0.5_f64..0.5, prop::sample::select(vec![-1.0_f64, 1.0])),
        index in [-3.0_f64..40.0, -3.0_f64..300.0, -3.0_f64..300.0],
    ) {
        let normal = cross(column, other);
        prop_assume!(length(normal) > 0.1);
        let normal = normal.map(|part| mirror * part / length(normal));
        let row = cross(normal, column);
        let [slice_mm, row_mm, column_mm] = spacing;
        let geometry = Geometry {
            origin: [-90.0, 40.0, 7.0],
            slice_step: std::array::from_fn(|axis| slice_mm * (normal[axis] + slide * row[axis])),
            row_step: row.map(|part| row_mm * part),
            column_step: column.map(|part| column_mm * part),
            known: Known::Place,
        };
        let back = index_of(&geometry, geometry.position(index[0], index[1], index[2]));
        let apart = back.into_iter().zip(index).map(|(a, b)| (a - b).abs());
        prop_assert!(apart.fold(0.0, f64::max) < 1e-6, "{back:?} for {index:?}");
        // A sheared voxel is as large as its base and its height say.
        prop_assert!((geometry.voxel_mm3() - slice_mm * row_mm * column_mm).abs() < 1e-6);
    }
}

#[test]
fn beside_a_slice_of_unknown_thickness_millimetres_stand_for_slices() {
    let flat = Geometry {
        origin: [0.0; 3],
        slice_step: [0.0; 3],
        row_step: [0.0, 0.5, 0.0],
        column_step: [0.25, 0.0, 0.0],
        known: Known::Place,
    };
    // Four millimetres to the head, three to the back and two to the left.
    assert_eq!(index_of(&flat, [2.0, 3.0, 4.0]), [4.0, 6.0, 8.0]);
    assert_eq!(flat.voxel_mm3(), 0.0);
}

fn volume(geometry: Option<Geometry>) -> Volume {
    Volume {
        shape: Shape { slices: 2, rows: 1, columns: 2 },
        voxels: vec![1.0, -2.5, f32::MAX, 0.0],
        geometry,
        modality: None,
        kind: ImageKind::Unknown,
        format: Format::Nifti,
        window: [0.0, 1.0],
        remarks: Vec::new(),
        stored: Orientation::default(),
        protocol: Protocol::default(),
    }
}

#[test]
fn pixels_are_oblong_only_where_the_file_says_so_and_by_more_than_rounding() {
    let aspect =
        |spacing: Option<[f64; 3]>| volume(spacing.map(Geometry::of_distances)).pixel_aspect();
    assert_eq!(aspect(None), 1.0);
    assert_eq!(aspect(Some([5.0, 0.9375, 0.9375])), 1.0);
    assert_eq!(aspect(Some([5.0, 0.9375, 0.937_51])), 1.0);
    // How high for its width: rows lie twice as far apart as columns.
    assert_eq!(aspect(Some([5.0, 1.5, 0.75])), 2.0);
    assert_eq!(aspect(Some([1.0, 0.75, 1.5])), 0.5);
    assert_eq!(aspect(Some([5.0, 1.0, 0.0])), 1.0);
}

/// The stored form with that text as its header.
fn with_header(header: &str, voxels: &[u8]) -> Vec<u8> {
    [MAGIC, &(header.len() as u32).to_le_bytes()[..], header.as_bytes(), voxels].concat()
}

#[test]
fn what_is_not_exactly_a_stored_volume_is_none() {
    let bytes = volume(None).to_bytes();
    let header = String::from_utf8(bytes[12..bytes.len() - 16].to_vec()).unwrap();
    let voxels = &bytes[bytes.len() - 16..];
    assert_eq!(with_header(&header, voxels), bytes);
    let shaped = |slices: &str| header.replace("\"slices\":2", &format!("\"slices\":{slices}"));
    let mut newer = bytes.clone();
    newer[7] = 2;
    let cases = [
        ("a byte too many", [&bytes[..], &[0]].concat()),
        ("a voxel too many", [&bytes[..], &[0; 4]].concat()),
        ("a form of another version", newer),
        ("fewer slices than voxels", with_header(&shaped("1"), voxels)),
        ("more slices than voxels", with_header(&shaped("3"), voxels)),
        // 2^63 slices of 2 voxels of 4 bytes: nought, were it not for the overflow.
        ("no voxel, by overflow", with_header(&shaped("9223372036854775808"), &[])),
        ("a negative number of slices", with_header(&shaped("-2"), voxels)),
        ("a header that is no JSON", with_header("{", voxels)),
        ("a format that there is not", with_header(&header.replace("nifti", "mha"), voxels)),
        // Blanks are JSON, and so long a header is none of ours.
        ("a long header", with_header(&format!("{header}{}", " ".repeat(17 << 10)), voxels)),
    ];
    for (what, bytes) in cases {
        let refused = Volume::from_bytes(&bytes).map_err(|error| error.kind());
        assert_eq!(refused.unwrap_err(), ErrorKind::Invalid, "{what}");
    }
}
