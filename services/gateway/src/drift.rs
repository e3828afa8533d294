use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use proto::drift::{Report, ReportRef, ReportRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::drift_report::DriftReport;
use crate::extract::{Object, Path, prefers_html};
use crate::problem::{INVALID, Problem};

/// A report brings its own styles and drawings, and runs nothing.
const REPORT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

/// Which scans to compare with what the model was trained on; without a body, all of them.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReport {
    /// From then on, in milliseconds since 1970.
    #[serde(default)]
    #[schema(minimum = 0)]
    from_ms: i64,
    /// Until then, in milliseconds since 1970; 0: until now.
    #[serde(default)]
    #[schema(minimum = 0)]
    to_ms: i64,
}

/// Compares what the model has seen and said with what it was trained on
///
/// With `Accept: text/html` the answer is a page with plots, else JSON.
#[utoipa::path(
    operation_id = "create_drift_report", post, path = "/v1/drift/reports", tag = "drift",
    request_body(content = Option<NewReport>, description = "The window; nothing means everything"),
    responses((status = 201, description = "The report",
        content((DriftReport = "application/json"), (String = "text/html")),
        headers(("Location" = String, description = "Where the report is")))),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let window = if body.is_empty() { Ok(None) } else { serde_json::from_slice(&body) };
    let window: Option<Object<NewReport>> =
        window.map_err(|error| INVALID.problem(format!("the body is no window: {error}")))?;
    let NewReport { from_ms, to_ms } = window.map(|Object(window)| window).unwrap_or_default();
    let report = gateway
        .drift
        .create_report(caller.request(ReportRequest { from_ms, to_ms }))
        .await?
        .into_inner();
    let location = format!("/v1/drift/reports/{}", report.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], shown(report, prefers_html(&headers)))
        .into_response())
}

/// Shows a report again
///
/// With `Accept: text/html`, or `.html` behind the id, the answer is a page with plots, else JSON.
#[utoipa::path(
    operation_id = "get_drift_report", get, path = "/v1/drift/reports/{id}", tag = "drift", params(("id" = String, Path, description = "The report's id")),
    responses(
        (status = 200, description = "The report", content((DriftReport = "application/json"), (String = "text/html"))),
        (status = 404, description = "No such report", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let page = id.strip_suffix(".html");
    let html = page.is_some() || prefers_html(&headers);
    let id = page.unwrap_or(&id).to_owned();
    let report = gateway.drift.get_report(caller.request(ReportRef { id })).await?.into_inner();
    Ok(shown(report, html))
}

fn shown(report: Report, html: bool) -> Response {
    if html {
        return ([(header::CONTENT_SECURITY_POLICY, REPORT_POLICY)], Html(report.html))
            .into_response();
    }
    if report.thresholds.is_none() {
        // A drift of the version before says all of it in JSON alone.
        return ([(header::CONTENT_TYPE, "application/json")], report.json).into_response();
    }
    Json(DriftReport::from(report)).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_report_of_the_version_before_is_handed_on_as_it_says_it() {
        let report = Report { json: r#"{"id":"7"}"#.into(), ..Report::default() };
        let body = shown(report, false).into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"{"id":"7"}"#);
    }
}
