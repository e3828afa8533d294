use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::slice::from_ref;

use domain::Result;
use imaging::{Cut, Passport, signs};

use super::card::Card;
use super::doubt::{self, Sample};
use super::reference::reference;
use super::state::State;
use super::{MODALITIES, Settings};
use crate::dataset::{Labelled, Patient, Split};
use crate::evaluate::{
    Case, Evaluation, Judged, Reliability, Seen, Worst, judge, look, mean, measure_phantoms,
    reliability_plot,
};
use crate::network::Network;
use crate::weights::{Calibration, Facts, Weights, replace};
use crate::{Device, Segmenter};

/// The names of what lies beside the weights: the model card, its reliability plot, and the drift reference.
pub const CARD_FILE: &str = "card.md";
pub const RELIABILITY_FILE: &str = "reliability.svg";
pub const REFERENCE_FILE: &str = "reference.json";
/// Where the run's folder keeps pictures of the worst validation scans.
pub const WORST_FOLDER: &str = "worst";

/// What counts where there was nothing to choose it on.
const UNTRIED: Cut = Cut { threshold: 0.5, minimum_pixels: 1 };
const THRESHOLDS: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
const MINIMUM_PIXELS: [usize; 5] = [1, 8, 24, 48, 96];
/// A Dice that differs by less is the same: then false alarms and misses decide.
const DICE_ALIKE: f64 = 0.002;

/// Makes a model of the averaged weights: quantises them, calibrates its probabilities, chooses the threshold and the
/// smallest finding, learns how far its masks can be trusted, all on the validation patients; and writes weights,
/// manifest, card, reliability plot and drift reference to the model's folder, and pictures of the worst to the run's.
///
/// What is judged are the quantised weights, the very ones that ship.
pub fn finish(
    settings: &Settings,
    device: Device,
    split: &Split,
    state: &State,
) -> Result<PathBuf> {
    let network = Network::new(settings.design);
    let units = state.average.cut(&network, false).folded();
    let facts = facts(settings);
    Weights::write(&settings.run, &facts, &units)?;
    let uncalibrated = seen(settings, device, &split.validation)?;
    let (before, after, calibration) = calibrated(&uncalibrated);

    let facts = Facts { calibration, ..facts };
    Weights::write(&settings.run, &facts, &units)?;
    let patients = &split.validation;
    let [volumes, mut slices] = by_kind(seen(settings, device, patients)?);
    let mut segmenter = Segmenter::load(&settings.run, device)?;
    look_alone(&mut segmenter, patients, &mut slices)?;
    let tried_volumes = tried(segmenter.passport(), patients, &volumes)?;
    let tried_slices = tried(segmenter.passport(), patients, &slices)?;
    let Cut { threshold, minimum_pixels } = chosen(&tried_slices).unwrap_or(UNTRIED);
    let facts = Facts { threshold, minimum_pixels, volumes: chosen(&tried_volumes), ..facts };
    let passport = Passport {
        threshold,
        minimum_pixels,
        volumes: facts.volumes,
        ..segmenter.passport().clone()
    };
    let mut samples = samples(&passport, &volumes)?;
    samples.extend(self::samples(&passport, &slices)?);
    let doubt = doubt::fit(&samples);

    let facts = Facts { doubt: Some(doubt), ..facts };
    let manifest = Weights::write(&settings.model, &facts, &units)?;
    let mut segmenter = Segmenter::load(&settings.model, device)?;
    let passport = segmenter.passport().clone();
    let phantoms = measure_phantoms(&mut segmenter, settings.judged_phantoms)?;
    let figures =
        |seen: &[Vec<Seen>]| by_source(&passport, patients, seen, &pixels(patients, seen));
    let text = super::card::card(&Card {
        settings,
        split,
        state,
        manifest: &manifest,
        volumes: &figures(&volumes)?,
        slices: &figures(&slices)?,
        tried: [&tried_volumes, &tried_slices],
        calibration_errors: [before, after],
        covered: doubt::covered(&samples),
        phantoms: &phantoms,
    })?;
    let card = settings.model.join(CARD_FILE);
    replace(&card, text.as_bytes())?;
    let [of_volumes, of_slices] = [&volumes, &slices].map(|seen| pixels(patients, seen));
    let stretches = merged(of_volumes.values().chain(of_slices.values())).stretches();
    let title = format!("{} {}: validation pixels", settings.name, settings.version);
    let plot = reliability_plot(&stretches, &title);
    replace(&settings.model.join(RELIABILITY_FILE), plot.as_bytes())?;
    write_worst(settings, &passport, patients, [&volumes, &slices])?;
    let alone = slices.iter().flatten().map(|seen| judge(&passport, seen));
    let text = reference(split, &alone.collect::<Result<Vec<_>>>()?)?;
    replace(&settings.model.join(REFERENCE_FILE), text.as_bytes())?;
    Ok(card)
}

/// What is known of a model before anybody has looked at what it does.
pub fn facts(settings: &Settings) -> Facts {
    Facts {
        name: settings.name.clone(),
        version: settings.version.clone(),
        design: settings.design,
        side: settings.side,
        preprocessing: imaging::Preprocessing::NEWEST.name().to_owned(),
        threshold: UNTRIED.threshold,
        minimum_pixels: UNTRIED.minimum_pixels,
        volumes: None,
        modalities: MODALITIES.to_vec(),
        mirrored: settings.mirrored,
        calibration: Calibration::default(),
        doubt: None,
    }
}

/// What the model in the run's folder sees in each scan of each patient.
pub fn seen(settings: &Settings, device: Device, patients: &[Patient]) -> Result<Vec<Vec<Seen>>> {
    let mut segmenter = Segmenter::load(&settings.run, device)?;
    let mut of_scans = |patient: &Patient| {
        let scans = patient.scans().into_iter();
        scans.map(|scan| look(&mut segmenter, &Labelled::load(scan)?)).collect()
    };
    patients.iter().map(&mut of_scans).collect()
}

/// What was seen in volumes, and in slices that came alone; of each patient.
pub fn by_kind(patients: Vec<Vec<Seen>>) -> [Vec<Vec<Seen>>; 2] {
    let parted = patients
        .into_iter()
        .map(|scans| scans.into_iter().partition::<Vec<_>, _>(|seen| seen.shape.slices > 1));
    let (volumes, slices) = parted.unzip();
    [volumes, slices]
}

/// Adds what is seen in each slice of a volume when that comes alone.
fn look_alone(
    segmenter: &mut Segmenter,
    patients: &[Patient],
    slices: &mut [Vec<Seen>],
) -> Result<()> {
    for (patient, seen) in patients.iter().zip(slices) {
        for slice in patient.scans().into_iter().filter(|scan| scan.len() > 1).flatten() {
            seen.push(look(segmenter, &Labelled::load(from_ref(slice))?)?);
        }
    }
    Ok(())
}

/// All that these have counted.
pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Reliability>) -> Reliability {
    let mut all = Reliability::default();
    parts.into_iter().for_each(|part| all.merge(part));
    all
}

/// The calibration error before and after, and the calibration. Each patient's error after is that of a calibration
/// which was fitted without the patient.
fn calibrated(patients: &[Vec<Seen>]) -> (Option<f64>, Option<f64>, Calibration) {
    let of_patient = |scans: &Vec<Seen>| {
        let mut pixels = Reliability::default();
        scans.iter().for_each(|seen| pixels.add(&seen.probabilities, &seen.truth));
        pixels
    };
    let each: Vec<Reliability> = patients.iter().map(of_patient).collect();
    let all = merged(&each);
    let mut after = Reliability::default();
    for (index, patient) in each.iter().enumerate() {
        let others = each[..index].iter().chain(&each[index + 1..]);
        after.merge(&patient.calibrated(merged(others).fit()));
    }
    (all.error(), after.error(), all.fit())
}

/// Pixels by what their source is called.
pub type Pixels = BTreeMap<String, Reliability>;

/// A threshold and a smallest finding, and what they come to.
pub struct Tried {
    pub cut: Cut,
    /// One for each source.
    pub sources: Vec<(String, Evaluation)>,
}

impl Tried {
    /// The mean Dice over the scans of each source, and the mean of that over sources.
    pub fn dice(&self) -> f64 {
        let each: Vec<f64> =
            self.sources.iter().filter_map(|(_, figures)| figures.scan_dice_mean).collect();
        mean(&each).unwrap_or(0.0)
    }

    fn wrong(&self) -> usize {
        self.sources.iter().map(|(_, figures)| figures.far.count + figures.frr.count).sum()
    }
}

/// All thresholds with all smallest findings.
pub fn tried(passport: &Passport, patients: &[Patient], seen: &[Vec<Seen>]) -> Result<Vec<Tried>> {
    let pixels = pixels(patients, seen);
    let mut tried = Vec::new();
    for threshold in THRESHOLDS {
        for minimum_pixels in MINIMUM_PIXELS {
            let cut = Cut { threshold, minimum_pixels };
            let passport =
                Passport { threshold, minimum_pixels, volumes: None, ..passport.clone() };
            let sources = by_source(&passport, patients, seen, &pixels)?;
            tried.push(Tried { cut, sources });
        }
    }
    Ok(tried)
}

/// What has the best Dice; of what is alike, what is wrong about the fewest slices. None where there was nothing to try
/// on.
fn chosen(tried: &[Tried]) -> Option<Cut> {
    let best = tried.iter().map(Tried::dice).fold(0.0, f64::max);
    let alike = tried.iter().filter(|tried| tried.dice() >= best - DICE_ALIKE);
    let seen = tried.first()?.sources.iter().any(|(_, figures)| figures.scans > 0);
    alike.min_by_key(|tried| tried.wrong()).filter(|_| seen).map(|tried| tried.cut)
}

/// What each patient's scans come to, of patients with any.
pub fn cases(passport: &Passport, patients: &[Patient], seen: &[Vec<Seen>]) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (patient, scans) in patients.iter().zip(seen).filter(|(_, scans)| !scans.is_empty()) {
        let mut case = Case::new(patient);
        for seen in scans {
            case.scans.push(judge(passport, seen)?.outcome);
        }
        cases.push(case);
    }
    Ok(cases)
}

/// What the sources of these patients are called.
pub fn sources_of<'a>(patients: impl IntoIterator<Item = &'a Patient>) -> BTreeSet<String> {
    patients.into_iter().map(|patient| patient.source.clone()).collect()
}

/// The pixels of each source.
pub fn pixels(patients: &[Patient], seen: &[Vec<Seen>]) -> Pixels {
    let mut pixels = Pixels::new();
    for (patient, scans) in patients.iter().zip(seen) {
        let of_source = pixels.entry(patient.source.clone()).or_default();
        scans.iter().for_each(|seen| of_source.add(&seen.probabilities, &seen.truth));
    }
    pixels
}

/// The figures of each source.
fn by_source(
    passport: &Passport,
    patients: &[Patient],
    seen: &[Vec<Seen>],
    pixels: &Pixels,
) -> Result<Vec<(String, Evaluation)>> {
    let all = cases(passport, patients, seen)?;
    let figures = |source: String| {
        let cases: Vec<Case> = all.iter().filter(|case| case.source == source).cloned().collect();
        let evaluation = Evaluation::new(passport, &cases, &pixels[&source]);
        (source, evaluation)
    };
    Ok(sources_of(patients).into_iter().map(figures).collect())
}

/// What the expected Dice is learned from: every scan in which something was found.
pub fn samples(passport: &Passport, patients: &[Vec<Seen>]) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (patient, scans) in patients.iter().enumerate() {
        for seen in scans {
            let Judged { outcome, findings, .. } = judge(passport, seen)?;
            if let Some(signs) = signs(&seen.probabilities, &findings) {
                let volume = seen.shape.slices > 1;
                samples.push(Sample { patient, volume, signs, dice: outcome.counts().dice() });
            }
        }
    }
    Ok(samples)
}

fn write_worst(
    settings: &Settings,
    passport: &Passport,
    patients: &[Patient],
    [volumes, slices]: [&[Vec<Seen>]; 2],
) -> Result<()> {
    for name in sources_of(patients) {
        let mut worst = Worst::default();
        for ((patient, volumes), slices) in patients.iter().zip(volumes).zip(slices) {
            // In the order of scans: a volume is all that there is of its patient.
            let scans = patient.scans().into_iter().zip(volumes.iter().chain(slices));
            for (scan, seen) in scans.filter(|_| patient.source == name) {
                worst.add(patient, scan, &judge(passport, seen)?);
            }
        }
        worst.write(&settings.run.join(WORST_FOLDER).join(name))?;
    }
    Ok(())
}
