use super::*;
use crate::{Criteria, Finding, Findings};

fn sphere() -> SolidSettings {
    SolidSettings {
        plane: Plane::Axial,
        shape: Shape { slices: 16, rows: 72, columns: 72 },
        spacing: [5.0, 3.0, 3.0],
        oblique_degrees: [0.0; 3],
        tilt_degrees: 0.0,
        radii_mm: [30.0; 3],
        turned_degrees: [0.0; 3],
        near: [8.0, 30.0, 46.0],
    }
}

fn measured(solid: &Solid) -> Finding {
    let volume = solid.volume();
    let inside: Vec<f32> = solid.mask().into_iter().map(f32::from).collect();
    let criteria = Criteria { threshold: 0.5, minimum_voxels: 1, grows_from: None };
    let found = Findings::new(&inside, volume.shape, volume.geometry.as_ref(), criteria);
    found.unwrap().findings.remove(0)
}

#[test]
fn a_spheres_truth_is_the_schoolbooks() {
    let truth = Solid::new(&sphere()).unwrap().truth();
    assert!((truth.volume_mm3 - 113_097.335_529).abs() < 1e-3, "{truth:?}");
    // The slice nearest to its centre is half a step away from that: 2 * sqrt(30^2 - 2.5^2).
    let section = 59.791_303_7;
    for diameter in [truth.longest_mm, truth.perpendicular_mm] {
        assert!((diameter - section).abs() < 1e-6, "{truth:?}");
    }
    assert_eq!(truth.bounds, [[3, 21, 37], [15, 41, 57]]);
}

#[test]
fn whatever_the_voxels_they_measure_what_the_formula_says() {
    let ellipsoid = SolidSettings {
        radii_mm: [36.0, 27.0, 30.0],
        turned_degrees: [20.0, -15.0, 35.0],
        near: [8.0, 30.0, 44.0],
        ..sphere()
    };
    for settings in [
        sphere(),
        ellipsoid,
        SolidSettings { oblique_degrees: [17.0, -9.0, 12.0], ..ellipsoid },
        SolidSettings { tilt_degrees: 14.0, radii_mm: [33.0, 27.0, 30.0], ..ellipsoid },
        SolidSettings { plane: Plane::Coronal, near: [8.0, 40.0, 44.0], ..ellipsoid },
        SolidSettings { plane: Plane::Sagittal, near: [8.0, 40.0, 44.0], ..ellipsoid },
    ] {
        let solid = Solid::new(&settings).unwrap();
        let (truth, finding) = (solid.truth(), measured(&solid));
        let ml = finding.volume_ml.unwrap();
        assert!((1000.0 * ml / truth.volume_mm3 - 1.0).abs() < 0.02, "{ml} {truth:?}");
        assert_eq!([finding.bounds.from, finding.bounds.to], truth.bounds, "{settings:?}");
        for (length, expected) in [
            (finding.longest_diameter.length, truth.longest_mm),
            (finding.perpendicular_diameter.length, truth.perpendicular_mm),
        ] {
            assert!((length - expected).abs() < 3.0, "{length} {truth:?}");
        }
        let volume = solid.volume();
        assert_eq!(volume.clone().radiological(), volume, "it is stored as it is looked at");
    }
}

#[test]
fn what_does_not_lie_within_the_head_is_refused() {
    for near in [[2.0, 30.0, 46.0], [8.0, 30.0, 70.0], [8.0, 8.0, 36.0]] {
        let error = Solid::new(&SolidSettings { near, ..sphere() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{near:?}");
    }
}
