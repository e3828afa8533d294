//! The event `feedback.given`, as drift reads it.

use domain::feedback::{Reason, Truth, Verdict};
use domain::limits::{ADJUDICATED_MAX, JUDGED_FINDINGS_MAX};
use domain::{Answer, Error, ErrorKind, FeedbackId, Result, ScanId, TenantId};
use proto::events::{FeedbackGiven, ModelIdentity, SliceCounts};
use service::CloudEvent;
use service::topics::FEEDBACK_GIVEN;

use super::reasons::Reasons;
use crate::event::named;

/// The longest digest of a reader, as rows hold them.
const READER_CHARS_MAX: usize = 64;

/// What is told of a reader's word.
#[derive(Debug)]
pub struct Given {
    pub tenant: TenantId,
    pub scan: ScanId,
    pub feedback: FeedbackId,
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
    /// None: not said, as of a scan that nothing was seen of.
    pub image_kind: Option<String>,
    pub mask_fraction: Option<f64>,
    /// The scan's slices, by who marks anything in them; None: it does not follow from the word.
    pub slices: Option<SliceCounts>,
    /// The words of others that it settles.
    pub adjudicates: Vec<FeedbackId>,
    /// Why they do not agree.
    pub reasons: Reasons,
    /// The trace that it was given in; empty: none.
    pub traceparent: String,
}

impl Given {
    pub fn parse(body: &[u8]) -> Result<Given> {
        let CloudEvent { data, traceparent, .. } =
            CloudEvent::<FeedbackGiven>::parse(FEEDBACK_GIVEN, body)?;
        if !(1..=READER_CHARS_MAX).contains(&data.reader_digest.chars().count()) {
            return Err(ErrorKind::Invalid.error("a word of nobody"));
        }
        if data.adjudicates.len() > ADJUDICATED_MAX {
            return Err(ErrorKind::Invalid.error("a word settles more than there can be"));
        }
        if data.finding_reasons.len() > JUDGED_FINDINGS_MAX {
            return Err(ErrorKind::Invalid.error("a word judges more findings than there can be"));
        }
        let of_result = data.reason.map(|reason| named("reason", &reason)).transpose()?;
        let of_findings = data.finding_reasons.iter().map(|reason| named("reason", reason));
        let of_findings = of_findings.collect::<Result<Vec<Reason>>>()?;
        let settled = data.adjudicates.iter().map(|id| id.parse::<FeedbackId>().map_err(strange));
        let adjudicates = settled.collect::<Result<Vec<_>>>()?;
        Ok(Given {
            tenant: data.tenant_id.parse().map_err(strange)?,
            scan: data.scan_id.parse().map_err(strange)?,
            feedback: data.feedback_id.parse().map_err(strange)?,
            given_ms: data.given_ms,
            reader: data.reader_digest,
            verdict: named("verdict", &data.verdict)?,
            truth: data.truth.map(|truth| named("truth", &truth)).transpose()?,
            dice: data.dice,
            answer: named("answer", &data.answer)?,
            model: data.model.unwrap_or_default(),
            image_kind: data.image_kind,
            mask_fraction: data.mask_fraction,
            slices: data.slices,
            adjudicates,
            reasons: Reasons::new(of_result, &of_findings),
            traceparent,
        })
    }
}

fn strange(error: Error) -> Error {
    ErrorKind::Invalid.error("a word on no scan of a tenant").because(error)
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
                "reason": "outline", "finding_reasons": ["quality", "quality"],
                "slices": { "both": 1, "model_only": 2, "reader_only": 3, "neither": 4 },
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
        let (version, kind) = (given.model.version.as_str(), given.image_kind.as_deref());
        assert_eq!((version, kind, given.mask_fraction), ("1", Some("flair"), Some(0.0)));
        let slices = SliceCounts { both: 1, model_only: 2, reader_only: 3, neither: 4 };
        assert_eq!(given.slices, Some(slices));
        assert_eq!(given.reasons.columns(), ("outline", "quality=2".to_owned()));
    }

    #[test]
    fn what_is_not_said_is_none() {
        let mut event = event();
        let data = event["data"].as_object_mut().unwrap();
        data.insert("truth".to_owned(), Value::Null);
        for field in
            ["dice", "model", "image_kind", "mask_fraction", "slices", "reason", "finding_reasons"]
        {
            data.remove(field);
        }
        let given = parsed(&event).unwrap();
        assert_eq!((given.truth, given.dice, given.mask_fraction), (None, None, None));
        assert_eq!((given.image_kind, given.slices), (None, None));
        assert_eq!(given.model, ModelIdentity::default());
        assert!(given.adjudicates.is_empty());
        assert_eq!(given.reasons, Reasons::default());
    }

    #[test]
    fn what_a_word_settles_is_read_and_nothing_else_is_taken_for_it() {
        let mut event = event();
        let settled = "01890000-0000-7000-8000-000000000009";
        event["data"]["adjudicates"] = json!([settled]);
        let id: FeedbackId = settled.parse().unwrap();
        assert_eq!(parsed(&event).unwrap().adjudicates, [id]);
        for strange in [json!(["nonsense"]), json!(vec![settled; 33])] {
            event["data"]["adjudicates"] = strange;
            assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn a_word_that_says_what_nobody_can_say_is_invalid() {
        for field in ["tenant_id", "scan_id", "feedback_id", "verdict", "truth", "answer", "reason"]
        {
            let mut event = event();
            event["data"][field] = "nonsense".into();
            assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid, "{field}");
        }
        for reader in [String::new(), "a".repeat(65)] {
            let mut event = event();
            event["data"]["reader_digest"] = reader.into();
            assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let mut event = event();
        event["type"] = "scan.completed".into();
        assert_eq!(parsed(&event).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
