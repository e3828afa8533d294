//! What a drift report looks like in the REST face.

use std::collections::BTreeMap;

use proto::drift;
use proto::events::ModelIdentity;
use serde::Serialize;
use utoipa::ToSchema;

/// What the model has seen and said in a window of time, beside what it was trained on.
#[derive(Serialize, ToSchema)]
pub struct DriftReport {
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// Milliseconds since 1970, as all times here.
    created_ms: i64,
    from_ms: i64,
    to_ms: i64,
    /// The scans that were completed in the window.
    scans: usize,
    /// Whether older scans of the window were left out, because it holds too many.
    cut: bool,
    /// The gravest of the features' verdicts.
    verdict: Verdict,
    /// How often each of the four answers was given.
    answers: BTreeMap<String, usize>,
    models: Vec<ModelCount>,
    /// Upload accepted to result readable.
    response_ms: Option<Times>,
    /// The model's own part of it.
    compute_ms: Option<Times>,
    features: Vec<DriftFeature>,
    thresholds: Thresholds,
}

/// In the order of gravity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    NoReference,
    TooFewScans,
    Stable,
    Watch,
    Drift,
}

/// How many scans a model has judged.
#[derive(Serialize, ToSchema)]
struct ModelCount {
    name: String,
    version: String,
    sha256: String,
    scans: usize,
}

/// Percentiles, in milliseconds.
#[derive(Serialize, ToSchema)]
pub struct Times {
    scans: usize,
    p50: f64,
    p95: f64,
    p99: f64,
}

/// One feature of images or of answers.
#[derive(Serialize, ToSchema)]
pub struct DriftFeature {
    name: String,
    verdict: Verdict,
    /// Scans of the window that have a value.
    scans: usize,
    median: Option<f64>,
    reference_median: Option<f64>,
    psi: Option<f64>,
    ks_statistic: Option<f64>,
    ks_p_value: Option<f64>,
    /// The first Wasserstein distance, in standard deviations of the reference.
    wasserstein: Option<f64>,
    /// The Jensen-Shannon distance, natural logarithm.
    jensen_shannon: Option<f64>,
    /// The squared maximum mean discrepancy, of the feature `embedding` alone, which has none of the numbers above: where scans lie
    /// in what the network knows of images. From 0.02 on it is worth watching, from 0.05 on it is drift.
    mmd2: Option<f64>,
    /// Of its permutation test.
    mmd_p_value: Option<f64>,
    /// Of features that say how scans were taken (`rows`, `echo_ms`), which are judged by it: the share of scans beyond all that was
    /// trained on. From 0.1 on it is worth watching, from 0.25 on it is drift.
    beyond: Option<f64>,
    /// How improbable so many are, however many such features there are.
    beyond_p_value: Option<f64>,
    histogram: Option<Histogram>,
}

/// Shares of the reference and of the window over the same bins.
#[derive(Serialize, ToSchema)]
struct Histogram {
    edges: Vec<f64>,
    reference: Vec<f64>,
    window: Vec<f64>,
    /// The window's shares beyond the outer edges.
    below: f64,
    above: f64,
}

/// What the verdicts follow from.
#[derive(Serialize, ToSchema)]
pub struct Thresholds {
    scans_min: usize,
    psi_watch: f64,
    psi_drift: f64,
    /// Below this a feature's p-value counts.
    p_max: f64,
}

impl From<drift::Report> for DriftReport {
    fn from(report: drift::Report) -> DriftReport {
        let verdict = report.verdict().into();
        let answers = report.answers.into_iter().map(|(name, count)| (name, count as usize));
        DriftReport {
            id: report.id,
            created_ms: report.created_ms,
            from_ms: report.from_ms,
            to_ms: report.to_ms,
            scans: report.scans as usize,
            cut: report.cut,
            verdict,
            answers: answers.collect(),
            models: report.models.into_iter().map(ModelCount::from).collect(),
            response_ms: report.response_ms.map(Times::from),
            compute_ms: report.compute_ms.map(Times::from),
            features: report.features.into_iter().map(DriftFeature::from).collect(),
            thresholds: report.thresholds.unwrap_or_default().into(),
        }
    }
}

impl From<drift::Verdict> for Verdict {
    fn from(verdict: drift::Verdict) -> Verdict {
        match verdict {
            // One of a later version concludes nothing that this one could name.
            drift::Verdict::Unspecified | drift::Verdict::NoReference => Verdict::NoReference,
            drift::Verdict::TooFewScans => Verdict::TooFewScans,
            drift::Verdict::Stable => Verdict::Stable,
            drift::Verdict::Watch => Verdict::Watch,
            drift::Verdict::Drift => Verdict::Drift,
        }
    }
}

impl From<drift::ModelCount> for ModelCount {
    fn from(drift::ModelCount { model, scans }: drift::ModelCount) -> ModelCount {
        let ModelIdentity { name, version, sha256 } = model.unwrap_or_default();
        ModelCount { name, version, sha256, scans: scans as usize }
    }
}

impl From<drift::Times> for Times {
    fn from(drift::Times { scans, p50, p95, p99 }: drift::Times) -> Times {
        Times { scans: scans as usize, p50, p95, p99 }
    }
}

impl From<drift::Feature> for DriftFeature {
    fn from(feature: drift::Feature) -> DriftFeature {
        let verdict = feature.verdict().into();
        DriftFeature {
            name: feature.name,
            verdict,
            scans: feature.scans as usize,
            median: feature.median,
            reference_median: feature.reference_median,
            psi: feature.psi,
            ks_statistic: feature.ks_statistic,
            ks_p_value: feature.ks_p_value,
            wasserstein: feature.wasserstein,
            jensen_shannon: feature.jensen_shannon,
            mmd2: feature.mmd2,
            mmd_p_value: feature.mmd_p_value,
            beyond: feature.beyond,
            beyond_p_value: feature.beyond_p_value,
            histogram: feature.histogram.map(Histogram::from),
        }
    }
}

impl From<drift::Histogram> for Histogram {
    fn from(histogram: drift::Histogram) -> Histogram {
        let drift::Histogram { edges, reference, window, below, above } = histogram;
        Histogram { edges, reference, window, below, above }
    }
}

impl From<drift::Thresholds> for Thresholds {
    fn from(thresholds: drift::Thresholds) -> Thresholds {
        let drift::Thresholds { scans_min, psi_watch, psi_drift, p_max } = thresholds;
        Thresholds { scans_min: scans_min as usize, psi_watch, psi_drift, p_max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> drift::Report {
        drift::Report {
            id: "7".into(),
            to_ms: 9,
            scans: 1,
            verdict: drift::Verdict::TooFewScans.into(),
            answers: [("none_found".to_owned(), 0), ("found".to_owned(), 1)].into(),
            models: vec![drift::ModelCount { model: None, scans: 1 }],
            response_ms: Some(drift::Times { scans: 1, p50: 120.0, p95: 120.0, p99: 120.0 }),
            features: vec![drift::Feature {
                name: "mean".into(),
                verdict: drift::Verdict::TooFewScans.into(),
                scans: 1,
                median: Some(0.5),
                histogram: Some(drift::Histogram { edges: vec![0.0, 1.0], ..Default::default() }),
                ..Default::default()
            }],
            thresholds: Some(drift::Thresholds { scans_min: 30, ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn a_report_is_the_json_that_drift_keeps() {
        let json = concat!(
            r#"{"id":"7","created_ms":0,"from_ms":0,"to_ms":9,"scans":1,"cut":false,"verdict":"too_few_scans","#,
            r#""answers":{"found":1,"none_found":0},"#,
            r#""models":[{"name":"","version":"","sha256":"","scans":1}],"#,
            r#""response_ms":{"scans":1,"p50":120.0,"p95":120.0,"p99":120.0},"compute_ms":null,"#,
            r#""features":[{"name":"mean","verdict":"too_few_scans","scans":1,"median":0.5,"reference_median":null,"#,
            r#""psi":null,"ks_statistic":null,"ks_p_value":null,"wasserstein":null,"jensen_shannon":null,"#,
            r#""mmd2":null,"mmd_p_value":null,"beyond":null,"beyond_p_value":null,"#,
            r#""histogram":{"edges":[0.0,1.0],"reference":[],"window":[],"below":0.0,"above":0.0}}],"#,
            r#""thresholds":{"scans_min":30,"psi_watch":0.0,"psi_drift":0.0,"p_max":0.0}}"#,
        );
        assert_eq!(serde_json::to_string(&DriftReport::from(report())).unwrap(), json);
    }
}
