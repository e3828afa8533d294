use domain::Result;
use imaging::Passport;

use super::card::card;
use super::reference::reference;
use super::state::State;
use super::{MODALITIES, Settings};
use crate::dataset::{Patient, Split};
use crate::evaluate::{Counts, Evaluation, Judged, Seen, judge, look};
use crate::network::Network;
use crate::weights::{Facts, Weights, replace};
use crate::{Device, Segmenter};

/// The names of the model card and of the drift reference beside the weights.
pub const CARD_FILE: &str = "card.md";
pub const REFERENCE_FILE: &str = "reference.json";

const THRESHOLDS: [f32; 7] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
const MINIMUM_PIXELS: [usize; 5] = [1, 8, 24, 48, 96];
/// A Dice that differs by less is the same: then false alarms and misses decide.
const DICE_ALIKE: f64 = 0.002;

/// Everything validation patients came to.
pub struct Validated {
    pub evaluation: Evaluation,
    pub slices: Vec<(Seen, Judged)>,
}

/// Makes a model of the averaged weights: quantises them, chooses the threshold and the smallest finding on the
/// validation patients, and writes weights, manifest, card and drift reference to the model's folder.
///
/// What is judged are the quantised weights, the very ones that ship.
pub fn finish(settings: &Settings, device: Device, split: &Split, state: &State) -> Result<()> {
    let network = Network::new(settings.design);
    let units = state.average.cut(&network, false).folded();
    let facts = Facts {
        name: settings.name.clone(),
        version: settings.version.clone(),
        design: settings.design,
        side: settings.side,
        preprocessing: imaging::PREPROCESSING.to_owned(),
        threshold: 0.5,
        minimum_pixels: 1,
        modalities: MODALITIES.to_vec(),
        mirrored: settings.mirrored,
    };
    Weights::write(&settings.run, &facts, &units)?;
    let mut segmenter = Segmenter::load(&settings.run, device)?;
    let seen = look_at_all(&mut segmenter, &split.validation)?;
    let (threshold, minimum_pixels) = choose(segmenter.passport(), &split.validation, &seen)?;
    let facts = Facts { threshold, minimum_pixels, ..facts };
    let manifest = Weights::write(&settings.model, &facts, &units)?;
    let passport = Passport {
        threshold,
        minimum_pixels,
        sha256: manifest.sha256.clone(),
        ..segmenter.passport().clone()
    };
    let judged = seen.iter().map(|seen| judge(&passport, seen)).collect::<Result<Vec<_>>>()?;
    let evaluation = figures(&passport, &split.validation, &judged);
    let slices = seen.into_iter().zip(judged).collect();
    let validated = Validated { evaluation, slices };
    let text = card(settings, split, state, &manifest, &validated.evaluation)?;
    replace(&settings.model.join(CARD_FILE), text.as_bytes())?;
    let text = reference(split, &validated.slices)?;
    replace(&settings.model.join(REFERENCE_FILE), text.as_bytes())
}

fn look_at_all(segmenter: &mut Segmenter, patients: &[Patient]) -> Result<Vec<Seen>> {
    let entries = patients.iter().flat_map(|patient| &patient.slices);
    entries.map(|entry| look(segmenter, entry.load()?)).collect()
}

/// The threshold and the smallest finding with the best mean Dice; of those alike, the ones that are wrong about
/// the fewest slices.
fn choose(passport: &Passport, patients: &[Patient], seen: &[Seen]) -> Result<(f32, usize)> {
    let mut tried = Vec::new();
    for threshold in THRESHOLDS {
        for minimum_pixels in MINIMUM_PIXELS {
            let passport = Passport { threshold, minimum_pixels, ..passport.clone() };
            let judged =
                seen.iter().map(|seen| judge(&passport, seen)).collect::<Result<Vec<_>>>()?;
            let figures = figures(&passport, patients, &judged);
            let wrong = figures.far.count + figures.frr.count;
            tried.push((figures.dice_mean.unwrap_or(0.0), wrong, threshold, minimum_pixels));
        }
    }
    let best = tried.iter().map(|(dice, ..)| *dice).fold(0.0, f64::max);
    let alike = tried.iter().filter(|(dice, ..)| *dice >= best - DICE_ALIKE);
    let chosen = alike.min_by_key(|(_, wrong, ..)| *wrong).expect("something was tried");
    Ok((chosen.2, chosen.3))
}

/// `judged` holds all slices of all patients, in their order.
fn figures(passport: &Passport, patients: &[Patient], judged: &[Judged]) -> Evaluation {
    let mut left = judged.iter();
    let per_patient: Vec<(String, Vec<(Counts, f64)>)> = patients
        .iter()
        .map(|patient| {
            let slices = left.by_ref().take(patient.slices.len());
            (patient.id.clone(), slices.map(|slice| (slice.counts, slice.ms)).collect())
        })
        .collect();
    Evaluation::new(passport, &per_patient)
}
