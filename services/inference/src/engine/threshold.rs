use domain::Result;
use imaging::{ModelInfo, Prepared, Shape, TilePrediction, components};

use super::{Engine, tile_predictions, weightless};

/// Darker than this is bone, fluid or air (air is -1, the head's median 0).
const TISSUE: f32 = -0.55;
/// How much brighter than the brain around it a pixel is at a probability of a half.
const CONTRAST: f32 = 0.42;
/// How quickly the probability grows about there.
const STEEPNESS: f32 = 12.0;
/// A first look at the field may bend towards a lesion; later ones leave out what stands out.
const FITS: usize = 4;
/// Smooth fields over a square: constant, slopes and curvatures.
const TERMS: usize = 5;

/// Finds what is clearly brighter than the brain, in closed form: no weights, no training, and no
/// knowledge of anatomy. It serves where the network is not at hand, on phantoms; it is no model for
/// patients.
pub struct Threshold;

impl Engine for Threshold {
    fn model_info(&self) -> ModelInfo {
        weightless("threshold", 0.5, 24)
    }

    fn predict(&mut self, tiles: &[Prepared], _mirrored: bool) -> Result<Vec<TilePrediction>> {
        Ok(tile_predictions(tiles.iter().map(bright).collect()))
    }
}

fn bright(tile: &Prepared) -> Vec<f32> {
    let side = tile.placement.side;
    let brain = brain(&tile.pixels, side);
    let field = field(&tile.pixels, &brain, side);
    let soft = smoothed(&tile.pixels, side);
    let mut output = vec![0.0; tile.pixels.len()];
    for index in brain {
        // A field that dims the signal dims the contrast with it.
        let base = field.at(index, side);
        let excess = (soft[index] - base) / (base + 1.0).max(0.1);
        output[index] = 1.0 / (1.0 + (-STEEPNESS * (excess - CONTRAST)).exp());
    }
    output
}

/// The largest connected piece of tissue: the scalp is a ring apart, with the skull between.
fn brain(pixels: &[f32], side: usize) -> Vec<usize> {
    let shape = Shape { slices: 1, rows: side, columns: side };
    let pieces = components(shape, |index| pixels[index] > TISSUE);
    let pixels_of =
        |runs: &Vec<imaging::Run>| runs.iter().map(|run| run.to - run.from).sum::<usize>();
    let largest = pieces.into_iter().max_by_key(pixels_of).unwrap_or_default();
    largest.iter().flat_map(|run| run.row * side + run.from..run.row * side + run.to).collect()
}

/// The mean over three by three pixels.
fn smoothed(pixels: &[f32], side: usize) -> Vec<f32> {
    let mut output = pixels.to_vec();
    for row in 1..side.saturating_sub(1) {
        for column in 1..side - 1 {
            let lines = (row - 1..=row + 1).map(|row| &pixels[row * side + column - 1..][..3]);
            output[row * side + column] = lines.flatten().sum::<f32>() / 9.0;
        }
    }
    output
}

/// How bright healthy brain would be at each place: the coil's sensitivity is uneven.
struct Field([f64; TERMS]);

impl Field {
    fn at(&self, index: usize, side: usize) -> f32 {
        self.0.iter().zip(terms(index, side)).map(|(weight, term)| weight * term).sum::<f64>()
            as f32
    }
}

fn terms(index: usize, side: usize) -> [f64; TERMS] {
    let centred = |at: usize| 2.0 * at as f64 / side as f64 - 1.0;
    let (x, y) = (centred(index % side), centred(index / side));
    [1.0, x, y, x * x, y * y]
}

/// Least squares over the brain's pixels, again and again without those that stand out.
fn field(pixels: &[f32], brain: &[usize], side: usize) -> Field {
    let mut kept: Vec<usize> = brain.to_vec();
    let mut field = Field([0.0; TERMS]);
    for _ in 0..FITS {
        let mut matrix = [[0.0; TERMS + 1]; TERMS];
        for &index in &kept {
            let terms = terms(index, side);
            for (row, factor) in matrix.iter_mut().zip(terms) {
                for (cell, term) in
                    row.iter_mut().zip(terms.into_iter().chain([f64::from(pixels[index])]))
                {
                    *cell += factor * term;
                }
            }
        }
        let Some(solution) = solved(matrix) else { break };
        field = Field(solution);
        let near = |index: &usize| {
            let base = field.at(*index, side);
            (pixels[*index] - base).abs() < 0.5 * CONTRAST * (base + 1.0).max(0.1)
        };
        kept = brain.iter().copied().filter(near).collect();
    }
    field
}

/// Gauss's elimination with pivots; None when the rows do not determine a solution.
fn solved(mut matrix: [[f64; TERMS + 1]; TERMS]) -> Option<[f64; TERMS]> {
    for column in 0..TERMS {
        let largest = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..TERMS).max_by(|a, b| largest(a).total_cmp(&largest(b)))?;
        if largest(&pivot) < 1e-9 {
            return None;
        }
        matrix.swap(column, pivot);
        let line = matrix[column].map(|cell| cell / matrix[column][column]);
        matrix[column] = line;
        for (_, other) in matrix.iter_mut().enumerate().filter(|(row, _)| *row != column) {
            let factor = other[column];
            other.iter_mut().zip(line).for_each(|(cell, part)| *cell -= factor * part);
        }
    }
    Some(matrix.map(|row| row[TERMS]))
}

#[cfg(test)]
mod tests {
    use imaging::phantom::{Phantom, Settings};
    use imaging::{Findings, prepare, restored};

    use super::*;

    fn found(settings: &Settings) -> (Phantom, Findings) {
        let phantom = Phantom::new(settings).unwrap();
        let tile = prepare(phantom.volume.slice(0), 256, 256, 256).unwrap();
        let predictions = tile_predictions(vec![bright(&tile)]);
        let placements = [tile.placement];
        let (shape, geometry) = (phantom.volume.shape, phantom.volume.geometry);
        let reading = Threshold.model_info().facts.readings.general.slice;
        let probabilities = restored(&placements, &predictions);
        let assessment =
            reading.assess(probabilities, shape, geometry.as_ref(), &placements).unwrap();
        let findings = assessment.findings;
        (phantom, findings)
    }

    fn dice(a: &[u8], b: &[u8]) -> f64 {
        let both = a.iter().zip(b).filter(|(a, b)| **a == 1 && **b == 1).count() as f64;
        2.0 * both / a.iter().chain(b).filter(|inside| **inside == 1).count() as f64
    }

    #[test]
    fn a_phantoms_lesion_is_found_where_it_is() {
        for seed in 0..24 {
            let (phantom, found) =
                found(&Settings { lesion_ml: Some(10.0), ..Settings::slice(seed) });
            let dice = dice(&phantom.truth, &found.mask);
            assert!(dice > 0.7, "seed {seed}: dice {dice}, {} findings", found.findings.len());
        }
    }

    #[test]
    fn a_healthy_phantom_has_no_finding() {
        for seed in 0..24 {
            let (_, found) = found(&Settings { tumour: false, ..Settings::slice(seed) });
            assert_eq!(found.findings.len(), 0, "seed {seed}");
        }
    }

    #[test]
    fn a_square_of_air_has_no_brain() {
        let tile = prepare(&[0.0; 4096], 64, 64, 64).unwrap();
        assert!(bright(&tile).iter().all(|p| *p < 0.5));
    }

    #[test]
    fn a_smooth_field_is_fitted_exactly() {
        let pixels: Vec<f32> = (0..1024)
            .map(|index| {
                let [one, x, y, xx, yy] = terms(index, 32);
                (0.2 * one + 0.1 * x - 0.05 * y + 0.08 * xx - 0.02 * yy) as f32
            })
            .collect();
        let field = field(&pixels, &(0..1024).collect::<Vec<_>>(), 32);
        assert!((0..1024).all(|index| (field.at(index, 32) - pixels[index]).abs() < 1e-5));
    }
}
