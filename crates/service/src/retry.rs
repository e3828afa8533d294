//! Retries of idempotent calls, within a budget: the only layer that retries between services.
//!
//! Which calls those are, the contract says of each (`idempotency_level` in `/proto`). The budget keeps an outage from
//! being made worse by those who wait for its end: see "Addressing Cascading Failures" in Google's SRE book.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use futures::future::BoxFuture;
use http::{Request, Response};
use metrics::counter;
use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel::IdempotencyUnknown;
use tokio::time::Sleep;
use tonic::Code;
use tonic::body::Body;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};
use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{Policy, Retry};
use tower::util::rng::HasherRng;
use tower::{BoxError, Service, ServiceExt};

/// How often a call is made, at most.
const ATTEMPTS_MAX: u32 = 3;
/// Between the first two attempts, and the most between any two; half as much again at random, so that those who failed
/// together do not come back together.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const BACKOFF_JITTER: f64 = 0.5;
/// Of the calls of the last ten seconds a fifth may be retries, and one in each second whatever went before.
const BUDGET_TIME: Duration = Duration::from_secs(10);
const BUDGET_SHARE: f32 = 0.2;
const BUDGET_PER_SECOND: u32 = 1;
/// A request that may be repeated is small: an id and a token.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// The methods (`/package.Service/Method`) that may be called again: one request each, and marked in the contract.
static REPEATABLE: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let files =
        FileDescriptorSet::decode(proto::DESCRIPTORS).expect("the compiler wrote them").file;
    let mut paths = HashSet::new();
    for file in &files {
        for service in &file.service {
            for method in &service.method {
                let marked = method
                    .options
                    .as_ref()
                    .is_some_and(|options| options.idempotency_level() != IdempotencyUnknown);
                if marked && !method.client_streaming() {
                    let (package, service) = (file.package(), service.name());
                    paths.insert(format!("/{package}.{service}/{}", method.name()));
                }
            }
        }
    }
    paths
});

/// A channel that retries a call when the peer cannot be reached or says `UNAVAILABLE`, if the contract allows it.
///
/// Must run within a deadline: it knows none of its own.
#[derive(Clone)]
pub struct RetryingChannel<S> {
    inner: S,
    policy: RetryPolicy,
}

impl<S> RetryingChannel<S> {
    /// With a budget of its own: one peer's failures do not use up another's.
    pub fn new(inner: S) -> RetryingChannel<S> {
        let budget = TpsBudget::new(BUDGET_TIME, BUDGET_PER_SECOND, BUDGET_SHARE);
        RetryingChannel {
            inner,
            policy: RetryPolicy { budget: Arc::new(budget), retries: 0, backoffs: None },
        }
    }
}

impl<S> Service<Request<Body>> for RetryingChannel<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    /// The inner channel is made ready for each attempt.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, policy) = (self.inner.clone().map_err(Into::into), self.policy.clone());
        Box::pin(async move {
            if !REPEATABLE.contains(request.uri().path()) {
                return inner.oneshot(request).await;
            }
            let (head, body) = request.into_parts();
            let bytes = to_bytes(axum::body::Body::new(body), REQUEST_BYTES_MAX).await?;
            let body = |bytes: Bytes| Body::new(axum::body::Body::from(bytes));
            let inner = inner.map_request(move |request: Request<Bytes>| request.map(body));
            Retry::new(policy, inner).oneshot(Request::from_parts(head, bytes)).await
        })
    }
}

#[derive(Clone)]
struct RetryPolicy {
    /// One for all calls to this peer.
    budget: Arc<TpsBudget>,
    /// Of this call: how often it was retried, and the waits that come next.
    retries: u32,
    backoffs: Option<ExponentialBackoff>,
}

impl<E> Policy<Request<Bytes>, Response<Body>, E> for RetryPolicy {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Bytes>,
        result: &mut Result<Response<Body>, E>,
    ) -> Option<Sleep> {
        if self.retries == 0 {
            self.budget.deposit();
        }
        if !is_unavailable(result) || self.retries + 1 == ATTEMPTS_MAX {
            return None;
        }
        let method = request.uri().path().to_owned();
        let allowed = self.budget.withdraw();
        let outcome = if allowed { "repeated" } else { "over_budget" };
        counter!("medseg_retries_total", "method" => method, "outcome" => outcome).increment(1);
        if !allowed {
            return None;
        }
        self.retries += 1;
        Some(self.backoffs.get_or_insert_with(backoffs).next_backoff())
    }

    fn clone_request(&mut self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        Some(request.clone())
    }
}

fn backoffs() -> ExponentialBackoff {
    // A generator of its own: copies of one would all choose the same waits.
    let maker =
        ExponentialBackoffMaker::new(BACKOFF_MIN, BACKOFF_MAX, BACKOFF_JITTER, HasherRng::new());
    maker.expect("the pauses are in order").make_backoff()
}

/// Whether nobody has answered, or somebody who cannot now. An error in the middle of an answer is not seen here.
fn is_unavailable<E>(result: &Result<Response<Body>, E>) -> bool {
    let Ok(response) = result else { return true };
    let status = response.headers().get("grpc-status");
    status.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tonic::Status;
    use tower::service_fn;

    use super::*;

    const GET: &str = "/medseg.storage.v1.Scans/Get";

    /// A peer that cannot answer the first `bad` calls, and how often it was called.
    fn peer(
        bad: u32,
    ) -> (
        Arc<AtomicU32>,
        impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send>
        + Clone
        + Send,
    ) {
        let calls = Arc::<AtomicU32>::default();
        let counted = calls.clone();
        let way = service_fn(move |request: Request<Body>| {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                let body = to_bytes(axum::body::Body::new(request.into_body()), 100).await?;
                assert_eq!(body, "words");
                match call {
                    call if call >= bad => Ok(Response::new(Body::empty())),
                    call if call % 2 == 0 => Ok(Status::unavailable("not now").into_http()),
                    _ => Err("nobody is there".into()),
                }
            }
        });
        (calls, way)
    }

    fn request(path: &str) -> Request<Body> {
        let body = Body::new(axum::body::Body::from("words"));
        Request::builder().uri(path).body(body).expect("a request")
    }

    #[test]
    fn what_may_be_repeated_is_what_the_contract_says() {
        for path in [GET, "/medseg.storage.v1.Jobs/Heartbeat", "/medseg.auth.v1.Auth/Keys"] {
            assert!(REPEATABLE.contains(path), "{path}");
        }
        for path in ["/medseg.storage.v1.Jobs/Claim", "/medseg.auth.v1.Auth/SignIn"] {
            assert!(!REPEATABLE.contains(path), "{path}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_until_it_is_answered_and_no_more_than_twice() {
        for (bad, calls_made, answered) in [(0, 1, true), (1, 2, true), (2, 3, true), (3, 3, false)]
        {
            let (calls, way) = peer(bad);
            let answer = RetryingChannel::new(way).oneshot(request(GET)).await;
            assert_eq!(calls.load(Ordering::SeqCst), calls_made);
            assert_eq!(!is_unavailable(&answer), answered, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_be_repeated_is_called_once() {
        let (calls, way) = peer(3);
        let claim = request("/medseg.storage.v1.Jobs/Claim");
        let answer = RetryingChannel::new(way).oneshot(claim).await.expect("its answer");
        assert!(answer.headers().contains_key("grpc-status"));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_not_made_worse() {
        let (calls, way) = peer(u32::MAX);
        let way = RetryingChannel::new(way);
        for _ in 0..1000 {
            // Whatever it is, it is the peer's answer.
            let _ = way.clone().oneshot(request(GET)).await;
        }
        let calls = calls.load(Ordering::SeqCst);
        assert!((1150..=1250).contains(&calls), "{calls} calls for 1000");
    }
}
