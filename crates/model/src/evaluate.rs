//! How well a model does on labelled patients.

mod figures;
mod phantoms;
mod plot;
mod reliability;
mod statistics;
mod worst;

use std::time::Instant;

use domain::Result;
use imaging::{Findings, Framed, Passport, Placement, Shape, confidence, restore};

pub use figures::{Case, Evaluation, Group, GroupedBy, Outcome};
pub use phantoms::{Measured, measure_phantoms};
pub use plot::plot;
pub use reliability::{Reliability, Stretch, reliability_plot};
pub use statistics::{Rate, bootstrap, mean, median};
pub use worst::Worst;

use crate::Segmenter;
use crate::dataset::{Entry, Labelled, Patient};

/// Pixels in both masks, in the one found, and in the true one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub overlap: usize,
    pub found: usize,
    pub truth: usize,
}

/// One scan as the model saw it.
pub struct Seen {
    pub shape: Shape,
    /// Of the scan's own voxels.
    pub probabilities: Vec<f32>,
    /// One for each slice.
    pub placements: Vec<Placement>,
    pub truth: Vec<u8>,
    pub ms: f64,
}

/// What a scan came to.
pub struct Judged {
    pub outcome: Outcome,
    /// Their mask is what was compared.
    pub findings: Findings,
    /// The service's own figure of that name.
    pub confidence: f64,
}

impl Counts {
    /// 2 * overlap / (found + truth); 1 where both are empty.
    pub fn dice(self) -> f64 {
        match self.found + self.truth {
            0 => 1.0,
            both => 2.0 * self.overlap as f64 / both as f64,
        }
    }

    /// Of both together.
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            overlap: self.overlap + other.overlap,
            found: self.found + other.found,
            truth: self.truth + other.truth,
        }
    }
}

/// Slices that the model is shown at once.
const SHOWN: usize = 16;

/// Shows a scan to the model, exactly as the service does.
pub fn look(segmenter: &mut Segmenter, labelled: &Labelled) -> Result<Seen> {
    let Labelled { volume, truth } = labelled;
    let side = segmenter.passport().side;
    let framed = Framed::new(volume, segmenter.passport().preprocessing()?)?;
    let began = Instant::now();
    let slices: Vec<usize> = (0..volume.shape.slices).collect();
    let (mut probabilities, mut placements) = (Vec::new(), Vec::new());
    for shown in slices.chunks(SHOWN) {
        let squares = shown.iter().map(|slice| framed.slice(*slice, side));
        let squares = squares.collect::<Result<Vec<_>>>()?;
        for (square, seen) in squares.iter().zip(segmenter.probabilities(&squares)?) {
            // Weights that sum to one may do so but for a rounding.
            let values = restore(&seen, &square.placement).into_iter();
            probabilities.extend(values.map(|p| p.clamp(0.0, 1.0)));
            placements.push(square.placement);
        }
    }
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    Ok(Seen { shape: volume.shape, probabilities, placements, truth: truth.clone(), ms })
}

/// Decides what in a scan is a finding, exactly as the service does, and compares it with the truth.
pub fn judge(passport: &Passport, seen: &Seen) -> Result<Judged> {
    let began = Instant::now();
    let criteria = passport.criteria(&seen.placements);
    let findings = Findings::new(&seen.probabilities, seen.shape, None, criteria)?;
    let ms = seen.ms + began.elapsed().as_secs_f64() * 1000.0;
    let count = |inside: &[u8]| inside.iter().filter(|inside| **inside == 1).count();
    let length = seen.shape.slice_len();
    let slices =
        findings.mask.chunks(length).zip(seen.truth.chunks(length)).map(|(mask, truth)| {
            let both: Vec<u8> = mask.iter().zip(truth).map(|(a, b)| a & b).collect();
            Counts { overlap: count(&both), found: count(mask), truth: count(truth) }
        });
    let slices = slices.collect();
    let confidence = confidence(&seen.probabilities, &findings.findings);
    let expected =
        passport.doubt.and_then(|doubt| doubt.expected(&seen.probabilities, seen.shape, &findings));
    Ok(Judged {
        outcome: Outcome { slices, slice_pixels: length, expected, ms },
        findings,
        confidence,
    })
}

/// Judges a model by all scans of `patients`, or by each slice as if it had come alone; `judged` hears of each scan.
pub fn evaluate(
    segmenter: &mut Segmenter,
    patients: &[Patient],
    alone: bool,
    mut judged: impl FnMut(&Patient, &[Entry], &Seen, &Judged) -> Result<()>,
) -> Result<Evaluation> {
    let passport = segmenter.passport().clone();
    let mut reliability = Reliability::default();
    let mut cases = Vec::new();
    for patient in patients {
        let mut case = Case::new(patient);
        let scans = if alone { patient.slices.chunks(1).collect() } else { patient.scans() };
        for scan in scans {
            let seen = look(segmenter, &Labelled::load(scan)?)?;
            let came_to = judge(&passport, &seen)?;
            judged(patient, scan, &seen, &came_to)?;
            reliability.add(&seen.probabilities, &seen.truth);
            case.scans.push(came_to.outcome);
        }
        cases.push(case);
    }
    Ok(Evaluation::new(&passport, &cases, &reliability))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn passport() -> Passport {
        Passport {
            name: "test".into(),
            version: "1".into(),
            sha256: String::new(),
            preprocessing: imaging::Preprocessing::NEWEST.name().into(),
            threshold: 0.5,
            minimum_pixels: 1,
            side: 32,
            modalities: vec![],
            device: "cpu".into(),
            volumes: None,
            doubt: None,
        }
    }

    #[test]
    fn a_scan_is_compared_pixel_by_pixel_after_specks_are_gone() {
        let placement = Placement {
            rows: 2,
            columns: 4,
            side: 4,
            top: -0.5,
            left: -0.5,
            extent: 4.0,
            aspect: 1.0,
        };
        let seen = Seen {
            shape: Shape { slices: 2, rows: 2, columns: 4 },
            probabilities: vec![
                0.9, 0.8, 0.1, 0.0, 0.7, 0.1, 0.1, 0.6, // one region, and a speck
                0.9, 0.1, 0.1, 0.0, 0.1, 0.1, 0.1, 0.1, // more of the region above
            ],
            placements: vec![placement; 2],
            truth: vec![1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
            ms: 1.0,
        };
        let judged = judge(&Passport { minimum_pixels: 2, ..passport() }, &seen).unwrap();
        assert_eq!(judged.findings.mask[..8], [1, 1, 0, 0, 1, 0, 0, 0]);
        let first = Counts { overlap: 2, found: 3, truth: 3 };
        assert_eq!(judged.outcome.slices, [first, Counts { overlap: 1, found: 1, truth: 2 }]);
    }
}
