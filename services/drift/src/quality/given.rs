//! The event `feedback.given`, as drift reads it.

use domain::{Answer, Error, ErrorKind, Result, ScanId, TenantId};
use proto::events::{FeedbackGiven, ModelIdentity};
use service::CloudEvent;
use service::topics::FEEDBACK_GIVEN;

use super::reviewed::{Truth, Verdict};

/// The longest id of a feedback and of a reader, as rows hold them.
const ID_CHARS_MAX: usize = 64;

/// What is told of a reader's word.
#[derive(Debug)]
pub struct Given {
    pub tenant: TenantId,
    pub scan: ScanId,
    pub feedback: String,
    pub given_ms: i64,
    /// A digest.
    pub reader: String,
    pub verdict: Verdict,
    /// None: not said.
    pub truth: Option<Truth>,
    /// None: no mask was drawn.
    pub dice: Option<f64>,
    pub answer: Answer,
    pub model: ModelIdentity,
    pub image_kind: String,
    pub mask_fraction: f64,
    /// The trace that it was given in; empty: none.
    pub traceparent: String,
}

impl Given {
    pub fn parse(body: &[u8]) -> Result<Given> {
        let CloudEvent { data, traceparent, .. } =
            CloudEvent::<FeedbackGiven>::parse(FEEDBACK_GIVEN, body)?;
        let verdict = named("verdict", &data.verdict)?;
        let truth = Some(&data.truth).filter(|truth| !truth.is_empty());
        Ok(Given {
            tenant: data.tenant_id.parse().map_err(strange)?,
            scan: data.scan_id.parse().map_err(strange)?,
            feedback: id("feedback_id", data.feedback_id)?,
            given_ms: data.given_ms,
            reader: id("reader_digest", data.reader_digest)?,
            verdict,
            truth: truth.map(|truth| named("truth", truth)).transpose()?,
            dice: data.dice,
            answer: named("answer", &data.answer)?,
            model: data.model.unwrap_or_default(),
            image_kind: data.image_kind,
            mask_fraction: data.mask_fraction,
            traceparent,
        })
    }
}

fn strange(error: Error) -> Error {
    ErrorKind::Invalid.error("a word on no scan of a tenant").because(error)
}

fn id(field: &str, id: String) -> Result<String> {
    if (1..=ID_CHARS_MAX).contains(&id.chars().count()) {
        return Ok(id);
    }
    Err(ErrorKind::Invalid.error(format!("`{field}` of a word is no id")))
}

fn named<T: std::str::FromStr>(field: &str, name: &str) -> Result<T> {
    name.parse().map_err(|_| ErrorKind::Invalid.error(format!("no {field} is `{name}`")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({
            "specversion": "1.0", "id": "e", "source": "/medseg/storage", "type": "feedback.given",
            "data": {
                "tenant_id": "01890000-0000-7000-8000-000000000001",
                "scan_id": "01890000-0000-7000-8000-000000000002",
                "feedback_id": "01890000-0000-7000-8000-000000000003",
                "given_ms": 5, "verdict": "correct", "truth": "tumour", "reader_digest": "ab", "dice": 0.75,
                "model": { "name": "m", "version": "1", "sha256": "cd" },
                "answer": "none_found", "image_kind": "flair", "mask_fraction": 0.0,
            },
        })
    }

    fn parsed(event: &Value) -> Result<Given> {
        Given::parse(event.to_string().as_bytes())
    }

    #[test]
    fn a_word_is_read_with_all_that_it_says() {
        let given = parsed(&event()).unwrap();
        assert_eq!((given.verdict, given.truth), (Verdict::Correct, Some(Truth::Tumour)));
        assert_eq!((given.answer, given.dice), (Answer::NoneFound, Some(0.75)));
        assert_eq!((given.given_ms, given.reader.as_str()), (5, "ab"));
        assert_eq!((given.model.version.as_str(), given.image_kind.as_str()), ("1", "flair"));
    }

    #[test]
    fn what_is_not_said_is_none() {
        let mut event = event();
        let data = event["data"].as_object_mut().unwrap();
        data.insert("truth".to_owned(), "".into());
        data.insert("dice".to_owned(), Value::Null);
        data.remove("model");
        let given = parsed(&event).unwrap();
        assert_eq!((given.truth, given.dice), (None, None));
        assert_eq!(given.model, ModelIdentity::default());
    }

    #[test]
    fn a_word_that_says_what_nobody_can_say_is_invalid() {
        for field in ["tenant_id", "scan_id", "verdict", "truth", "answer"] {
            let mut event = event();
            event["data"][field] = "nonsense".into();
            assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid, "{field}");
        }
        for field in ["feedback_id", "reader_digest"] {
            for id in [String::new(), "a".repeat(65)] {
                let mut event = event();
                event["data"][field] = id.into();
                assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid, "{field}");
            }
        }
        let mut event = event();
        event["type"] = "scan.completed".into();
        assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
