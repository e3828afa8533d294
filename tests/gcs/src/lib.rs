//! A double of Google Cloud Storage, for tests and for trying out: one bucket in one folder, on one socket.
//!
//! It speaks what the official client asks of it: uploads in one piece and resumable ones, reads and ranges over the JSON
//! interface; get, list and delete over gRPC. And what gcsfs asks, through which DVC keeps data there: descriptions and lists
//! over the JSON interface. It compares checksums and keeps to preconditions as Google does, and it
//! fails as it is told to ([`Faults`]).

mod control;
mod faults;
mod json;
mod objects;
mod upload;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::routing::{get, post};
use http::header;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tower::Service;

use faults::Failing;
pub use faults::Faults;
use objects::Objects;
use upload::Sessions;

/// A running double; it ends when this is dropped.
pub struct Double {
    state: Arc<State>,
    running: JoinHandle<()>,
}

struct State {
    bucket: String,
    address: SocketAddr,
    objects: Mutex<Objects>,
    sessions: Mutex<Sessions>,
    failing: Mutex<Failing>,
}

impl Double {
    /// Serves `bucket` from `folder` on a free port of the loopback.
    pub async fn start(bucket: &str, folder: &Path) -> anyhow::Result<Double> {
        Self::on(TcpListener::bind("127.0.0.1:0").await?, bucket, folder)
    }

    /// Serves `bucket` from `folder` on `listener`.
    pub fn on(listener: TcpListener, bucket: &str, folder: &Path) -> anyhow::Result<Double> {
        let state = Arc::new(State {
            bucket: bucket.to_owned(),
            address: listener.local_addr()?,
            objects: Mutex::new(Objects::open(folder)?),
            sessions: Mutex::default(),
            failing: Mutex::default(),
        });
        let running = tokio::spawn(serve(listener, router(&state)));
        Ok(Double { state, running })
    }

    /// What an adapter opens it by.
    pub fn url(&self) -> String {
        format!("gs://{}?endpoint=http://{}", self.state.bucket, self.state.address)
    }

    /// From here on it fails like this.
    pub fn fail(&self, faults: Faults) {
        *lock(&self.state.failing) = Failing::new(faults);
    }

    /// How many requests it has refused or broken off because it was told to.
    pub fn failed(&self) -> u64 {
        lock(&self.state.failing).failed
    }

    /// The names of all objects.
    pub fn names(&self) -> Vec<String> {
        lock(&self.state.objects).names()
    }

    /// Flips one bit of a stored object.
    pub fn flip(&self, name: &str) -> anyhow::Result<()> {
        lock(&self.state.objects).flip(name)
    }

    /// Runs until the process ends.
    pub async fn forever(mut self) {
        // Ends with a panic only, which has been reported.
        let _ = (&mut self.running).await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both interfaces behind one address, told apart by content type.
fn router(state: &Arc<State>) -> Router {
    let json = Router::new()
        .route("/upload/storage/v1/b/{bucket}/o", post(upload::begin).put(upload::resume))
        .route("/storage/v1/b/{bucket}", get(json::bucket))
        .route("/storage/v1/b/{bucket}/o", get(json::list))
        .route("/storage/v1/b/{bucket}/o/{*name}", get(json::read))
        .route("/download/storage/v1/b/{bucket}/o/{*name}", get(json::download))
        .with_state(state.clone());
    let grpc = tonic::service::Routes::new(control::server(state.clone())).into_axum_router();
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
