use std::array::from_fn;
use std::f64::consts::PI;

use domain::{ErrorKind, Result};

use crate::volume::{cross, dot, index_of, length};
use crate::{
    Format, Geometry, ImageKind, Known, Modality, Orientation, Plane, Protocol, Shape, Volume,
};

/// What air, head and solid show. The solid is as far above a threshold halfway as the head is below it.
const AIR: f32 = 0.0;
const HEAD: f32 = 500.0;
const SOLID: f32 = 920.0;
/// What is even is a label map, and no scan. So little either way that the mean of nine voxels stays on its side of the threshold, whose
/// nearest mean of both is twenty away.
const TEXTURE: u64 = 10;
/// Half the head's width and height, as parts of the slice's.
const HEAD_PART: f64 = 0.42;
/// Where the skull begins and ends on the way from the middle to the skin; without one a body is no head.
const SKULL_FROM: f64 = 0.88;
const SKULL_TO: f64 = 0.95;
const SKULL: f32 = 60.0;
/// Uneven: a plane that but grazes the skin shows nothing else, and what is even is a mask.
const SCALP: f32 = 350.0;
const SCALP_TEXTURE: f32 = 10.0;
/// Darker lines aslant, of which a head of so many tiles has one in every few: without any it is too smooth. None is so near to the solid
/// that it dims its rim; a rim is a part of its radius wide.
const FOLD: f32 = 260.0;
const TILES: f64 = 64.0;
const FOLD_EVERY: f64 = 4.0;
const FOLD_WIDE: f64 = 1.3;
const RIM: f64 = 0.5;
/// A layer of voxels is grazed by a surface that ends nearer to it than this part of the way to the next.
const GRAZING: f64 = 0.25;

/// Where a solid is to lie, and how it is to be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolidSettings {
    /// How slices are cut; they are stored as radiologists look at them.
    pub plane: Plane,
    /// Slices, rows and columns.
    pub shape: Shape,
    /// Millimetres between slices, rows and columns.
    pub spacing: [f64; 3],
    /// How far the scan is turned against the patient, about the patient's axes x, y and z in turn; in degrees.
    pub oblique_degrees: [f64; 3],
    /// How far slices are shifted along their rows' axis, as by a tilted gantry; in degrees.
    pub tilt_degrees: f64,
    /// Half the lengths of the solid's three axes, in millimetres.
    pub radii_mm: [f64; 3],
    /// How far the solid is turned, as the scan is.
    pub turned_degrees: [f64; 3],
    /// The slice, row and column that its centre is to be near.
    pub near: [f64; 3],
}

/// A plain head with an ellipsoid in it, made to measure what measures: each voxel is wholly one or the other.
#[derive(Clone, Debug)]
pub struct Solid {
    shape: Shape,
    geometry: Geometry,
    centre_mm: [f64; 3],
    /// From the centre to the surface, at right angles to each other.
    radii: [[f64; 3]; 3],
}

/// What is true of the solid by its formula, whatever its voxels are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolidTruth {
    /// Its volume.
    pub volume_mm3: f64,
    /// The longest line within one of the slices.
    pub longest_mm: f64,
    /// The longest line at a right angle to it, in the same slice.
    pub perpendicular_mm: f64,
    /// The first slice, row and column with a voxel's centre between the solid's ends, and those after the last.
    pub bounds: [[usize; 3]; 2],
    /// Its centre in the patient (LPS).
    pub centre_mm: [f64; 3],
}

impl Solid {
    /// Makes the solid; it lies so that no surface grazes a layer of voxels, where rounding would decide whether that is in the box.
    ///
    /// `Invalid` where it does not lie within head and slices.
    pub fn new(settings: &SolidSettings) -> Result<Solid> {
        let SolidSettings { shape, radii_mm, turned_degrees, near, .. } = *settings;
        let geometry = placed(settings);
        let axes = turn(turned_degrees);
        let radii = from_fn(|axis| axes[axis].map(|part| part * radii_mm[axis]));
        let solid = Solid { shape, geometry, centre_mm: [0.0; 3], radii };
        let half = solid.half_lengths();
        let [slice, row, column] = from_fn(|axis| centred(near[axis], half[axis]));
        let solid = Solid { centre_mm: geometry.position(slice, row, column), ..solid };
        match solid.is_inside() {
            true => Ok(solid),
            false => Err(ErrorKind::Invalid.error("the solid does not lie within head and slices")),
        }
    }

    /// What is to be measured.
    pub fn truth(&self) -> SolidTruth {
        let [longest_mm, perpendicular_mm] = self.diameters();
        let volume_mm3 = 4.0 / 3.0 * PI * self.radii.map(length).iter().product::<f64>();
        SolidTruth {
            volume_mm3,
            longest_mm,
            perpendicular_mm,
            bounds: self.bounds(),
            centre_mm: self.centre_mm,
        }
    }

    /// The scan.
    pub fn volume(&self) -> Volume {
        let Shape { slices, rows, columns } = self.shape;
        let mut voxels = Vec::with_capacity(self.shape.len());
        for slice in 0..slices {
            for row in 0..rows {
                for column in 0..columns {
                    let at = [slice, row, column].map(|index| index as f64);
                    let way = self.way_out(at);
                    voxels.push(match self.holds(at) {
                        true => SOLID + texture(voxels.len()),
                        false if way > 1.0 => AIR,
                        false if (SKULL_FROM..SKULL_TO).contains(&way) => SKULL,
                        false if way >= SKULL_TO => SCALP + SCALP_TEXTURE * texture(voxels.len()),
                        false if self.is_fold(at) => FOLD,
                        false => HEAD + texture(voxels.len()),
                    });
                }
            }
        }
        Volume {
            shape: self.shape,
            voxels,
            geometry: Some(self.geometry),
            modality: Some(Modality::MagneticResonance),
            kind: ImageKind::Unknown,
            format: Format::Nifti,
            window: [AIR, 1000.0],
            remarks: Vec::new(),
            stored: Orientation::default(),
            protocol: Protocol::default(),
        }
    }

    /// Which voxels have their centres in the solid: 1 or 0, in the scan's order.
    pub fn mask(&self) -> Vec<u8> {
        self.volume().voxels.iter().map(|voxel| u8::from(*voxel > (HEAD + SOLID) / 2.0)).collect()
    }

    /// A vector as multiples of the radii: of a point of the surface its length is 1.
    fn scaled(&self, vector: [f64; 3]) -> [f64; 3] {
        self.radii.map(|radius| dot(vector, radius) / dot(radius, radius))
    }

    fn holds(&self, at: [f64; 3]) -> bool {
        self.way_from_centre(at) <= 1.0
    }

    /// How far a voxel lies from the solid's centre: 1 on its surface.
    fn way_from_centre(&self, [slice, row, column]: [f64; 3]) -> f64 {
        let at = self.geometry.position(slice, row, column);
        length(self.scaled(from_fn(|axis| at[axis] - self.centre_mm[axis])))
    }

    fn is_fold(&self, at: [f64; 3]) -> bool {
        let Shape { rows, columns, .. } = self.shape;
        // Aslant, so that no plane through the head is one fold.
        let tile = at[1] * TILES / rows as f64 + at[2] * TILES / columns as f64;
        tile % FOLD_EVERY < FOLD_WIDE && self.way_from_centre(at) > 1.0 + RIM
    }

    /// How far a voxel lies from the middle of its slice, in parts of the way to the skin: the head is a cylinder along the slices, so
    /// that each shows the same of it.
    fn way_out(&self, [_, row, column]: [f64; 3]) -> f64 {
        let part =
            |at: f64, count: usize| (at - (count as f64 - 1.0) / 2.0) / (HEAD_PART * count as f64);
        part(row, self.shape.rows).hypot(part(column, self.shape.columns))
    }

    /// How far it reaches from its centre along slices, rows and columns, in voxels.
    fn half_lengths(&self) -> [f64; 3] {
        let [a, b, c] = self.geometry.steps();
        let volume = dot(a, cross(b, c));
        [cross(b, c), cross(c, a), cross(a, b)]
            .map(|normal| length(from_fn(|axis| dot(normal, self.radii[axis]))) / volume.abs())
    }

    /// Its ends along slices, rows and columns, as voxel indices.
    fn ends(&self) -> [[f64; 2]; 3] {
        let (centre, half) = (index_of(&self.geometry, self.centre_mm), self.half_lengths());
        from_fn(|axis| [centre[axis] - half[axis], centre[axis] + half[axis]])
    }

    fn is_inside(&self) -> bool {
        let [slices, rows, columns] = self.ends();
        let within = |[low, high]: [f64; 2], count: usize| low > 0.0 && high < count as f64 - 1.0;
        let mut corners = rows.iter().flat_map(|row| columns.map(|column| [0.0, *row, column]));
        within(slices, self.shape.slices) && corners.all(|corner| self.way_out(corner) < SKULL_FROM)
    }

    fn bounds(&self) -> [[usize; 3]; 2] {
        let ends = self.ends();
        [ends.map(|[low, _]| low.ceil() as usize), ends.map(|[_, high]| high.floor() as usize + 1)]
    }

    /// Sections by parallel planes are ellipses of one form, so the largest has both diameters.
    fn diameters(&self) -> [f64; 2] {
        let [slice_step, row_step, column_step] = self.geometry.steps();
        let across = unit(column_step);
        let along = dot(row_step, across);
        let down = unit(from_fn(|axis| row_step[axis] - along * across[axis]));
        let [x, y] = [across, down].map(|direction| self.scaled(direction));
        // The section's own quadratic form: 1 on its edge, seen from its centre.
        let [xx, xy, yy] = [dot(x, x), dot(x, y), dot(y, y)];
        let centre = index_of(&self.geometry, self.centre_mm)[0];
        let [from, to] = self.bounds();
        let size = |slice: usize| {
            let off = self.scaled(slice_step.map(|part| part * (slice as f64 - centre)));
            let (on_x, on_y) = (dot(off, x), dot(off, y));
            let in_plane = (yy * on_x * on_x - 2.0 * xy * on_x * on_y + xx * on_y * on_y)
                / (xx * yy - xy * xy);
            1.0 - (dot(off, off) - in_plane)
        };
        let largest = (from[0]..to[0]).map(size).fold(0.0, f64::max);
        let (middle, spread) = ((xx + yy) / 2.0, ((xx - yy) / 2.0).hypot(xy));
        [middle - spread, middle + spread].map(|form| 2.0 * (largest / form).sqrt())
    }
}

/// Near to `index`, so that both ends of a body that reaches `half` from there lie well between two layers.
fn centred(index: f64, half: f64) -> f64 {
    let is_between = (GRAZING..=1.0 - GRAZING).contains(&half.fract());
    if is_between { index.round() } else { index.floor() + 0.5 }
}

/// The same each time, and without a pattern: Knuth's multiplicative hash of where the voxel is kept.
fn texture(index: usize) -> f32 {
    let mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (mixed % (2 * TEXTURE + 1)) as f32 - TEXTURE as f32
}

/// Slices around the patient's middle.
fn placed(settings: &SolidSettings) -> Geometry {
    let SolidSettings { plane, shape, spacing, oblique_degrees, tilt_degrees, .. } = *settings;
    let [left, back, head] = turn(oblique_degrees);
    let against = |direction: [f64; 3]| direction.map(|part| -part);
    let directions = match plane {
        Plane::Axial => [head, back, left],
        Plane::Coronal => [back, against(head), left],
        Plane::Sagittal => [against(left), against(head), back],
    };
    let [slice_step, row_step, column_step]: [[f64; 3]; 3] =
        from_fn(|axis| directions[axis].map(|part| part * spacing[axis]));
    let shift = spacing[0] * tilt_degrees.to_radians().tan();
    let slice_step = from_fn(|axis| slice_step[axis] + shift * directions[1][axis]);
    let geometry =
        Geometry { origin: [0.0; 3], slice_step, row_step, column_step, known: Known::Place };
    let [slice, row, column] = shape.lengths().map(|length| (length as f64 - 1.0) / 2.0);
    // No scanner's zero lies in the middle of a head.
    let middle = geometry.position(slice, row, column);
    Geometry { origin: from_fn(|axis| [3.0, -5.0, 12.0][axis] - middle[axis]), ..geometry }
}

/// What becomes of the patient's three directions, turned about x, then y, then z.
fn turn(degrees: [f64; 3]) -> [[f64; 3]; 3] {
    let mut axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for (about, degrees) in degrees.into_iter().enumerate() {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (next, last) = ((about + 1) % 3, (about + 2) % 3);
        for axis in &mut axes {
            let (a, b) = (axis[next], axis[last]);
            (axis[next], axis[last]) = (cos * a - sin * b, sin * a + cos * b);
        }
    }
    axes
}

fn unit(vector: [f64; 3]) -> [f64; 3] {
    let length = length(vector);
    vector.map(|part| part / length)
}

#[cfg(test)]
mod tests;
