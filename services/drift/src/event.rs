//! The event `scan.completed`, as drift reads it.

use domain::{Answer, Error, ErrorKind, Result, ScanId, TenantId};
use proto::events::{Observation, ScanCompleted};
use service::CloudEvent;
use service::topics::SCAN_COMPLETED;

/// What is told of a scan when it is done.
#[derive(Debug)]
pub struct Completed {
    pub event_id: String,
    pub tenant: TenantId,
    pub scan: ScanId,
    pub answer: Answer,
    pub completed_ms: i64,
    /// From upload accepted to result readable.
    pub response_ms: Option<i64>,
    /// None when the scan failed before anything was seen of it.
    pub observation: Option<Observation>,
    /// Where the scan was made; None: nobody says.
    pub site: Option<String>,
    /// Why there is no answer, where there is none.
    pub refusal: Option<String>,
    /// The trace of the scan's upload; empty: none.
    pub traceparent: String,
}

impl Completed {
    pub fn parse(body: &[u8]) -> Result<Completed> {
        let CloudEvent { id, data, traceparent, .. } = CloudEvent::parse(SCAN_COMPLETED, body)?;
        let ScanCompleted {
            tenant,
            scan_id,
            answer,
            completed_ms,
            response_ms,
            observation,
            site,
            refusal,
        } = data;
        Ok(Completed {
            event_id: id,
            tenant: tenant.parse().map_err(strange)?,
            scan: scan_id.parse().map_err(strange)?,
            answer: named("answer", &answer)?,
            completed_ms,
            response_ms,
            observation,
            site,
            refusal,
            traceparent,
        })
    }
}

fn strange(error: Error) -> Error {
    ErrorKind::Invalid.error("an event about no scan of a tenant").because(error)
}

/// What a field of an event names.
pub fn named<T: std::str::FromStr>(field: &str, name: &str) -> Result<T> {
    name.parse().map_err(|_| ErrorKind::Invalid.error(format!("no {field} is `{name}`")))
}

/// Everything that is compared with the reference, by name; what is no finite number is left out.
pub fn values(observation: &Observation) -> impl Iterator<Item = (&str, f64)> {
    let said =
        [("mask_fraction", observation.mask_fraction), ("confidence", observation.confidence)];
    let said = said.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let seen = observation.features.iter().map(|(name, value)| (name.as_str(), *value));
    seen.chain(said).filter(|(_, value)| value.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "e", "source": "/medseg/storage", "type": "scan.completed",
            "data": {
                "tenant": "01890000-0000-7000-8000-000000000001",
                "scan_id": "01890000-0000-7000-8000-000000000002",
                "answer": "none_found", "completed_ms": 5, "response_ms": 3,
                "observation": { "features": { "mean": 0.5, "std": null }, "confidence": 0.9 },
            },
        })
    }

    fn parsed(event: &Value) -> Result<Completed> {
        Completed::parse(event.to_string().as_bytes())
    }

    #[test]
    fn an_event_is_read_with_what_it_observed() {
        let done = parsed(&event()).unwrap();
        assert_eq!((done.event_id.as_str(), done.answer), ("e", Answer::NoneFound));
        assert_eq!((done.completed_ms, done.response_ms), (5, Some(3)));
        let observation = done.observation.unwrap();
        let values: Vec<_> = values(&observation).collect();
        assert_eq!(values, [("mean", 0.5), ("confidence", 0.9)]);
    }

    #[test]
    fn an_event_that_names_no_scan_tenant_or_answer_is_invalid() {
        for field in ["tenant", "scan_id", "answer"] {
            let mut event = event();
            event["data"][field] = "nonsense".into();
            assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid, "{field}");
        }
    }

    #[test]
    fn a_scan_of_which_nothing_was_seen_is_an_event_too() {
        let mut event = event();
        let data = event["data"].as_object_mut().unwrap();
        data.insert("answer".to_owned(), "failed".into());
        data.remove("observation");
        data.remove("response_ms");
        event["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into();
        let done = parsed(&event).unwrap();
        assert_eq!((done.answer, done.response_ms), (Answer::Failed, None));
        assert!(done.observation.is_none());
        assert_eq!(done.traceparent, event["traceparent"]);
    }

    #[test]
    fn what_is_no_finite_number_is_not_compared() {
        let features = [("nan", f64::NAN), ("far", f64::NEG_INFINITY), ("mean", 0.0)];
        let observation = Observation {
            features: features.map(|(name, value)| (name.to_owned(), value)).into(),
            mask_fraction: Some(f64::NAN),
            confidence: Some(f64::INFINITY),
            ..Observation::default()
        };
        assert_eq!(values(&observation).collect::<Vec<_>>(), [("mean", 0.0)]);
    }

    #[test]
    fn another_kind_of_event_is_refused() {
        let mut event = event();
        event["type"] = "scan.accepted".into();
        assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
