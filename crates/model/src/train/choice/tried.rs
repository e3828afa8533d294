use domain::Result;
use imaging::{Cut, Reading};

use crate::evaluate::{Outcome, Seen, judge_as};
use crate::train::sightings::{Form, Sightings};

/// Of probabilities that are not calibrated, so that a cut is the same cut whatever the calibration.
const THRESHOLDS: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const MINIMUM_PIXELS: [usize; 5] = [1, 8, 24, 48, 96];
/// From this probability, not calibrated, a main region goes on beyond its ends.
pub const GROWS_FROM: f32 = 0.1;

/// A way to read scans, and what all of them come to in it.
pub struct Tried {
    /// The place of the look among the sightings.
    pub look: usize,
    /// Whether a main region is told from lesser ones, and goes on beyond its ends.
    pub grows: bool,
    /// Of probabilities that are not calibrated.
    pub cut: Cut,
    /// Of each patient.
    pub outcomes: Vec<Vec<Outcome>>,
}

/// All thresholds with all smallest findings, in one look; with and without a main region in volumes.
pub fn tries(
    look: usize,
    sightings: &Sightings,
    form: Form,
    patients: usize,
) -> Result<Vec<Tried>> {
    let grows: &[bool] = if form == Form::Volume { &[true, false] } else { &[false] };
    let mut all = Vec::new();
    for &grows in grows {
        for threshold in THRESHOLDS {
            for minimum_pixels in MINIMUM_PIXELS {
                let cut = Cut { threshold, minimum_pixels };
                let reading = Reading {
                    grows_from: grows.then_some(GROWS_FROM),
                    ..Reading::plain(sightings.look.side, cut)
                };
                let outcome = |seen: &Seen| judge_as(&reading, seen).map(|judged| judged.outcome);
                let of_patient = |at: usize| sightings.of(form, at).iter().map(outcome).collect();
                let outcomes = (0..patients).map(of_patient).collect::<Result<_>>()?;
                all.push(Tried { look, grows, cut, outcomes });
            }
        }
    }
    Ok(all)
}

/// Falsely found of all without a tumour, and missed of all with one: slices of these patients.
pub fn rates(tried: &Tried, patients: &[usize]) -> [[usize; 2]; 2] {
    let slices = patients.iter().flat_map(|at| &tried.outcomes[*at]).flat_map(|o| &o.slices);
    slices.fold([[0; 2]; 2], |[far, frr], counts| match counts.truth {
        0 => [[far[0] + usize::from(counts.found > 0), far[1] + 1], frr],
        _ => [far, [frr[0] + usize::from(counts.found == 0), frr[1] + 1]],
    })
}

/// Slices of these patients about which it is wrong.
pub fn wrong(tried: &Tried, patients: &[usize]) -> usize {
    let [far, frr] = rates(tried, patients);
    far[0] + frr[0]
}
