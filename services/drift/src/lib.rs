//! Compares what the model sees and says with what it was trained on.
//!
//! Every completed scan leaves an observation; a report sets the observations of a window beside the model's training
//! reference, in JSON and as a page. On a schedule windows are closed, which do the same by model, kind of image, scanner and
//! site, and tell when scans drift and when that is over. Every word of a reader on a result is kept, too, and says how good the answers are.

mod embedding;
mod erased;
mod event;
mod message;
mod page;
mod plot;
mod quality;
mod reference;
mod references;
mod report;
mod rpc;
mod statistics;
mod store;
mod windows;
mod written;

use std::path::PathBuf;

use domain::{Clock, Random, Result};
use platform::db::{self, Database};
use platform::queue::{self, Queue};
use proto::drift::drift_server::DriftServer;
use secrecy::{ExposeSecret, SecretString};
use service::claims::{ServiceToken, Verifier};
use service::topics::{FEEDBACK_GIVEN, SCAN_COMPLETED, SCAN_ERASED, UPLOAD_REFUSED};
use service::{ErasedScan, Peer, Service, Worker, check, listen, trace};
use tonic::service::Routes;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use event::Completed;
use quality::{Given, RefusalTold};
use references::References;
use store::Store;
use windows::Closer;

pub use quality::Bound;
pub use reference::{Distribution, EmbeddingOfScan, Embeddings, Reference};
pub use windows::Schedule;

/// The group that drift listens with.
const GROUP: &str = "drift";

/// Events in hand at a time; each becomes one small row.
const WINDOW: u16 = 16;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

#[derive(Debug, clap::Args)]
pub struct Config {
    /// Where observations and reports live: `mysql://…` or `sqlite://…`; a database of drift's own.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,

    /// Where news of completed scans, of readers' feedback and of refused uploads comes from: `amqp://…` or `sqlite://…`.
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

    /// What medseg's own workers sign in with: in their name references are fetched when a window is closed. Without it, windows are
    /// compared only where a report has fetched the reference before.
    #[arg(long, env, hide_env_values = true)]
    pub service_secret: Option<SecretString>,

    #[command(flatten)]
    pub schedule: Schedule,

    #[command(flatten)]
    pub bound: Bound,
}

/// What the service is told.
#[derive(Default)]
pub struct Settings {
    /// What scans of models are compared with that the registry does not know.
    pub reference: Reference,
    pub service_secret: Option<SecretString>,
    pub schedule: Schedule,
    pub bound: Bound,
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
    /// Opens what the URLs name, migrates the database and joins those who listen to completed scans, to readers' words and to
    /// refusals.
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
    for event in [SCAN_COMPLETED, FEEDBACK_GIVEN, UPLOAD_REFUSED, SCAN_ERASED] {
        if let Err(error) = queue.create_group(event, GROUP).await {
            tracing::warn!(
                event = event.0,
                error = &error as &dyn std::error::Error,
                "an event is not listened to yet"
            );
        }
    }
}

/// The service that `config` describes.
pub async fn open(config: Config) -> Result<Service> {
    config.bound.check()?;
    let reference = config.reference.as_deref().map(Reference::read).transpose()?;
    let queue = queue::connect(config.queue_url.expose_secret()).await?;
    let (clock, random) = (service::system_clock(), service::system_random());
    let ports = Ports::open(config.database_url.expose_secret(), queue, clock, random).await?;
    let registry = config.registry_url.as_deref().map(Peer::connect).transpose()?;
    let peers = Peers { auth: Peer::connect(&config.auth_url)?, registry };
    let Config { service_secret, schedule, bound, .. } = config;
    let reference = reference.unwrap_or_default();
    Ok(build(Settings { reference, service_secret, schedule, bound }, ports, peers))
}

/// Assembles the service.
pub fn build(settings: Settings, ports: Ports, peers: Peers) -> Service {
    quality::describe();
    windows::describe();
    let Settings { reference, service_secret, schedule, bound } = settings;
    let Ports { database, queue, clock, random } = ports;
    let store = Store { database: database.clone() };
    let references = References::new(reference, peers.registry);
    let closer = Closer {
        store: store.clone(),
        queue: queue.clone(),
        references: references.clone(),
        token: service_secret.map(|secret| {
            ServiceToken::new(peers.auth.clone(), secret, clock.clone()).towards("registry")
        }),
        schedule,
        clock: clock.clone(),
        random: random.clone(),
    };
    let workers = vec![
        observe(store.clone(), queue.clone()),
        review(store.clone(), queue.clone()),
        count_refusals(store.clone(), queue.clone()),
        erase(store.clone(), queue.clone()),
        quality::watch(store.clone(), clock.clone(), bound),
        windows::watch(closer),
    ];
    let verifier = Verifier::new(peers.auth, clock.clone()).of("drift");
    let rpc = rpc::Rpc { store, references, verifier, bound, clock, random };
    Service {
        name: "drift",
        grpc: Routes::new(DriftServer::new(rpc)),
        workers,
        readiness: vec![
            ("database".into(), check(move || ping_database(database.clone()))),
            ("queue".into(), check(move || ping_queue(queue.clone()))),
        ],
        ..Service::default()
    }
}

/// Keeps what is seen of each completed scan.
fn observe(store: Store, queue: Queue) -> Worker {
    listen(queue, SCAN_COMPLETED, GROUP, WINDOW, move |body| {
        let store = store.clone();
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
            store.observe(&done).instrument(span).await
        }
    })
}

/// Keeps each word of a reader.
fn review(store: Store, queue: Queue) -> Worker {
    listen(queue, FEEDBACK_GIVEN, GROUP, WINDOW, move |body| {
        let store = store.clone();
        async move {
            let given = Given::parse(&body)?;
            let span = info_span!(
                "review",
                otel.kind = "consumer",
                tenant.id = %given.tenant,
                scan.id = %given.scan,
                trace_id = Empty
            );
            trace::resume(&span, &given.traceparent);
            store.review(&given).instrument(span).await
        }
    })
}

/// Forgets each scan of a patient who is erased.
fn erase(store: Store, queue: Queue) -> Worker {
    listen(queue, SCAN_ERASED, GROUP, WINDOW, move |body| {
        let store = store.clone();
        async move { store.erase(&ErasedScan::parse(&body)?).await }
    })
}

/// Counts each file that is refused at the door.
fn count_refusals(store: Store, queue: Queue) -> Worker {
    listen(queue, UPLOAD_REFUSED, GROUP, WINDOW, move |body| {
        let store = store.clone();
        async move {
            let told = RefusalTold::parse(&body)?;
            let span = info_span!(
                "count a refusal",
                otel.kind = "consumer",
                tenant.id = %told.tenant,
                trace_id = Empty
            );
            trace::resume(&span, &told.traceparent);
            store.count_refusal(&told).instrument(span).await
        }
    })
}

async fn ping_database(database: Database) -> Result<()> {
    database.ping().await
}

async fn ping_queue(queue: Queue) -> Result<()> {
    queue.ping().await
}
