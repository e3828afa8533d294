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

pub fn verdict(verdict: Verdict) -> drift::Verdict {
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

pub fn times(Times { scans, p50, p95, p99 }: Times) -> drift::Times {
    drift::Times { scans: scans as u64, p50, p95, p99 }
}

pub fn feature(feature: Feature) -> drift::Feature {
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
        wasserstein: feature.wasserstein,
        jensen_shannon: feature.jensen_shannon,
        mmd2: feature.mmd2,
        mmd_p_value: feature.mmd_p_value,
        beyond: feature.beyond,
        beyond_p_value: feature.beyond_p_value,
    }
}

fn histogram(histogram: Histogram) -> drift::Histogram {
    let Histogram { edges, reference, window, below, above } = histogram;
    drift::Histogram { edges, reference, window, below, above }
}

pub fn thresholds(thresholds: Thresholds) -> drift::Thresholds {
    let Thresholds { scans_min, psi_watch, psi_drift, p_max } = thresholds;
    drift::Thresholds { scans_min: scans_min as u64, psi_watch, psi_drift, p_max }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proto::events::ModelIdentity;
    use serde_json::Value;

    use super::*;

    /// Each of its numbers is another one, so that none can stand in a place that is not its own.
    fn report() -> Report {
        let model = ModelIdentity { name: "n".into(), version: "v".into(), sha256: "s".into() };
        let histogram = Histogram {
            edges: vec![22.0, 23.0],
            reference: vec![24.0],
            window: vec![25.0],
            below: 26.0,
            above: 27.0,
        };
        let feature = Feature {
            name: "mean".into(),
            verdict: Verdict::Drift,
            scans: 16,
            median: Some(17.0),
            reference_median: Some(18.0),
            psi: Some(19.0),
            ks_statistic: Some(20.0),
            ks_p_value: Some(21.0),
            wasserstein: Some(32.0),
            jensen_shannon: Some(33.0),
            mmd2: Some(34.0),
            mmd_p_value: Some(35.0),
            beyond: Some(36.0),
            beyond_p_value: Some(37.0),
            histogram: Some(histogram),
        };
        Report {
            id: "r".into(),
            created_ms: 1,
            from_ms: 2,
            to_ms: 3,
            scans: 4,
            cut: true,
            verdict: Verdict::Watch,
            answers: BTreeMap::from([("found".to_owned(), 5), ("failed".to_owned(), 6)]),
            models: vec![ModelCount { model, scans: 7 }],
            response_ms: Some(Times { scans: 8, p50: 9.0, p95: 10.0, p99: 11.0 }),
            compute_ms: Some(Times { scans: 12, p50: 13.0, p95: 14.0, p99: 15.0 }),
            features: vec![feature],
            thresholds: Thresholds { scans_min: 28, psi_watch: 29.0, psi_drift: 30.0, p_max: 31.0 },
        }
    }

    #[test]
    fn every_number_of_the_message_is_the_one_that_the_json_has_by_its_name() {
        let json = serde_json::to_value(report()).unwrap();
        let said = message(report(), "{}".into(), "<p>".into());
        assert_eq!((said.json.as_str(), said.html.as_str()), ("{}", "<p>"));
        let (feature, limits) = (&said.features[0], said.thresholds.unwrap());
        let (response, compute) = (said.response_ms.unwrap(), said.compute_ms.unwrap());
        let histogram = feature.histogram.as_ref().unwrap();
        for (value, place) in [
            (said.created_ms as f64, "/created_ms"),
            (said.from_ms as f64, "/from_ms"),
            (said.to_ms as f64, "/to_ms"),
            (said.scans as f64, "/scans"),
            (said.answers["found"] as f64, "/answers/found"),
            (said.answers["failed"] as f64, "/answers/failed"),
            (said.models[0].scans as f64, "/models/0/scans"),
            (response.scans as f64, "/response_ms/scans"),
            (response.p50, "/response_ms/p50"),
            (response.p95, "/response_ms/p95"),
            (response.p99, "/response_ms/p99"),
            (compute.scans as f64, "/compute_ms/scans"),
            (compute.p50, "/compute_ms/p50"),
            (compute.p95, "/compute_ms/p95"),
            (compute.p99, "/compute_ms/p99"),
            (feature.scans as f64, "/features/0/scans"),
            (feature.median.unwrap(), "/features/0/median"),
            (feature.reference_median.unwrap(), "/features/0/reference_median"),
            (feature.psi.unwrap(), "/features/0/psi"),
            (feature.ks_statistic.unwrap(), "/features/0/ks_statistic"),
            (feature.ks_p_value.unwrap(), "/features/0/ks_p_value"),
            (feature.wasserstein.unwrap(), "/features/0/wasserstein"),
            (feature.jensen_shannon.unwrap(), "/features/0/jensen_shannon"),
            (feature.mmd2.unwrap(), "/features/0/mmd2"),
            (feature.mmd_p_value.unwrap(), "/features/0/mmd_p_value"),
            (feature.beyond.unwrap(), "/features/0/beyond"),
            (feature.beyond_p_value.unwrap(), "/features/0/beyond_p_value"),
            (histogram.edges[1], "/features/0/histogram/edges/1"),
            (histogram.reference[0], "/features/0/histogram/reference/0"),
            (histogram.window[0], "/features/0/histogram/window/0"),
            (histogram.below, "/features/0/histogram/below"),
            (histogram.above, "/features/0/histogram/above"),
            (limits.scans_min as f64, "/thresholds/scans_min"),
            (limits.psi_watch, "/thresholds/psi_watch"),
            (limits.psi_drift, "/thresholds/psi_drift"),
            (limits.p_max, "/thresholds/p_max"),
        ] {
            assert_eq!(json.pointer(place).and_then(Value::as_f64), Some(value), "{place}");
        }
        assert_eq!((said.cut, &json["cut"]), (true, &Value::Bool(true)));
        let model = said.models[0].model.as_ref().unwrap();
        assert_eq!([&model.name, &model.version, &model.sha256], ["n", "v", "s"]);
    }

    #[test]
    fn a_verdict_has_the_same_name_in_json_and_on_the_wire() {
        for said in [
            Verdict::NoReference,
            Verdict::TooFewScans,
            Verdict::Stable,
            Verdict::Watch,
            Verdict::Drift,
        ] {
            let name = serde_json::to_value(said).unwrap();
            let on_the_wire = verdict(said).as_str_name().to_lowercase();
            assert_eq!(on_the_wire.strip_prefix("verdict_"), name.as_str());
        }
    }
}
