//! A double of Google Cloud Pub/Sub, for tests: topics, subscriptions and messages in memory, on one socket.
//!
//! It speaks what the official client asks of it: topics and subscriptions over the JSON interface, messages over gRPC. It
//! keeps leases and counts deliveries as Google does, and it promises no order: it gives the newest first.

mod admin;
mod broker;
mod calls;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::header;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tower::Service;

use broker::Broker;

/// A running double; it ends when this is dropped.
pub struct Double {
    state: Arc<State>,
    address: SocketAddr,
    running: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    broker: Mutex<Broker>,
    /// Told when a subscriber may have something to take.
    changed: Notify,
    streams: AtomicU64,
    refusing: AtomicBool,
}

impl Double {
    /// Serves on a free port of the loopback.
    pub async fn start() -> anyhow::Result<Double> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (state, address) = (Arc::<State>::default(), listener.local_addr()?);
        let running = tokio::spawn(serve(listener, router(&state)));
        Ok(Double { state, address, running })
    }

    /// What an adapter opens it by.
    pub fn url(&self) -> String {
        format!("pubsub://project/medseg?endpoint=http://{}", self.address)
    }

    /// From here on nobody has the right to anything.
    pub fn refuse(&self) {
        self.state.refusing.store(true, Ordering::Relaxed);
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl State {
    fn refuses(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both interfaces behind one address, told apart by content type.
fn router(state: &Arc<State>) -> Router {
    let json = admin::router(state.clone());
    let grpc = tonic::service::Routes::new(calls::publisher(state.clone()))
        .add_service(calls::subscriber(state.clone()))
        .into_axum_router();
    Router::new().fallback(move |request: axum::extract::Request| {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let grpc_call = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let mut face = if grpc_call { grpc.clone() } else { json.clone() };
        async move { face.call(request).await }
    })
}

async fn serve(listener: TcpListener, router: Router) {
    let server = Builder::new(TokioExecutor::new());
    // Connections end with the double.
    let mut open = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (server, service) = (server.clone(), TowerToHyperService::new(router.clone()));
        open.spawn(async move {
            // A connection that breaks is its caller's to notice.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
        while open.try_join_next().is_some() {}
    }
}
