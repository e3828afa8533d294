//! How well a model does on labelled patients.

mod plot;
mod statistics;

use std::time::Instant;

use domain::Result;
use imaging::{Features, Findings, Passport, Placement, Shape, confidence, prepare, restore};
use serde::Serialize;

pub use plot::plot;
pub use statistics::{Rate, bootstrap, mean, median};

use crate::Segmenter;
use crate::dataset::{Labelled, Patient};

/// The bootstrap's seed: the same masks have the same interval.
const SEED: u64 = 1;

/// What `medseg evaluate --json` prints. Dice is 2 * overlap / (found + truth), and 1 where both are empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    pub model: Model,
    /// Volumetric: over all slices of a patient together.
    pub patients: Vec<PatientDice>,
    pub dice_mean: Option<f64>,
    pub dice_median: Option<f64>,
    /// 95 %, bootstrap over patients.
    pub dice_interval: Option<[f64; 2]>,
    /// Patients without tumour in the truth and in the mask, who count 1 above; and the mean without them.
    pub patients_empty: usize,
    pub dice_mean_not_empty: Option<f64>,
    /// The mean Dice of the slices that show a tumour.
    pub slice_dice_mean: Option<f64>,
    pub slices: usize,
    pub slices_with_tumour: usize,
    /// Slices without tumour in which one was found, of all slices without.
    pub far: Rate,
    /// Slices with tumour in which none was found, of all slices with.
    pub frr: Rate,
    /// From pixels to mask, one slice at a time, without reading files.
    pub ms_per_slice: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    pub name: String,
    pub version: String,
    pub sha256: String,
    pub threshold: f32,
    pub minimum_pixels: usize,
    pub device: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatientDice {
    pub id: String,
    pub dice: f64,
    pub slices: usize,
}

/// Pixels in both masks, in the one found, and in the true one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub overlap: usize,
    pub found: usize,
    pub truth: usize,
}

/// One slice as the model saw it.
pub struct Seen {
    /// Of the slice's own pixels.
    pub probabilities: Vec<f32>,
    pub placement: Placement,
    pub truth: Vec<u8>,
    pub features: Features,
    pub ms: f64,
}

/// What a slice came to.
pub struct Judged {
    pub counts: Counts,
    /// Their mask is what was compared.
    pub findings: Findings,
    pub mask_fraction: f64,
    /// The service's own figure of that name.
    pub confidence: f64,
    pub ms: f64,
}

impl Counts {
    /// 2 * overlap / (found + truth); 1 where both are empty.
    pub fn dice(self) -> f64 {
        match self.found + self.truth {
            0 => 1.0,
            both => 2.0 * self.overlap as f64 / both as f64,
        }
    }

    fn plus(self, other: Counts) -> Counts {
        Counts {
            overlap: self.overlap + other.overlap,
            found: self.found + other.found,
            truth: self.truth + other.truth,
        }
    }
}

/// Shows one slice to the model, exactly as the service does.
pub fn look(segmenter: &mut Segmenter, labelled: Labelled) -> Result<Seen> {
    let Labelled { volume, truth } = labelled;
    let Shape { rows, columns, .. } = volume.shape;
    let began = Instant::now();
    let prepared = prepare(volume.slice(0), rows, columns, segmenter.passport().side)?;
    let placement = prepared.placement;
    let square = segmenter.probabilities(&[prepared])?.remove(0);
    let probabilities = restore(&square, &placement);
    let ms = began.elapsed().as_secs_f64() * 1000.0;
    Ok(Seen { probabilities, placement, truth, features: Features::new(&volume), ms })
}

/// Decides what in a slice is a finding, exactly as the service does, and compares it with the truth.
pub fn judge(passport: &Passport, seen: &Seen) -> Result<Judged> {
    let Placement { rows, columns, .. } = seen.placement;
    let shape = Shape { slices: 1, rows, columns };
    let began = Instant::now();
    let criteria = passport.criteria(&[seen.placement]);
    let findings = Findings::new(&seen.probabilities, shape, None, criteria)?;
    let mask = &findings.mask;
    let ms = seen.ms + began.elapsed().as_secs_f64() * 1000.0;
    let count = |inside: &[u8]| inside.iter().filter(|inside| **inside == 1).count();
    let both: Vec<u8> = mask.iter().zip(&seen.truth).map(|(a, b)| a & b).collect();
    let counts = Counts { overlap: count(&both), found: count(mask), truth: count(&seen.truth) };
    let mask_fraction = counts.found as f64 / mask.len() as f64;
    let confidence = confidence(&seen.probabilities, &findings.findings);
    Ok(Judged { counts, findings, mask_fraction, confidence, ms })
}

/// Judges a model by all slices of `patients`; `judged` hears of each slice.
pub fn evaluate(
    segmenter: &mut Segmenter,
    patients: &[Patient],
    mut judged: impl FnMut(&Patient, u32, &Seen, &Judged) -> Result<()>,
) -> Result<Evaluation> {
    let passport = segmenter.passport().clone();
    let mut slices = Vec::new();
    for patient in patients {
        let mut counts = Vec::new();
        for entry in &patient.slices {
            let seen = look(segmenter, entry.load()?)?;
            let slice = judge(&passport, &seen)?;
            judged(patient, entry.slice, &seen, &slice)?;
            counts.push((slice.counts, slice.ms));
        }
        slices.push((patient.id.clone(), counts));
    }
    Ok(Evaluation::new(&passport, &slices))
}

impl Evaluation {
    /// The figures of patients, given as the counts and milliseconds of each of their slices.
    pub fn new(passport: &Passport, patients: &[(String, Vec<(Counts, f64)>)]) -> Evaluation {
        let volumetric = |slices: &[(Counts, f64)]| {
            slices.iter().fold(Counts::default(), |sum, (counts, _)| sum.plus(*counts))
        };
        let volumes: Vec<Counts> = patients.iter().map(|(_, slices)| volumetric(slices)).collect();
        let dice: Vec<f64> = volumes.iter().map(|volume| volume.dice()).collect();
        let not_empty: Vec<f64> =
            volumes.iter().filter(|v| v.found + v.truth > 0).map(|v| v.dice()).collect();
        let all: Vec<(Counts, f64)> =
            patients.iter().flat_map(|(_, slices)| slices.clone()).collect();
        let with: Vec<Counts> = all.iter().map(|(c, _)| *c).filter(|c| c.truth > 0).collect();
        let without: Vec<Counts> = all.iter().map(|(c, _)| *c).filter(|c| c.truth == 0).collect();
        let found_without = without.iter().filter(|counts| counts.found > 0).count();
        let missed = with.iter().filter(|counts| counts.found == 0).count();
        let per_patient = patients.iter().zip(&dice).map(|((id, slices), dice)| PatientDice {
            id: id.clone(),
            dice: *dice,
            slices: slices.len(),
        });
        Evaluation {
            model: Model::new(passport),
            patients: per_patient.collect(),
            dice_mean: mean(&dice),
            dice_median: median(&dice),
            dice_interval: bootstrap(&dice, SEED),
            patients_empty: dice.len() - not_empty.len(),
            dice_mean_not_empty: mean(&not_empty),
            slice_dice_mean: mean(&with.iter().map(|counts| counts.dice()).collect::<Vec<_>>()),
            slices: all.len(),
            slices_with_tumour: with.len(),
            far: Rate::new(found_without, without.len()),
            frr: Rate::new(missed, with.len()),
            ms_per_slice: mean(&all.iter().map(|(_, ms)| *ms).collect::<Vec<_>>()),
        }
    }
}

impl Model {
    fn new(passport: &Passport) -> Model {
        let Passport { name, version, sha256, threshold, minimum_pixels, device, .. } =
            passport.clone();
        Model { name, version, sha256, threshold, minimum_pixels, device }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passport() -> Passport {
        Passport {
            name: "test".into(),
            version: "1".into(),
            sha256: String::new(),
            preprocessing: imaging::PREPROCESSING.into(),
            threshold: 0.5,
            minimum_pixels: 1,
            side: 32,
            modalities: vec![],
            device: "cpu".into(),
        }
    }

    fn counts(overlap: usize, found: usize, truth: usize) -> (Counts, f64) {
        (Counts { overlap, found, truth }, 10.0)
    }

    #[test]
    fn the_figures_of_a_case_counted_by_hand() {
        let patients = [
            // 2 * 6 / (10 + 8) over both slices; one slice with tumour at 2 * 6 / 14, one false alarm.
            ("a".to_owned(), vec![counts(6, 6, 8), counts(0, 4, 0)]),
            // Missed altogether.
            ("b".to_owned(), vec![counts(0, 0, 5), counts(0, 0, 0)]),
            // Empty in both.
            ("c".to_owned(), vec![counts(0, 0, 0)]),
        ];
        let e = Evaluation::new(&passport(), &patients);
        let dice: Vec<f64> = e.patients.iter().map(|patient| patient.dice).collect();
        assert_eq!(dice, [12.0 / 18.0, 0.0, 1.0]);
        assert_eq!(
            (e.dice_mean, e.dice_median),
            (Some((12.0 / 18.0 + 1.0) / 3.0), Some(12.0 / 18.0))
        );
        assert_eq!((e.patients_empty, e.dice_mean_not_empty), (1, Some(6.0 / 18.0)));
        assert_eq!(e.slice_dice_mean, Some(12.0 / 14.0 / 2.0));
        assert_eq!((e.slices, e.slices_with_tumour, e.ms_per_slice), (5, 2, Some(10.0)));
        assert_eq!((e.far.count, e.far.of, e.frr.count, e.frr.of), (1, 3, 1, 2));
    }

    #[test]
    fn a_slice_is_compared_pixel_by_pixel_after_specks_are_gone() {
        let placement =
            Placement { rows: 2, columns: 4, side: 4, top: -0.5, left: -0.5, extent: 4.0 };
        let seen = Seen {
            probabilities: vec![0.9, 0.8, 0.1, 0.0, 0.7, 0.1, 0.1, 0.6],
            placement,
            truth: vec![1, 0, 0, 0, 1, 1, 0, 0],
            features: Features::default(),
            ms: 1.0,
        };
        let judged = judge(&Passport { minimum_pixels: 2, ..passport() }, &seen).unwrap();
        assert_eq!(judged.findings.mask, [1, 1, 0, 0, 1, 0, 0, 0]);
        assert_eq!(judged.counts, Counts { overlap: 2, found: 3, truth: 3 });
        assert_eq!(judged.mask_fraction, 3.0 / 8.0);
    }

    #[test]
    fn the_plot_names_every_patient() {
        let patients =
            [("<x>".to_owned(), vec![counts(1, 1, 1)]), ("y".to_owned(), vec![counts(0, 0, 1)])];
        let svg = plot(&Evaluation::new(&passport(), &patients));
        assert!(
            svg.contains("&lt;x&gt;: 1.000")
                && svg.contains("y: 0.000")
                && svg.ends_with("</svg>\n")
        );
    }
}
