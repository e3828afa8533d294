use super::*;

fn axial(z: f64) -> Plane {
    Plane {
        position: Some([-10.0, -20.0, z]),
        orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        spacing: Some([0.5, 0.25]),
        thickness: Some(99.0),
    }
}

fn problem(planes: &[Plane]) -> RefusalReason {
    stack(planes).unwrap_err().problem
}

#[test]
fn slices_are_ordered_by_position_and_the_distance_is_measured() {
    let (order, geometry) = stack(&[axial(6.0), axial(0.0), axial(3.0)]).unwrap();
    assert_eq!(order, [1, 2, 0]);
    assert_eq!(geometry.origin, [-10.0, -20.0, 0.0]);
    assert_eq!(geometry.spacing(), [3.0, 0.5, 0.25]);
    assert_eq!(geometry.slice_step, [0.0, 0.0, 3.0]);
}

#[test]
fn a_tilted_gantry_shears_the_volume_and_is_kept() {
    let tilted = |n: f64| Plane { position: Some([0.0, n, 3.0 * n]), ..axial(0.0) };
    let (_, geometry) = stack(&[tilted(0.0), tilted(1.0), tilted(2.0)]).unwrap();
    assert_eq!(geometry.slice_step, [0.0, 1.0, 3.0]);
    assert!((geometry.voxel_mm3() - 3.0 * 0.5 * 0.25).abs() < 1e-9);
}

#[test]
fn a_missing_slice_a_doubled_one_and_an_unknown_place_are_told_apart() {
    assert_eq!(problem(&[axial(0.0), axial(3.0), axial(9.0)]), RefusalReason::UnevenSlices);
    assert_eq!(problem(&[axial(0.0), axial(3.0), axial(3.0)]), RefusalReason::MixedSeries);
    let nowhere = Plane { position: None, ..axial(3.0) };
    assert_eq!(problem(&[axial(0.0), nowhere]), RefusalReason::UnknownOrientation);
    let sagittal = Plane { orientation: Some([0.0, 1.0, 0.0, 0.0, 0.0, -1.0]), ..axial(3.0) };
    assert_eq!(problem(&[axial(0.0), sagittal]), RefusalReason::MixedSeries);
}

#[test]
fn a_refusal_says_what_is_missing_and_where() {
    let words = |planes: &[Plane]| stack(planes).unwrap_err().detail;
    let with_gap: Vec<Plane> = [0.0, 3.0, 6.0, 9.0, 15.0, 18.0].map(axial).into();
    assert!(words(&with_gap).starts_with("Slice 5 of 6 is not "), "{}", words(&with_gap));
    let nowhere = Plane { orientation: None, ..axial(3.0) };
    let words_of_nowhere = words(&[axial(0.0), nowhere]);
    assert!(words_of_nowhere.starts_with("Slice 2 of 2 does not say where"));
    let sizeless = [0.0, 3.0].map(|z| Plane { spacing: None, ..axial(z) });
    assert!(words(&sizeless).starts_with("Slice 1 of 2 does not say how large its pixels are."));
}

#[test]
fn a_single_slice_is_as_thick_as_it_says() {
    let geometry = axial(1.0).alone().unwrap();
    assert_eq!(geometry.slice_step, [0.0, 0.0, 99.0]);
    let unknown = Plane { thickness: None, ..axial(1.0) };
    assert_eq!(unknown.alone().unwrap().slice_step, [0.0, 0.0, 0.0]);
    assert_eq!(Plane { spacing: None, ..axial(1.0) }.alone(), None);
}

#[test]
fn sizes_need_no_position_and_sides_none_either() {
    let known = |plane: Plane| plane.alone().map(|geometry| (geometry.known, geometry.spacing()));
    let sizes = [99.0, 0.5, 0.25];
    assert_eq!(known(axial(1.0)), Some((Known::Place, sizes)));
    let somewhere = Plane { position: None, ..axial(1.0) };
    assert_eq!(known(somewhere.clone()), Some((Known::Directions, sizes)));
    assert_eq!(known(Plane { orientation: None, ..somewhere }), Some((Known::Distances, sizes)));
}

#[test]
fn the_length_of_direction_cosines_changes_no_size() {
    let with = |orientation| Plane { orientation: Some(orientation), ..axial(1.0) }.checked();
    for short in [0.92, 0.98, 0.992, 1.0, 1.05] {
        let plane = with([short, 0.0, 0.0, 0.0, short, 0.0]).unwrap();
        let spacing = plane.alone().unwrap().spacing();
        assert!((spacing[1] - 0.5).abs() < 1e-12 && (spacing[2] - 0.25).abs() < 1e-12);
    }
    for impossible in [[0.0; 6], [0.5, 0.0, 0.0, 0.0, 0.5, 0.0], [1.0, 0.0, 0.0, 0.05, 1.0, 0.0]] {
        let refusal = with(impossible).unwrap_err();
        assert_eq!(refusal.problem, RefusalReason::UnknownOrientation, "{impossible:?}");
    }
}

#[test]
fn slices_are_shifted_by_no_more_than_a_gantry_tilts() {
    for (degrees, sound) in [(0.0, true), (30.0, true), (44.0, true), (46.0, false), (80.0, false)]
    {
        let beside = 3.0 * f64::to_radians(degrees).tan();
        let slices = [0.0, 1.0, 2.0]
            .map(|n| Plane { position: Some([0.0, beside * n, 3.0 * n]), ..axial(0.0) });
        match stack(&slices) {
            Ok((_, geometry)) => {
                let voxel = geometry.voxel_mm3();
                assert!(sound && (voxel - 3.0 * 0.5 * 0.25).abs() < 1e-9, "{degrees}");
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
    let beside = [0.0, 1.0, 2.0].map(|x| Plane { position: Some([x, 0.0, 0.0]), ..axial(0.0) });
    let refusal = stack(&beside).unwrap_err();
    assert_eq!(refusal.problem, RefusalReason::UnknownOrientation);
    assert!(refusal.detail.starts_with("Its slices lie beside one another"), "{refusal}");
}

#[test]
fn no_slice_is_thicker_than_a_hand() {
    let thick = |mm| Plane { thickness: Some(mm), ..axial(0.0) }.checked().map_err(|r| r.problem);
    assert_eq!(thick(20.0).map(|plane| plane.thickness), Ok(Some(20.0)));
    assert_eq!(thick(500.0).map(|plane| plane.thickness), Err(RefusalReason::Corrupt));
}
