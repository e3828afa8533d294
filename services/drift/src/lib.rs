//! Compares what the model sees and says with what it was trained on.
//!
//! Every completed scan leaves an observation; a report sets the observations of a window beside the model's training
//! reference, in JSON and as a page.

mod event;
mod message;
mod page;
mod plot;
mod reference;
mod references;
mod report;
mod rpc;
mod statistics;
mod store;

use std::path::PathBuf;

use domain::{Clock, Random, Result};
use platform::db::{self, Database};
use platform::queue::{self, Queue};
use proto::drift::drift_server::DriftServer;
use secrecy::{ExposeSecret, SecretString};
use service::claims::Verifier;
use service::topics::SCAN_COMPLETED;
use service::{Peer, Service, check, listen, trace};
use tonic::service::Routes;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use event::Completed;
use references::References;
use store::Store;

pub use reference::{Distribution, Reference};

/// The group that drift listens with.
const GROUP: &str = "drift";

/// Observations in hand at a time; each is one small row.
const WINDOW: u16 = 16;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

#[derive(Debug, clap::Args)]
pub struct Config {
    /// Where observations and reports live: `mysql://…` or `sqlite://…`; a database of drift's own.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,

    /// Where news of completed scans comes from: `amqp://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    pub queue_url: SecretString,

    /// Where auth answers.
    #[arg(long, env)]
    pub auth_url: String,

    /// Where the registry answers, whose versions bring their training reference.
    #[arg(long, env)]
    pub registry_url: Option<String>,

    /// The training reference of a model that the registry does not know; without one, its reports show the window alone.
    #[arg(long, env)]
    pub reference: Option<PathBuf>,
}

/// What this service needs of the outside world, opened by whoever starts it.
pub struct Ports {
    pub database: Database,
    pub queue: Queue,
    pub clock: Clock,
    pub random: Random,
}

/// Whom it calls.
pub struct Peers {
    pub auth: Peer,
    /// For the training references of versions; none where one is named.
    pub registry: Option<Peer>,
}

impl Ports {
    /// Opens what the URLs name, migrates the database and joins those who listen to completed scans.
    pub async fn open(
        database_url: &str,
        queue: Queue,
        clock: Clock,
        random: Random,
    ) -> Result<Ports> {
        let database = db::connect(database_url, &MIGRATIONS).await?;
        join(&queue).await;
        Ok(Ports { database, queue, clock, random })
    }
}

/// From the first start on nothing is missed, also not what comes before the worker subscribes.
async fn join(queue: &Queue) {
    if let Err(error) = queue.create_group(SCAN_COMPLETED, GROUP).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "completed scans are not listened to yet"
        );
    }
}

/// The service that `config` describes.
pub async fn open(config: Config) -> Result<Service> {
    let reference = config.reference.as_deref().map(Reference::read).transpose()?;
    let queue = queue::connect(config.queue_url.expose_secret()).await?;
    let (clock, random) = (service::system_clock(), service::system_random());
    let ports = Ports::open(config.database_url.expose_secret(), queue, clock, random).await?;
    let registry = config.registry_url.as_deref().map(Peer::connect).transpose()?;
    let peers = Peers { auth: Peer::connect(&config.auth_url)?, registry };
    Ok(build(reference.unwrap_or_default(), ports, peers))
}

/// Assembles the service; `reference` is what reports of models compare with that the registry does not know.
pub fn build(reference: Reference, ports: Ports, peers: Peers) -> Service {
    let Ports { database, queue, clock, random } = ports;
    let store = Store { database: database.clone() };
    let observer = store.clone();
    let observe = listen(queue.clone(), SCAN_COMPLETED, GROUP, WINDOW, move |body| {
        let observer = observer.clone();
        async move {
            let done = Completed::parse(&body)?;
            let span = info_span!(
                "observe",
                otel.kind = "consumer",
                tenant.id = %done.tenant,
                scan.id = %done.scan,
                trace_id = Empty
            );
            trace::resume(&span, &done.traceparent);
            observer.observe(&done).instrument(span).await
        }
    });
    let verifier = Verifier::new(peers.auth, clock.clone());
    let references = References::new(reference, peers.registry);
    let rpc = rpc::Rpc { store, references, verifier, clock, random };
    Service {
        name: "drift",
        grpc: Routes::new(DriftServer::new(rpc)),
        workers: vec![observe],
        readiness: vec![
            ("database".into(), check(move || ping_database(database.clone()))),
            ("queue".into(), check(move || ping_queue(queue.clone()))),
        ],
        ..Service::default()
    }
}

async fn ping_database(database: Database) -> Result<()> {
    database.ping().await
}

async fn ping_queue(queue: Queue) -> Result<()> {
    queue.ping().await
}
