use rand::Rng;

use super::{BRIGHTEST, DARKEST, Draw, Example};

/// A tumour brighter or darker than it was: most are bright in FLAIR, some are not.
pub fn recolour(example: &mut Example, draw: &mut Draw<impl Rng>) {
    let change = draw.around(0.5);
    for plane in &mut example.planes {
        for (value, part) in plane.iter_mut().zip(&example.target) {
            *value = (*value + change * part).clamp(DARKEST, BRIGHTEST);
        }
    }
}

/// Gamma, contrast, and a coil's uneven sensitivity. Air stays air.
pub struct Light {
    gamma: f32,
    contrast: f32,
    slope: [f32; 2],
    bowl: f32,
}

impl Light {
    pub fn draw(draw: &mut Draw<impl Rng>) -> Light {
        Light {
            gamma: draw.around(0.3).exp(),
            contrast: draw.around(0.2).exp(),
            slope: [draw.around(0.5), draw.around(0.5)],
            bowl: draw.around(0.6),
        }
    }

    pub fn shine(&self, pixels: &mut [f32], side: usize) {
        let Light { gamma, contrast, slope, bowl } = *self;
        // The field is a product of one along rows and one along columns.
        let along = |slope: f32| -> Vec<f32> {
            let at = (0..side).map(|at| at as f32 / side as f32 - 0.5);
            at.map(|at| (slope * at + bowl * at * at).exp()).collect()
        };
        let (down, across) = (along(slope[0]), along(slope[1]));
        for (line, down) in pixels.chunks_mut(side).zip(down) {
            for (value, across) in line.iter_mut().zip(&across) {
                let bright = ((*value - DARKEST) * down * across * contrast).max(0.0).powf(gamma);
                *value = (bright + DARKEST).clamp(DARKEST, BRIGHTEST);
            }
        }
    }
}

/// Bright tissue dark and dark tissue bright, as between T1 and T2; air stays air.
pub fn invert(pixels: &mut [f32]) {
    for value in pixels.iter_mut().filter(|value| **value > -0.85) {
        *value = -0.7 * value.min(1.0);
    }
}

/// A Gaussian blur of `sigma` pixels.
pub fn blur(pixels: &mut [f32], side: usize, sigma: f32) {
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

pub fn noise(pixels: &mut [f32], draw: &mut Draw<impl Rng>) {
    let height = draw.up_to(0.12);
    const PART: u32 = 21;
    let unit = 2.0 / (1u32 << PART) as f32;
    for value in pixels {
        // The sum of three uniform draws is near enough to a Gaussian, and one word holds all three.
        let word = draw.random.next_u64();
        let part = |at: u32| (word >> (at * PART)) as u32 & ((1 << PART) - 1);
        let sum = (part(0) + part(1) + part(2)) as f32 * unit - 3.0;
        *value = (*value + height * sum).clamp(DARKEST, BRIGHTEST);
    }
}
