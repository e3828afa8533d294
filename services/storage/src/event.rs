use domain::{Answer, ErrorKind, Result, ScanId, TenantId};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A scan that is done.
pub struct Completed<'a> {
    pub tenant: TenantId,
    pub scan: ScanId,
    pub answer: Answer,
    pub accepted_ms: i64,
    pub completed_ms: i64,
    /// What drift folds (JSON); empty when nothing was observed.
    pub observation: &'a str,
    /// The trace of its upload; empty: none.
    pub traceparent: &'a str,
}

/// The event `scan.completed`: a CloudEvent 1.0 in structured JSON.
///
/// A scan is completed once, so its id is the event's: whoever receives it twice can tell.
pub fn completed(scan: &Completed) -> Result<String> {
    let observation = observation(scan.observation)?;
    let mut event = json!({
        "specversion": "1.0",
        "id": scan.scan.to_string(),
        "source": "/medseg/storage",
        "type": "scan.completed",
        "subject": scan.scan.to_string(),
        "time": rfc3339(scan.completed_ms)?,
        "datacontenttype": "application/json",
        "data": {
            "tenant": scan.tenant.to_string(),
            "scan_id": scan.scan.to_string(),
            "answer": scan.answer,
            "completed_ms": scan.completed_ms,
            "response_ms": scan.completed_ms - scan.accepted_ms,
            "observation": observation,
        },
    });
    // CloudEvents' extension for distributed tracing.
    if !scan.traceparent.is_empty() {
        event["traceparent"] = scan.traceparent.into();
    }
    Ok(event.to_string())
}

fn observation(text: &str) -> Result<Value> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text)
        .map_err(|error| ErrorKind::Invalid.error("the observation is no JSON").because(error))
}

fn rfc3339(ms: i64) -> Result<String> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    let unsayable = |_| ErrorKind::Internal.error("a time that no calendar has");
    time.map_err(unsayable)?
        .format(&Rfc3339)
        .map_err(|error| ErrorKind::Internal.error("a time without words").because(error))
}
