use domain::Result;
use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, Totals};
use serde::Serialize;

use super::{Rate, median, predict};
use crate::Segmenter;
use crate::dataset::Labelled;

/// How well volumes are measured where they are known exactly: phantoms of one spacing, each with a seed of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Millimetres between slices, rows and columns.
    pub spacing_mm: [f64; 3],
    /// Slices of each phantom.
    pub slices: usize,
    /// The median of |measured - true| / true; a lesion that was missed counts 1.
    pub volume_error: Option<f64>,
    /// Nine in ten are no worse.
    pub volume_error_p90: Option<f64>,
    /// Phantoms in which nothing was found.
    pub missed: Rate,
}

/// Slices, pixels a side, and millimetres between slices and pixels: each covers about as much of a head.
const SPACINGS: [(usize, usize, f64, f64); 5] = [
    (22, 256, 5.0, 0.9375),
    (28, 320, 4.0, 0.75),
    (36, 192, 3.0, 1.25),
    (18, 256, 6.0, 0.9),
    (55, 240, 2.0, 1.0),
];

/// Lets the model measure the lesions of that many phantoms, shared out among five spacings.
pub fn measure_phantoms(segmenter: &mut Segmenter, phantoms: u64) -> Result<Vec<Measured>> {
    let spacings = SPACINGS.into_iter().zip(0..);
    let measured = spacings.map(|((slices, side, between, pixel), first)| {
        let shape = Shape { slices, rows: side, columns: side };
        let spacing_mm = [between, pixel, pixel];
        let mut errors = Vec::new();
        for seed in (first..phantoms).step_by(SPACINGS.len()) {
            let settings = Settings { shape, spacing: spacing_mm, ..Settings::slice(seed) };
            errors.push(volume_error(segmenter, &settings)?);
        }
        errors.sort_by(f64::total_cmp);
        let p90 = errors.get((errors.len() * 9 / 10).min(errors.len().saturating_sub(1)));
        let missed = errors.iter().filter(|error| **error == 1.0).count();
        Ok(Measured {
            spacing_mm,
            slices,
            volume_error: median(&errors),
            volume_error_p90: p90.copied(),
            missed: Rate::new(missed, errors.len()),
        })
    });
    measured.collect()
}

fn volume_error(segmenter: &mut Segmenter, settings: &Settings) -> Result<f64> {
    let Phantom { volume, truth, lesion } = Phantom::new(settings)?;
    let shape = volume.shape;
    let geometry = volume.geometry;
    let true_ml = lesion.map_or(0.0, |lesion| lesion.volume_mm3 / 1000.0);
    let prediction = predict(segmenter, &Labelled { volume, truth })?;
    let reading =
        segmenter.model_info().facts.readings.of(prediction.classified.kind, shape.slices);
    let assessment = reading.assess(
        prediction.probabilities,
        shape,
        geometry.as_ref(),
        &prediction.placements,
    )?;
    let found_ml = Totals::new(&assessment.findings.findings, shape).volume_ml.unwrap_or(0.0);
    Ok((found_ml - true_ml).abs() / true_ml)
}
