//! Windows of drift in the REST face: listed, looked at, compared, and the rows that they are made of.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use domain::rfc3339;
use proto::drift;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::caller::Caller;
use crate::drift_report::{DriftFeature, Thresholds, Verdict};
use crate::extract::{Path, Query};
use crate::problem::{INVALID, Problem};
use crate::scans::{link, some};
use crate::times;

/// Scans of a window that are shown where nobody says how many, and as many as a window has at most.
const CARRIERS_DEFAULT: u32 = 20;
const CARRIERS_MAX: u32 = 500;

/// Which windows, and which part of the list of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedWindows {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9]{1,15}\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
    /// Only windows whose last scan was completed then or later.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Only windows whose last scan was completed before.
    #[param(format = "date-time")]
    to: Option<String>,
    /// Only scans of that version of a model.
    #[param(max_length = 190)]
    model_version: Option<String>,
    /// Only images of that kind, such as `flair`.
    #[param(max_length = 32)]
    image_kind: Option<String>,
    /// Only images that this has made.
    #[param(max_length = 64)]
    scanner: Option<String>,
}

impl WantedWindows {
    /// In the words of drift.
    fn message(self) -> Result<drift::ListWindowsRequest, Problem> {
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(INVALID.problem(format!("limit is a number from 1 to {PAGE_MAX}")));
        }
        Ok(drift::ListWindowsRequest {
            from_ms: ms("from", self.from.as_deref())?,
            to_ms: ms("to", self.to.as_deref())?,
            model_version: self.model_version.unwrap_or_default(),
            image_kind: self.image_kind.unwrap_or_default(),
            scanner: self.scanner.unwrap_or_default(),
            limit,
            cursor: self.cursor.unwrap_or_default(),
        })
    }
}

/// The moment in milliseconds; 0 where none is named.
fn ms(name: &str, moment: Option<&str>) -> Result<i64, Problem> {
    Ok(moment.map(|moment| times::ms_of(name, moment)).transpose()?.unwrap_or(0))
}

/// Scans of one model, kind of image and scanner, one after the other, beside what the model was trained on. Each scan is in
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
    windows: Vec<DriftWindow>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// A window, with the scans that carry its difference from the training.
#[derive(Serialize, ToSchema)]
pub struct DriftWindowInFull {
    window: DriftWindow,
    /// What scans are looked at by: the features that have drifted, or without any the one that differs most.
    carried_by: Vec<String>,
    /// The farthest first.
    carriers: Vec<DriftCarrier>,
}

/// A scan, and its part of the difference.
#[derive(Serialize, ToSchema)]
struct DriftCarrier {
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
    /// `answer`, `image_kind`, `model` or `scanner`.
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

/// Lists windows of scans beside what the model was trained on, newest first
///
/// A window is closed on a schedule, once it has thirty scans of one model, kind of image and scanner. What the numbers do from one
/// to the next is the trend.
#[utoipa::path(
    operation_id = "list_drift_windows", get, path = "/v1/drift/windows", tag = "drift", params(WantedWindows),
    responses((status = 200, description = "One page of windows", body = DriftWindows,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedWindows>,
) -> Result<(HeaderMap, Json<DriftWindows>), Problem> {
    let page = gateway.drift.list_windows(caller.request(wanted.message()?)).await?.into_inner();
    let (query, next_cursor) = (query.unwrap_or_default(), some(page.next_cursor));
    let link = next_cursor.as_deref().map(|next| link("/v1/drift/windows", &query, next));
    let windows = page.windows.into_iter().map(DriftWindow::from).collect();
    Ok((link.unwrap_or_default(), Json(DriftWindows { windows, next_cursor })))
}

/// How much of a window is shown.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedCarriers {
    /// How many scans at most.
    #[param(minimum = 0, maximum = 500, default = 20)]
    carriers: Option<u32>,
}

/// Shows a window, and which scans carry its difference from the training
#[utoipa::path(
    operation_id = "get_drift_window", get, path = "/v1/drift/windows/{id}", tag = "drift",
    params(("id" = String, Path, description = "The window's id", format = "uuid"), WantedCarriers),
    responses(
        (status = 200, description = "The window", body = DriftWindowInFull),
        (status = 404, description = "No such window", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    Query(wanted): Query<WantedCarriers>,
) -> Result<Json<DriftWindowInFull>, Problem> {
    let carriers = wanted.carriers.unwrap_or(CARRIERS_DEFAULT);
    if carriers > CARRIERS_MAX {
        return Err(INVALID.problem(format!("carriers is a number from 0 to {CARRIERS_MAX}")));
    }
    let asked = caller.request(drift::WindowRef { id, carriers });
    let drift::WindowInFull { window, carriers, features } =
        gateway.drift.get_window(asked).await?.into_inner();
    Ok(Json(DriftWindowInFull {
        window: window.unwrap_or_default().into(),
        carried_by: features,
        carriers: carriers.into_iter().map(DriftCarrier::from).collect(),
    }))
}

/// Which two windows.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Compared {
    /// The id of the window that stands for the training reference.
    #[param(format = "uuid")]
    a: String,
    /// The id of the window that is compared with it.
    #[param(format = "uuid")]
    b: String,
}

/// Compares two windows
///
/// The numbers are those of Evidently 0.7 (`psi`, `ks`, `wasserstein`, `jensenshannon`, `chisquare`) on the same scans.
#[utoipa::path(
    operation_id = "compare_drift_windows", get, path = "/v1/drift/compare", tag = "drift", params(Compared),
    responses(
        (status = 200, description = "How the second differs from the first", body = DriftComparison),
        (status = 404, description = "No such window", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn compare(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(Compared { a, b }): Query<Compared>,
) -> Result<Json<DriftComparison>, Problem> {
    let asked = caller.request(drift::CompareWindowsRequest { a, b });
    Ok(Json(gateway.drift.compare_windows(asked).await?.into_inner().into()))
}

/// Which scans.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedRows {
    /// Only scans that were completed then or later.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Only scans that were completed before; until now without.
    #[param(format = "date-time")]
    to: Option<String>,
}

/// Hands out what was observed of each scan
///
/// A row for each scan, a column for each feature: what a data scientist loads into a frame. Where there are more than 20,000 scans,
/// ask for a shorter time.
#[utoipa::path(
    operation_id = "get_drift_rows", get, path = "/v1/drift/rows.csv", tag = "drift", params(WantedRows),
    responses((status = 200, description = "The rows, oldest first, with a header", body = String, content_type = "text/csv")),
    security(("bearer" = [])),
)]
pub async fn rows(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(WantedRows { from, to }): Query<WantedRows>,
) -> Result<Response, Problem> {
    let (from_ms, to_ms) = (ms("from", from.as_deref())?, ms("to", to.as_deref())?);
    let asked = caller.request(drift::ReadRowsRequest { from_ms, to_ms });
    let mut pieces = gateway.drift.read_rows(asked).await?.into_inner();
    let mut csv = Vec::new();
    while let Some(piece) = pieces.message().await? {
        csv.extend_from_slice(&piece.csv);
    }
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], csv).into_response())
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

    #[test]
    fn what_is_not_asked_for_is_the_newest_page_of_all_windows() {
        let nothing = || WantedWindows {
            limit: None,
            cursor: None,
            from: None,
            to: None,
            model_version: None,
            image_kind: None,
            scanner: None,
        };
        let expected = drift::ListWindowsRequest { limit: PAGE_DEFAULT, ..Default::default() };
        assert_eq!(nothing().message().unwrap(), expected);
        for bad in [
            WantedWindows { limit: Some(0), ..nothing() },
            WantedWindows { limit: Some(PAGE_MAX + 1), ..nothing() },
            WantedWindows { to: Some("tomorrow".into()), ..nothing() },
        ] {
            assert!(bad.message().is_err());
        }
    }
}
