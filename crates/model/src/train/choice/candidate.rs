use domain::Result;
use imaging::{OperatingPoint, Reading};

use crate::evaluate::{Outcome, ScanPrediction, score_with};
use crate::train::predictions::{Form, Predictions};

/// Of probabilities that are not calibrated, so that a cut is the same cut whatever the calibration.
const THRESHOLDS: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const MINIMUM_PIXELS: [usize; 5] = [1, 8, 24, 48, 96];
/// From this probability, not calibrated, a main region goes on beyond its ends.
pub const GROWS_FROM: f32 = 0.1;

/// A candidate for a reading, and the outcome of every scan under it.
pub struct Candidate {
    /// The place of the input among the predictions.
    pub input: usize,
    /// Whether a main region is kept apart from lesser ones, and goes on beyond its ends.
    pub grows: bool,
    /// Of probabilities that are not calibrated.
    pub operating_point: OperatingPoint,
    /// Of each patient.
    pub outcomes: Vec<Vec<Outcome>>,
}

/// The grid of candidates with one input: all thresholds with all smallest findings, in volumes with and without a main region.
pub fn candidates(
    input: usize,
    predictions: &Predictions,
    form: Form,
    patients: usize,
) -> Result<Vec<Candidate>> {
    let grows: &[bool] = if form == Form::Volume { &[true, false] } else { &[false] };
    let mut all = Vec::new();
    for &grows in grows {
        for threshold in THRESHOLDS {
            for minimum_pixels in MINIMUM_PIXELS {
                let operating_point = OperatingPoint { threshold, minimum_pixels };
                let reading = Reading {
                    grows_from: grows.then_some(GROWS_FROM),
                    ..Reading::plain(predictions.input.side, operating_point)
                };
                let outcome = |prediction: &ScanPrediction| {
                    score_with(&reading, prediction).map(|scored| scored.outcome)
                };
                let of_patient = |at: usize| predictions.of(form, at).iter().map(outcome).collect();
                let outcomes = (0..patients).map(of_patient).collect::<Result<_>>()?;
                all.push(Candidate { input, grows, operating_point, outcomes });
            }
        }
    }
    Ok(all)
}

/// Falsely found of all without a tumour, and missed of all with one: slices of these patients.
pub fn rates(candidate: &Candidate, patients: &[usize]) -> [[usize; 2]; 2] {
    let slices = patients.iter().flat_map(|at| &candidate.outcomes[*at]).flat_map(|o| &o.slices);
    slices.fold([[0; 2]; 2], |[far, frr], counts| match counts.truth {
        0 => [[far[0] + usize::from(counts.found > 0), far[1] + 1], frr],
        _ => [far, [frr[0] + usize::from(counts.found == 0), frr[1] + 1]],
    })
}

/// Slices of these patients about which it is wrong.
pub fn wrong_slices(candidate: &Candidate, patients: &[usize]) -> usize {
    let [far, frr] = rates(candidate, patients);
    far[0] + frr[0]
}
