//! How a scan was taken: its grid and its protocol, in numbers and terms that can be compared over time and between sites.

use serde::{Deserialize, Serialize};

use crate::volume::{cross, length};
use crate::{Geometry, Known, Plane, View, Volume};

/// Slices that are turned by more than this out of the nearest anatomical plane lie in none, in degrees. Axial slices of a head are
/// tilted by as much as the orbitomeatal line is.
const OBLIQUE_DEGREES: f64 = 22.5;
/// The steps that a tilt is told in: heads lie otherwise in each scan, and a plane is another one only beyond [`OBLIQUE_DEGREES`].
const TILT_STEP_DEGREES: f64 = 45.0;

/// How an MR image was acquired, as its file says in numbers and in DICOM's defined terms: nothing that somebody has typed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Protocol {
    /// Scanning Sequence (0018,0020), or else Echo Pulse Sequence (0018,9008), and MR Acquisition Type (0018,0023), such as
    /// `SE/IR 2D`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// Repetition Time (0018,0080), in milliseconds, as the two below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_ms: Option<f64>,
    /// Echo Time (0018,0081).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo_ms: Option<f64>,
    /// Inversion Time (0018,0082).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inversion_ms: Option<f64>,
    /// Magnetic Field Strength (0018,0087), to a tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tesla: Option<f64>,
}

impl Protocol {
    /// Whether the file says nothing of it.
    pub fn is_empty(&self) -> bool {
        *self == Protocol::default()
    }
}

/// How `volume` was taken, in numbers, each with its name; what nobody knows is left out.
///
/// `rows` and `columns` of a slice, `slices` of a volume that has several, `pixel_mm` (the larger of the distances between rows
/// and between columns), `slice_mm` (from one slice to the next, or the thickness of a single one), `tilt_degrees` (between slices and
/// the axial plane, in steps of 45), and `repetition_ms`, `echo_ms`, `inversion_ms` and `tesla` of its [`Protocol`].
pub fn acquisition(volume: &Volume) -> Vec<(&'static str, f64)> {
    let (shape, geometry) = (volume.shape, volume.geometry.as_ref());
    let several = (shape.slices > 1).then_some(shape.slices as f64);
    let spacing = geometry.map(Geometry::spacing);
    let Protocol { repetition_ms, echo_ms, inversion_ms, tesla, .. } = volume.protocol;
    let known = [
        ("rows", Some(shape.rows as f64)),
        ("columns", Some(shape.columns as f64)),
        ("slices", several),
        ("pixel_mm", spacing.map(|[_, row_mm, column_mm]| row_mm.max(column_mm))),
        ("slice_mm", spacing.map(|[slice_mm, ..]| slice_mm)),
        ("repetition_ms", repetition_ms),
        ("echo_ms", echo_ms),
        ("inversion_ms", inversion_ms),
        ("tesla", tesla),
    ];
    let positive = |value: &f64| value.is_finite() && *value > 0.0;
    let mut numbers: Vec<(&'static str, f64)> = known
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(positive)?)))
        .collect();
    numbers.extend(geometry.and_then(tilt_degrees).map(|degrees| ("tilt_degrees", degrees)));
    numbers
}

/// The plane that slices of that geometry lie in: `axial`, `coronal`, `sagittal`, or `oblique` between them; None where the file does
/// not say which way the patient lies.
pub fn orientation(geometry: &Geometry) -> Option<&'static str> {
    let plane = View::of(geometry)?.plane;
    let across = normal(geometry)?.into_iter().fold(0.0, f64::max);
    Some(match plane {
        _ if degrees(across) > OBLIQUE_DEGREES => "oblique",
        Plane::Axial => "axial",
        Plane::Coronal => "coronal",
        Plane::Sagittal => "sagittal",
    })
}

fn tilt_degrees(geometry: &Geometry) -> Option<f64> {
    let [_, _, along_the_head] = normal(geometry)?;
    Some((degrees(along_the_head) / TILT_STEP_DEGREES).round() * TILT_STEP_DEGREES)
}

/// How far the normal of the slices leads along each patient axis, whichever way; None where nobody knows.
fn normal(geometry: &Geometry) -> Option<[f64; 3]> {
    if geometry.known < Known::Directions {
        return None;
    }
    let across = cross(geometry.column_step, geometry.row_step);
    let normal = across.map(|part| part.abs() / length(across));
    normal.iter().all(|part| part.is_finite()).then_some(normal)
}

/// The angle whose cosine that is.
fn degrees(cosine: f64) -> f64 {
    cosine.min(1.0).acos().to_degrees()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::phantom::{Phantom, Settings};

    /// Slices that are turned by so many degrees from axial ones about the axis from left to right.
    fn tilted(by: f64) -> Geometry {
        let (sin, cos) = by.to_radians().sin_cos();
        Geometry {
            origin: [0.0; 3],
            slice_step: [0.0, -5.0 * sin, 5.0 * cos],
            row_step: [0.0, 0.75 * cos, 0.75 * sin],
            column_step: [0.5, 0.0, 0.0],
            known: Known::Place,
        }
    }

    fn volume(slices: usize, geometry: Option<Geometry>) -> Volume {
        let volume = Phantom::new(&Settings::slice(5)).unwrap().volume;
        let shape = crate::Shape { slices, ..volume.shape };
        Volume { shape, geometry, ..volume }
    }

    #[test]
    fn a_scan_says_how_it_was_taken_as_far_as_its_file_does() {
        let protocol = Protocol {
            sequence: Some("SE/IR 2D".into()),
            repetition_ms: Some(9000.0),
            echo_ms: Some(120.0),
            inversion_ms: None,
            tesla: Some(1.5),
        };
        let told = Volume { protocol, ..volume(24, Some(tilted(10.0))) };
        let expected = [
            ("rows", 256.0),
            ("columns", 256.0),
            ("slices", 24.0),
            ("pixel_mm", 0.75),
            ("slice_mm", 5.0),
            ("repetition_ms", 9000.0),
            ("echo_ms", 120.0),
            ("tesla", 1.5),
            ("tilt_degrees", 0.0),
        ];
        let found = acquisition(&told);
        assert_eq!(
            found.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            expected.map(|it| it.0)
        );
        for ((name, value), (_, expected)) in found.into_iter().zip(expected) {
            assert!((value - expected).abs() < 1e-9, "{name} is {value} and not {expected}");
        }
        // A picture that came alone, of which nothing is known.
        let alone = BTreeMap::from_iter(acquisition(&volume(1, None)));
        assert_eq!(alone, BTreeMap::from([("columns", 256.0), ("rows", 256.0)]));
    }

    #[test]
    fn slices_lie_in_a_plane_or_between_two() {
        for (by, plane, degrees) in [
            (0.0, "axial", 0.0),
            (-20.0, "axial", 0.0),
            (30.0, "oblique", 45.0),
            (60.0, "oblique", 45.0),
            (75.0, "coronal", 90.0),
            (90.0, "coronal", 90.0),
        ] {
            let geometry = tilted(by);
            assert_eq!(orientation(&geometry), Some(plane), "{by}");
            assert_eq!(tilt_degrees(&geometry), Some(degrees), "{by}");
        }
        let sagittal = Geometry {
            slice_step: [5.0, 0.0, 0.0],
            row_step: [0.0, 0.0, -1.0],
            column_step: [0.0, 1.0, 0.0],
            ..tilted(0.0)
        };
        assert_eq!(
            (orientation(&sagittal), tilt_degrees(&sagittal)),
            (Some("sagittal"), Some(90.0))
        );
        let unknown = Geometry { known: Known::Distances, ..tilted(0.0) };
        assert_eq!((orientation(&unknown), tilt_degrees(&unknown)), (None, None));
    }
}
