use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use tokio::time::timeout;

/// How long the rest of a body is read after the request is answered.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Drains the body of a request that is answered before its end, for a while.
///
/// Many look for the answer only then; and a connection that is closed before its bytes are read is reset, and the answer
/// lost with it (RFC 9112, 9.6). The answer itself waits for nothing.
pub async fn drain(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(DrainedBody(body)))).await
}

struct DrainedBody(Body);

impl HttpBody for DrainedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        if self.0.is_end_stream() {
            return;
        }
        let mut rest = mem::take(&mut self.0).into_data_stream();
        let read = async move { while let Some(Ok(_)) = rest.next().await {} };
        tokio::spawn(timeout(DRAIN_TIMEOUT, read));
    }
}
