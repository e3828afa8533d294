//! What a drift report looks like: the document is drift's own, and goes through here unread.

#![expect(dead_code, reason = "describes the API")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// What the model has seen and said in a window of time, beside what it was trained on.
#[derive(ToSchema)]
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
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Verdict {
    NoReference,
    TooFewScans,
    Stable,
    Watch,
    Drift,
}

/// How many scans a model has judged.
#[derive(ToSchema)]
struct ModelCount {
    name: String,
    version: String,
    sha256: String,
    scans: usize,
}

/// Percentiles, in milliseconds.
#[derive(ToSchema)]
struct Times {
    scans: usize,
    p50: f64,
    p95: f64,
    p99: f64,
}

/// One feature of images or of answers.
#[derive(ToSchema)]
struct DriftFeature {
    name: String,
    verdict: Verdict,
    /// Scans of the window that have a value.
    scans: usize,
    median: Option<f64>,
    reference_median: Option<f64>,
    psi: Option<f64>,
    ks_statistic: Option<f64>,
    ks_p_value: Option<f64>,
    histogram: Option<Histogram>,
}

/// Shares of the reference and of the window over the same bins.
#[derive(ToSchema)]
struct Histogram {
    edges: Vec<f64>,
    reference: Vec<f64>,
    window: Vec<f64>,
    /// The window's shares beyond the outer edges.
    below: f64,
    above: f64,
}

/// What the verdicts follow from.
#[derive(ToSchema)]
struct Thresholds {
    scans_min: usize,
    psi_watch: f64,
    psi_drift: f64,
    /// Below this a feature's p-value counts.
    p_max: f64,
}
