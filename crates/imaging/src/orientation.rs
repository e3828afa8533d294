//! Which way up a scan is shown: radiologically, whatever the order that its file stores it in, and the way back.

use serde::{Deserialize, Serialize};

use crate::{Geometry, Known, Shape, Volume};

/// Fewer pixels than this a side show no slice of a head.
const SIDE_MIN: usize = 64;
/// Axes whose voxels are within this factor of the thickest were all resolved alike: the most axial one is cut along.
const ALIKE: f64 = 1.5;
/// What single precision and decimals leave of two numbers that are one: it decides nothing.
const ROUNDING: f64 = 1e-3;

/// How slices, rows and columns as they are shown run through the grid that the file stores.
///
/// Only whole axes are exchanged or turned round: no voxel is interpolated, and the way back loses nothing.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Orientation {
    /// For slices, rows and columns: along which of the file's own slices (0), rows (1) and columns (2) they run.
    pub axes: [usize; 3],
    /// Whether they run against it.
    pub flipped: [bool; 3],
}

impl Default for Orientation {
    /// As stored.
    fn default() -> Orientation {
        Orientation { axes: [0, 1, 2], flipped: [false; 3] }
    }
}

/// The anatomical plane that slices lie nearest to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Plane {
    /// Slices from feet to head, or the other way.
    Axial,
    /// Slices from front to back, or the other way.
    Coronal,
    /// Slices from side to side.
    Sagittal,
}

/// A direction in the patient: the patient axis (0: to the left, 1: to the back, 2: to the head), and whether along it.
type Direction = (usize, bool);

impl Plane {
    fn across(axis: usize) -> Plane {
        [Plane::Sagittal, Plane::Coronal, Plane::Axial][axis]
    }

    /// Where slices, rows and columns lead when it is shown as radiologists do: the patient's right at the left and the
    /// front or the head above; of a sagittal slice the front at the left. Slices follow DICOM's normal, so that a
    /// volume is never mirrored.
    fn shown(self) -> [Direction; 3] {
        match self {
            Plane::Axial => [(2, true), (1, true), (0, true)],
            Plane::Coronal => [(1, true), (2, false), (0, true)],
            Plane::Sagittal => [(0, false), (2, false), (1, true)],
        }
    }
}

/// What stands at the four edges of a picture: R or L, A or P, H or F.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct View {
    /// The plane that the picture lies nearest to.
    pub plane: Plane,
    /// The patient's direction at the left edge.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub left: char,
    /// The patient's direction at the right edge.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub right: char,
    /// The patient's direction at the upper edge.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub top: char,
    /// The patient's direction at the lower edge.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub bottom: char,
}

impl View {
    /// How the slices of that geometry look at the patient; None where the file does not say which way he lies.
    pub fn of(geometry: &Geometry) -> Option<View> {
        let [slices, rows, columns] = leading(geometry)?;
        let ends = |(axis, along): Direction| {
            let [from, to] = [['R', 'L'], ['A', 'P'], ['F', 'H']][axis];
            if along { (from, to) } else { (to, from) }
        };
        let ((left, right), (top, bottom)) = (ends(columns), ends(rows));
        Some(View { plane: Plane::across(slices.0), left, right, top, bottom })
    }
}

impl Orientation {
    /// The way from a file's grid to the radiological one; as stored where the geometry does not say which way the
    /// patient lies. Slices are cut across the axis that was through-plane when the scan was taken.
    pub(crate) fn radiological(shape: Shape, geometry: Option<&Geometry>) -> Orientation {
        let Some((geometry, stored)) =
            geometry.and_then(|geometry| Some((geometry, leading(geometry)?)))
        else {
            return Orientation::default();
        };
        let slices = through_plane(shape, geometry.spacing(), stored);
        Orientation::to(Plane::across(stored[slices].0), stored)
    }

    /// The way from a grid to slices of that plane, shown as radiologists do; None where the geometry does not say which
    /// way the patient lies.
    pub(crate) fn showing(plane: Plane, geometry: Option<&Geometry>) -> Option<Orientation> {
        Some(Orientation::to(plane, leading(geometry?)?))
    }

    /// The way to slices of that plane from a grid that leads so.
    fn to(plane: Plane, stored: [Direction; 3]) -> Orientation {
        let shown = plane.shown();
        // Each patient axis is led along by one of the file's axes.
        let axes =
            shown.map(|(wanted, _)| (0..3).find(|axis| stored[*axis].0 == wanted).unwrap_or(0));
        let flipped = std::array::from_fn(|axis| stored[axes[axis]].1 != shown[axis].1);
        Orientation { axes, flipped }
    }

    /// The way back.
    pub fn inverse(self) -> Orientation {
        let mut inverse = Orientation::default();
        for (axis, (own, flipped)) in self.axes.into_iter().zip(self.flipped).enumerate() {
            inverse.axes[own] = axis;
            inverse.flipped[own] = flipped;
        }
        inverse
    }

    /// This turn, and then another one.
    pub(crate) fn then(self, next: Orientation) -> Orientation {
        Orientation {
            axes: next.axes.map(|axis| self.axes[axis]),
            flipped: std::array::from_fn(|axis| {
                next.flipped[axis] != self.flipped[next.axes[axis]]
            }),
        }
    }

    /// The shape on the other side.
    pub fn shape(self, shape: Shape) -> Shape {
        let lengths = shape.lengths();
        let [slices, rows, columns] = self.axes.map(|axis| lengths[axis]);
        Shape { slices, rows, columns }
    }

    /// The values of `shape`'s voxels in the order of the other side.
    pub fn turned<T: Copy>(self, values: &[T], shape: Shape) -> Vec<T> {
        let (lengths, strides) = (shape.lengths(), [shape.slice_len(), shape.columns, 1]);
        let [slices, rows, columns]: [Vec<usize>; 3] = std::array::from_fn(|axis| {
            let (own, flipped) = (self.axes[axis], self.flipped[axis]);
            let at = |index: usize| if flipped { lengths[own] - 1 - index } else { index };
            (0..lengths[own]).map(|index| at(index) * strides[own]).collect()
        });
        let mut turned = Vec::with_capacity(values.len());
        for line in slices.iter().flat_map(|slice| rows.iter().map(move |row| slice + row)) {
            turned.extend(columns.iter().map(|column| values[line + column]));
        }
        turned
    }

    /// Where the same voxels lie when they are counted on the other side.
    pub fn geometry(self, geometry: &Geometry, shape: Shape) -> Geometry {
        let (lengths, steps) = (shape.lengths(), geometry.steps());
        let mut origin = geometry.origin;
        let turned: [[f64; 3]; 3] = std::array::from_fn(|axis| {
            let own = self.axes[axis];
            if !self.flipped[axis] {
                return steps[own];
            }
            let last = (lengths[own] - 1) as f64;
            origin = std::array::from_fn(|part| origin[part] + last * steps[own][part]);
            steps[own].map(|part| -part)
        });
        let [slice_step, row_step, column_step] = turned;
        Geometry { origin, slice_step, row_step, column_step, known: geometry.known }
    }

    /// The (possibly fractional) index on the other side of one in `shape`.
    pub fn index(self, index: [f64; 3], shape: Shape) -> [f64; 3] {
        let lengths = shape.lengths();
        std::array::from_fn(|axis| {
            let own = self.axes[axis];
            if self.flipped[axis] { (lengths[own] - 1) as f64 - index[own] } else { index[own] }
        })
    }
}

impl Volume {
    /// The same voxels in the order of a file whose columns, rows and slices lead where these three letters say (L or
    /// R, A or P, S or I): `LPS` is DICOM's axial order, `RAS` NIfTI's. None for anything else, and where the
    /// volume does not say which way the patient lies.
    pub fn stored_as(&self, storage: &str) -> Option<Volume> {
        let wanted: Vec<Direction> = storage.chars().rev().map(led_along).collect::<Option<_>>()?;
        let wanted: [Direction; 3] = wanted.try_into().ok()?;
        let geometry = self.geometry.as_ref()?;
        let now = leading(geometry)?;
        let mut turn = Orientation::default();
        for (axis, (patient, along)) in wanted.into_iter().enumerate() {
            let own = now.iter().position(|(led, _)| *led == patient)?;
            turn.axes[axis] = own;
            turn.flipped[axis] = now[own].1 != along;
        }
        let all_three = (0..3).all(|own| turn.axes.contains(&own));
        all_three.then(|| Volume {
            shape: turn.shape(self.shape),
            voxels: turn.turned(&self.voxels, self.shape),
            geometry: Some(turn.geometry(geometry, self.shape)),
            stored: Orientation::default(),
            remarks: self.remarks.clone(),
            protocol: self.protocol.clone(),
            ..*self
        })
    }
}

fn led_along(letter: char) -> Option<Direction> {
    match letter {
        'R' | 'L' => Some((0, letter == 'L')),
        'A' | 'P' => Some((1, letter == 'P')),
        'I' | 'S' => Some((2, letter == 'S')),
        _ => None,
    }
}

/// The patient axes that slices, rows and columns lead along, each of them one: the choice that fits best in all.
fn leading(geometry: &Geometry) -> Option<[Direction; 3]> {
    if geometry.known < Known::Directions {
        return None;
    }
    const ORDERS: [[usize; 3]; 6] =
        [[2, 1, 0], [2, 0, 1], [1, 2, 0], [1, 0, 2], [0, 2, 1], [0, 1, 2]];
    let directions = geometry.directions();
    let fit = |order: &[usize; 3]| -> f64 {
        order.iter().zip(&directions).map(|(axis, direction)| direction[*axis].abs()).sum()
    };
    let best_fit = ORDERS.iter().map(fit).fold(0.0, f64::max);
    // Of two that fit alike, as at 45 degrees, the patient decides, not the order in which his axes are stored.
    let alike = ORDERS.iter().rev().filter(|order| fit(order) >= best_fit - ROUNDING);
    let best =
        alike.max_by(|a, b| rotation(a, &directions).total_cmp(&rotation(b, &directions)))?;
    Some(std::array::from_fn(|axis| (best[axis], directions[axis][best[axis]] > 0.0)))
}

/// Which way round the axes are turned away from the patient axes that they lead along in that order: the sum of the
/// rotation's parts about these, which is one and the same however the axes are stored.
fn rotation(order: &[usize; 3], directions: &[[f64; 3]; 3]) -> f64 {
    let mut led = [[0.0; 3]; 3];
    for (patient, direction) in order.iter().zip(directions) {
        led[*patient] = direction.map(|part| part * direction[*patient].signum());
    }
    let [left, back, head] = led;
    back[2] - head[1] + head[0] - left[2] + left[1] - back[0]
}

/// Which of the file's axes slices follow one another along.
fn through_plane(shape: Shape, spacing: [f64; 3], stored: [Direction; 3]) -> usize {
    let lengths = shape.lengths();
    let leaves = |axis: &usize, least: usize| {
        (0..3).filter(|other| other != axis).all(|other| lengths[other] >= least)
    };
    // What would leave slices too narrow to show a head was not through-plane, however far apart its voxels are.
    let whole: Vec<usize> = (0..3).filter(|axis| leaves(axis, SIDE_MIN)).collect();
    let single: Vec<usize> = (0..3).filter(|axis| lengths[*axis] == 1 && leaves(axis, 2)).collect();
    let able = [whole, single, vec![0, 1, 2]].into_iter().find(|axes| !axes.is_empty());
    let able = able.unwrap_or_default();
    let thickest = able.iter().map(|axis| spacing[*axis]).fold(0.0, f64::max);
    let within = |axis: &usize, factor: f64| spacing[*axis] * factor * (1.0 + ROUNDING) >= thickest;
    // The most axial one; among others the thickest, and as stored where nothing tells them apart.
    let axial = able.iter().find(|axis| stored[**axis].0 == 2 && within(axis, ALIKE));
    let axis = axial.or_else(|| able.iter().find(|axis| within(axis, 1.0)));
    axis.copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
