//! Pours the files of a request into a call, and gives its answer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use domain::limits::UPLOAD_SECONDS_MAX;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Response, Status};

use crate::Gateway;
use crate::caller::Caller;
use crate::intake::Upload;
use crate::problem::{Problem, TIMEOUT};
use crate::upload_sink::UploadSink;

/// Parts on their way to the callee; a slow one holds the sender back.
const PARTS_UNDER_WAY: usize = 4;
/// How long the slowest upload that keeps the pace takes.
const UPLOAD_TIME: Duration = Duration::from_secs(UPLOAD_SECONDS_MAX);
/// How long checking and keeping may take once the last byte has arrived.
pub const ANSWER_TIME: Duration = Duration::from_secs(600);

/// How a callee is told of the files that come.
pub trait Telling {
    type Part;
    /// A file begins.
    fn file(&mut self, name: &str) -> Vec<Self::Part>;
    /// Its next bytes.
    fn bytes(&mut self, bytes: Bytes) -> Self::Part;
    /// Whether the field of that name, which is no file, is wanted.
    fn wants(&self, _field: &str) -> bool {
        false
    }
    /// What the wanted field says.
    fn field(&mut self, _text: &[u8]) -> Result<(), Problem> {
        Ok(())
    }
    /// All has come; so many bytes in all.
    fn end(&mut self, size_bytes: u64) -> Self::Part;
}

/// Streams the request's files, of `max_bytes` in all, into `call`, and gives its answer.
///
/// A body that is cut short cancels the call, and so does a caller who goes away: then the callee's
/// work is dropped where it waits. Over HTTP/2 a cancelled stream may just seem to end, so a whole
/// upload says so in a last part of its own.
pub async fn pour<T: Telling, A, F>(
    gateway: &Gateway,
    caller: &Caller,
    max_bytes: u64,
    telling: T,
    request: Request,
    call: impl FnOnce(tonic::Request<Parts<T::Part>>) -> F,
) -> Result<A, Problem>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    pour_upload(gateway, caller, Upload::new(request, max_bytes)?, telling, call).await
}

/// The same for a request that is looked at already.
pub async fn pour_upload<T: Telling, A, F>(
    gateway: &Gateway,
    caller: &Caller,
    upload: Upload,
    telling: T,
    call: impl FnOnce(tonic::Request<Parts<T::Part>>) -> F,
) -> Result<A, Problem>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    // Who sends nothing takes no place.
    let upload = upload.begun().await?;
    let _place = gateway.uploads.take(caller.tenant())?;
    let (sender, parts) = mpsc::channel(PARTS_UNDER_WAY);
    let mut message = caller.request(Parts(parts));
    message.set_timeout(UPLOAD_TIME);

    let mut call = pin!(call(message));
    let mut callee = Callee { telling, sender, size_bytes: 0 };
    let mut copy = pin!(async {
        upload.copy_to(&mut callee).await?;
        callee.end().await;
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

/// The parts of one upload.
///
/// Ends only when it is told to (`None`). When its sender is gone without a word it stays silent,
/// until the call that reads it is dropped.
pub struct Parts<P>(mpsc::Receiver<Option<P>>);

impl<P> Stream for Parts<P> {
    type Item = P;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<P>> {
        match ready!(self.0.poll_recv(cx)) {
            Some(part) => Poll::Ready(part),
            None => Poll::Pending,
        }
    }
}

struct Callee<T: Telling> {
    telling: T,
    sender: mpsc::Sender<Option<T::Part>>,
    size_bytes: u64,
}

impl<T: Telling> Callee<T> {
    async fn send(&self, part: Option<T::Part>) {
        // Nobody listens any more once the call is answered: then the rest is read and dropped.
        let _ = self.sender.send(part).await;
    }

    async fn end(&mut self) {
        let end = self.telling.end(self.size_bytes);
        self.send(Some(end)).await;
        self.send(None).await;
    }
}

impl<T: Telling> UploadSink for Callee<T> {
    async fn begin(&mut self, file_name: &str) {
        for part in self.telling.file(file_name) {
            self.send(Some(part)).await;
        }
    }

    fn wants(&self, field: &str) -> bool {
        self.telling.wants(field)
    }

    fn field(&mut self, text: &[u8]) -> Result<(), Problem> {
        self.telling.field(text)
    }

    async fn bytes(&mut self, mut bytes: Bytes) {
        self.size_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(service::CHUNK_BYTES));
            let part = self.telling.bytes(piece);
            self.send(Some(part)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[tokio::test]
    async fn a_sender_that_vanishes_is_no_end() {
        let (sender, parts) = mpsc::channel::<Option<u8>>(1);
        drop(sender);
        assert_eq!(Parts(parts).next().now_or_never(), None);

        let (sender, parts) = mpsc::channel::<Option<u8>>(1);
        sender.send(None).await.unwrap();
        assert_eq!(Parts(parts).next().now_or_never(), Some(None));
    }
}
