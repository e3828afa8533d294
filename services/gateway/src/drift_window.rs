//! What windows of drift look like in the REST face.

use std::collections::BTreeMap;

use domain::rfc3339;
use proto::drift;
use serde::Serialize;
use utoipa::ToSchema;

use crate::drift_report::{DriftFeature, Thresholds, Verdict};
use crate::scans::some;

/// Scans of one model, kind of image, scanner and site, one after the other, beside what the model was trained on. Each scan is in
/// one window.
#[derive(Serialize, ToSchema)]
pub struct DriftWindow {
    #[schema(format = "uuid")]
    id: String,
    model: WindowModel,
    /// `null`: nobody says.
    image_kind: Option<String>,
    /// `null`: the files do not say.
    scanner: Option<String>,
    /// Where they were made, as their sender or their files say; `null`: nobody says.
    site: Option<String>,
    /// Among the windows of such scans, from 1.
    number: u64,
    /// When its first scan was completed.
    #[schema(format = "date-time")]
    from: Option<String>,
    /// When its last scan was completed.
    #[schema(format = "date-time")]
    to: Option<String>,
    #[schema(format = "date-time")]
    created_at: Option<String>,
    scans: u64,
    /// The gravest of the features' verdicts.
    verdict: Verdict,
    /// From `drift.detected` until `drift.cleared`.
    drifted: bool,
    /// How often each of the four answers was given.
    answers: BTreeMap<String, u64>,
    features: Vec<DriftFeature>,
    thresholds: Thresholds,
}

/// The model that has judged the scans.
#[derive(Serialize, ToSchema)]
struct WindowModel {
    name: String,
    version: String,
    sha256: String,
}

/// Windows, newest first.
#[derive(Serialize, ToSchema)]
pub struct DriftWindows {
    pub windows: Vec<DriftWindow>,
    /// What the next page begins with; `null` on the last page.
    pub next_cursor: Option<String>,
}

/// A window, with the scans that carry its difference from the training.
#[derive(Serialize, ToSchema)]
pub struct DriftWindowInFull {
    pub window: DriftWindow,
    /// What scans are looked at by: the features that have drifted, or without any the one that differs most.
    pub carried_by: Vec<String>,
    /// The farthest first.
    pub carriers: Vec<DriftCarrier>,
}

/// A scan, and its part of the difference.
#[derive(Serialize, ToSchema)]
pub struct DriftCarrier {
    #[schema(format = "uuid")]
    scan_id: String,
    #[schema(format = "date-time")]
    completed_at: Option<String>,
    /// Of 1, over all scans of the window: how far its values would have to be moved for the window to be as in training.
    contribution: f64,
    /// Of the features that it is looked at by.
    values: BTreeMap<String, f64>,
}

/// How window `b` differs from window `a`.
#[derive(Serialize, ToSchema)]
pub struct DriftComparison {
    a: DriftWindow,
    b: DriftWindow,
    /// Of `b`, with `a` in the place of the training reference.
    features: Vec<DriftFeature>,
    categories: Vec<DriftCategory>,
    thresholds: Thresholds,
}

/// What scans are counted by.
#[derive(Serialize, ToSchema)]
struct DriftCategory {
    /// `answer`, `image_kind`, `model`, `scanner`, `site`, `orientation` (the plane of the slices) or `sequence` (the kind of pulse
    /// sequence, in DICOM's terms).
    name: String,
    counts: Vec<DriftCount>,
    psi: Option<f64>,
    jensen_shannon: Option<f64>,
    /// `null` where there is one value only.
    chi_squared_p_value: Option<f64>,
}

/// How often a value is in each window.
#[derive(Serialize, ToSchema)]
struct DriftCount {
    /// `null`: nobody says.
    value: Option<String>,
    a: u64,
    b: u64,
}

impl From<drift::Window> for DriftWindow {
    fn from(window: drift::Window) -> DriftWindow {
        let verdict = window.verdict().into();
        let model = window.model.unwrap_or_default();
        DriftWindow {
            id: window.id,
            model: WindowModel { name: model.name, version: model.version, sha256: model.sha256 },
            image_kind: some(window.image_kind),
            scanner: some(window.scanner),
            site: some(window.site),
            number: window.number,
            from: rfc3339(window.from_ms),
            to: rfc3339(window.to_ms),
            created_at: rfc3339(window.created_ms),
            scans: window.scans,
            verdict,
            drifted: window.drifted,
            answers: window.answers.into_iter().collect(),
            features: window.features.into_iter().map(DriftFeature::from).collect(),
            thresholds: window.thresholds.unwrap_or_default().into(),
        }
    }
}

impl From<drift::Carrier> for DriftCarrier {
    fn from(carrier: drift::Carrier) -> DriftCarrier {
        let drift::Carrier { scan_id, completed_ms, contribution, values } = carrier;
        let values = values.into_iter().collect();
        DriftCarrier { scan_id, completed_at: rfc3339(completed_ms), contribution, values }
    }
}

impl From<drift::Comparison> for DriftComparison {
    fn from(comparison: drift::Comparison) -> DriftComparison {
        let drift::Comparison { a, b, features, categories, thresholds } = comparison;
        DriftComparison {
            a: a.unwrap_or_default().into(),
            b: b.unwrap_or_default().into(),
            features: features.into_iter().map(DriftFeature::from).collect(),
            categories: categories.into_iter().map(DriftCategory::from).collect(),
            thresholds: thresholds.unwrap_or_default().into(),
        }
    }
}

impl From<drift::Category> for DriftCategory {
    fn from(category: drift::Category) -> DriftCategory {
        let drift::Category { name, counts, psi, jensen_shannon, chi_squared_p_value } = category;
        let count = |drift::CategoryCount { value, a, b }: drift::CategoryCount| DriftCount {
            value: some(value),
            a,
            b,
        };
        let counts = counts.into_iter().map(count).collect();
        DriftCategory { name, counts, psi, jensen_shannon, chi_squared_p_value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_json_in_which_what_nobody_says_is_null() {
        let window = |id: &str| drift::Window {
            id: id.into(),
            image_kind: "flair".into(),
            site: "West".into(),
            number: 2,
            verdict: drift::Verdict::Stable.into(),
            answers: [("found".to_owned(), 1)].into(),
            ..Default::default()
        };
        let category = drift::Category {
            name: "scanner".into(),
            counts: vec![drift::CategoryCount { value: String::new(), a: 3, b: 4 }],
            psi: Some(0.0),
            ..Default::default()
        };
        let comparison = drift::Comparison {
            a: Some(window("1")),
            b: Some(window("2")),
            categories: vec![category],
            ..Default::default()
        };
        let json = serde_json::to_value(DriftComparison::from(comparison)).unwrap();
        let (a, scanner) = (&json["a"], &json["categories"][0]);
        assert_eq!((&a["id"], &json["b"]["id"]), (&"1".into(), &"2".into()));
        assert_eq!((&a["image_kind"], a["scanner"].is_null()), (&"flair".into(), true));
        assert_eq!(a["site"], "West");
        assert_eq!(
            (&a["verdict"], &a["from"]),
            (&"stable".into(), &"1970-01-01T00:00:00.000Z".into())
        );
        let count = serde_json::json!({ "value": null, "a": 3, "b": 4 });
        assert_eq!(
            (&scanner["counts"][0], scanner["chi_squared_p_value"].is_null()),
            (&count, true)
        );
    }
}
