//! A result, or an event of no scan, as a signed webhook, by the convention of Standard Webhooks.
//!
//! The message's id is that of the delivery: what is sent twice has it twice, and its receiver can tell.

use std::time::Duration;

use domain::{ErrorKind, Result, ScanId};
use imaging::ResultDocument;
use platform::queue::Event;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use service::{CloudEvent, Origin};

use crate::format::CLOUD_EVENT;
use crate::outcome::Outcome;
use crate::post::{Answered, Post};
use crate::signature;

/// What a webhook has to take a message in.
const WITHIN: Duration = Duration::from_secs(30);

const SOURCE: &str = "/medseg/delivery";

const OF_EVENTS: &str = "application/cloudevents+json";

/// What a CloudEvent with a result in it is called: another one than `scan.completed`, which says less and goes to the broker.
const RESULT: Event<'static> = Event("scan.result");

/// What is sent.
pub struct Message {
    pub media_type: &'static str,
    pub body: Vec<u8>,
}

/// What a CloudEvent of a result carries.
#[derive(Serialize)]
struct Data {
    scan_id: String,
    answer: &'static str,
    result: Value,
}

impl Message {
    /// The result's document, byte for byte as it is kept, or a CloudEvent that carries it.
    pub fn new(format: &str, id: &str, scan: ScanId, document: &Document) -> Result<Message> {
        if format != CLOUD_EVENT {
            let body = document.bytes.clone();
            return Ok(Message { media_type: "application/json", body });
        }
        let unreadable =
            |error| ErrorKind::Internal.error("a stored result is no JSON").because(error);
        let result: Value = serde_json::from_slice(&document.bytes).map_err(unreadable)?;
        let answer = document.result.answer.name();
        let origin = Origin {
            source: SOURCE,
            id: id.to_owned(),
            subject: scan.to_string(),
            at_ms: document.completed_ms,
            traceparent: "",
        };
        let data = Data { scan_id: scan.to_string(), answer, result };
        let body = CloudEvent::new(RESULT, origin, data)?.to_json()?.into_bytes();
        Ok(Message { media_type: OF_EVENTS, body })
    }

    /// A CloudEvent as it came. Its id is its own, the same for each destination.
    pub fn of_event(body: String) -> Message {
        Message { media_type: OF_EVENTS, body: body.into_bytes() }
    }
}

/// A result's document, as it is kept and as it is read.
pub struct Document {
    pub bytes: Vec<u8>,
    pub result: ResultDocument,
    pub completed_ms: i64,
}

/// Sends the message, signed at that moment.
pub async fn send(
    post: &Post,
    (url, secret): (&str, &str),
    id: &str,
    now_ms: i64,
    message: Message,
) -> Result<Outcome> {
    let timestamp = now_ms.div_euclid(1000);
    let signature = signature::signature(&signature::key(secret)?, id, timestamp, &message.body)?;
    let said = timestamp.to_string();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(message.media_type));
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", said.as_str()),
        ("webhook-signature", signature.as_str()),
    ] {
        let value = HeaderValue::from_str(value).map_err(|error| {
            ErrorKind::Internal.error("a header of a webhook cannot be written").because(error)
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(match post.send(url, headers, message.body, WITHIN).await {
        Ok(answered) => outcome(&answered),
        Err(words) => Outcome::Later(words),
    })
}

/// What the convention says of answers: all but 2xx is sent again, save where the endpoint is gone for good.
fn outcome(Answered { status, .. }: &Answered) -> Outcome {
    if status.is_success() {
        return Outcome::Delivered(String::new());
    }
    match status.as_u16() {
        410 => Outcome::Refused("it answered 410: nobody takes results there any more".to_owned()),
        300..=399 => {
            Outcome::Later(format!("it answered {status}, and redirects are not followed"))
        }
        _ => Outcome::Later(format!("it answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{ManualClock, Random};

    fn document() -> Document {
        let reason = Some("nobody could look at it".to_owned());
        let result = ResultDocument::failed("a scan".to_owned(), reason, 1, 2);
        Document { bytes: result.to_json(), result, completed_ms: 7 }
    }

    #[test]
    fn a_cloud_event_carries_the_document_and_the_messages_own_id() {
        let random = Random::new(|bytes| bytes.fill(1));
        let (document, scan) = (document(), ScanId::new(&ManualClock::at(0).clock(), &random));
        let message = Message::new(CLOUD_EVENT, "the delivery", scan, &document).unwrap();
        let event: Value = serde_json::from_slice(&message.body).unwrap();
        let kept: Value = serde_json::from_slice(&document.bytes).unwrap();
        assert_eq!((&event["id"], &event["type"]), (&"the delivery".into(), &"scan.result".into()));
        assert_eq!((&event["data"]["answer"], &event["data"]["result"]), (&"failed".into(), &kept));
        assert_eq!(event["subject"], scan.to_string());
        let bare = Message::new("result.json", "the delivery", scan, &document).unwrap();
        assert_eq!(bare.body, document.bytes);
    }

    #[test]
    fn only_consent_ends_a_delivery_well_and_only_what_is_gone_ends_it_badly() {
        let of = |status: u16| {
            let status = reqwest::StatusCode::from_u16(status).unwrap();
            outcome(&Answered { status, body: Vec::new() })
        };
        for (status, expected) in [(200, "delivered"), (204, "delivered"), (410, "refused")] {
            assert_eq!(of(status).name(), expected, "{status}");
        }
        for status in [301, 307, 400, 401, 404, 409, 429, 500, 503] {
            assert_eq!(of(status).name(), "later", "{status}");
        }
    }
}
