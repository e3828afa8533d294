//! What every process of the mesh does the same way.
//!
//! A service crate builds a [`Service`]: routes and workers that are assembled but not listening.
//! [`serve`] gives one a socket; [`Peer::within`] lets a neighbour in the same process call it
//! without one; [`Service::join`] makes one of several.

pub mod claims;
mod health;
mod logs;
mod peer;
mod retry;
mod run;
mod serve;
mod system;
mod telemetry;
mod tls;
pub mod topics;
pub mod trace;
pub mod wire;
mod worker;

pub use health::{Check, check};
pub use peer::Peer;
pub use platform::{choose_tls, deadline, keep_private};
pub use run::{Life, live, run};
pub use serve::{serve, serve_mutual};
pub use system::{system_clock, system_random};
pub use tls::Identity;
pub use worker::{Worker, work};

use std::time::Duration;

use axum::Router;
use tonic::service::Routes;

/// How large the pieces are in which bytes travel between services.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// One service, ready to be served or called in-process.
#[derive(Default)]
pub struct Service {
    /// What it is called in logs and metrics.
    pub name: &'static str,
    /// Its face towards the mesh.
    pub grpc: Routes,
    /// Its face towards the world; `/healthz`, `/readyz` and `/metrics` are added when it is served.
    pub http: Router,
    /// What it does unasked.
    pub workers: Vec<Worker>,
    /// Whether people call it, who have no certificate of the mesh.
    pub public: bool,
    /// How long its workers may take to finish what they have in hand, once it is told to stop; a few seconds at least.
    pub drain: Duration,
    /// What must answer before it is ready; the names appear in `/readyz`.
    pub readiness: Vec<(String, Check)>,
}

impl Service {
    /// All of `services` as one, called `name`: every route, every worker, every check.
    ///
    /// # Panics
    /// When two of them answer the same route, which is a mistake in the composition.
    pub fn join(name: &'static str, services: Vec<Service>) -> Service {
        let mut joined = Service { name, ..Default::default() };
        for service in services {
            // Each set of gRPC routes brings its own answer to what it does not know: one is enough.
            let grpc = joined.grpc.into_axum_router();
            joined.grpc = grpc.merge(service.grpc.into_axum_router().reset_fallback()).into();
            joined.http = joined.http.merge(service.http);
            joined.workers.extend(service.workers);
            joined.drain = joined.drain.max(service.drain);
            joined.public |= service.public;
            let checks = service.readiness.into_iter();
            let named = checks.map(|(check, ask)| (format!("{}.{check}", service.name), ask));
            joined.readiness.extend(named);
        }
        joined
    }
}
