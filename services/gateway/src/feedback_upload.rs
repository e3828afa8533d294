//! A form with a reader's word and the outline that they have drawn, on its way to ingest.

use axum::extract::Request;
use bytes::Bytes;
use domain::feedback::Word;
use proto::ingest::feedback_upload_answer::Answer;
use proto::ingest::feedback_upload_part::Part;
use proto::ingest::{FeedbackUploadHeader, FeedbackUploadPart, UploadEnd};
use proto::storage::FeedbackEntry;
use service::wire;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Object;
use crate::pour::{Telling, pour};
use crate::problem::{INVALID, MISFIT, Problem};
use crate::upload::unanswered;

/// The field that says what the reader makes of the result.
const WORD: &str = "feedback";

/// Streams the form's mask to ingest, and gives its answer.
pub async fn forward(
    gateway: &Gateway,
    caller: &Caller,
    scan_id: String,
    idempotency_key: String,
    request: Request,
) -> Result<FeedbackEntry, Problem> {
    let mut ingest = gateway.ingest.clone();
    let header = FeedbackUploadHeader { scan_id, idempotency_key, word: None };
    let call = |parts| async move { ingest.give_feedback(parts).await };
    let limit = gateway.max_upload_bytes;
    let given = pour(gateway, caller, limit, Outline { header }, request, call).await?;
    match given.answer {
        Some(Answer::Feedback(entry)) => Ok(*entry),
        Some(Answer::Misfit(why)) => Err(MISFIT.problem(why)),
        Some(Answer::Refusal(refusal)) => Err(refusal.into()),
        None => Err(unanswered()),
    }
}

/// Tells ingest of a reader's word and mask.
struct Outline {
    /// Its word is taken when a file begins.
    header: FeedbackUploadHeader,
}

fn part(part: Part) -> FeedbackUploadPart {
    FeedbackUploadPart { part: Some(part) }
}

impl Telling for Outline {
    type Part = FeedbackUploadPart;

    fn wants(&self, field: &str) -> bool {
        field == WORD
    }

    fn field(&mut self, text: &[u8]) -> Result<(), Problem> {
        let said: Result<Object<Word>, _> = serde_json::from_slice(text);
        let Object(word) =
            said.map_err(|error| INVALID.problem(format!("`{WORD}` cannot be read: {error}")))?;
        self.header.word = Some(wire::word(word));
        Ok(())
    }

    /// Of a second file it sends a second header, which ingest refuses.
    fn file(&mut self, _: &str) -> Vec<FeedbackUploadPart> {
        let word = self.header.word.take();
        vec![part(Part::Header(FeedbackUploadHeader { word, ..self.header.clone() }))]
    }

    fn bytes(&mut self, bytes: Bytes) -> FeedbackUploadPart {
        part(Part::Data(bytes))
    }

    fn end(&mut self, size_bytes: u64) -> FeedbackUploadPart {
        part(Part::End(UploadEnd { size_bytes }))
    }
}
