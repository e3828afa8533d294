//! The Image Plane module (PS3.3, C.7.6.2): where slices lie in the patient, and how they form one volume.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::reader::DataSet;
use crate::{Geometry, Problem, Refusal};

type Vector = [f64; 3];

/// Where one slice lies, as far as its file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::decode) struct Plane {
    position: Option<Vector>,
    /// The directions of the rows and of the columns.
    orientation: Option<[f64; 6]>,
    /// Between rows and between columns.
    spacing: Option<[f64; 2]>,
    thickness: Option<f64>,
}

/// Relative difference between directions or distances that are one and the same for scanners.
const TOLERANCE: f64 = 0.01;

impl Plane {
    /// The plane of a file of one frame.
    pub fn of_image(set: &DataSet) -> Result<Plane, Refusal> {
        let plane = Plane {
            position: set.decimal(tags::IMAGE_POSITION_PATIENT),
            orientation: set.decimal(tags::IMAGE_ORIENTATION_PATIENT),
            spacing: set.decimal(tags::PIXEL_SPACING),
            thickness: set.decimal(tags::SLICE_THICKNESS).map(|[thickness]| thickness),
        };
        plane.checked()
    }

    /// The plane of one frame of an enhanced file: what its own functional groups say, else the shared ones.
    pub fn of_frame(own: &DataSet, shared: &DataSet) -> Result<Plane, Refusal> {
        let plane = Plane {
            position: grouped(
                own,
                shared,
                tags::PLANE_POSITION_SEQUENCE,
                tags::IMAGE_POSITION_PATIENT,
            )?,
            orientation: grouped(
                own,
                shared,
                tags::PLANE_ORIENTATION_SEQUENCE,
                tags::IMAGE_ORIENTATION_PATIENT,
            )?,
            spacing: grouped(own, shared, tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING)?,
            thickness: grouped(own, shared, tags::PIXEL_MEASURES_SEQUENCE, tags::SLICE_THICKNESS)?
                .map(|[thickness]| thickness),
        };
        plane.checked()
    }

    fn checked(self) -> Result<Plane, Refusal> {
        let sound_spacing =
            self.spacing.is_none_or(|spacing| spacing.iter().all(|mm| *mm > 0.0 && *mm < 100.0));
        if !sound_spacing {
            return Err(
                Problem::Corrupt.refuse("The DICOM file declares pixels of an impossible size.")
            );
        }
        if self.orientation.is_some_and(|[a, b, c, d, e, f]| !at_right_angles([a, b, c], [d, e, f]))
        {
            return Err(Problem::UnknownOrientation
                .refuse("The DICOM file gives its rows and columns impossible directions."));
        }
        Ok(self)
    }

    fn normal(&self) -> Option<Vector> {
        self.orientation.map(|[a, b, c, d, e, f]| cross([a, b, c], [d, e, f]))
    }

    /// The geometry of this plane with that step to the next one; None when the file does not say all of it.
    fn geometry(&self, slice_step: Vector) -> Option<Geometry> {
        let ([between_rows, between_columns], [a, b, c, d, e, f]) =
            (self.spacing?, self.orientation?);
        Some(Geometry {
            origin: self.position?,
            slice_step,
            row_step: scaled([d, e, f], between_rows),
            column_step: scaled([a, b, c], between_columns),
        })
    }

    /// The geometry of a single slice: as thick as the file says, because there is no neighbour to measure to.
    pub fn alone(&self) -> Option<Geometry> {
        let thickness = self.thickness.filter(|mm| *mm > 0.0).unwrap_or(0.0);
        self.geometry(scaled(self.normal()?, thickness))
    }

    /// Whether this can be a slice beside the other one.
    pub fn goes_with(&self, other: &Plane) -> bool {
        self.is_parallel_to(other) && self.position != other.position
    }

    fn is_parallel_to(&self, other: &Plane) -> bool {
        let pairs = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < TOLERANCE);
        match (&self.orientation, &other.orientation, self.spacing, other.spacing) {
            (Some(a), Some(b), Some(c), Some(d)) => pairs(a, b) && pairs(&c, &d),
            _ => false,
        }
    }
}

/// An attribute in a functional group (PS3.3, C.7.6.16).
fn grouped<const N: usize>(
    own: &DataSet,
    shared: &DataSet,
    group: Tag,
    tag: Tag,
) -> Result<Option<[f64; N]>, Refusal> {
    for groups in [own, shared] {
        if let Some(value) = groups.items(group)?.first().and_then(|item| item.decimal(tag)) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// The order in which slices follow one another along their normal, and the geometry of the volume that they form.
///
/// Distances are measured between positions, never taken from SliceThickness: slices may overlap or have gaps.
pub(in crate::decode) fn stack(planes: &[Plane]) -> Result<(Vec<usize>, Geometry), Refusal> {
    let unknown = || {
        Problem::UnknownOrientation
            .refuse("The DICOM slices do not say where they lie in the patient.")
    };
    let first = planes.first().ok_or_else(unknown)?;
    let normal = first.normal().ok_or_else(unknown)?;
    if planes.iter().any(|plane| plane.position.is_none() || plane.spacing.is_none()) {
        return Err(unknown());
    }
    if !planes.iter().all(|plane| plane.is_parallel_to(first)) {
        return Err(Problem::MixedSeries
            .refuse("Its slices lie in different directions or have different pixels."));
    }
    let positions: Vec<Vector> = planes.iter().filter_map(|plane| plane.position).collect();
    let along = |index: usize| dot(positions[index], normal);
    let mut order: Vec<usize> = (0..planes.len()).collect();
    order.sort_by(|a, b| along(*a).total_cmp(&along(*b)));
    let (low, high) = (order[0], order[order.len() - 1]);
    let gaps = (order.len() - 1).max(1) as f64;
    let step = scaled(
        std::array::from_fn(|axis| positions[high][axis] - positions[low][axis]),
        1.0 / gaps,
    );
    evenly(&order, &positions, step)?;
    let geometry = planes[low].geometry(step).ok_or_else(unknown)?;
    Ok((order, geometry))
}

/// Refuses slices that are not one step apart from each other.
fn evenly(order: &[usize], positions: &[Vector], step: Vector) -> Result<(), Refusal> {
    // A tenth of a millimetre is rounding in the files; half of the step would be a missing slice.
    let allowed = (TOLERANCE * length(step)).max(0.1).min(0.5 * length(step));
    if order.windows(2).any(|pair| positions[pair[0]] == positions[pair[1]]) {
        return Err(Problem::MixedSeries.refuse("Several of its images show the same slice."));
    }
    for (index, slice) in order.iter().enumerate() {
        let expected: Vector =
            std::array::from_fn(|axis| positions[order[0]][axis] + step[axis] * index as f64);
        let off = length(std::array::from_fn(|axis| positions[*slice][axis] - expected[axis]));
        if off.is_nan() || off > allowed {
            return Err(Problem::UnevenSlices.refuse(format!(
                "Slice {} of {} is not where its neighbours let expect it.",
                index + 1,
                order.len()
            )));
        }
    }
    Ok(())
}

fn at_right_angles(a: Vector, b: Vector) -> bool {
    let unit = |vector| (length(vector) - 1.0).abs() < TOLERANCE;
    unit(a) && unit(b) && dot(a, b).abs() < TOLERANCE
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn scaled(vector: Vector, factor: f64) -> Vector {
    vector.map(|part| part * factor)
}

fn length(vector: Vector) -> f64 {
    dot(vector, vector).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axial(z: f64) -> Plane {
        Plane {
            position: Some([-10.0, -20.0, z]),
            orientation: Some([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            spacing: Some([0.5, 0.25]),
            thickness: Some(99.0),
        }
    }

    fn problem(planes: &[Plane]) -> Problem {
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
        assert_eq!(problem(&[axial(0.0), axial(3.0), axial(9.0)]), Problem::UnevenSlices);
        assert_eq!(problem(&[axial(0.0), axial(3.0), axial(3.0)]), Problem::MixedSeries);
        let nowhere = Plane { position: None, ..axial(3.0) };
        assert_eq!(problem(&[axial(0.0), nowhere]), Problem::UnknownOrientation);
        let sagittal = Plane { orientation: Some([0.0, 1.0, 0.0, 0.0, 0.0, -1.0]), ..axial(3.0) };
        assert_eq!(problem(&[axial(0.0), sagittal]), Problem::MixedSeries);
    }

    #[test]
    fn a_single_slice_is_as_thick_as_it_says() {
        let geometry = axial(1.0).alone().unwrap();
        assert_eq!(geometry.slice_step, [0.0, 0.0, 99.0]);
        let unknown = Plane { thickness: None, ..axial(1.0) };
        assert_eq!(unknown.alone().unwrap().slice_step, [0.0, 0.0, 0.0]);
        assert_eq!(Plane { spacing: None, ..axial(1.0) }.alone(), None);
    }
}
