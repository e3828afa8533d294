use std::f64::consts::{PI, TAU};

use domain::{ErrorKind, Result};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::anatomy::Head;
use super::noise::{mix, smooth, step};
use super::{Settings, Truth, Weighting};
use crate::Geometry;

/// Waves on the surface.
const WAVES: usize = 6;
const PLACES_TRIED: usize = 400;

/// A star-shaped body: its radius is a smooth function of the direction, so that its volume and its
/// section are integrals over angles, exact to many digits and independent of any voxel grid.
pub(super) struct Lesion {
    centre: [f64; 3],
    slice: usize,
    /// Millimetres at a relief of 1.
    size: f64,
    form: Form,
    brightness: f32,
    /// A darker core, as in cystic and necrotic tumours: how deep it goes in the signal.
    core: f32,
    /// The least and the most that it takes over of the tissue's signal.
    core_range: [f32; 2],
    salt: u32,
}

/// The relief of a body of size 1.
struct Form {
    waves: [([f64; 3], f64, f64); WAVES],
}

impl Form {
    fn new(random: &mut ChaCha8Rng) -> Form {
        let waves = std::array::from_fn(|_| {
            let wave = std::array::from_fn(|_| random.random_range(-3.5..3.5));
            (wave, random.random_range(0.0..TAU), random.random_range(0.02..0.13))
        });
        Form { waves }
    }

    /// The radius in a direction, between 0.2 and 1.8.
    fn relief(&self, direction: [f64; 3]) -> f64 {
        let wave = |(wave, phase, height): &([f64; 3], f64, f64)| {
            height * (dot(*wave, direction) + phase).cos()
        };
        1.0 + self.waves.iter().map(wave).sum::<f64>()
    }

    /// The volume: a third of the cubed radius over the sphere, by the midpoint rule.
    fn volume(&self) -> f64 {
        const RINGS: usize = 96;
        let ring = |i: usize| {
            // Equal steps of z are equal areas of the sphere.
            let z = 2.0 * (i as f64 + 0.5) / RINGS as f64 - 1.0;
            let across = (1.0 - z * z).sqrt();
            let radius = |j: usize| {
                let angle = PI * (j as f64 + 0.5) / RINGS as f64;
                self.relief([across * angle.cos(), across * angle.sin(), z])
            };
            (0..2 * RINGS).map(|j| radius(j).powi(3)).sum::<f64>()
        };
        4.0 * PI / (RINGS * 2 * RINGS) as f64 / 3.0 * (0..RINGS).map(ring).sum::<f64>()
    }

    /// The area of the section through the centre, across the body's long axis of the head.
    fn section(&self) -> f64 {
        const STEPS: usize = 720;
        let radius = |i: usize| {
            let angle = TAU * (i as f64 + 0.5) / STEPS as f64;
            self.relief([angle.cos(), angle.sin(), 0.0])
        };
        TAU / STEPS as f64 / 2.0 * (0..STEPS).map(|i| radius(i).powi(2)).sum::<f64>()
    }
}

impl Lesion {
    pub(super) fn new(
        settings: &Settings,
        head: &Head,
        geometry: &Geometry,
        random: &mut ChaCha8Rng,
    ) -> Result<Lesion> {
        let form = Form::new(random);
        let unit = form.volume();
        // Small lesions are as likely as large ones.
        let drawn: f64 = f64::exp(random.random_range(0.0..f64::ln(40.0)));
        let mut ml = settings.lesion_ml.unwrap_or(drawn);
        let lift: f32 = random.random_range(1.6..2.6);
        // Beside white matter that is bright itself, what takes up the agent stands out less, and a necrotic core more.
        let (lift, core_range) = match settings.weighting {
            Weighting::Flair => (lift, [0.25, f32::INFINITY]),
            Weighting::T1Contrast => (0.6 + 0.5 * lift, [0.0, 0.2]),
        };
        let brightness = head.white_matter() * lift;
        let core = if random.random_bool(0.35) { random.random_range(0.3..0.8) } else { 0.0 };
        let salt = random.random();
        loop {
            let size = (1000.0 * ml / unit).cbrt();
            if let Some((centre, slice)) = placed(settings, head, geometry, &form, size, random) {
                return Ok(Lesion {
                    centre,
                    slice,
                    size,
                    form,
                    brightness,
                    core,
                    core_range,
                    salt,
                });
            }
            ml *= 0.8;
            if settings.lesion_ml.is_some() || ml < 0.05 {
                let message = "a lesion of this size does not fit in the brain within these slices";
                return Err(ErrorKind::Invalid.error(message));
            }
        }
    }

    pub(super) fn truth(&self) -> Truth {
        Truth {
            volume_mm3: self.form.volume() * self.size.powi(3),
            section_mm2: self.form.section() * self.size.powi(2),
            centre_mm: self.centre,
            slice: self.slice,
        }
    }

    /// The signal with the lesion over the tissue, and whether the place is in the lesion.
    pub(super) fn over(&self, tissue: f32, at: [f32; 3]) -> (f32, bool) {
        let offset: [f64; 3] = std::array::from_fn(|axis| f64::from(at[axis]) - self.centre[axis]);
        let distance = dot(offset, offset).sqrt();
        if distance > 2.0 * self.size {
            return (tissue, false);
        }
        let direction = offset.map(|part| part / distance.max(1e-9));
        let rim = self.size * self.form.relief(direction);
        let beyond = (distance - rim) as f32;
        // The edge fades over about two millimetres, half of it on either side.
        let share = 1.0 - step(-1.4, 1.2, beyond);
        let texture = 0.05 * smooth(at.map(|part| 0.22 * part), self.salt);
        let core = self.core * (1.0 - step(0.35, 0.6, (distance / rim) as f32));
        let [low, high] = self.core_range;
        let signal = mix(self.brightness + texture, tissue.clamp(low, high), core);
        (mix(tissue, signal, 0.95 * share), distance <= rim)
    }
}

/// A centre in the plane of a slice, with the whole body in the brain and between the end slices.
fn placed(
    settings: &Settings,
    head: &Head,
    geometry: &Geometry,
    form: &Form,
    size: f64,
    random: &mut ChaCha8Rng,
) -> Option<([f64; 3], usize)> {
    let slices = settings.shape.slices;
    let height = (slices as f64 - 1.0) * settings.spacing[0];
    for _ in 0..PLACES_TRIED {
        let slice = random.random_range(0..slices);
        let column = random.random_range(0.0..settings.shape.columns as f64);
        let row = random.random_range(0.0..settings.shape.rows as f64);
        let centre = geometry.position(slice as f64, row, column);
        let within_stack =
            |z: f64| slices == 1 || (0.0..=height).contains(&(z - geometry.origin[2]));
        let surface = directions().map(|direction| {
            let radius = size * form.relief(direction);
            [0, 1, 2].map(|axis| centre[axis] + radius * direction[axis])
        });
        let mut points = surface.chain([centre]);
        if points.all(|at| within_stack(at[2]) && head.brain_depth(at.map(|mm| mm as f32)) > 1.0) {
            return Some((centre, slice));
        }
    }
    None
}

/// Directions spread over the sphere (a Fibonacci lattice).
fn directions() -> impl Iterator<Item = [f64; 3]> {
    const COUNT: usize = 60;
    let golden = PI * (3.0 - 5.0_f64.sqrt());
    (0..COUNT).map(move |i| {
        let z = 1.0 - 2.0 * (i as f64 + 0.5) / COUNT as f64;
        let (across, angle) = ((1.0 - z * z).sqrt(), golden * i as f64);
        [across * angle.cos(), across * angle.sin(), z]
    })
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_without_relief_is_a_ball() {
        let ball = Form { waves: [([0.0; 3], 0.0, 0.0); WAVES] };
        assert!((ball.volume() - 4.0 / 3.0 * PI).abs() < 1e-9);
        assert!((ball.section() - PI).abs() < 1e-9);
    }
}
