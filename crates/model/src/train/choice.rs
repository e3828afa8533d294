//! How scans are read, chosen on patients that were not learned from: for each kind of image and each form a network input, a
//! calibration, an operating point, whether one main region is to be kept apart from others, and how far masks can be trusted.

mod candidate;

use std::collections::{BTreeMap, BTreeSet};

use domain::Result;
use imaging::{
    ClassifiedKind, Forms, ImageKind, NetworkInput, OperatingPoint, Reading, Readings,
    dice_features,
};

use super::dice_predictor::{self, Sample};
use super::predictions::{Form, Predictions, cost, kinds_of};
use crate::dataset::Patient;
use crate::evaluate::{
    Case, Evaluation, Outcome, Rate, Reliability, ScanPrediction, mean, score_with,
};
use crate::parallel::in_parallel;
use candidate::{Candidate, GROWS_FROM, candidates, rates, wrong_slices};

/// What counts where there was nothing to choose it on.
pub const UNTRIED: OperatingPoint = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
/// A Dice that differs by less is the same: then what costs less, and then false alarms and misses decide.
const DICE_ALIKE: f64 = 0.002;
/// How sure a model must be of a scan's kind, the least first; of those at which at most the part below is classified wrongly.
const SURE: [f64; 4] = [0.9, 0.95, 0.98, 0.99];
const WRONG_MAX: f64 = 0.001;
/// Patients are left out in so many groups: every group costs one choosing anew on all others.
const GROUPS: usize = 5;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// Whether each kind of image may be read in its own way.
    pub kinds: bool,
    /// Whether a main region may be kept apart from others.
    pub grows: bool,
    /// The inputs that may be chosen; each costs a pass over all validation scans.
    pub inputs: Vec<NetworkInput>,
}

/// Who says what kind of image a scan is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KindBy {
    /// The model, as in the service where no header says it.
    Model,
    /// The data.
    Data,
}

/// Patients that were not learned from, all that was predicted for them, and all that it may come to.
pub struct Choice<'a> {
    patients: &'a [Patient],
    predictions: Vec<Predictions>,
    candidates: [Vec<Candidate>; 2],
    kind_by: KindBy,
    side: usize,
}

/// Patients assessed by what was chosen on others.
pub struct Nested {
    /// Of volumes, and of slices that came alone.
    pub forms: [CohortOutcome; 2],
}

/// What patients come to in one form.
#[derive(Default)]
pub struct CohortOutcome {
    /// One for each patient that has a scan in this form.
    pub cases: Vec<Case>,
    /// The pixels of each source, calibrated.
    pub pixels: BTreeMap<String, Reliability>,
}

impl<'a> Choice<'a> {
    /// Evaluates all candidates on these patients, predicted with several inputs by a network that was trained on tiles of
    /// that side.
    pub fn new(
        patients: &'a [Patient],
        predictions: Vec<Predictions>,
        kind_by: KindBy,
        side: usize,
    ) -> Result<Choice<'a>> {
        let mut all = [Vec::new(), Vec::new()];
        for (form, of_form) in Form::ALL.into_iter().zip(&mut all) {
            let of_inputs = (0..predictions.len()).map(|input| {
                let predictions = &predictions[input];
                move || candidates(input, predictions, form, patients.len())
            });
            *of_form = in_parallel(of_inputs)?.into_iter().flatten().collect();
        }
        Ok(Choice { patients, predictions, candidates: all, kind_by, side })
    }

    /// All that may be chosen.
    pub fn everything(&self) -> Allowed {
        let inputs = self.predictions.iter().map(|predictions| predictions.input).collect();
        Allowed { kinds: true, grows: true, inputs }
    }

    /// The side of the tiles that the network was trained on.
    pub fn side(&self) -> usize {
        self.side
    }

    /// All patients' places.
    pub fn all(&self) -> Vec<usize> {
        (0..self.patients.len()).collect()
    }

    /// How scans are read as these patients (by their places) say.
    pub fn readings(&self, allowed: &Allowed, patients: &[usize]) -> Result<Readings> {
        // Of an unknown kind, a second tumour may be a second tumour.
        let cautious = Allowed { grows: false, ..allowed.clone() };
        let general = self.forms(&cautious, patients)?;
        let mut readings = Readings {
            general: general.unwrap_or_else(|| {
                let reading = Reading::plain(self.side, UNTRIED);
                Forms { slice: reading.clone(), volume: reading }
            }),
            kinds: BTreeMap::new(),
            sure_from: self.sure_from(patients),
        };
        if allowed.kinds {
            for kind in kinds_of(patients.iter().map(|index| &self.patients[*index])) {
                let of_kind = |index: &usize| self.patients[*index].kind == kind;
                let patients: Vec<usize> = patients.iter().copied().filter(of_kind).collect();
                if let Some(forms) = self.forms(allowed, &patients)? {
                    readings.kinds.insert(kind, forms);
                }
            }
        }
        Ok(readings)
    }

    /// None without a scan. A form that there is no scan of is read like the other, as far as that can be carried over.
    fn forms(&self, allowed: &Allowed, patients: &[usize]) -> Result<Option<Forms>> {
        let [volume, slice] = Form::ALL.map(|form| self.reading(form, allowed, patients));
        let unmeasured = |reading: &Reading| Reading {
            grows_from: None,
            expected_dice: None,
            ..reading.clone()
        };
        Ok(match (volume?, slice?) {
            (Some(volume), Some(slice)) => Some(Forms { slice, volume }),
            (None, Some(slice)) => Some(Forms { volume: unmeasured(&slice), slice }),
            (Some(volume), None) => Some(Forms { slice: unmeasured(&volume), volume }),
            (None, None) => None,
        })
    }

    fn reading(
        &self,
        form: Form,
        allowed: &Allowed,
        patients: &[usize],
    ) -> Result<Option<Reading>> {
        let Some(Candidate { input, grows, operating_point, .. }) =
            self.best(form, allowed, patients)
        else {
            return Ok(None);
        };
        let predictions = &self.predictions[*input];
        let calibration = merged(patients.iter().map(|at| predictions.pixels(form, *at))).fit();
        let reading = Reading {
            input: predictions.input,
            operating_point: OperatingPoint {
                threshold: calibration.apply(operating_point.threshold),
                ..*operating_point
            },
            calibration,
            grows_from: grows.then(|| calibration.apply(GROWS_FROM)),
            expected_dice: None,
        };
        let mut samples = Vec::new();
        for patient in patients {
            for prediction in predictions.of(form, *patient) {
                samples.extend(sample(*patient, &score_with(&reading, prediction)?));
            }
        }
        Ok(Some(Reading { expected_dice: dice_predictor::fit(&samples), ..reading }))
    }

    /// Of all that is allowed, what has the best Dice; of what is alike, what costs least; of what costs alike, what is
    /// wrong about the fewest slices. None where there was nothing to try it on.
    fn best(&self, form: Form, allowed: &Allowed, patients: &[usize]) -> Option<&Candidate> {
        let allows = |candidate: &&Candidate| {
            let input = self.predictions[candidate.input].input;
            (allowed.grows || !candidate.grows) && allowed.inputs.contains(&input)
        };
        let by_dice: Vec<(f64, &Candidate)> = self.candidates[form as usize]
            .iter()
            .filter(allows)
            .filter_map(|candidate| Some((self.dice(candidate, patients)?, candidate)))
            .collect();
        let best = by_dice.iter().map(|(dice, _)| *dice).fold(0.0, f64::max);
        let alike = by_dice.into_iter().filter(|(dice, _)| *dice >= best - DICE_ALIKE);
        let cost = |candidate: &Candidate| cost(self.predictions[candidate.input].input);
        let chosen =
            alike.min_by_key(|(_, candidate)| (cost(candidate), wrong_slices(candidate, patients)));
        chosen.map(|(_, candidate)| candidate)
    }

    /// The mean Dice over the scans of each source, and the mean of that over sources. None without a scan.
    fn dice(&self, candidate: &Candidate, patients: &[usize]) -> Option<f64> {
        let mut of_sources = BTreeMap::<&str, Vec<f64>>::new();
        for index in patients {
            let dice = candidate.outcomes[*index].iter().map(|outcome| outcome.counts().dice());
            of_sources.entry(&self.patients[*index].source).or_default().extend(dice);
        }
        mean(&of_sources.values().filter_map(|dice| mean(dice)).collect::<Vec<_>>())
    }

    /// How sure the model must be of a scan's kind, so that it is hardly ever wrong about these patients.
    fn sure_from(&self, patients: &[usize]) -> f64 {
        let mut predicted = Vec::new();
        for (index, form) in patients.iter().flat_map(|at| Form::ALL.map(|form| (*at, form))) {
            let kind = self.patients[index].kind;
            let prediction =
                self.predictions.iter().flat_map(|predictions| predictions.of(form, index));
            predicted.extend(
                prediction
                    .filter_map(|prediction| prediction.classified.model)
                    .map(|o| (o, o.kind == kind)),
            );
        }
        let wrong = |sure: f64| {
            let wrong = predicted.iter().filter(|(o, right)| !right && o.probability >= sure);
            wrong.count() as f64 <= WRONG_MAX * predicted.len() as f64
        };
        SURE.into_iter().find(|sure| wrong(*sure)).unwrap_or(SURE[SURE.len() - 1])
    }

    /// The prediction of the scan at that place by those readings, and what kind it is taken for.
    fn prediction(
        &self,
        readings: &Readings,
        form: Form,
        patient: usize,
        scan: usize,
    ) -> (&ScanPrediction, ImageKind) {
        let with_input = |input: NetworkInput| {
            let predictions =
                self.predictions.iter().find(|predictions| predictions.input == input);
            &predictions.unwrap_or(&self.predictions[0]).of(form, patient)[scan]
        };
        let slices = if form == Form::Volume { usize::MAX } else { 1 };
        let first = with_input(readings.of(ImageKind::Unknown, slices).input);
        let kind = match self.kind_by {
            KindBy::Data => self.patients[patient].kind,
            KindBy::Model => {
                ClassifiedKind::new(ImageKind::Unknown, first.classified.model, readings.sure_from)
                    .kind
            }
        };
        (with_input(readings.of(kind, slices).input), kind)
    }

    /// What these patients come to when they are read so.
    pub fn outcome(
        &self,
        readings: &Readings,
        form: Form,
        patients: &[usize],
    ) -> Result<CohortOutcome> {
        let mut outcome = CohortOutcome::default();
        for &index in patients {
            let patient = &self.patients[index];
            let mut case = Case::new(patient);
            for scan in 0..self.predictions[0].of(form, index).len() {
                let (prediction, kind) = self.prediction(readings, form, index, scan);
                let reading = readings.of(kind, prediction.shape.slices);
                let scored = score_with(reading, prediction)?;
                let pixels = outcome.pixels.entry(patient.source.clone()).or_default();
                pixels.add(&scored.assessment.probabilities, &prediction.truth);
                case.scans.push(Outcome { classified: kind, ..scored.outcome });
            }
            if !case.scans.is_empty() {
                outcome.cases.push(case);
            }
        }
        Ok(outcome)
    }

    /// Every scan of every patient that is read so, with what it comes to; in the order of patients.
    pub fn each(
        &self,
        readings: &Readings,
        form: Form,
        mut hears: impl FnMut(&Patient, usize, &crate::evaluate::Scored) -> Result<()>,
    ) -> Result<()> {
        for (index, patient) in self.patients.iter().enumerate() {
            for scan in 0..self.predictions[0].of(form, index).len() {
                let (prediction, kind) = self.prediction(readings, form, index, scan);
                hears(
                    patient,
                    scan,
                    &score_with(readings.of(kind, prediction.shape.slices), prediction)?,
                )?;
            }
        }
        Ok(())
    }

    /// Groups of patients that are left out together: as many of each source as of the others.
    pub fn groups(&self) -> Vec<usize> {
        let mut counts = BTreeMap::<&str, usize>::new();
        let group = |patient: &'a Patient| {
            let count = counts.entry(patient.source.as_str()).or_default();
            *count += 1;
            (*count - 1) % GROUPS
        };
        self.patients.iter().map(group).collect()
    }

    /// Assesses each patient by what is chosen on the patients of other groups.
    pub fn nested(&self, allowed: &Allowed, groups: &[usize]) -> Result<Nested> {
        let of_groups = groups.iter().collect::<BTreeSet<_>>().into_iter().map(|group| {
            move || {
                let (own, others) = self.parted(groups, *group);
                let readings = self.readings(allowed, &others)?;
                let [volume, slice] = Form::ALL.map(|form| self.outcome(&readings, form, &own));
                Ok([volume?, slice?])
            }
        });
        let mut nested = Nested { forms: [CohortOutcome::default(), CohortOutcome::default()] };
        for outcomes in in_parallel(of_groups)? {
            for (CohortOutcome { cases, pixels }, all) in
                outcomes.into_iter().zip(&mut nested.forms)
            {
                all.cases.extend(cases);
                for (source, pixels) in pixels {
                    all.pixels.entry(source).or_default().merge(&pixels);
                }
            }
        }
        Ok(nested)
    }

    /// FAR and FRR of a source's slices with the fewest false alarms among the cuts that miss at most the part `frr_max`
    /// of the others' slices with a tumour; where all miss more, with the cut that misses fewest.
    pub fn missing_few(
        &self,
        form: Form,
        source: &str,
        groups: &[usize],
        frr_max: f64,
    ) -> [Rate; 2] {
        let mut counts = [[0; 2]; 2];
        for group in groups.iter().collect::<BTreeSet<_>>() {
            let (mut own, mut others) = self.parted(groups, *group);
            for side in [&mut own, &mut others] {
                side.retain(|index| self.patients[*index].source == source);
            }
            let order = |candidate: &&Candidate| {
                let [false_alarms, misses] = rates(candidate, &others);
                let few = misses[0] as f64 <= frr_max * misses[1] as f64;
                if few { (0, false_alarms[0]) } else { (misses[0], false_alarms[0]) }
            };
            let Some(candidate) = self.candidates[form as usize].iter().min_by_key(order) else {
                continue;
            };
            for (sum, rate) in counts.iter_mut().zip(rates(candidate, &own)) {
                *sum = [sum[0] + rate[0], sum[1] + rate[1]];
            }
        }
        counts.map(|[count, of]| Rate::new(count, of))
    }

    /// The patients of a group, and all others.
    fn parted(&self, groups: &[usize], group: usize) -> (Vec<usize>, Vec<usize>) {
        (0..groups.len()).partition(|index| groups[*index] == group)
    }
}

impl CohortOutcome {
    /// The figures of each source that has a scan.
    pub fn figures(&self, model_info: &imaging::ModelInfo) -> Vec<(String, Evaluation)> {
        let figures = |(source, pixels): (&String, &Reliability)| {
            let of_source = self.cases.iter().filter(|case| case.source == *source);
            let cases: Vec<Case> = of_source.cloned().collect();
            (source.clone(), Evaluation::new(model_info, &cases, pixels))
        };
        self.pixels.iter().map(figures).collect()
    }
}

/// All that these have counted.
pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Reliability>) -> Reliability {
    let mut all = Reliability::default();
    parts.into_iter().for_each(|part| all.merge(part));
    all
}

/// The sample of a scan for the Dice predictor; none where nothing was found.
fn sample(patient: usize, scored: &crate::evaluate::Scored) -> Option<Sample> {
    let features = dice_features(&scored.assessment.probabilities, &scored.assessment.findings)?;
    Some(Sample { patient, features, dice: scored.outcome.counts().dice() })
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
