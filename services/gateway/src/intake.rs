use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, timeout};

use crate::problem::{INVALID, PAYLOAD_TOO_LARGE, Problem, TOO_SLOW, UNSUPPORTED_MEDIA_TYPE};

/// How long a sender may take for its first bytes, and how far it may fall behind the rate.
const GRACE: Duration = Duration::from_secs(10);
/// What a sender must keep up with, counting only the time that we wait for it.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
/// A sender that says nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(60);
const MOST_FIELDS: usize = 64;

/// A body on its way in, never held whole: its size, its pace and its end are watched.
struct Intake {
    body: BodyDataStream,
    max_bytes: u64,
    received: u64,
    waited: Duration,
}

impl Intake {
    fn new(headers: &HeaderMap, body: Body, max_bytes: u64) -> Result<Intake, Problem> {
        if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(
                UNSUPPORTED_MEDIA_TYPE.problem("send the file itself, without a content encoding")
            );
        }
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let intake = Intake {
            body: body.into_data_stream(),
            max_bytes,
            received: 0,
            waited: Duration::ZERO,
        };
        if declared.is_some_and(|declared: u64| declared > max_bytes) {
            return Err(intake.too_large());
        }
        Ok(intake)
    }

    /// The bytes as they come; an error where the sender stops early, is too slow or sends too much.
    fn bytes(self) -> impl Stream<Item = Result<Bytes, Problem>> + Send + 'static {
        stream::try_unfold(self, async |mut intake| {
            Ok(intake.next().await?.map(|bytes| (bytes, intake)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let begun = Instant::now();
        let earned = Duration::from_secs(self.received / SLOWEST_BYTES_PER_SECOND);
        let patience = (GRACE + earned).saturating_sub(self.waited).min(IDLE);
        let Ok(part) = timeout(patience, self.body.next()).await else {
            return Err(TOO_SLOW.problem("the upload stopped, or came too slowly; send it again"));
        };
        self.waited += begun.elapsed();
        let Some(part) = part else { return Ok(None) };
        let part =
            part.map_err(|error| INVALID.problem(format!("the upload was cut short: {error}")))?;
        self.received += part.len() as u64;
        if self.received > self.max_bytes {
            return Err(self.too_large());
        }
        Ok(Some(part))
    }

    fn too_large(&self) -> Problem {
        PAYLOAD_TOO_LARGE.problem(format!("an upload may have {} bytes at most", self.max_bytes))
    }
}

/// Where the bytes of an upload go.
pub trait Sink {
    /// The file begins; its name is a hint for messages.
    async fn begin(&mut self, file_name: &str);
    /// Its next bytes.
    async fn bytes(&mut self, bytes: Bytes);
}

/// A request whose body is a file, or a form with one.
pub struct Upload {
    head: Parts,
    intake: Intake,
}

impl Upload {
    /// Refuses what is known to be too large, or is coded, before a byte is read.
    pub fn new(request: Request, max_bytes: u64) -> Result<Upload, Problem> {
        let (head, body) = request.into_parts();
        let intake = Intake::new(&head.headers, body, max_bytes)?;
        Ok(Upload { head, intake })
    }

    /// Pours the file into `sink`: the body itself, or the first file of a form.
    ///
    /// Returns only when the body has ended as it should, so that one cut short is never taken for whole.
    pub async fn pour(self, sink: &mut impl Sink) -> Result<(), Problem> {
        if is_form(&self.head.headers) {
            let body = Body::from_stream(self.intake.bytes());
            return pour_form(Request::from_parts(self.head, body), sink).await;
        }
        sink.begin("").await;
        let mut bytes = pin!(self.intake.bytes());
        while let Some(part) = bytes.try_next().await? {
            sink.bytes(part).await;
        }
        Ok(())
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    const FORM: &[u8] = b"multipart/form-data";
    let media = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM))
}

async fn pour_form(mut request: Request, sink: &mut impl Sink) -> Result<(), Problem> {
    // The intake counts already, up to the limit that was configured.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| INVALID.problem(error.body_text()))?;
    let (mut fields, mut found) = (0, false);
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        fields += 1;
        if fields > MOST_FIELDS {
            return Err(INVALID.problem(format!("a form may have {MOST_FIELDS} fields at most")));
        }
        if found || field.file_name().is_none() {
            continue;
        }
        found = true;
        sink.begin(field.file_name().unwrap_or_default()).await;
        while let Some(part) = field.chunk().await.map_err(broken)? {
            sink.bytes(part).await;
        }
    }
    if found { Ok(()) } else { Err(INVALID.problem("there is no file in the form")) }
}

/// What stopped a form: the intake's own reason, or that it is no form.
fn broken(error: MultipartError) -> Problem {
    let ours = Problem::within(&error).cloned();
    ours.unwrap_or_else(|| {
        INVALID.problem(format!("the form cannot be read: {}", error.body_text()))
    })
}
