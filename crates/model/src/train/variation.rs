use std::f32::consts::TAU;

use rand::{Rng, RngExt};

/// Control points along each side of the field that bends a picture.
pub const BEND_POINTS: usize = 5;
/// Control points along each side of the field that lights it unevenly.
pub const LIGHT_POINTS: usize = 4;

/// How often each of these happens: often enough to be known, seldom enough that most of what is learned from is as
/// scanners make it.
const GAMMA_PART: f64 = 0.3;
const CONTRAST_PART: f64 = 0.3;
const LIGHT_PART: f64 = 0.3;
const BLUR_PART: f64 = 0.2;
const COARSE_PART: f64 = 0.2;
const NOISE_PART: f64 = 0.3;
const FADED_PART: f64 = 0.15;
const CYSTIC_PART: f64 = 0.1;
const UPSIDE_DOWN_PART: f64 = 0.1;

/// How a picture differs from the slice that it is made from: what might as well have been another patient's.
#[derive(Clone, Debug, PartialEq)]
pub struct Variation {
    /// Turned, zoomed, mirrored and moved.
    pub place: Place,
    /// Displacements (first all of x, then all of y) at control points, in half sides.
    pub bend: [f32; 2 * BEND_POINTS * BEND_POINTS],
    /// Brightness above air to this power.
    pub gamma: f32,
    /// Brightness above air times this, before the power.
    pub contrast: f32,
    /// The logarithm of a coil's sensitivity at control points.
    pub light: [f32; LIGHT_POINTS * LIGHT_POINTS],
    /// Whether it is seen through a softer lens; how soft is drawn once a batch.
    pub blurred: bool,
    /// Whether it comes from fewer pixels; how few is drawn once a batch.
    pub coarse: bool,
    /// The standard deviation of the noise, in normalised brightness.
    pub noise: f32,
    /// Where in the bank of noise it begins, in values.
    pub noise_at: u32,
    /// How much of its difference to the brain's median a tumour loses.
    pub faded: f32,
    /// How much of its brightness a tumour's core loses.
    pub cystic: f32,
}

/// Where a picture's points come from: an affine map of the square of -1 to 1 onto itself, rows (x, y) of (x, y, 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place(pub [f32; 6]);

impl Place {
    fn draw(draw: &mut Draw<impl Rng>) -> Place {
        let (sin, cos) = draw.around(0.4).sin_cos();
        let (zoom, stretch) = (draw.around(0.25).exp(), draw.around(0.08).exp());
        let (upside, mirror) = (draw.sign(UPSIDE_DOWN_PART), draw.sign(0.5));
        let (down, across) = (upside * zoom * stretch, mirror * zoom / stretch);
        let shift = [draw.around(0.14), draw.around(0.14)];
        Place([cos * across, sin * down, shift[0], -sin * across, cos * down, shift[1]])
    }

    /// A place for something to be pasted: turned anyhow, up to three times as small, moved by up to a quarter.
    pub fn elsewhere(random: &mut impl Rng) -> Place {
        let (sin, cos) = random.random_range(0.0..TAU).sin_cos();
        let zoom = random.random_range(0.0f32..3.0f32.ln()).exp();
        let mirror = if random.random_bool(0.5) { -1.0 } else { 1.0 };
        let shift = [random.random_range(-0.25..0.25), random.random_range(-0.25..0.25)];
        let across = mirror * zoom;
        Place([cos * across, sin * zoom, shift[0], -sin * across, cos * zoom, shift[1]])
    }
}

impl Variation {
    /// Something that happens, as far as `strength` (above 0, up to 1) says.
    pub fn draw(strength: f32, random: &mut impl Rng) -> Variation {
        let mut draw = Draw { random, strength };
        Variation {
            place: Place::draw(&mut draw),
            bend: std::array::from_fn(|_| draw.around(0.05)),
            gamma: draw.sometimes(GAMMA_PART, |draw| draw.around(0.35)).exp(),
            contrast: draw.sometimes(CONTRAST_PART, |draw| draw.around(0.25)).exp(),
            light: match draw.random.random_bool(LIGHT_PART) {
                true => std::array::from_fn(|_| draw.around(0.3)),
                false => [0.0; LIGHT_POINTS * LIGHT_POINTS],
            },
            blurred: draw.random.random_bool(BLUR_PART * f64::from(strength)),
            coarse: draw.random.random_bool(COARSE_PART * f64::from(strength)),
            noise: draw.sometimes(NOISE_PART, |draw| draw.up_to(0.1)),
            noise_at: draw.random.random(),
            faded: draw.sometimes(FADED_PART, |draw| draw.up_to(0.6)),
            cystic: draw.sometimes(CYSTIC_PART, |draw| draw.up_to(0.7)),
        }
    }
}

/// Random amounts, as large as the strength lets them be.
struct Draw<'a, R> {
    random: &'a mut R,
    strength: f32,
}

impl<R: Rng> Draw<'_, R> {
    /// Somewhere between -`most` and `most` times the strength.
    fn around(&mut self, most: f32) -> f32 {
        self.strength * self.random.random_range(-most..most)
    }

    /// Somewhere between 0 and `most` times the strength.
    fn up_to(&mut self, most: f32) -> f32 {
        self.strength * self.random.random_range(0.0..most)
    }

    /// That amount in so many of all cases, else nothing.
    fn sometimes(&mut self, part: f64, amount: impl Fn(&mut Self) -> f32) -> f32 {
        if self.random.random_bool(part) { amount(self) } else { 0.0 }
    }

    fn sign(&mut self, turned: f64) -> f32 {
        if self.random.random_bool(turned) { -1.0 } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const DRAWS: u64 = 2000;

    fn drawn(strength: f32) -> impl Iterator<Item = Variation> {
        (0..DRAWS).map(move |seed| Variation::draw(strength, &mut ChaCha8Rng::seed_from_u64(seed)))
    }

    /// The part of all draws of which that is true.
    fn part(strength: f32, is: impl Fn(&Variation) -> bool) -> f64 {
        drawn(strength).filter(is).count() as f64 / DRAWS as f64
    }

    #[test]
    fn half_of_all_pictures_are_mirrored_and_a_tenth_are_upside_down() {
        for strength in [0.3, 1.0] {
            // The head is turned by less than a quarter: the signs are those of mirror and of upside down.
            let mirrored = part(strength, |variation| variation.place.0[0] < 0.0);
            let upside_down = part(strength, |variation| variation.place.0[4] < 0.0);
            assert!((mirrored - 0.5).abs() < 0.05, "{mirrored}");
            assert!((upside_down - 0.1).abs() < 0.03, "{upside_down}");
        }
    }

    #[test]
    fn variations_are_as_large_as_their_strength_and_as_frequent_as_said() {
        for strength in [0.01f32, 0.3, 1.0] {
            for variation in drawn(strength) {
                let Place([a, b, x, c, d, y]) = variation.place;
                assert!(x.abs() <= 0.14 * strength && y.abs() <= 0.14 * strength, "{x} {y}");
                // How much larger an area is: zoom squared, as the stretch leaves it.
                let area = (a * d - b * c).abs().ln();
                assert!(area.abs() <= 0.5 * strength + 1e-5, "{area}");
                assert!(variation.bend.iter().all(|by| by.abs() <= 0.05 * strength));
                assert!(variation.light.iter().all(|by| by.abs() <= 0.3 * strength));
                assert!(variation.gamma.ln().abs() <= 0.35 * strength + 1e-6);
                assert!((0.0..=0.1 * strength).contains(&variation.noise));
                assert!((0.0..=0.6 * strength).contains(&variation.faded));
                assert!((0.0..=0.7 * strength).contains(&variation.cystic));
            }
        }
        let lit = part(1.0, |variation| variation.light[0] != 0.0);
        let noisy = part(1.0, |variation| variation.noise > 0.0);
        let blurred = [0.25, 1.0].map(|strength| part(strength, |variation| variation.blurred));
        assert!((lit - 0.3).abs() < 0.05 && (noisy - 0.3).abs() < 0.05, "{lit} {noisy}");
        assert!((blurred[0] - 0.05).abs() < 0.02 && (blurred[1] - 0.2).abs() < 0.04, "{blurred:?}");
    }

    #[test]
    fn what_is_pasted_is_never_larger_than_it_was_and_lies_near() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..DRAWS {
            let Place([a, b, x, c, d, y]) = Place::elsewhere(&mut random);
            // Points come from farther apart than they are drawn.
            let zoom = (a * d - b * c).abs().sqrt();
            assert!((0.999..=3.001).contains(&zoom), "{zoom}");
            assert!(x.abs() <= 0.25 && y.abs() <= 0.25, "{x} {y}");
        }
    }
}
