use std::collections::VecDeque;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout};

use crate::dicomweb::related::Instances;
use crate::form;
use crate::problem::{INVALID, PAYLOAD_TOO_LARGE, Problem, TOO_SLOW, UNSUPPORTED_MEDIA_TYPE};
use crate::upload_sink::{UploadSink, copy_all};

/// How long a sender may take for its first bytes, and how far it may fall behind the rate.
const GRACE: Duration = Duration::from_secs(10);
/// What a sender must keep up with, counting only the time that we wait for it.
const SLOWEST_BYTES_PER_SECOND: u64 = 16 * 1024;
/// What has come of a body, or all of it, before it counts as an upload.
const BEGUN_BYTES: u64 = 64 * 1024;
/// A sender that says nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(60);

/// A body on its way in, never held whole: its size, its pace and its end are watched.
struct Intake {
    body: BodyDataStream,
    /// What has been read ahead, in its order.
    ahead: VecDeque<Bytes>,
    /// Whether the body has ended.
    ended: bool,
    max_bytes: u64,
    received: u64,
    waited: Duration,
}

impl Intake {
    fn new(headers: &HeaderMap, body: Body, max_bytes: u64) -> Result<Intake, Problem> {
        if headers.get_all(header::CONTENT_ENCODING).iter().any(codes) {
            return Err(
                UNSUPPORTED_MEDIA_TYPE.problem("send the file itself, without a content encoding")
            );
        }
        let declared = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let intake = Intake {
            body: body.into_data_stream(),
            ahead: VecDeque::new(),
            ended: false,
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

    /// Reads ahead until the sender has shown that it sends.
    async fn begin(&mut self) -> Result<(), Problem> {
        while !self.ended && self.received < BEGUN_BYTES {
            let Some(part) = self.read().await? else { break };
            self.ahead.push_back(part);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match self.ahead.pop_front() {
            Some(part) => Ok(Some(part)),
            None if self.ended => Ok(None),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        let begun = Instant::now();
        let earned = Duration::from_secs(self.received / SLOWEST_BYTES_PER_SECOND);
        let patience = (GRACE + earned).saturating_sub(self.waited).min(IDLE);
        let Ok(part) = timeout(patience, self.body.next()).await else {
            return Err(TOO_SLOW.problem("the upload stopped, or came too slowly; send it again"));
        };
        self.waited += begun.elapsed();
        let Some(part) = part else {
            self.ended = true;
            return Ok(None);
        };
        let part =
            part.map_err(|error| INVALID.problem(format!("the upload was cut short: {error}")))?;
        self.received += part.len() as u64;
        if self.received > self.max_bytes {
            return Err(self.too_large());
        }
        Ok(Some(part))
    }

    fn too_large(&self) -> Problem {
        PAYLOAD_TOO_LARGE.problem(format!("an upload may have {} at most", words(self.max_bytes)))
    }
}

/// Whether a Content-Encoding says that the body is another one than it looks: `identity` says that it is not.
fn codes(coding: &HeaderValue) -> bool {
    let coding = coding.as_bytes().trim_ascii();
    !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
}

/// So many bytes, in words.
fn words(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes >= MIB { format!("{} MiB", bytes / MIB) } else { format!("{bytes} bytes") }
}

/// A request whose body is a file, or a form with some; or DICOM instances.
pub struct Upload {
    head: Parts,
    intake: Intake,
    instances: Option<Instances>,
}

impl Upload {
    /// Refuses what is known to be too large, or is coded, before a byte is read.
    pub fn new(request: Request, max_bytes: u64) -> Result<Upload, Problem> {
        let (head, body) = request.into_parts();
        if form::is_another_multipart(&head.headers) {
            return Err(UNSUPPORTED_MEDIA_TYPE
                .problem("of the multipart types only multipart/form-data is read"));
        }
        let intake = Intake::new(&head.headers, body, max_bytes)?;
        Ok(Upload { head, intake, instances: None })
    }

    /// One whose body is DICOM instances, which begin by their transfer syntaxes. Refuses what says that it is something else.
    pub fn of_instances(request: Request, max_bytes: u64) -> Result<Upload, Problem> {
        let (head, body) = request.into_parts();
        let instances = Some(Instances::of(&head.headers)?);
        let intake = Intake::new(&head.headers, body, max_bytes)?;
        Ok(Upload { head, intake, instances })
    }

    /// This upload, once its sender has shown that it sends: some bytes have come, or all there are.
    pub async fn begun(mut self) -> Result<Upload, Problem> {
        self.intake.begin().await?;
        Ok(self)
    }

    /// Copies the file into `sink`: the body itself, or each file of a form.
    ///
    /// Returns only when the body has ended as it should, so that one cut short is never taken for whole.
    pub async fn copy_to(self, sink: &mut impl UploadSink) -> Result<(), Problem> {
        if let Some(instances) = self.instances {
            return instances.copy_to(self.intake.bytes(), sink).await;
        }
        if form::is_form(&self.head.headers) {
            return form::copy_to(self.head, self.intake.bytes(), sink).await;
        }
        sink.begin("").await;
        copy_all(self.intake.bytes(), sink).await
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, TryStreamExt};
    use tokio::time::advance;

    use super::*;

    /// A body of `pieces`, each of so many bytes and so late.
    fn intake(pieces: Vec<(Duration, usize)>) -> Intake {
        let pieces = stream::iter(pieces).then(async |(late, size)| {
            tokio::time::sleep(late).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![0; size]))
        });
        Intake::new(&HeaderMap::new(), Body::from_stream(pieces), u64::MAX).unwrap()
    }

    async fn received(pieces: Vec<(Duration, usize)>) -> Result<usize, Problem> {
        intake(pieces).bytes().try_fold(0, async |sum, bytes| Ok(sum + bytes.len())).await
    }

    #[test]
    fn bodies_that_are_not_what_they_look_like_are_refused() {
        let refused = |name: header::HeaderName, value: &str| {
            let request = Request::builder().header(name, value).body(Body::empty()).unwrap();
            Upload::new(request, u64::MAX).err().map(|problem| problem.status())
        };
        let unsupported = Some(415u16);
        for plain in ["", "identity", "Identity", " identity "] {
            assert_eq!(refused(header::CONTENT_ENCODING, plain), None, "{plain}");
        }
        assert_eq!(refused(header::CONTENT_ENCODING, "gzip"), unsupported);
        for (media, answer) in [
            ("multipart/form-data; boundary=x", None),
            ("Multipart/Form-Data; boundary=x", None),
            ("multipart/related; boundary=x", unsupported),
            ("MULTIPART/mixed", unsupported),
            ("application/dicom", None),
        ] {
            assert_eq!(refused(header::CONTENT_TYPE, media), answer, "{media}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_the_pace_may_take_hours() {
        let second = (Duration::from_secs(1), SLOWEST_BYTES_PER_SECOND as usize);
        assert_eq!(received(vec![second; 7200]).await.ok(), Some(7200 * second.1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_trickles_or_stops_is_let_go() {
        let trickle = vec![(Duration::from_secs(1), 1); 60];
        assert_eq!(received(trickle).await.ok(), None);
        // However much has come before.
        let stops = vec![(Duration::ZERO, 1 << 30), (IDLE * 2, 1)];
        assert_eq!(received(stops).await.ok(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_ahead_is_not_lost_and_who_sends_nothing_never_begins() {
        let pieces =
            vec![(Duration::ZERO, 40_000), (Duration::from_secs(1), 40_000), (GRACE / 2, 7)];
        for pieces in [pieces.clone(), pieces[..1].to_vec(), Vec::new()] {
            let all: usize = pieces.iter().map(|(_, size)| size).sum();
            let mut intake = intake(pieces);
            intake.begin().await.unwrap();
            let bytes = intake.bytes().try_fold(0, async |sum, bytes| Ok(sum + bytes.len())).await;
            assert_eq!(bytes.ok(), Some(all));
        }
        assert!(intake(vec![(2 * GRACE, 1)]).begin().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_slowness_is_not_the_senders() {
        let mut intake = intake(vec![(Duration::ZERO, 1); 3]);
        for _ in 0..3 {
            advance(IDLE * 10).await;
            assert!(intake.next().now_or_never().is_some_and(|next| next.is_ok()));
        }
    }
}
