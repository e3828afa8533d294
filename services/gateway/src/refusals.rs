//! Refusals cost whoever gets many of them time, and not everybody else.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use domain::neighbourhood;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

/// So many refusals a second an address is told at once, after as many as `AT_ONCE`.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const AT_ONCE: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// How long each one more takes. On a connection nothing else is asked meanwhile, and connections are few.
const DELAY: Duration = Duration::from_secs(1);
/// Beyond so many addresses those are forgotten that have not been refused for long.
const ADDRESSES: usize = 10_000;

/// How often each address was refused.
#[derive(Clone)]
pub struct Refusals(Arc<Counts>);

type Counts = RateLimiter<
    IpAddr,
    HashMapStateStore<IpAddr>,
    MonotonicClock,
    NoOpMiddleware<std::time::Instant>,
>;

impl Refusals {
    pub fn new() -> Refusals {
        let quota = Quota::per_second(PER_SECOND).allow_burst(AT_ONCE);
        Refusals(Arc::new(RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock)))
    }

    /// Counts a refusal; whether that address has had too many.
    fn are_too_many(&self, address: IpAddr) -> bool {
        if self.0.len() > ADDRESSES {
            self.0.retain_recent();
        }
        self.0.check_key(&neighbourhood(address)).is_err()
    }
}

/// Whether to be answered so costs nothing but the asking: without a token, by an invented method, beyond one's share.
fn is_cheap(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::METHOD_NOT_ALLOWED, StatusCode::TOO_MANY_REQUESTS]
        .contains(&status)
}

/// Holds the refusals of an address back that has had too many. Behind a proxy that is not trusted (`TRUSTED_PROXIES`) all callers are
/// one address: they wait a second longer for a refusal then, and no longer for anything else.
pub async fn hold_back(
    State(refusals): State<Refusals>,
    caller: Option<Extension<ConnectInfo<SocketAddr>>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if let Some(Extension(ConnectInfo(caller))) = caller
        && is_cheap(response.status())
        && refusals.are_too_many(caller.ip())
    {
        tokio::time::sleep(DELAY).await;
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use axum::{Router, http};
    use tokio::time::Instant;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_refused_too_often_waits_for_the_next_refusal_and_nobody_else_does() {
        let [flooder, neighbour] = ["192.0.2.1:1", "192.0.2.2:1"].map(|at| at.parse().unwrap());
        let app = app();
        for _ in 0..AT_ONCE.get() {
            assert_eq!(took(&app, "/refused", flooder).await, Duration::ZERO);
        }
        assert_eq!(took(&app, "/refused", flooder).await, DELAY);
        assert_eq!(took(&app, "/", flooder).await, Duration::ZERO);
        assert_eq!(took(&app, "/no-such", flooder).await, Duration::ZERO);
        assert_eq!(took(&app, "/refused", neighbour).await, Duration::ZERO);
        // A host has a whole /64 to ask from.
        let hosts = |nth: u32| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, nth as u16], 1));
        for nth in 0..AT_ONCE.get() {
            assert_eq!(took(&app, "/refused", hosts(nth)).await, Duration::ZERO);
        }
        assert_eq!(took(&app, "/refused", hosts(AT_ONCE.get())).await, DELAY);
    }

    fn app() -> Router {
        Router::new()
            .route("/", get(async || "well"))
            .route("/refused", get(async || StatusCode::TOO_MANY_REQUESTS))
            .layer(from_fn_with_state(Refusals::new(), hold_back))
    }

    async fn took(app: &Router, path: &str, from: SocketAddr) -> Duration {
        let request = http::Request::get(path).extension(ConnectInfo(from));
        let begun = Instant::now();
        app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        begun.elapsed()
    }
}
