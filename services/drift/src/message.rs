//! The message of a report.

use proto::drift;

use crate::report::{Feature, Histogram, ModelCount, Report, Thresholds, Times, Verdict};

/// The message of `report`, which `json` and `html` say, too.
pub fn message(report: Report, json: String, html: String) -> drift::Report {
    let answers = report.answers.into_iter().map(|(name, count)| (name, count as u64));
    drift::Report {
        id: report.id,
        json,
        html,
        created_ms: report.created_ms,
        from_ms: report.from_ms,
        to_ms: report.to_ms,
        scans: report.scans as u64,
        cut: report.cut,
        verdict: verdict(report.verdict).into(),
        answers: answers.collect(),
        models: report.models.into_iter().map(model).collect(),
        response_ms: report.response_ms.map(times),
        compute_ms: report.compute_ms.map(times),
        features: report.features.into_iter().map(feature).collect(),
        thresholds: Some(thresholds(report.thresholds)),
    }
}

fn verdict(verdict: Verdict) -> drift::Verdict {
    match verdict {
        Verdict::NoReference => drift::Verdict::NoReference,
        Verdict::TooFewScans => drift::Verdict::TooFewScans,
        Verdict::Stable => drift::Verdict::Stable,
        Verdict::Watch => drift::Verdict::Watch,
        Verdict::Drift => drift::Verdict::Drift,
    }
}

fn model(ModelCount { model, scans }: ModelCount) -> drift::ModelCount {
    drift::ModelCount { model: Some(model), scans: scans as u64 }
}

fn times(Times { scans, p50, p95, p99 }: Times) -> drift::Times {
    drift::Times { scans: scans as u64, p50, p95, p99 }
}

fn feature(feature: Feature) -> drift::Feature {
    drift::Feature {
        name: feature.name,
        verdict: verdict(feature.verdict).into(),
        scans: feature.scans as u64,
        median: feature.median,
        reference_median: feature.reference_median,
        psi: feature.psi,
        ks_statistic: feature.ks_statistic,
        ks_p_value: feature.ks_p_value,
        histogram: feature.histogram.map(histogram),
    }
}

fn histogram(histogram: Histogram) -> drift::Histogram {
    let Histogram { edges, reference, window, below, above } = histogram;
    drift::Histogram { edges, reference, window, below, above }
}

fn thresholds(thresholds: Thresholds) -> drift::Thresholds {
    let Thresholds { scans_min, psi_watch, psi_drift, p_max } = thresholds;
    drift::Thresholds { scans_min: scans_min as u64, psi_watch, psi_drift, p_max }
}
