use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::{from_fn, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use http::{HeaderValue, Method, StatusCode, header};
use platform::deadline;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tower_http::catch_panic::CatchPanicLayer;

use crate::accept::accept;
use crate::failures::{catch_panics, logged};
use crate::health::Readiness;
use crate::peer::timeout_of;
use crate::proxies::Proxies;
use crate::tls::Tls;
use crate::{GatewayProof, Identity, Service, Worker, asked, telemetry};

/// How long workers may take to finish once the process is told to stop, after its requests (`accept.rs`): together less than the
/// ten seconds after which a container is killed, unless the service wants more.
const DRAIN_WORKERS: Duration = Duration::from_secs(3);
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);

/// The sockets that a service answers on.
pub struct Listeners {
    /// For gRPC and HTTP calls.
    pub calls: TcpListener,
    /// Probes and metrics, without TLS, and nothing else; without it, they are answered among the calls.
    pub probes: Option<TcpListener>,
    /// Its identity for TLS: callers must show a certificate of the same authority; without it, there is no TLS. People need none:
    /// what they call shows the certificate of [`Service::public`], or goes without.
    pub identity: Option<Identity>,
}

/// Serves everything of `service` on one listener, and runs its workers, until `shutdown`: see [`serve_at`].
pub async fn serve(
    service: Service,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve_at(service, Listeners { calls: listener, probes: None, identity: None }, shutdown).await
}

/// Serves `service` on its listeners, and runs its workers, until `shutdown`.
///
/// Then, in this order: `/readyz` says no, no connection is accepted, requests in flight finish, the
/// workers finish what they have in hand. What takes longer than a few seconds, or than [`Service::drain`], is dropped: nothing
/// that has been promised depends on it. Ends early, with the error, when a worker fails. Probes are answered to the end.
pub async fn serve_at(
    service: Service,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    telemetry::prometheus();
    let Listeners { calls, probes, identity } = listeners;
    let readiness = Readiness::new(service.readiness, service.peers, shutdown.clone());
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut grpc = service.grpc.add_service(health);
    // The lists of all services are for who runs them, and not for strangers.
    if service.public.is_none() {
        grpc = grpc.add_service(reflection()?);
    }
    let mut http = service.http;
    let probing = match probes {
        Some(probes) => Some(tokio::spawn(answer_probes(probes, readiness.clone()))),
        None => {
            http = probed(readiness.clone()).merge(http);
            None
        }
    };
    // Who is named is a service, and none of them is a stranger.
    let named = service.public.is_none() && identity.as_ref().is_some_and(Identity::names_callers);
    let gateway = service.gateway.filter(|_| !named);
    if gateway.as_ref().is_some_and(|gateway| !gateway.is_possible()) {
        tracing::warn!(
            "everybody behind one gateway counts as at one address: set GATEWAY_SECRET, or TLS_CALLERS"
        );
    }
    let router = router(service.name, grpc, http, gateway);

    let (tls, proxies) = match service.public {
        Some(public) => (public.certificate.map(Tls::Public), public.proxies),
        None => (identity.map(Tls::Mutual), Proxies::default()),
    };
    let running = Running::start(service.workers, service.drain, &shutdown);
    let reporting = tokio::spawn(report(reporter, readiness));
    accept(calls, tls.as_ref(), &proxies, router, &shutdown).await;
    let outcome = running.end().await;
    reporting.abort();
    if let Some(probing) = probing {
        probing.abort();
    }
    outcome
}

/// Runs workers without a socket until `shutdown`, for a service that is called within its process only.
///
/// Then they finish what they have in hand, within `drain` or a few seconds. When one of them fails, `shutdown` is cancelled
/// and the answer is its error.
pub async fn run_workers(
    workers: Vec<Worker>,
    drain: Duration,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let running = Running::start(workers, drain, &shutdown);
    shutdown.cancelled().await;
    running.end().await
}

/// Answers probes for as long as the process lives: also while it drains, when they say so.
async fn answer_probes(listener: TcpListener, readiness: Readiness) {
    let nobody = Proxies::default();
    accept(listener, None, &nobody, probed(readiness), &CancellationToken::new()).await;
}

/// The workers of a service, at work.
struct Running {
    tasks: JoinSet<domain::Result<()>>,
    stop: CancellationToken,
    drain: Duration,
}

impl Running {
    /// One that fails shuts the process down.
    fn start(workers: Vec<Worker>, drain: Duration, shutdown: &CancellationToken) -> Running {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for worker in workers {
            let (stop, shutdown) = (stop.clone(), shutdown.clone());
            tasks.spawn(async move {
                let ended = worker.run(stop).await;
                if let Err(error) = &ended {
                    tracing::error!(error = error as &dyn std::error::Error, "a worker stopped");
                    shutdown.cancel();
                }
                ended
            });
        }
        Running { tasks, stop, drain: drain.max(DRAIN_WORKERS) }
    }

    /// Tells them to stop, and answers with the first failure; those that take too long are dropped.
    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let ended = timeout(self.drain, finish(&mut self.tasks)).await;
        ended.unwrap_or_else(|_| {
            tracing::warn!("dropped workers that did not finish in time");
            Ok(())
        })
    }
}

/// Waits for all of them, and answers with the first failure.
async fn finish(running: &mut JoinSet<domain::Result<()>>) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = ended.map_err(anyhow::Error::from).and_then(|ended| Ok(ended?));
        outcome = outcome.and(ended);
    }
    outcome
}

/// gRPC and HTTP as one router.
fn router(name: &'static str, grpc: Routes, http: Router, gateway: Option<GatewayProof>) -> Router {
    let measure = from_fn(move |request, next| telemetry::measure(name, request, next));
    let http = http
        .layer(measure.clone())
        .layer(CatchPanicLayer::custom(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()));
    // A failure is logged within its request's span, which names the trace.
    let grpc = asked::told(logged(grpc), gateway).into_axum_router().layer(measure);
    let grpc = catch_panics(grpc.into());
    // By content type, not by path: gRPC and HTTP each answer an unknown path in their own way.
    Router::new().fallback(move |request: Request| {
        let (grpc, http) = (grpc.clone(), http.clone());
        async move {
            if !is_grpc(&request) {
                return call(http, request).await;
            }
            match timeout_of(request.headers()) {
                Some(timeout) => deadline::with_deadline(timeout, call(grpc, request)).await,
                None => call(grpc, request).await,
            }
        }
    })
}

/// The routes for probes, metrics and operators.
fn probed(readiness: Readiness) -> Router {
    let peers = readiness.clone();
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || readiness.clone().respond()))
        .route("/peers", get(move || peers.clone().tell_of_peers()))
        .route("/metrics", get(telemetry::render))
        .route_layer(map_response(carefully))
}

/// No browser takes the text of a probe for anything else, or keeps it.
async fn carefully(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn call<S, B>(mut service: S, request: Request) -> Response
where
    S: tower::Service<Request, Response = http::Response<B>, Error = Infallible>,
    http::Response<B>: IntoResponse,
{
    let head = request.method() == Method::HEAD;
    match service.call(request).await {
        Ok(response) if head => response.into_response().map(|_| unmeasured()),
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    }
}

/// No bytes, for HEAD: the length is told already where it is known, and a router that measures this body must not tell another.
fn unmeasured() -> Body {
    Body::from_stream(stream::empty::<Result<Bytes, Infallible>>())
}

fn is_grpc(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn reflection() -> anyhow::Result<ServerReflectionServer<impl ServerReflection>> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    Ok(builder.build_v1()?)
}

async fn report(reporter: HealthReporter, readiness: Readiness) {
    loop {
        let ready = readiness.ask().await.values().all(Result::is_ok);
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", status).await;
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}
