use domain::{ErrorKind, Result, rfc3339};
use platform::queue::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const SPECVERSION: &str = "1.0";
const JSON: &str = "application/json";

/// A CloudEvent 1.0 in its structured JSON form, as the queue carries it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CloudEvent<Data> {
    specversion: String,
    /// The event's id at its source: two events with the same id are one that was delivered twice.
    pub id: String,
    /// The part of medseg that emits it, as a path.
    pub source: String,
    #[serde(rename = "type")]
    kind: String,
    /// The id of the scan or other object that it is about.
    #[serde(default)]
    pub subject: String,
    /// When it happened (RFC 3339).
    #[serde(default)]
    pub time: String,
    #[serde(default)]
    datacontenttype: String,
    /// A message of `proto/medseg/events`.
    pub data: Data,
    /// The trace that it belongs to (CloudEvents' extension for distributed tracing); empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
}

/// The source and the context of an event.
pub struct Origin<'a> {
    /// The part of medseg that emits it, as a path.
    pub source: &'a str,
    /// Of the event: the same for every delivery of it.
    pub id: String,
    /// The id of what the event is about.
    pub subject: String,
    /// When it happened, in milliseconds since 1970 (UTC).
    pub at_ms: i64,
    /// Empty: none.
    pub traceparent: &'a str,
}

impl<Data> CloudEvent<Data> {
    /// An event of that kind.
    pub fn new(event: Event<'_>, origin: Origin<'_>, data: Data) -> Result<CloudEvent<Data>> {
        let unsayable = || ErrorKind::Internal.error("a time that no calendar has");
        Ok(CloudEvent {
            specversion: SPECVERSION.to_owned(),
            id: origin.id,
            source: origin.source.to_owned(),
            kind: event.0.to_owned(),
            subject: origin.subject,
            time: rfc3339(origin.at_ms).ok_or_else(unsayable)?,
            datacontenttype: JSON.to_owned(),
            data,
            traceparent: origin.traceparent.to_owned(),
        })
    }
}

impl<Data: Serialize> CloudEvent<Data> {
    /// Writes it for the queue.
    pub fn to_json(&self) -> Result<String> {
        let unwritable = |error| ErrorKind::Internal.error("an event is no JSON").because(error);
        serde_json::to_string(self).map_err(unwritable)
    }
}

impl<Data: DeserializeOwned> CloudEvent<Data> {
    /// Reads an event of that kind, and refuses any other.
    pub fn parse(event: Event<'_>, body: &[u8]) -> Result<CloudEvent<Data>> {
        let strange = || ErrorKind::Invalid.error(format!("not an event `{}`", event.0));
        let parsed: CloudEvent<Data> =
            serde_json::from_slice(body).map_err(|error| strange().because(error))?;
        if parsed.kind != event.0 {
            return Err(strange());
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const EVENT: Event<'static> = Event("scan.completed");

    fn event(traceparent: &str) -> CloudEvent<u32> {
        let (id, subject) = ("1".to_owned(), "scan".to_owned());
        let origin = Origin { source: "/medseg/test", id, subject, at_ms: 7, traceparent };
        CloudEvent::new(EVENT, origin, 5).unwrap()
    }

    #[test]
    fn an_event_has_the_attributes_of_a_cloud_event() {
        let written: Value = serde_json::from_str(&event("00-ab").to_json().unwrap()).unwrap();
        let expected = json!({
            "specversion": "1.0", "id": "1", "source": "/medseg/test", "type": "scan.completed",
            "subject": "scan", "time": "1970-01-01T00:00:00.007Z",
            "datacontenttype": "application/json", "data": 5, "traceparent": "00-ab",
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else() {
        for event in [event(""), event("00-ab")] {
            let json = event.to_json().unwrap();
            assert_eq!(CloudEvent::parse(EVENT, json.as_bytes()).unwrap(), event);
            assert!(CloudEvent::<u32>::parse(Event("scan.accepted"), json.as_bytes()).is_err());
            assert!(CloudEvent::<String>::parse(EVENT, json.as_bytes()).is_err());
        }
        assert!(CloudEvent::<u32>::parse(EVENT, b"no event").is_err());
    }
}
