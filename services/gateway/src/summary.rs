use imaging::{About, Finding, ResultDocument, Totals};
use serde::Serialize;
use utoipa::ToSchema;

use crate::scans::Scan;

/// What the result of a scan is.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the API")]
pub enum AnyResult {
    Analysed(Box<ResultDocument>),
    NotLookedAt(Box<FailedResult>),
}

/// The result of a scan that nobody could look at: without an analysis there are no measures, no model and no form of them.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FailedResult {
    /// Name and version of this software.
    software: String,
    /// What the result is not.
    limits: String,
    #[schema(format = "uuid")]
    scan_id: String,
    answer: Option<domain::Answer>,
    /// Why.
    reason: Option<String>,
    /// None: nothing was found, for nothing was looked at.
    #[schema(max_items = 0)]
    findings: [Finding; 0],
    totals: Option<Totals>,
    confidence: Option<f64>,
    timing: FailedTiming,
}

/// When it was given up.
#[derive(Serialize, ToSchema)]
struct FailedTiming {
    /// Milliseconds since 1970, and the same as RFC 3339 writes it.
    accepted_ms: i64,
    #[schema(format = "date-time")]
    accepted_at: Option<String>,
    finished_ms: Option<i64>,
    #[schema(format = "date-time")]
    finished_at: Option<String>,
}

/// The result of a scan that has no other.
pub fn of(scan: &Scan) -> String {
    let About { schema: _, software, limits, .. } = About::default();
    let document = FailedResult {
        software,
        limits,
        scan_id: scan.id.clone(),
        answer: scan.answer,
        reason: scan.reason.clone(),
        findings: [],
        totals: None,
        confidence: None,
        timing: FailedTiming {
            accepted_ms: scan.accepted_ms,
            accepted_at: scan.accepted_at.clone(),
            finished_ms: scan.completed_ms,
            finished_at: scan.completed_at.clone(),
        },
    };
    serde_json::to_string(&document).unwrap_or_default()
}
