mod light;
mod warp;

use imaging::Prepared;
use rand::{Rng, RngExt};

use light::{Light, blur, invert, noise, recolour};
use warp::Warp;

/// The side of the squares that training keeps in memory: twice what the network sees, so that
/// turning and zooming them loses nothing.
pub const KEPT_SIDE: usize = 256;

/// A square of [`KEPT_SIDE`] with its mask, as training keeps it.
#[derive(Clone)]
pub struct Square {
    /// Normalised brightness -1..3 as 0..255: of the slice itself, and of the ones before and after if it has any.
    planes: Vec<Vec<u8>>,
    /// How much of each pixel is tumour, as 0..255.
    mask: Vec<u8>,
}

/// What the network is shown: brightness and, for each pixel, how much of it is tumour.
pub struct Example {
    /// The slice itself; then, unless it came alone, the ones before and after.
    pub planes: Vec<Vec<f32>>,
    pub target: Vec<f32>,
}

const DARKEST: f32 = -1.0;
const BRIGHTEST: f32 = 3.0;
/// How often a slice of a volume is shown as if it had come alone.
const ALONE_PART: f64 = 0.25;
const RECOLOURED_PART: f64 = 0.2;
const INVERTED_PART: f64 = 0.05;
const BLURRED_PART: f64 = 0.25;

impl Square {
    /// Quantises a slice and its mask (0..1), both of [`KEPT_SIDE`] squared.
    pub fn new(prepared: &Prepared, mask: &[f32]) -> Square {
        let Prepared { pixels, neighbours: [before, after], .. } = prepared;
        let level = |value: &f32| ((value - DARKEST) / (BRIGHTEST - DARKEST) * 255.0).round() as u8;
        let plane = |pixels: &Vec<f32>| pixels.iter().map(level).collect();
        let mut planes: Vec<Vec<u8>> = vec![plane(pixels)];
        if before.is_some() || after.is_some() {
            planes.extend([before, after].map(|side| plane(side.as_ref().unwrap_or(pixels))));
        }
        Square { planes, mask: mask.iter().map(|part| (part * 255.0).round() as u8).collect() }
    }

    /// Whether any of it is tumour.
    pub fn has_tumour(&self) -> bool {
        self.mask.iter().any(|part| *part > 127)
    }

    /// The square as it is, at `side` pixels.
    pub fn plain(&self, side: usize) -> Example {
        self.warped(&self.planes, side, &Warp::default())
    }

    /// A version that might as well have been another patient's: moved, bent, relit and blurred at random,
    /// as far as `strength` (above 0, up to 1) says.
    pub fn varied(&self, side: usize, strength: f32, random: &mut impl Rng) -> Example {
        let mut draw = Draw { random, strength };
        let alone = draw.random.random_bool(ALONE_PART);
        let planes = if alone { &self.planes[..1] } else { &self.planes };
        let mut example = self.warped(planes, side, &Warp::draw(&mut draw));
        if draw.random.random_bool(RECOLOURED_PART) {
            recolour(&mut example, &mut draw);
        }
        let light = Light::draw(&mut draw);
        let inverted = draw.random.random_bool(INVERTED_PART);
        let sigma = draw.up_to(1.0) * side as f32 / 128.0;
        let blurred = draw.random.random_bool(BLURRED_PART);
        for plane in &mut example.planes {
            light.shine(plane, side);
            if inverted {
                invert(plane);
            }
            if blurred {
                blur(plane, side, sigma);
            }
            noise(plane, &mut draw);
        }
        example
    }

    fn warped(&self, planes: &[Vec<u8>], side: usize, warp: &Warp) -> Example {
        let fine = (KEPT_SIDE / side).max(1);
        let share = 1.0 / (fine * fine) as f32;
        // A pixel is the mean over a few places in it; the soft wave moves all of them alike.
        let places = warp.within(fine, 1.0 / (side * fine) as f32);
        let mut example = Example {
            planes: vec![vec![0.0; side * side]; planes.len()],
            target: vec![0.0; side * side],
        };
        for at in 0..side * side {
            let centre = |at: usize| (at as f32 + 0.5) / side as f32 - 0.5;
            let (y, x) = warp.source(centre(at / side), centre(at % side));
            for (down, right) in &places {
                let Some(place) = Between::new(y + down, x + right) else { continue };
                for (values, plane) in example.planes.iter_mut().zip(planes) {
                    values[at] += share * place.mix(plane);
                }
                example.target[at] += share * place.mix(&self.mask);
            }
        }
        let spread = (BRIGHTEST - DARKEST) / 255.0;
        for values in &mut example.planes {
            values.iter_mut().for_each(|value| *value = *value * spread + DARKEST);
        }
        example.target.iter_mut().for_each(|part| *part /= 255.0);
        example
    }
}

/// A place between four pixels.
struct Between {
    at: usize,
    down: f32,
    right: f32,
}

impl Between {
    /// The place given in sides from the centre; None outside, where there is air.
    fn new(y: f32, x: f32) -> Option<Between> {
        let place = |at: f32| (at + 0.5) * KEPT_SIDE as f32 - 0.5;
        let (y, x) = (place(y), place(x));
        let last = (KEPT_SIDE - 1) as f32;
        if y < 0.0 || x < 0.0 || y >= last || x >= last {
            return None;
        }
        let (row, column) = (y as usize, x as usize);
        Some(Between {
            at: row * KEPT_SIDE + column,
            down: y - row as f32,
            right: x - column as f32,
        })
    }

    /// The value there.
    fn mix(&self, from: &[u8]) -> f32 {
        let Between { at, down, right } = *self;
        let upper = f32::from(from[at]) * (1.0 - right) + f32::from(from[at + 1]) * right;
        let below = &from[at + KEPT_SIDE..];
        let lower = f32::from(below[0]) * (1.0 - right) + f32::from(below[1]) * right;
        upper * (1.0 - down) + lower * down
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

    /// Somewhere between 0 (exclusive) and `most` times the strength.
    fn up_to(&mut self, most: f32) -> f32 {
        self.strength * most * (1.0 - self.random.random_range(0.0..1.0))
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
    use crate::train::pool::phantom;

    fn random(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn a_plain_example_is_what_the_service_would_prepare() {
        let settings = imaging::phantom::Settings::slice(4);
        let volume = imaging::phantom::Phantom::new(&settings).unwrap().volume;
        let square = |side| imaging::prepare(volume.slice(0), 256, 256, side).unwrap();
        let kept = Square::new(&square(KEPT_SIDE), &[0.0; KEPT_SIDE * KEPT_SIDE]);
        for side in [64, 96, 128] {
            let plain = kept.plain(side).planes.remove(0);
            let off =
                plain.iter().zip(square(side).pixels).map(|(a, b)| (a - b).abs()).sum::<f32>();
            assert!(off / plain.len() as f32 <= 0.03, "{side}: {}", off / plain.len() as f32);
        }
    }

    #[test]
    fn the_mask_moves_with_the_lesion() {
        let square = phantom(1).unwrap();
        for seed in 0..12 {
            let Example { planes, target } = square.varied(128, 1.0, &mut random(seed));
            let mean = |inside: bool| {
                let chosen = planes[0]
                    .iter()
                    .zip(&target)
                    .filter(|(v, t)| (**t > 0.5) == inside && **v > -0.6);
                let (sum, count) = chosen.fold((0.0, 0.0), |(sum, n), (v, _)| (sum + v, n + 1.0));
                sum / count
            };
            // A lesion may have been moved out of the square, but never away from its mask.
            assert!(target.iter().all(|t| *t <= 0.5) || mean(true) > mean(false), "seed {seed}");
        }
    }

    #[test]
    fn a_seed_gives_its_example_again_and_strength_goes_with_distance() {
        let square = phantom(1).unwrap();
        let plain = square.plain(64).planes.remove(0);
        let off = |strength: f32| {
            let sum = |seed| {
                let varied = square.varied(64, strength, &mut random(seed)).planes.remove(0);
                // Its mirror image is as near as it is itself.
                let mirrored = varied.chunks(64).flat_map(|row| row.iter().rev());
                let distance = |a: &mut dyn Iterator<Item = &f32>| {
                    a.zip(&plain).map(|(a, b)| (a - b).abs()).sum::<f32>()
                };
                distance(&mut varied.iter()).min(distance(&mut mirrored.into_iter()))
            };
            (0..20).map(sum).sum::<f32>()
        };
        assert_eq!(off(0.5), off(0.5));
        assert!(off(0.01) < 0.5 * off(1.0), "{} {}", off(0.01), off(1.0));
    }
}
