//! Pushes results to the systems that a hospital names: signed webhooks, DICOM objects by STOW-RS and C-STORE, messages of HL7 v2 by
//! MLLP, and FHIR resources. And what the audit trail says to the audit record repositories that the deployment names.
//!
//! Each completed scan leaves a row for each destination, and news of drift one for each webhook that takes CloudEvents, in one unit
//! with what says that the event was heard; lanes, one for each destination, send what is due and note what became of it. What is sent
//! may be sent twice, with the same id, and is never lost: it is delivered, or failed in words that somebody reads, and can be sent
//! again.

mod attempt;
mod audit;
mod cstore;
mod deliveries;
mod destinations;
mod dial;
mod erased;
mod event;
mod fhir;
mod format;
mod handed;
mod hospitals;
mod lanes;
mod mllp;
mod objection;
mod objects;
mod outbox;
mod outcome;
mod pause;
mod post;
mod repositories;
mod rpc;
mod signature;
mod stow;
mod syslog;
mod titles;
mod trails;
mod watch;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use domain::{Clock, Random, Result};
use platform::db::{self, Database};
use platform::queue::{self, Event, Queue};
use proto::delivery::delivery_server::DeliveryServer;
use proto::storage::handover_client::HandoverClient;
use secrecy::{ExposeSecret, SecretString};
use service::claims::{ServiceToken, Verifier};
use service::topics::{DRIFT_CLEARED, DRIFT_DETECTED, SCAN_COMPLETED, SCAN_ERASED};
use service::{ErasedScan, Peer, Service, Worker, check, listen};
use strum::VariantArray;
use tokio::sync::Notify;
use tonic::service::Routes;

use attempt::Ways;
use dial::Dial;
use event::News;
use handed::Handed;
use hospitals::Hospitals;
use post::Post;
use syslog::Line;
use trails::Trails;

pub use guard::Network;
#[doc(hidden)]
pub use mllp::read_of_strangers;
pub use syslog::Repository;

/// The kinds of destinations with what may be pushed to each, for the conformance statement.
pub fn formats() -> Vec<(&'static str, &'static [&'static str])> {
    format::Kind::VARIANTS.iter().map(|kind| (kind.name(), kind.formats())).collect()
}

/// The group that delivery listens with.
const GROUP: &str = "delivery";

/// Events in hand at a time; each becomes a few small rows.
const WINDOW: u16 = 16;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

#[derive(Debug, clap::Args)]
pub struct Config {
    /// Where destinations and deliveries live: `mysql://…` or `sqlite://…`; a database of delivery's own.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,

    /// Where news of completed scans and of drift comes from: `amqp://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    pub queue_url: SecretString,

    /// Where auth answers.
    #[arg(long, env)]
    pub auth_url: String,

    /// Where storage answers, which hands out what is pushed.
    #[arg(long, env)]
    pub storage_url: String,

    /// What delivery signs in with: it alone is handed pixels and identity together.
    #[arg(long, env, hide_env_values = true)]
    pub delivery_secret: SecretString,

    #[command(flatten)]
    pub rules: Rules,
}

/// Where results may go, and for how long that is tried.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "delivery_rules")]
pub struct Rules {
    /// Networks that results may be pushed to though they are not the internet's, such as `10.20.0.0/16`, with commas between:
    /// loopback, private and link-local addresses are refused without. Naming a loopback network allows `http://` to it; C-STORE and
    /// MLLP without TLS go within named networks only.
    #[arg(long, env, value_delimiter = ',')]
    pub delivery_networks: Vec<Network>,

    /// Authorities that destinations' certificates may be signed by, beside those of the system (PEM).
    #[arg(long, env)]
    pub delivery_authorities: Option<PathBuf>,

    /// For how long a delivery is tried before it has failed, in hours.
    #[arg(long, env, default_value_t = HOURS)]
    pub delivery_hours: u32,

    /// Audit record repositories that each entry of the audit trail is pushed to, as an audit message by syslog over TLS:
    /// `tls://HOST:PORT`, with commas between. They are sent every hospital's; with `?tenant=ID` behind it, that hospital's alone.
    #[arg(long, env, value_delimiter = ',')]
    pub audit_syslog: Vec<Repository>,

    /// Authorities that these repositories' certificates may be signed by, beside those of the system (PEM).
    #[arg(long, env)]
    pub audit_syslog_authorities: Option<PathBuf>,

    /// The certificate that they are shown, with those between it and its authority (PEM); for repositories that ask for one.
    #[arg(long, env)]
    pub audit_syslog_certificate: Option<PathBuf>,

    /// The private key of that certificate (PEM).
    #[arg(long, env)]
    pub audit_syslog_key: Option<PathBuf>,
}

/// A long weekend.
const HOURS: u32 = 72;

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            delivery_networks: Vec::new(),
            delivery_authorities: None,
            delivery_hours: HOURS,
            audit_syslog: Vec::new(),
            audit_syslog_authorities: None,
            audit_syslog_certificate: None,
            audit_syslog_key: None,
        }
    }
}

/// What the service is told.
pub struct Settings {
    pub rules: Rules,
    pub delivery_secret: SecretString,
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
    pub storage: Peer,
}

impl Ports {
    /// Opens what the URLs name, migrates the database and joins those who listen to what is pushed.
    pub async fn open(
        database_url: &str,
        queue: Queue,
        clock: Clock,
        random: Random,
    ) -> Result<Ports> {
        let database = db::connect(database_url, &MIGRATIONS).await?;
        // From the first start on nothing is missed, also not what comes before the worker subscribes.
        for event in [SCAN_COMPLETED, DRIFT_DETECTED, DRIFT_CLEARED, SCAN_ERASED] {
            if let Err(error) = queue.create_group(event, GROUP).await {
                tracing::warn!(
                    event = event.0,
                    error = &error as &dyn std::error::Error,
                    "an event is not listened to yet"
                );
            }
        }
        Ok(Ports { database, queue, clock, random })
    }
}

/// What every part of the service shares; cheap to clone.
#[derive(Clone)]
struct Store {
    database: Database,
    clock: Clock,
    random: Random,
    /// For how long a delivery is tried.
    tried_ms: i64,
    /// Notified when there is something to send.
    due: Arc<Notify>,
    /// Notified when there is something to tell the audit trail.
    noted: Arc<Notify>,
}

/// The service that `config` describes.
pub async fn open(config: Config) -> Result<Service> {
    let queue = queue::connect(config.queue_url.expose_secret()).await?;
    let (clock, random) = (service::system_clock(), service::system_random());
    let ports = Ports::open(config.database_url.expose_secret(), queue, clock, random).await?;
    let peers = Peers {
        auth: Peer::connect(&config.auth_url)?,
        storage: Peer::connect(&config.storage_url)?,
    };
    let Config { rules, delivery_secret, .. } = config;
    build(Settings { rules, delivery_secret }, ports, peers)
}

/// Assembles the service. `Invalid` where authorities or certificates cannot be read.
pub fn build(settings: Settings, ports: Ports, peers: Peers) -> Result<Service> {
    watch::describe();
    let Settings { rules, delivery_secret } = settings;
    let Ports { database, queue, clock, random } = ports;
    let store = Store {
        database: database.clone(),
        clock: clock.clone(),
        random,
        tried_ms: i64::from(rules.delivery_hours) * 3_600_000,
        due: Arc::default(),
        noted: Arc::default(),
    };
    let post = Post::new(&rules)?;
    let own = ServiceToken::of_delivery(peers.auth.clone(), delivery_secret, clock.clone());
    let handed = Handed {
        storage: HandoverClient::new(peers.storage.clone()),
        token: own.towards("storage"),
    };
    let hospitals = Hospitals::new(peers.auth.clone(), own.towards("auth"), clock.clone());
    let ways = Ways {
        handed: handed.clone(),
        hospitals: hospitals.clone(),
        post: post.clone(),
        dial: Dial::new(&rules)?,
    };
    let trails = Trails::new(peers.storage, peers.auth.clone(), &own);
    let verifier = Verifier::new(peers.auth, clock).of("delivery");
    let mut workers = vec![
        hear(store.clone(), queue.clone(), SCAN_COMPLETED, News::completed),
        hear(store.clone(), queue.clone(), DRIFT_DETECTED, News::detected),
        hear(store.clone(), queue.clone(), DRIFT_CLEARED, News::cleared),
        erase(store.clone(), queue.clone()),
        hospitals::watch(store.clone(), hospitals),
        lanes::send(store.clone(), ways),
        audit::tell(store.clone(), handed),
        watch::watch(store.clone()),
    ];
    workers.extend(push_audit(&store, trails, &rules)?);
    let rpc = rpc::Rpc { store, post, verifier };
    Ok(Service {
        name: "delivery",
        grpc: Routes::new(DeliveryServer::new(rpc)),
        workers,
        readiness: vec![
            ("database".into(), check(move || ping_database(database.clone()))),
            ("queue".into(), check(move || ping_queue(queue.clone()))),
        ],
        ..Service::default()
    })
}

/// A worker for each audit record repository.
fn push_audit(store: &Store, trails: Trails, rules: &Rules) -> Result<Vec<Worker>> {
    if rules.audit_syslog.is_empty() {
        return Ok(Vec::new());
    }
    let line = Line::new(rules)?;
    let push = |to: &Repository| {
        repositories::push(store.clone(), trails.clone(), line.clone(), to.clone())
    };
    Ok(rules.audit_syslog.iter().map(push).collect())
}

/// Makes deliveries of each such event, which `read` reads, for the destinations that take it.
fn hear(
    store: Store,
    queue: Queue,
    event: Event<'static>,
    read: fn(Vec<u8>) -> Result<News>,
) -> Worker {
    listen(queue, event, GROUP, WINDOW, move |body| {
        let store = store.clone();
        async move { store.hear(read(body)?).await }
    })
}

/// Forgets each scan of a patient who is erased.
fn erase(store: Store, queue: Queue) -> Worker {
    listen(queue, SCAN_ERASED, GROUP, WINDOW, move |body| {
        let store = store.clone();
        async move { store.erase(ErasedScan::parse(&body)?).await }
    })
}

async fn ping_database(database: Database) -> Result<()> {
    database.ping().await
}

async fn ping_queue(queue: Queue) -> Result<()> {
    queue.ping().await
}
