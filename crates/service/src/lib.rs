//! What every process of the mesh does the same way.
//!
//! A service crate builds a [`Service`]: routes and workers that are assembled but not listening.
//! [`serve`] gives one a socket; [`Peer::within`] lets a neighbour in the same process call it
//! without one; [`Service::join`] makes one of several.

#![deny(missing_docs)]

mod accept;
mod asked;
pub mod claims;
pub mod cli;
mod connections;
mod drain;
mod erased;
mod event;
mod failures;
mod health;
mod logs;
mod memory;
mod peer;
mod proxies;
mod public;
mod retry;
mod run;
mod serve;
mod shares;
mod system;
mod telemetry;
mod tls;
pub mod topics;
pub mod trace;
mod turns;
pub mod wire;
mod worker;

pub use asked::{GatewayProof, decoded, encoded};
pub use drain::drain;
pub use erased::ErasedScan;
pub use event::{CloudEvent, Origin};
pub use failures::status_in_stream;
pub use health::{Check, check};
pub use logs::{ErrorLog, LogSettings};
pub use memory::share_heaps;
pub use peer::Peer;
pub use platform::{choose_tls, deadline, keep_private, trail};
pub use proxies::Proxies;
pub use public::{Certificate, Public, PublicSettings};
pub use run::{Process, run, shutdown_on_signals};
pub use serve::{Listeners, run_workers, serve, serve_at};
pub use shares::{Share, Shares, Taken};
pub use system::{system_clock, system_random};
pub use telemetry::method_name;
pub use tls::Identity;
pub use turns::{Turn, Turns};
pub use worker::{Worker, listen, work};

use std::time::Duration;

use axum::Router;
use tonic::service::Routes;

/// How large the pieces are in which bytes travel between services.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// One service, ready to be served or called in-process.
#[derive(Default)]
pub struct Service {
    /// The name in logs and metrics.
    pub name: &'static str,
    /// gRPC, for other services.
    pub grpc: Routes,
    /// HTTP, for clients.
    pub http: Router,
    /// The tasks that run beside requests.
    pub workers: Vec<Worker>,
    /// The way to it, where people call it; peers call all others, by the mesh's own certificates.
    pub public: Option<Public>,
    /// By what it knows the gateway, where it takes no other's word, over the network, of the address that a call comes from. Where callers
    /// are named by their certificates (`TLS_CALLERS`), each of them is believed.
    pub gateway: Option<GatewayProof>,
    /// How long its workers may take to finish what they have in hand, once it is told to stop; a few seconds at least.
    pub drain: Duration,
    /// What must answer before it is ready; the names appear in `/readyz`. Its own only, such as its database: who waits for
    /// a peer there takes all its instances away, and with them whoever could say what is wrong.
    pub readiness: Vec<(String, Check)>,
    /// Whether those answer whom it calls; the names appear in `/peers`, and nothing depends on them.
    pub peers: Vec<(String, Check)>,
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
            joined.public = joined.public.or(service.public);
            let named = |(check, ask)| (format!("{}.{check}", service.name), ask);
            joined.readiness.extend(service.readiness.into_iter().map(named));
            joined.peers.extend(service.peers.into_iter().map(named));
        }
        joined
    }
}
