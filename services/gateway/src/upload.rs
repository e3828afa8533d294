use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderMap;
use bytes::Bytes;
use domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use futures::Stream;
use proto::ingest::upload_part::Part;
use proto::ingest::{UploadEnd, UploadFile, UploadHeader, UploadPart};
use service::wire;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Response, Status};

use crate::Gateway;
use crate::caller::Caller;
use crate::intake::{Upload, UploadSink};
use crate::problem::{INTERNAL, INVALID, Problem, TIMEOUT};
use crate::scans::UploadOptions;
use crate::stated;

/// Parts on their way to ingest; a slow ingest holds the sender back.
const PARTS_UNDER_WAY: usize = 4;
/// How long the slowest upload that keeps the pace takes.
const UPLOAD_TIME: Duration = Duration::from_secs(48 * 3600);
/// How long checking and keeping may take once the last byte has arrived.
const ANSWER_TIME: Duration = Duration::from_secs(600);

/// Streams the request's file into `call`, and gives its answer.
///
/// A body that is cut short cancels the call, and so does a caller who goes away: then the callee's
/// work is dropped where it waits. Over HTTP/2 a cancelled stream may just seem to end, so a whole
/// upload says so in a last part of its own.
pub async fn forward<A, F>(
    gateway: &Gateway,
    caller: &Caller,
    options: UploadOptions,
    request: Request,
    call: impl FnOnce(tonic::Request<Parts>) -> F,
) -> Result<A, Problem>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let header = header_of(options, request.headers())?;
    // Who sends nothing takes no place.
    let upload = Upload::new(request, gateway.max_upload_bytes)?.begun().await?;
    let _place = gateway.uploads.take(caller.tenant())?;
    let (sender, parts) = mpsc::channel(PARTS_UNDER_WAY);
    let mut message = caller.request(Parts(parts));
    message.set_timeout(UPLOAD_TIME);

    let mut call = pin!(call(message));
    let mut sink = Ingest { header, sender, begun: false, size_bytes: 0 };
    let mut copy = pin!(async {
        upload.copy_to(&mut sink).await?;
        sink.end().await;
        Ok::<(), Problem>(())
    });
    tokio::select! {
        biased;
        answer = &mut call => return Ok(answer?.into_inner()),
        copied = &mut copy => copied?,
    }
    let answer = timeout(ANSWER_TIME, call).await;
    Ok(answer.map_err(|_| TIMEOUT.problem("the upload was not checked in time"))??.into_inner())
}

/// An answer of ingest that holds none of the answers there are.
pub fn unanswered() -> Problem {
    tracing::error!("ingest answered neither with a scan nor with a refusal");
    INTERNAL.problem("internal error")
}

/// The parts of one upload.
///
/// Ends only when it is told to (`None`). When its sender is gone without a word it stays silent,
/// until the call that reads it is dropped.
pub struct Parts(mpsc::Receiver<Option<Part>>);

impl Stream for Parts {
    type Item = UploadPart;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<UploadPart>> {
        match ready!(self.0.poll_recv(cx)) {
            Some(Some(part)) => Poll::Ready(Some(UploadPart { part: Some(part) })),
            Some(None) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// What ingest is told of the file before it comes; its name is known only then.
fn header_of(options: UploadOptions, headers: &HeaderMap) -> Result<UploadHeader, Problem> {
    Ok(UploadHeader {
        idempotency_key: idempotency_key(headers)?,
        file_name: String::new(),
        priority: wire::priority(options.priority).into(),
        reference: stated::text("reference", options.reference)?,
        patient_id: stated::text("patient_id", options.patient_id)?,
        accession_number: stated::text("accession_number", options.accession_number)?,
    })
}

struct Ingest {
    header: UploadHeader,
    sender: mpsc::Sender<Option<Part>>,
    begun: bool,
    size_bytes: u64,
}

impl Ingest {
    async fn send(&self, part: Option<Part>) {
        // Nobody listens any more once the call is answered: then the rest is read and dropped.
        let _ = self.sender.send(part).await;
    }

    async fn end(&self) {
        self.send(Some(Part::End(UploadEnd { size_bytes: self.size_bytes }))).await;
        self.send(None).await;
    }
}

impl UploadSink for Ingest {
    async fn begin(&mut self, file_name: &str) {
        if std::mem::replace(&mut self.begun, true) {
            self.send(Some(Part::File(UploadFile { name: file_name.to_owned() }))).await;
            return;
        }
        let header = UploadHeader { file_name: file_name.to_owned(), ..self.header.clone() };
        self.send(Some(Part::Header(header))).await;
    }

    async fn bytes(&mut self, mut bytes: Bytes) {
        self.size_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let part = bytes.split_to(bytes.len().min(service::CHUNK_BYTES));
            self.send(Some(Part::Data(part))).await;
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(String::new()),
        (Some(key), None) => key.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    let fit = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let bad = || {
        INVALID.problem(format!(
            "an Idempotency-Key is one text of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible characters"
        ))
    };
    fit.then(|| key.to_owned()).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test]
    async fn a_sender_that_vanishes_is_no_end() {
        let (sender, parts) = mpsc::channel(1);
        drop(sender);
        assert_eq!(Parts(parts).next().now_or_never(), None);

        let (sender, parts) = mpsc::channel(1);
        sender.send(None).await.unwrap();
        assert_eq!(Parts(parts).next().now_or_never(), Some(None));
    }

    #[test]
    fn a_key_is_taken_as_it_is_or_refused() {
        let key = |value: &str| {
            let headers = HeaderMap::from_iter([(
                "idempotency-key".parse().unwrap(),
                value.parse().unwrap(),
            )]);
            idempotency_key(&headers).ok()
        };
        assert_eq!(key("a key \"of\" mine"), Some("a key \"of\" mine".into()));
        assert_eq!(key(&"k".repeat(IDEMPOTENCY_KEY_CHARS_MAX + 1)), None);
        assert_eq!(key(""), None);
        assert_eq!(idempotency_key(&HeaderMap::new()).ok(), Some(String::new()));
    }
}
