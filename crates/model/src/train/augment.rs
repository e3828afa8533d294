use rand::{Rng, RngExt};

/// The side of the squares that training keeps in memory: twice what the network sees, so that
/// turning and zooming them loses nothing.
pub const KEPT_SIDE: usize = 256;

/// A square of [`KEPT_SIDE`] with its mask, as training keeps it.
#[derive(Clone)]
pub struct Square {
    /// Normalised brightness -1..3 as 0..255.
    pub pixels: Vec<u8>,
    /// How much of each pixel is tumour, as 0..255.
    pub mask: Vec<u8>,
}

/// What the network is shown: brightness and, for each pixel, how much of it is tumour.
pub struct Example {
    pub pixels: Vec<f32>,
    pub target: Vec<f32>,
}

const DARKEST: f32 = -1.0;
const BRIGHTEST: f32 = 3.0;

impl Square {
    /// Quantises `pixels` (-1..3) and `mask` (0..1), both of [`KEPT_SIDE`] squared.
    pub fn new(pixels: &[f32], mask: &[f32]) -> Square {
        let level = |value: &f32| ((value - DARKEST) / (BRIGHTEST - DARKEST) * 255.0).round() as u8;
        Square {
            pixels: pixels.iter().map(level).collect(),
            mask: mask.iter().map(|part| (part * 255.0).round() as u8).collect(),
        }
    }

    /// Whether any of it is tumour.
    pub fn has_tumour(&self) -> bool {
        self.mask.iter().any(|part| *part > 127)
    }

    /// The square as it is, at `side` pixels.
    pub fn plain(&self, side: usize) -> Example {
        self.warped(side, &Warp::default())
    }

    /// A version that might as well have been another patient's: moved, bent, relit and blurred at random,
    /// as far as `strength` (above 0, up to 1) says.
    pub fn varied(&self, side: usize, strength: f32, random: &mut impl Rng) -> Example {
        let mut draw = Draw { random, strength };
        let mut example = self.warped(side, &Warp::draw(&mut draw));
        if draw.random.random_bool(0.2) {
            recolour(&mut example, &mut draw);
        }
        relight(&mut example.pixels, side, &mut draw);
        if draw.random.random_bool(0.25) {
            blur(&mut example.pixels, side, draw.up_to(1.0) * side as f32 / 128.0);
        }
        noise(&mut example.pixels, &mut draw);
        example
    }

    fn warped(&self, side: usize, warp: &Warp) -> Example {
        let fine = (KEPT_SIDE / side).max(1);
        let share = 1.0 / (fine * fine) as f32;
        let mut example =
            Example { pixels: vec![0.0; side * side], target: vec![0.0; side * side] };
        for row in 0..side * fine {
            for column in 0..side * fine {
                let centre = |at: usize| (at as f32 + 0.5) / (side * fine) as f32 - 0.5;
                let (y, x) = warp.source(centre(row), centre(column));
                let at = (row / fine) * side + column / fine;
                let (pixel, mask) = self.between(y, x);
                example.pixels[at] += share * pixel;
                example.target[at] += share * mask;
            }
        }
        let spread = (BRIGHTEST - DARKEST) / 255.0;
        example.pixels.iter_mut().for_each(|value| *value = *value * spread + DARKEST);
        example.target.iter_mut().for_each(|part| *part /= 255.0);
        example
    }

    /// Brightness and mask between pixels, at a place given in sides from the centre; air outside.
    fn between(&self, y: f32, x: f32) -> (f32, f32) {
        let place = |at: f32| (at + 0.5) * KEPT_SIDE as f32 - 0.5;
        let (y, x) = (place(y), place(x));
        let last = (KEPT_SIDE - 1) as f32;
        if y < 0.0 || x < 0.0 || y >= last || x >= last {
            return (0.0, 0.0);
        }
        let (row, column) = (y as usize, x as usize);
        let (down, right) = (y - row as f32, x - column as f32);
        let at = row * KEPT_SIDE + column;
        let mix = |from: &[u8]| {
            let upper = f32::from(from[at]) * (1.0 - right) + f32::from(from[at + 1]) * right;
            let below = &from[at + KEPT_SIDE..];
            let lower = f32::from(below[0]) * (1.0 - right) + f32::from(below[1]) * right;
            upper * (1.0 - down) + lower * down
        };
        (mix(&self.pixels), mix(&self.mask))
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

/// A change of place: rotation, zoom, mirror, shift, and a soft wave. In sides from the centre.
struct Warp {
    matrix: [[f32; 2]; 2],
    shift: [f32; 2],
    waves: [Wave; 2],
}

#[derive(Clone, Copy, Default)]
struct Wave {
    height: f32,
    along: [f32; 2],
    phase: f32,
}

impl Default for Warp {
    fn default() -> Warp {
        Warp { matrix: [[1.0, 0.0], [0.0, 1.0]], shift: [0.0; 2], waves: [Wave::default(); 2] }
    }
}

impl Warp {
    fn draw(draw: &mut Draw<impl Rng>) -> Warp {
        let (sin, cos) = draw.around(0.4).sin_cos();
        let (zoom, stretch) = (draw.around(0.25).exp(), draw.around(0.08).exp());
        let (upside, mirror) = (draw.sign(0.1), draw.sign(0.5));
        let (down, across) = (upside * zoom * stretch, mirror * zoom / stretch);
        Warp {
            matrix: [[cos * down, -sin * across], [sin * down, cos * across]],
            shift: [draw.around(0.07), draw.around(0.07)],
            waves: [Wave::draw(draw), Wave::draw(draw)],
        }
    }

    fn source(&self, y: f32, x: f32) -> (f32, f32) {
        let [[yy, yx], [xy, xx]] = self.matrix;
        let [down, across] = self.waves.map(|wave| wave.at(y, x));
        (yy * y + yx * x + self.shift[0] + down, xy * y + xx * x + self.shift[1] + across)
    }
}

impl Wave {
    fn draw(draw: &mut Draw<impl Rng>) -> Wave {
        Wave {
            height: draw.up_to(0.02),
            along: [draw.random.random_range(-12.0..12.0), draw.random.random_range(-12.0..12.0)],
            phase: draw.random.random_range(0.0..std::f32::consts::TAU),
        }
    }

    fn at(&self, y: f32, x: f32) -> f32 {
        if self.height == 0.0 {
            return 0.0;
        }
        self.height * (self.along[0] * y + self.along[1] * x + self.phase).sin()
    }
}

/// A tumour brighter or darker than it was: most are bright in FLAIR, some are not.
fn recolour(example: &mut Example, draw: &mut Draw<impl Rng>) {
    let change = draw.around(0.5);
    for (value, part) in example.pixels.iter_mut().zip(&example.target) {
        *value = (*value + change * part).clamp(DARKEST, BRIGHTEST);
    }
}

/// Gamma, contrast, brightness and a coil's uneven sensitivity. Air stays air.
fn relight(pixels: &mut [f32], side: usize, draw: &mut Draw<impl Rng>) {
    let (gamma, contrast) = (draw.around(0.3).exp(), draw.around(0.2).exp());
    let slope = [draw.around(0.5), draw.around(0.5)];
    let bowl = draw.around(0.6);
    for (index, value) in pixels.iter_mut().enumerate() {
        let y = (index / side) as f32 / side as f32 - 0.5;
        let x = (index % side) as f32 / side as f32 - 0.5;
        let field = (slope[0] * y + slope[1] * x + bowl * (y * y + x * x)).exp();
        let bright = ((*value - DARKEST) * field * contrast).max(0.0).powf(gamma);
        *value = (bright + DARKEST).clamp(DARKEST, BRIGHTEST);
    }
}

/// A Gaussian blur of `sigma` pixels.
fn blur(pixels: &mut [f32], side: usize, sigma: f32) {
    let radius = (2.5 * sigma).ceil() as i64;
    let kernel: Vec<f32> =
        (-radius..=radius).map(|at| (-0.5 * (at as f32 / sigma).powi(2)).exp()).collect();
    let total: f32 = kernel.iter().sum();
    for across in [true, false] {
        let from = pixels.to_vec();
        let value = |row: i64, column: i64| {
            let inside = |at: i64| at.clamp(0, side as i64 - 1) as usize;
            from[inside(row) * side + inside(column)]
        };
        for (index, pixel) in pixels.iter_mut().enumerate() {
            let (row, column) = ((index / side) as i64, (index % side) as i64);
            let weighted = kernel.iter().zip(-radius..).map(|(weight, at)| {
                weight * if across { value(row, column + at) } else { value(row + at, column) }
            });
            *pixel = weighted.sum::<f32>() / total;
        }
    }
}

fn noise(pixels: &mut [f32], draw: &mut Draw<impl Rng>) {
    let height = draw.up_to(0.12);
    for value in pixels {
        // The sum of three uniform draws is near enough to a Gaussian, and cheap.
        let sum: f32 = (0..3).map(|_| draw.random.random_range(-1.0f32..1.0)).sum();
        *value = (*value + height * sum).clamp(DARKEST, BRIGHTEST);
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
        let square = |side| imaging::prepare(volume.slice(0), 256, 256, side).unwrap().pixels;
        let kept = Square::new(&square(KEPT_SIDE), &[0.0; KEPT_SIDE * KEPT_SIDE]);
        for side in [64, 96, 128] {
            let plain = kept.plain(side).pixels;
            let off = plain.iter().zip(square(side)).map(|(a, b)| (a - b).abs()).sum::<f32>();
            assert!(off / plain.len() as f32 <= 0.03, "{side}: {}", off / plain.len() as f32);
        }
    }

    #[test]
    fn the_mask_moves_with_the_lesion() {
        let square = phantom(1).unwrap();
        for seed in 0..12 {
            let Example { pixels, target } = square.varied(128, 1.0, &mut random(seed));
            let mean = |inside: bool| {
                let chosen =
                    pixels.iter().zip(&target).filter(|(v, t)| (**t > 0.5) == inside && **v > -0.6);
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
        let plain = square.plain(64).pixels;
        let off = |strength: f32| {
            let sum = |seed| {
                let varied = square.varied(64, strength, &mut random(seed)).pixels;
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
