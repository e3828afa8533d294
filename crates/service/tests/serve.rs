//! A service as the world and its neighbours see it.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use domain::ErrorKind;
use proto::drift::drift_client::DriftClient;
use proto::drift::drift_server::{Drift, DriftServer};
use proto::drift::{
    CompareWindowsRequest, Comparison, ConfirmedComparison, ConfirmedRequest,
    ListEvaluationsRequest, ListWindowsRequest, OfflineEvaluation, OfflineEvaluations, Quality,
    QualityRequest, ReadRowsRequest, Report, ReportRef, ReportRequest, Rows, RowsKept, ScansAsked,
    WindowInFull, WindowRef, Windows,
};
use serde_json::Value;
use service::{
    Listeners, Peer, Public, Service, Worker, check, choose_tls, deadline, serve, serve_at,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Does as the id says.
struct Double;

#[tonic::async_trait]
impl Drift for Double {
    async fn create_report(&self, _: Request<ReportRequest>) -> Result<Response<Report>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn get_report(&self, request: Request<ReportRef>) -> Result<Response<Report>, Status> {
        let mut id = request.into_inner().id;
        match id.as_str() {
            "deadline" => id = deadline::left().unwrap_or_default().as_millis().to_string(),
            "panic" => panic!("on purpose"),
            "sleep" => tokio::time::sleep(Duration::from_secs(60)).await,
            _ => (),
        }
        Ok(Response::new(Report { id, ..Default::default() }))
    }

    async fn list_windows(
        &self,
        _: Request<ListWindowsRequest>,
    ) -> Result<Response<Windows>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn get_window(&self, _: Request<WindowRef>) -> Result<Response<WindowInFull>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn compare_windows(
        &self,
        _: Request<CompareWindowsRequest>,
    ) -> Result<Response<Comparison>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    type ReadRowsStream = BoxStream<Rows>;

    async fn read_rows(
        &self,
        _: Request<ReadRowsRequest>,
    ) -> Result<Response<Self::ReadRowsStream>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn get_quality(&self, _: Request<QualityRequest>) -> Result<Response<Quality>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn record_evaluation(
        &self,
        _: Request<OfflineEvaluation>,
    ) -> Result<Response<OfflineEvaluation>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn count_rows(&self, _: Request<ScansAsked>) -> Result<Response<RowsKept>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn compare_confirmed(
        &self,
        _: Request<ConfirmedRequest>,
    ) -> Result<Response<ConfirmedComparison>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn list_evaluations(
        &self,
        _: Request<ListEvaluationsRequest>,
    ) -> Result<Response<OfflineEvaluations>, Status> {
        Err(Status::unimplemented("not in this double"))
    }
}

fn double() -> Service {
    let http = Router::new()
        .route("/panic", get(async || -> &str { panic!("on purpose") }))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_millis(400)).await));
    Service {
        name: "double",
        grpc: Routes::new(DriftServer::new(Double)),
        http,
        ..Default::default()
    }
}

struct Running {
    url: String,
    stop: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
}

async fn start(service: Service) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    Running { url, ended: tokio::spawn(serve(service, listener, stop.clone())), stop }
}

async fn get_from(url: &str, path: &str) -> reqwest::Result<reqwest::Response> {
    choose_tls();
    reqwest::get(format!("{url}{path}")).await
}

async fn fetch(url: &str, path: &str) -> (u16, String) {
    let response = get_from(url, path).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn report(peer: Peer, id: &str) -> Result<String, Status> {
    let ask = Request::new(ReportRef { id: id.into() });
    Ok(DriftClient::new(peer).get_report(ask).await?.into_inner().id)
}

#[tokio::test]
async fn both_ways_to_a_peer_keep_the_same_promises() {
    let service = double();
    let within = Peer::within(&service);
    let running = start(service).await;
    for peer in [within, Peer::connect(&running.url).unwrap()] {
        assert_eq!(report(peer.clone(), "echo").await.unwrap(), "echo");
        let panicked = report(peer.clone(), "panic").await.unwrap_err();
        assert_eq!((panicked.code(), panicked.message()), (Code::Internal, "internal error"));

        let mut late = Request::new(ReportRef { id: "sleep".into() });
        late.set_timeout(Duration::from_millis(50));
        let late = DriftClient::new(peer.clone()).get_report(late).await.unwrap_err();
        assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late}");
        assert_eq!(report(peer, "still here").await.unwrap(), "still here");
    }
}

/// Asks itself, as a service asks another in the middle of a request.
#[tokio::test]
async fn a_deadline_is_carried_from_peer_to_peer() {
    let running = start(double()).await;
    let peer = Peer::connect(&running.url).unwrap();
    let asked = deadline::with_deadline(Duration::from_millis(200), report(peer.clone(), "sleep"));
    let late = asked.await.unwrap_err();
    assert!(matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled), "{late}");
    let left =
        deadline::with_deadline(Duration::from_secs(7), report(peer, "deadline")).await.unwrap();
    let left: u64 = left.parse().unwrap();
    assert!((1..=7_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn a_panic_answers_500_and_the_process_lives() {
    let running = start(double()).await;
    assert_eq!(fetch(&running.url, "/panic").await.0, 500);
    assert_eq!(fetch(&running.url, "/healthz").await, (200, "ok".into()));
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let there = Arc::new(AtomicBool::new(false));
    let seen = there.clone();
    let database = check(move || {
        let there = seen.load(Ordering::SeqCst);
        async move { if there { Ok(()) } else { Err(ErrorKind::Unavailable.error("no database")) } }
    });
    let model = check(async || Ok(()));
    let readiness = vec![("database".into(), database), ("model".into(), model)];
    let running = start(Service { readiness, ..double() }).await;

    let (status, body) = fetch(&running.url, "/readyz").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["ready"]), (503, &Value::from(false)));
    assert_eq!(
        (&body["checks"]["database"], &body["checks"]["model"]),
        (&"no database".into(), &"ok".into())
    );
    assert_eq!(fetch(&running.url, "/healthz").await.0, 200);

    there.store(true, Ordering::SeqCst);
    assert_eq!(fetch(&running.url, "/readyz").await.0, 200);
}

#[tokio::test]
async fn a_peer_that_is_away_is_told_of_and_takes_nobody_out_of_service() {
    let away = check(async || Err(ErrorKind::Unavailable.error("it does not answer")));
    let running = start(Service { peers: vec![("storage".into(), away)], ..double() }).await;
    assert_eq!(fetch(&running.url, "/readyz").await.0, 200);
    let (status, peers) = fetch(&running.url, "/peers").await;
    assert_eq!((status, peers.as_str()), (200, r#"{"storage":"it does not answer"}"#));
}

#[tokio::test]
async fn probes_have_a_port_of_their_own_and_answer_there_until_the_end() {
    let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (calls, probes) = (listen().await, listen().await);
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (called, probed) = (url(&calls), url(&probes));
    let stop = CancellationToken::new();
    let listeners = Listeners { calls, probes: Some(probes), identity: None };
    let ended = tokio::spawn(serve_at(double(), listeners, stop.clone()));
    for path in ["/healthz", "/readyz", "/peers", "/metrics"] {
        let answered = (fetch(&called, path).await.0, fetch(&probed, path).await.0);
        assert_eq!(answered, (404, 200), "{path}");
    }
    assert_eq!(fetch(&probed, "/slow").await.0, 404, "and nothing else");
    let probe = reqwest::get(format!("{probed}/metrics")).await.unwrap();
    let said = ["x-content-type-options", "cache-control"].map(|name| &probe.headers()[name]);
    assert_eq!(said, ["nosniff", "no-store"]);

    let in_flight = tokio::spawn(async move { fetch(&called, "/slow").await.0 });
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.cancel();
    assert_eq!(fetch(&probed, "/healthz").await.0, 200);
    assert_eq!(fetch(&probed, "/readyz").await.0, 503);
    assert_eq!(in_flight.await.unwrap(), 200);
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn strangers_are_told_of_no_service() {
    const LISTING: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    choose_tls();
    for (public, is_there) in [(None, true), (Some(Public::default()), false)] {
        let running = start(Service { public, ..double() }).await;
        let call = reqwest::Client::new().post(format!("{}{LISTING}", running.url));
        let answer = call.header("content-type", "application/grpc").send().await.unwrap();
        // 12 is UNIMPLEMENTED (gRPC's status codes).
        let status = answer.headers().get("grpc-status").and_then(|code| code.to_str().ok());
        assert_eq!(status != Some("12"), is_there);
    }
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let running = start(double()).await;
    fetch(&running.url, "/slow").await;
    report(Peer::connect(&running.url).unwrap(), "echo").await.unwrap();
    let (_, metrics) = fetch(&running.url, "/metrics").await;
    let has =
        |parts: &[&str]| metrics.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["medseg_requests_total", "route=\"/slow\"", "status=\"200\""]), "{metrics}");
    assert!(
        has(&["medseg_requests_total", "medseg.drift.v1.Drift", "service=\"double\""]),
        "{metrics}"
    );
    assert!(has(&["medseg_request_seconds_bucket", "route=\"/slow\"", "le=\"0.5\""]), "{metrics}");
}

#[tokio::test]
async fn health_is_told_in_grpc_too() {
    let running = start(double()).await;
    let mut health = HealthClient::new(Peer::connect(&running.url).unwrap());
    let said = health.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    assert_eq!(
        said.into_inner().status(),
        tonic_health::pb::health_check_response::ServingStatus::Serving
    );
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_it_has_in_hand() {
    let finished = Arc::new(AtomicBool::new(false));
    let done = finished.clone();
    let worker = Worker::new("worker", move |stop| async move {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        done.store(true, Ordering::SeqCst);
        Ok(())
    });
    let running = start(Service { workers: vec![worker], ..double() }).await;
    let url = running.url.clone();
    let in_flight = tokio::spawn(async move { fetch(&url, "/slow").await.0 });
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.cancel();
    assert_eq!(in_flight.await.unwrap(), 200);
    running.ended.await.unwrap().unwrap();
    assert!(finished.load(Ordering::SeqCst));
    assert!(get_from(&running.url, "/healthz").await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_worker_that_fails_or_panics_ends_the_process_with_its_error() {
    let failing = Worker::new("failing", async |_| Err(ErrorKind::Internal.error("on purpose")));
    let panicking = Worker::new("panicking", async |_| panic!("on purpose"));
    for (worker, words) in [(failing, "on purpose"), (panicking, "`panicking` panicked")] {
        let running = start(Service { workers: vec![worker], ..double() }).await;
        let ended = tokio::time::timeout(Duration::from_secs(5), running.ended).await.unwrap();
        let error = ended.unwrap().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn joined_services_answer_as_one() {
    let other = Router::new().route("/other", get(async || "other"));
    let other = Service { name: "other", http: other, ..Default::default() };
    let running = start(Service::join("all", vec![double(), other])).await;
    assert_eq!(fetch(&running.url, "/other").await, (200, "other".into()));
    assert_eq!(fetch(&running.url, "/nothing").await.0, 404);
    let peer = Peer::connect(&running.url).unwrap();
    assert_eq!(report(peer.clone(), "echo").await.unwrap(), "echo");
    let mut unknown = proto::storage::scans_client::ScansClient::new(peer);
    let unknown = unknown.get(proto::storage::ScanRef::default()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
}

#[tokio::test]
async fn methods_that_callers_invent_are_counted_as_one() {
    choose_tls();
    let running = start(double()).await;
    for number in 0..20 {
        let method = reqwest::Method::from_bytes(format!("INVENTED{number}").as_bytes()).unwrap();
        reqwest::Client::new()
            .request(method, format!("{}/slow", running.url))
            .send()
            .await
            .unwrap();
    }
    let (_, metrics) = fetch(&running.url, "/metrics").await;
    assert!(!metrics.contains("INVENTED"), "{metrics}");
    let counted = |line: &&str| line.starts_with("medseg_requests_total") && line.contains("other");
    assert_eq!(metrics.lines().filter(counted).count(), 1);
}

/// Waits until the connection to `address` is closed on which nothing but `said` comes.
async fn closed_after(address: &str, said: &[u8]) {
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(said).await.unwrap();
    let mut byte = [0; 1];
    let closed = tokio::time::timeout(Duration::from_secs(60), silent.read(&mut byte));
    assert_eq!(closed.await.unwrap().unwrap(), 0, "{}", String::from_utf8_lossy(said));
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let running = start(double()).await;
    let address = running.url.strip_prefix("http://").unwrap();
    // The second may become HTTP/2, or a request of HTTP/1 that begins with the same letter.
    tokio::join!(closed_after(address, b""), closed_after(address, b"PRI * HT"));
}

#[tokio::test]
async fn a_head_without_measure_is_not_read() {
    let running = start(double()).await;
    let address = running.url.strip_prefix("http://").unwrap();
    for (bytes, is_answered) in [(1 << 10, true), (128 << 10, false)] {
        let mut caller = TcpStream::connect(address).await.unwrap();
        let long = "a".repeat(bytes);
        let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n");
        // The connection may be closed before all of it is sent.
        let _ = caller.write_all(head.as_bytes()).await;
        let mut answer = [0; 12];
        let read = caller.read_exact(&mut answer).await;
        assert_eq!(read.is_ok() && &answer == b"HTTP/1.1 200", is_answered, "{bytes}");
    }
}
