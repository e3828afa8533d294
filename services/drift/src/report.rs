//! What a window of scans looks like beside the training reference; pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::Answer;
use proto::events::{ModelIdentity, Observation};
use serde::{Deserialize, Serialize};
use strum::VariantArray;

use crate::embedding::{self, EMBEDDING};
use crate::event;
use crate::reference::{Distribution, Reference};
use crate::statistics::{beyond, difference, quantile};

/// Scans below which numbers are shown and nothing is concluded.
pub const SCANS_MIN: usize = 30;

/// From here on a feature is worth watching, or has drifted; the customary marks of credit scoring, where PSI is from.
pub const PSI_WATCH: f64 = 0.1;
pub const PSI_DRIFT: f64 = 0.25;

/// The same marks of the squared discrepancy between embeddings: what it is between two bell curves that are as far from each other
/// as those that PSI says 0.1 and 0.25 of.
const MMD2_WATCH: f64 = 0.02;
const MMD2_DRIFT: f64 = 0.05;

/// The same marks of the share of scans that were taken otherwise than any of the training.
const BEYOND_WATCH: f64 = 0.1;
const BEYOND_DRIFT: f64 = 0.25;

/// How improbable the difference must be for a whole report of alike samples; shared out among its features (Bonferroni).
///
/// PSI of two alike samples over b bins is about (b - 1) (1/n + 1/m), so that a small window crosses its marks by chance alone.
pub const P_MAX: f64 = 0.01;

/// The values of each feature, by its name.
pub type Values<'a> = BTreeMap<&'a str, Vec<f64>>;

/// What is known of scans: the values of each feature, and where they lie in what the network knows of images.
#[derive(Clone, Debug, Default)]
pub struct Sample<'a> {
    pub values: Values<'a>,
    /// Of the training, how scans were taken: a site takes all of its scans alike, so that they are never spread as those of many
    /// sites are. What counts is what lies beyond all of these.
    pub acquisition: Values<'a>,
    /// Empty: nobody says, or they cannot be compared.
    pub embeddings: Vec<&'a [f64]>,
}

impl<'a> From<Values<'a>> for Sample<'a> {
    fn from(values: Values<'a>) -> Sample<'a> {
        Sample { values, ..Sample::default() }
    }
}

impl<'a> Sample<'a> {
    /// What training saw, with the embeddings that can be compared.
    pub fn of(reference: &'a Reference, embeddings: Vec<&'a [f64]>) -> Sample<'a> {
        let (values, acquisition) = (samples(&reference.features), samples(&reference.acquisition));
        Sample { values, acquisition, embeddings }
    }
}

/// One completed scan.
#[derive(Clone, Debug)]
pub struct CompletedScan {
    pub answer: Answer,
    pub response_ms: Option<i64>,
    pub observation: Option<Observation>,
}

/// The scans that were completed from `from_ms` until before `to_ms`.
#[derive(Clone, Debug)]
pub struct Window {
    pub from_ms: i64,
    pub to_ms: i64,
    pub scans: Vec<CompletedScan>,
    /// Whether older scans of the window were left out, because it holds too many.
    pub cut: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Report {
    pub id: String,
    pub created_ms: i64,
    pub from_ms: i64,
    pub to_ms: i64,
    pub scans: usize,
    pub cut: bool,
    /// The gravest of the features' verdicts.
    pub verdict: Verdict,
    pub answers: BTreeMap<String, usize>,
    pub models: Vec<ModelCount>,
    /// Upload accepted to result readable.
    pub response_ms: Option<Times>,
    /// The model's own part of it.
    pub compute_ms: Option<Times>,
    pub features: Vec<Feature>,
    pub thresholds: Thresholds,
}

/// In the order of gravity.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The training reference does not know this feature.
    NoReference,
    TooFewScans,
    Stable,
    Watch,
    Drift,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ModelCount {
    #[serde(flatten)]
    pub model: ModelIdentity,
    pub scans: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Times {
    pub scans: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Feature {
    pub name: String,
    pub verdict: Verdict,
    /// Scans of the window that have a value.
    pub scans: usize,
    pub median: Option<f64>,
    pub reference_median: Option<f64>,
    pub psi: Option<f64>,
    pub ks_statistic: Option<f64>,
    pub ks_p_value: Option<f64>,
    pub wasserstein: Option<f64>,
    pub jensen_shannon: Option<f64>,
    /// The squared maximum mean discrepancy, of embeddings alone, which have none of the numbers above.
    pub mmd2: Option<f64>,
    pub mmd_p_value: Option<f64>,
    /// Of how scans were taken alone: the share of scans beyond all that was trained on.
    pub beyond: Option<f64>,
    /// How improbable so many are, however many of these features there are.
    pub beyond_p_value: Option<f64>,
    pub histogram: Option<Histogram>,
}

impl Feature {
    /// One of that name, of which nothing else is known.
    pub fn new(name: &str, verdict: Verdict) -> Feature {
        Feature {
            name: name.to_owned(),
            verdict,
            scans: 0,
            median: None,
            reference_median: None,
            psi: None,
            ks_statistic: None,
            ks_p_value: None,
            wasserstein: None,
            jensen_shannon: None,
            mmd2: None,
            mmd_p_value: None,
            beyond: None,
            beyond_p_value: None,
            histogram: None,
        }
    }

    /// How improbable its difference is; None where none was looked for.
    pub fn p_value(&self) -> Option<f64> {
        self.beyond_p_value.or(self.ks_p_value).or(self.mmd_p_value)
    }

    /// What would be said of it by these thresholds; None where there is nothing to judge it by.
    pub fn judged(&self, thresholds: Thresholds) -> Option<Verdict> {
        let p_value = self.p_value()?;
        match (self.beyond, self.psi, self.mmd2) {
            (Some(share), ..) => Some(judge_beyond(share, p_value, thresholds)),
            (None, Some(psi), _) => Some(judge(psi, p_value, thresholds)),
            (None, None, Some(squared)) => Some(judge_discrepancy(squared, p_value, thresholds)),
            (None, None, None) => None,
        }
    }
}

/// Shares of the reference and of the window over the same bins.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Histogram {
    pub edges: Vec<f64>,
    pub reference: Vec<f64>,
    pub window: Vec<f64>,
    /// The window's shares beyond the outer edges.
    pub below: f64,
    pub above: f64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Thresholds {
    pub scans_min: usize,
    pub psi_watch: f64,
    pub psi_drift: f64,
    /// Below this a feature's p-value counts; P_MAX divided by the features that were compared.
    pub p_max: f64,
}

/// Compares `window` with `reference`.
pub fn report(id: String, created_ms: i64, window: &Window, reference: &Reference) -> Report {
    // Scans of all kinds and models are in it, so that there is no one place where they should lie.
    let seen = Sample::from(values(observations(&window.scans)));
    let (mut features, thresholds) = features(&Sample::of(reference, Vec::new()), &seen, P_MAX);
    for feature in &mut features {
        let values = seen.values.get(feature.name.as_str()).map_or(&[][..], Vec::as_slice);
        let distribution = reference.distribution(&feature.name);
        feature.histogram = distribution.map(|distribution| histogram(distribution, values));
    }
    let compute = observations(&window.scans).filter_map(|o| o.compute_ms).collect();
    let response = window.scans.iter().filter_map(|scan| Some(scan.response_ms? as f64)).collect();
    Report {
        id,
        created_ms,
        from_ms: window.from_ms,
        to_ms: window.to_ms,
        scans: window.scans.len(),
        cut: window.cut,
        verdict: gravest(&features),
        answers: answers(window.scans.iter().map(|scan| scan.answer)),
        models: models(&window.scans),
        response_ms: times(response),
        compute_ms: times(compute),
        features,
        thresholds,
    }
}

fn observations(scans: &[CompletedScan]) -> impl Iterator<Item = &Observation> {
    scans.iter().filter_map(|scan| scan.observation.as_ref())
}

/// What was seen of each feature.
pub fn values<'a>(observations: impl Iterator<Item = &'a Observation>) -> Values<'a> {
    let mut values = Values::new();
    for (name, value) in observations.flat_map(event::values) {
        values.entry(name).or_default().push(value);
    }
    values
}

/// What training saw of each of these features.
fn samples(features: &BTreeMap<String, Distribution>) -> Values<'_> {
    let features = features.iter();
    features.map(|(name, distribution)| (name.as_str(), distribution.sample.clone())).collect()
}

/// How what was `seen` of each feature differs from the `reference`, in the order of their names. Of scans that are like it, no
/// feature is said to differ, but with the probability `p_window`: shared out among those that are compared (Bonferroni), of which all
/// that say how scans were taken are one, so that these cost the others little.
pub fn features(reference: &Sample, seen: &Sample, p_window: f64) -> (Vec<Feature>, Thresholds) {
    let embedded = !seen.embeddings.is_empty();
    let known = |of: &Values| seen.values.keys().filter(|name| of.contains_key(*name)).count();
    let (named, acquired) = (known(&reference.values), known(&reference.acquisition));
    let compared = named
        + usize::from(acquired > 0)
        + usize::from(embedded && !reference.embeddings.is_empty());
    let thresholds = Thresholds {
        scans_min: SCANS_MIN,
        psi_watch: PSI_WATCH,
        psi_drift: PSI_DRIFT,
        p_max: p_window / compared.max(1) as f64,
    };
    let trained = reference.values.keys().chain(reference.acquisition.keys());
    let mut names: BTreeSet<&str> = trained.chain(seen.values.keys()).copied().collect();
    names.extend(embedded.then_some(EMBEDDING));
    let of_each = names.into_iter().map(|name| {
        if name == EMBEDDING {
            return embedding::feature(&reference.embeddings, &seen.embeddings, thresholds);
        }
        let values = seen.values.get(name).map_or(&[][..], Vec::as_slice);
        match (reference.values.get(name), reference.acquisition.get(name)) {
            (None, Some(sample)) => {
                acquired_feature(name, values, (sample.as_slice(), acquired), thresholds)
            }
            (sample, _) => feature(name, values, sample.map(Vec::as_slice), thresholds),
        }
    });
    (of_each.collect(), thresholds)
}

/// The gravest of the features' verdicts.
pub fn gravest(features: &[Feature]) -> Verdict {
    features.iter().map(|feature| feature.verdict).max().unwrap_or(Verdict::NoReference)
}

/// How often each of the four answers was given, the rare zero included.
pub fn answers(given: impl Iterator<Item = Answer>) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> =
        Answer::VARIANTS.iter().map(|answer| (answer.name().to_owned(), 0)).collect();
    for answer in given {
        *counts.entry(answer.name().to_owned()).or_default() += 1;
    }
    counts
}

fn models(scans: &[CompletedScan]) -> Vec<ModelCount> {
    let mut counts: BTreeMap<ModelIdentity, usize> = BTreeMap::new();
    for observation in observations(scans) {
        *counts.entry(observation.model.clone().unwrap_or_default()).or_default() += 1;
    }
    counts.into_iter().map(|(model, scans)| ModelCount { model, scans }).collect()
}

/// The percentiles of these milliseconds; None of nothing.
pub fn times(values: Vec<f64>) -> Option<Times> {
    Some(Times {
        scans: values.len(),
        p50: quantile(&values, 0.5)?,
        p95: quantile(&values, 0.95)?,
        p99: quantile(&values, 0.99)?,
    })
}

fn feature(
    name: &str,
    values: &[f64],
    reference: Option<&[f64]>,
    thresholds: Thresholds,
) -> Feature {
    let sample = reference.unwrap_or_default();
    let found = difference(sample, values);
    let verdict = match (reference, found) {
        (None, _) => Verdict::NoReference,
        (Some(_), Some(found)) if values.len().min(sample.len()) >= thresholds.scans_min => {
            judge(found.psi, found.test.p_value, thresholds)
        }
        _ => Verdict::TooFewScans,
    };
    Feature {
        scans: values.len(),
        median: quantile(values, 0.5),
        reference_median: quantile(sample, 0.5),
        psi: found.map(|found| found.psi),
        ks_statistic: found.map(|found| found.test.statistic),
        ks_p_value: found.map(|found| found.test.p_value),
        wasserstein: found.map(|found| found.wasserstein),
        jensen_shannon: found.map(|found| found.jensen_shannon),
        ..Feature::new(name, verdict)
    }
}

/// The same of one of `among` that say how scans were taken.
fn acquired_feature(
    name: &str,
    values: &[f64],
    (sample, among): (&[f64], usize),
    thresholds: Thresholds,
) -> Feature {
    let plain = feature(name, values, Some(sample), thresholds);
    let Some(found) = beyond(sample, values) else { return plain };
    let p_value = (found.p_value * among as f64).min(1.0);
    let verdict = match plain.verdict {
        Verdict::TooFewScans => Verdict::TooFewScans,
        _ => judge_beyond(found.share, p_value, thresholds),
    };
    Feature { verdict, beyond: Some(found.share), beyond_p_value: Some(p_value), ..plain }
}

/// A difference counts when it is large (PSI) and improbable by chance (Kolmogorov-Smirnov).
pub fn judge(psi: f64, p_value: f64, thresholds: Thresholds) -> Verdict {
    graded(psi, [thresholds.psi_watch, thresholds.psi_drift], p_value < thresholds.p_max)
}

/// The same of embeddings, by their squared discrepancy and its permutation test.
pub fn judge_discrepancy(squared: f64, p_value: f64, thresholds: Thresholds) -> Verdict {
    graded(squared, [MMD2_WATCH, MMD2_DRIFT], p_value < thresholds.p_max)
}

/// The same of how scans were taken, by the share of those that lie beyond the training's, and how improbable so many are.
fn judge_beyond(share: f64, p_value: f64, thresholds: Thresholds) -> Verdict {
    graded(share, [BEYOND_WATCH, BEYOND_DRIFT], p_value < thresholds.p_max)
}

fn graded(size: f64, [watch, drift]: [f64; 2], is_improbable: bool) -> Verdict {
    match size {
        _ if !is_improbable => Verdict::Stable,
        size if size >= drift => Verdict::Drift,
        size if size >= watch => Verdict::Watch,
        _ => Verdict::Stable,
    }
}

fn histogram(distribution: &Distribution, values: &[f64]) -> Histogram {
    let edges = &distribution.edges;
    let (first, last) = (edges[0], edges[edges.len() - 1]);
    let mut counts = vec![0; distribution.counts.len()];
    let last_bin = counts.len() - 1;
    let (mut below, mut above) = (0, 0);
    for value in values {
        match *value {
            value if value < first => below += 1,
            value if value > last => above += 1,
            // The last bin holds its upper edge too.
            value => counts[(edges.partition_point(|edge| *edge <= value) - 1).min(last_bin)] += 1,
        }
    }
    let total: u64 = distribution.counts.iter().sum();
    let of_window = |count: u64| count as f64 / values.len().max(1) as f64;
    Histogram {
        edges: edges.clone(),
        reference: distribution.counts.iter().map(|&n| n as f64 / total.max(1) as f64).collect(),
        window: counts.into_iter().map(of_window).collect(),
        below: of_window(below),
        above: of_window(above),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
