//! The Image Plane module (PS3.3, C.7.6.2): where slices lie in the patient, and how they form one volume.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::reader::DataSet;
use crate::decode::{MILLIMETRES_MAX, SHEAR_MAX_DEGREES};
use crate::volume::{cross, dot, length};
use crate::{Geometry, Known, Refusal, RefusalReason};

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

/// How far from one the lengths of direction cosines may be: writers round them, and their directions are plain.
const UNIT: f64 = 0.1;

/// Relative difference between directions or distances that are one and the same for scanners.
const TOLERANCE: f64 = 0.01;

impl Plane {
    /// The plane of a file of one frame.
    pub fn of_image(set: &DataSet) -> Result<Plane, Refusal> {
        let plane = Plane {
            position: set.stated(tags::IMAGE_POSITION_PATIENT)?,
            orientation: set.stated(tags::IMAGE_ORIENTATION_PATIENT)?,
            spacing: set.stated(tags::PIXEL_SPACING)?,
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
            thickness: measured(own, shared)?,
        };
        plane.checked()
    }

    fn checked(self) -> Result<Plane, Refusal> {
        let sound = |mm: &f64| *mm > 0.0 && *mm < MILLIMETRES_MAX;
        if !self.spacing.is_none_or(|spacing| spacing.iter().all(sound)) {
            return Err(RefusalReason::Corrupt
                .refuse("The DICOM file declares pixels of an impossible size."));
        }
        if let Some(mm) = self.thickness.filter(|mm| *mm > MILLIMETRES_MAX) {
            return Err(RefusalReason::Corrupt
                .refuse(format!("The DICOM file declares a slice that is {mm} mm thick.")));
        }
        let Some([a, b, c, d, e, f]) = self.orientation else { return Ok(self) };
        let cosines = [[a, b, c], [d, e, f]];
        if !cosines.iter().all(|cosine| (length(*cosine) - 1.0).abs() < UNIT) {
            return Err(impossible_directions());
        }
        // Distances are what PixelSpacing says, however long the cosines are.
        let [across, down] = cosines.map(|cosine| scaled(cosine, 1.0 / length(cosine)));
        if dot(across, down).abs() >= TOLERANCE {
            return Err(impossible_directions());
        }
        let [[a, b, c], [d, e, f]] = [across, down];
        Ok(Plane { orientation: Some([a, b, c, d, e, f]), ..self })
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
            known: Known::Place,
        })
    }

    /// The geometry of this plane beside no other, without a step; None when the file does not say all of it.
    pub fn placed(&self) -> Option<Geometry> {
        self.geometry([0.0; 3])
    }

    /// The geometry of a single slice: as thick as the file says, because there is no neighbour to measure to. Sizes
    /// are known without a position, and sides without one; None when not even the pixels' sizes are.
    pub fn alone(&self) -> Option<Geometry> {
        let [between_rows, between_columns] = self.spacing?;
        let thickness = self.thickness.filter(|mm| *mm > 0.0).unwrap_or(0.0);
        let Some(normal) = self.normal() else {
            return Some(Geometry::of_distances([thickness, between_rows, between_columns]));
        };
        let known = if self.position.is_some() { Known::Place } else { Known::Directions };
        let placed = Plane { position: self.position.or(Some([0.0; 3])), ..self.clone() };
        Some(Geometry { known, ..placed.geometry(scaled(normal, thickness))? })
    }

    /// This plane, and of another one what this one does not say.
    pub fn or(self, other: Plane) -> Plane {
        Plane {
            position: self.position.or(other.position),
            orientation: self.orientation.or(other.orientation),
            spacing: self.spacing.or(other.spacing),
            thickness: self.thickness.or(other.thickness),
        }
    }

    /// What a slice among others has to say and this one does not, in words.
    pub fn unsaid(&self) -> Option<&'static str> {
        match self {
            Plane { position: Some(_), orientation: Some(_), spacing, .. } => {
                spacing.is_none().then_some("how large its pixels are")
            }
            _ => Some("where it lies in the patient"),
        }
    }

    /// Whether this can be a slice beside the other one.
    pub fn goes_with(&self, other: &Plane) -> bool {
        self.is_parallel_to(other) && self.position != other.position
    }

    /// Whether both lie in the same direction and have pixels of the same size; false where one does not say so.
    pub fn is_parallel_to(&self, other: &Plane) -> bool {
        let pairs = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < TOLERANCE);
        match (&self.orientation, &other.orientation, self.spacing, other.spacing) {
            (Some(a), Some(b), Some(c), Some(d)) => pairs(a, b) && pairs(&c, &d),
            _ => false,
        }
    }
}

fn impossible_directions() -> Refusal {
    RefusalReason::UnknownOrientation
        .refuse("The DICOM file gives its rows and columns impossible directions.")
}

fn measured(own: &DataSet, shared: &DataSet) -> Result<Option<f64>, Refusal> {
    for groups in [own, shared] {
        let item = groups.items(tags::PIXEL_MEASURES_SEQUENCE)?.into_iter().next();
        if let Some([mm]) = item.and_then(|item| item.decimal(tags::SLICE_THICKNESS)) {
            return Ok(Some(mm));
        }
    }
    Ok(None)
}

/// An attribute in a functional group (PS3.3, C.7.6.16).
fn grouped<const N: usize>(
    own: &DataSet,
    shared: &DataSet,
    group: Tag,
    tag: Tag,
) -> Result<Option<[f64; N]>, Refusal> {
    for groups in [own, shared] {
        let item = groups.items(group)?.into_iter().next();
        if let Some(value) = item.map(|item| item.stated(tag)).transpose()?.flatten() {
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
        RefusalReason::UnknownOrientation
            .refuse("The DICOM slices do not say where they lie in the patient.")
    };
    let mut slices = (1..).zip(planes);
    if let Some((number, what)) = slices.find_map(|(number, plane)| Some((number, plane.unsaid()?)))
    {
        let what = format!("Slice {number} of {} does not say {what}.", planes.len());
        return Err(RefusalReason::UnknownOrientation.refuse(what));
    }
    let first = planes.first().ok_or_else(unknown)?;
    let normal = first.normal().ok_or_else(unknown)?;
    if !planes.iter().all(|plane| plane.is_parallel_to(first)) {
        return Err(RefusalReason::MixedSeries
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
    hardly_sheared(step, normal)?;
    let geometry = planes[low].geometry(step).ok_or_else(unknown)?;
    Ok((order, geometry))
}

/// Refuses slices that are not one step apart from each other.
fn evenly(order: &[usize], positions: &[Vector], step: Vector) -> Result<(), Refusal> {
    // A tenth of a millimetre is rounding in the files; half of the step would be a missing slice.
    let allowed = (TOLERANCE * length(step)).max(0.1).min(0.5 * length(step));
    if order.windows(2).any(|pair| positions[pair[0]] == positions[pair[1]]) {
        return Err(RefusalReason::MixedSeries.refuse("Several of its images show the same slice."));
    }
    let off = |(index, slice): (usize, &usize)| {
        let expected: Vector =
            std::array::from_fn(|axis| positions[order[0]][axis] + step[axis] * index as f64);
        length(difference(positions[*slice], expected))
    };
    // Not a number is not near either.
    if order.iter().enumerate().map(off).all(|off| off <= allowed) {
        return Ok(());
    }
    Err(RefusalReason::UnevenSlices.refuse(format!(
        "Slice {} of {} is not where its neighbours let expect it.",
        odd_one(order, positions) + 1,
        order.len()
    )))
}

/// Refuses slices that lie rather beside than behind one another.
fn hardly_sheared(step: Vector, normal: Vector) -> Result<(), Refusal> {
    let across = dot(step, normal) / (length(step) * length(normal));
    let degrees = across.clamp(-1.0, 1.0).acos().to_degrees();
    if degrees <= SHEAR_MAX_DEGREES {
        return Ok(());
    }
    Err(RefusalReason::UnknownOrientation.refuse(if degrees > 89.0 {
        "Its slices lie beside one another in one plane, so that they form no volume.".to_owned()
    } else {
        format!(
            "Its slices are shifted against one another by {degrees:.0} degrees, more than any gantry tilts."
        )
    }))
}

/// The slice whose step from the one before is least like the usual step: behind a missing slice, the next.
fn odd_one(order: &[usize], positions: &[Vector]) -> usize {
    let steps: Vec<Vector> =
        order.windows(2).map(|pair| difference(positions[pair[1]], positions[pair[0]])).collect();
    let usual: Vector = std::array::from_fn(|axis| {
        let mut along: Vec<f64> = steps.iter().map(|step| step[axis]).collect();
        along.sort_by(f64::total_cmp);
        along.get(along.len() / 2).copied().unwrap_or_default()
    });
    let off = |index: &usize| length(difference(steps[*index], usual));
    let odd = (0..steps.len()).max_by(|a, b| off(a).total_cmp(&off(b)));
    odd.map_or(0, |before| before + 1)
}

fn difference(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|axis| a[axis] - b[axis])
}

fn scaled(vector: Vector, factor: f64) -> Vector {
    vector.map(|part| part * factor)
}

#[cfg(test)]
mod tests;
