//! The sform and the qform: sizes, directions and places, and what contradicts what.

use super::*;

/// What [`Writer`]'s grid is when it is turned about the patient's left-right axis by these degrees.
fn sform(degrees: f64) -> [[f64; 4]; 3] {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [
        [-2.0, 0.0, 0.0, 10.0],
        [0.0, -3.0 * cos, -4.0 * sin, 20.0],
        [0.0, -3.0 * sin, 4.0 * cos, 30.0],
    ]
}

/// The same as a quaternion: half a turn about the patient's long axis, and then that.
fn qform(writer: &mut Writer, degrees: f64) {
    let (sin, cos) = (degrees.to_radians() / 2.0).sin_cos();
    writer.real(256, 0.0);
    writer.real(260, -sin);
    writer.real(264, cos);
    writer.real(76, 1.0);
}

fn coded(writer: &mut Writer, sform: i64, qform: i64) {
    writer.int(254, 2, sform);
    writer.int(252, 2, qform);
}

#[test]
fn a_quaternion_longer_than_one_makes_no_voxel_larger() {
    for long in [1.0, 1.000_001, 1.01, 1.05, 1.2, 7.0] {
        let mut writer = Writer::new(false, false);
        coded(&mut writer, 0, 1);
        qform(&mut writer, 0.0);
        writer.real(264, long);
        let geometry = read(&writer.whole()).unwrap().geometry.unwrap();
        let steps = [[0.0, 0.0, 4.0], [0.0, 3.0, 0.0], [2.0, 0.0, 0.0]];
        assert_eq!(geometry.steps(), steps, "{long}");
    }
    // Both forms are one, so that the sform's matrix is what the quaternion means.
    for degrees in [0.0, 20.0, 45.0, -80.0] {
        let mut turned = Writer::new(false, false);
        coded(&mut turned, 0, 1);
        qform(&mut turned, degrees);
        turned.qoffset([10.0, 20.0, 30.0]);
        let mut expected = Writer::new(false, false);
        expected.sform(sform(degrees));
        let geometry = |writer: &Writer| read(&writer.whole()).unwrap().geometry.unwrap();
        let (turned, expected) = (geometry(&turned), geometry(&expected));
        let parts = |geometry: &Geometry| geometry.steps().concat();
        let apart = parts(&turned).into_iter().zip(parts(&expected)).map(|(a, b)| (a - b).abs());
        // The scalar part is the root of what rounding leaves: 1e-7 are 3e-4 of a turn.
        assert!(apart.fold(0.0, f64::max) < 5e-3, "{degrees}: {turned:?}");
    }
}

#[test]
fn forms_may_differ_by_rounding_and_those_of_two_spaces_by_how_heads_lie() {
    // Degrees of both forms, millimetres between them, their codes, qfac, and what is wrong.
    let cases = [
        ([0.0, 0.0], 0.0, [1, 1], 1.0, None),
        // Between two planes, no view is the nearest.
        ([45.0, 45.0], 0.0, [1, 1], 1.0, None),
        ([44.99, 45.01], 0.0, [2, 2], 1.0, None),
        ([0.0, 4.0], 0.0, [1, 1], 1.0, None),
        ([0.0, 10.0], 0.0, [1, 1], 1.0, Some("by 10 degrees")),
        ([0.0, 44.0], 0.0, [1, 1], 1.0, Some("by 44 degrees")),
        ([0.0, 0.0], 3.0, [1, 1], 1.0, None),
        ([0.0, 0.0], 80.0, [1, 1], 1.0, Some("80 mm apart")),
        ([30.0, 0.0], 80.0, [4, 1], 1.0, None),
        ([80.0, 0.0], 0.0, [4, 1], 1.0, Some("by 80 degrees")),
        ([0.0, 0.0], 0.0, [4, 1], -1.0, Some("by 180 degrees")),
    ];
    for ([sform_degrees, qform_degrees], mm, [sform_code, qform_code], qfac, wrong) in cases {
        let mut writer = Writer::new(false, false);
        writer.sform(sform(sform_degrees));
        qform(&mut writer, qform_degrees);
        writer.qoffset([10.0, 20.0, 30.0 + mm]);
        writer.real(76, qfac);
        coded(&mut writer, sform_code, qform_code);
        let case = format!("{sform_degrees} {qform_degrees} {mm} {sform_code} {qfac}");
        match (read(&writer.whole()), wrong) {
            (Ok(volume), None) => {
                let step = volume.geometry.unwrap().row_step;
                let cos = sform_degrees.to_radians().cos();
                assert!((step[1] - 3.0 * cos).abs() < 1e-5, "{case}: the sform is taken");
            }
            (Err(refusal), Some(words)) => {
                assert_eq!(refusal.problem, RefusalReason::ContradictoryGeometry, "{case}");
                assert!(refusal.detail.contains(words), "{case}: {refusal}");
            }
            (outcome, _) => panic!("{case}: {:?}", outcome.map(|volume| volume.geometry)),
        }
    }
}

#[test]
fn axes_are_sheared_by_no_more_than_a_gantry_tilts() {
    for (degrees, sound) in [(0.0, true), (30.0, true), (44.0, true), (46.0, false), (80.0, false)]
    {
        let beside = 4.0 * f64::to_radians(degrees).tan();
        let mut writer = Writer::new(false, false);
        writer.sform([[-2.0, 0.0, beside, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]]);
        writer.pixdim([2.0, 3.0, beside.hypot(4.0)]);
        match read(&writer.whole()) {
            Ok(volume) => {
                let voxel = volume.geometry.unwrap().voxel_mm3();
                assert!(sound && (voxel - 24.0).abs() < 1e-4, "{degrees}: {voxel}");
            }
            Err(refusal) => {
                assert!(
                    !sound && refusal.problem == RefusalReason::UnknownOrientation,
                    "{refusal}"
                );
                assert!(refusal.detail.contains(&format!("by {degrees} degrees")), "{refusal}");
            }
        }
    }
}
