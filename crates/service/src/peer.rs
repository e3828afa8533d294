use std::task::{Context, Poll};
use std::time::Duration;

use domain::{ErrorKind, Result};
use futures::future::BoxFuture;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use platform::deadline;
use secrecy::SecretString;
use tokio::time::timeout_at;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::failures::{catch_panics, logged};
use crate::retry::RetryingChannel;
use crate::{Identity, Service, asked, trace};

/// How long a peer may take to begin its answer, unless the request sets a timeout of its own (as a
/// long upload must: its answer begins when the last byte has arrived).
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that is gone without a word is noticed after interval + timeout.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for volumes in flight: the default of 64 KiB makes a stream wait for every round trip.
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// A channel to another service, over the network or in this process.
///
/// Generated clients take either, so `ScansClient<Peer>` is the only client type there is. Calls
/// over the network and in process keep the same promises: a deadline, and `INTERNAL` instead of a panic. Over the network, calls that
/// a repetition cannot harm are repeated within that deadline.
#[derive(Clone)]
pub struct Peer(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>);

impl Peer {
    /// The service at `url`; the connection is made when it is first used, and again when it breaks.
    ///
    /// By `https://`, this process shows the [`Identity`] that it has installed.
    pub fn connect(url: &str) -> Result<Peer> {
        Peer::connect_as(url, Identity::own())
    }

    /// As [`connect`](Peer::connect), in the name of `identity`.
    pub fn connect_as(url: &str, identity: Option<&Identity>) -> Result<Peer> {
        let bad = || ErrorKind::Invalid.error("bad peer URL");
        let uri: Uri = url.parse().map_err(|error| bad().because(error))?;
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        // tonic's own TLS keeps the certificate that it was made with, and `https` is refused without it.
        let plain = if secure { format!("http{}", &url["https".len()..]) } else { url.to_owned() };
        let endpoint = Endpoint::from_shared(plain)
            .map_err(|error| bad().because(error))?
            .origin(uri.clone())
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let channel = if secure {
            let identity = identity.ok_or_else(|| {
                ErrorKind::Invalid
                    .error("a peer by https:// needs a certificate: set TLS_CERTIFICATE")
            })?;
            let identity = identity.clone();
            endpoint.connect_with_connector_lazy(service_fn(move |_| identity.connect(uri.clone())))
        } else {
            endpoint.connect_lazy()
        };
        Ok(Peer(BoxCloneSyncService::new(RetryingChannel::new(
            channel.map_request(with_timeout_header),
        ))))
    }

    /// The same service, which is shown with each call that it is the gateway who calls. `Invalid` where no header can carry the secret.
    pub fn shown(self, secret: &SecretString) -> Result<Peer> {
        let shown = asked::shown(secret)?;
        let showing = self.0.map_request(move |mut request: Request<Body>| {
            request.headers_mut().insert(asked::GATEWAY, shown.clone());
            request
        });
        Ok(Peer(BoxCloneSyncService::new(showing)))
    }

    /// A service of this process, called as a function.
    pub fn within(service: &Service) -> Peer {
        let grpc = logged(service.grpc.clone().prepare());
        let routes = catch_panics(asked::told(grpc, service.gateway.clone()));
        let routes = ServiceExt::<Request<Body>>::map_err(routes, BoxError::from);
        Peer(BoxCloneSyncService::new(routes.map_request(with_timeout_header)))
    }
}

impl tower::Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    /// The channel is made ready within the deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    /// Enforces the deadline here and not in the server, so that calls in process keep it too.
    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        trace::inject(request.headers_mut());
        asked::inject(request.headers_mut());
        let asked = timeout_of(request.headers()).unwrap_or(TIMEOUT_DEFAULT);
        let channel = self.0.clone();
        // No longer than whoever waits for us.
        Box::pin(deadline::with_deadline(asked, async move {
            let until = deadline::current().expect("it was set a moment ago");
            let late = |_| Ok(Status::deadline_exceeded("no answer in time").into_http());
            timeout_at(until, channel.oneshot(request)).await.unwrap_or_else(late)
        }))
    }
}

/// Sets `grpc-timeout` to the time that is left, so that the peer stops when we stop waiting.
fn with_timeout_header(mut request: Request<Body>) -> Request<Body> {
    let left = deadline::left().unwrap_or(TIMEOUT_DEFAULT);
    request.headers_mut().insert("grpc-timeout", grpc_timeout(left));
    request
}

/// As gRPC's HTTP/2 mapping writes it: at most eight digits and a unit.
fn grpc_timeout(timeout: Duration) -> HeaderValue {
    let ms = timeout.as_millis().min(99_999_999);
    HeaderValue::from_str(&format!("{ms}m")).expect("digits and a letter are a header's value")
}

/// What `tonic::Request::set_timeout` has set: digits and a unit, as gRPC's HTTP/2 mapping says.
pub(crate) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount.checked_mul(3600)?)),
        "M" => Some(Duration::from_secs(amount.checked_mul(60)?)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_set_its_own_deadline() {
        for asked in [Duration::from_millis(5), Duration::from_secs(90), Duration::from_secs(7200)]
        {
            let mut request = tonic::Request::new(());
            request.set_timeout(asked);
            let headers = request.metadata().clone().into_headers();
            assert_eq!(timeout_of(&headers), Some(asked));
        }
        assert_eq!(timeout_of(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_left_is_written_as_it_is_read() {
        for left in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(7200)] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                grpc_timeout(left),
            )]);
            assert_eq!(timeout_of(&headers), Some(left));
        }
    }
}
