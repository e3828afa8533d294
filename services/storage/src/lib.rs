//! Stores scans: bytes in object storage, rows in the database, messages on the queue.
//!
//! The only writer of scans and results. What is accepted is durable before it is answered; the job
//! table is the truth, and messages only point to it.

mod accept;
mod anchors;
mod artefacts;
mod audit;
mod batches;
mod complete;
mod data_keys;
mod deletion;
mod door;
mod erasures;
mod event;
mod feedback;
mod follow;
mod groups;
mod handover;
mod holds;
mod identities;
mod incident_links;
mod incidents;
mod jobs;
mod learning;
mod leases;
mod lifecycle;
mod limits;
mod list;
mod noting;
mod orphans;
mod outbox;
mod priors;
mod renewal;
mod retention;
mod reviewed;
mod reviews;
mod rpc;
mod scans;
mod series_choice;
mod series_rules;
mod stops;
mod store;
mod stored;
mod studies;
mod sweeper;
mod tombstones;
mod volumes;

use std::time::Duration;

use domain::{Clock, Random, Result};
use metrics::Unit::{Count, Seconds};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
use platform::blob::Blobs;
use platform::db::Database;
use platform::disk::RESERVE_MIB;
use platform::keys::{self, KeyRing};
use platform::queue::Queue;
use platform::{blob, db, queue};
use proto::storage::audit_trail_server::AuditTrailServer;
use proto::storage::erasures_server::ErasuresServer;
use proto::storage::feedback_server::FeedbackServer;
use proto::storage::handover_server::HandoverServer;
use proto::storage::incidents_server::IncidentsServer;
use proto::storage::jobs_server::JobsServer;
use proto::storage::learning_server::LearningServer;
use proto::storage::limits_server::LimitsServer;
use proto::storage::scans_server::ScansServer;
use proto::storage::series_rules_server::SeriesRulesServer;
use proto::storage::stops_server::StopsServer;
use secrecy::{ExposeSecret, SecretString};
use service::claims::{Role, Verifier};
use service::{Peer, Service, check};
use tonic::service::Routes;

use store::Store;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where everything is kept, and by which rules.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where rows live: `mysql://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,

    /// Where bytes live: `gs://BUCKET[/PREFIX]`, `s3://BUCKET[/PREFIX]` or `file:///…`.
    #[arg(long, env, hide_env_values = true)]
    pub blob_url: SecretString,

    /// Where news goes: `amqp://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    pub queue_url: SecretString,

    /// Who keeps the key that scans' keys are wrapped with: `gcp-kms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY`,
    /// or `file:///…`, a key of 64 hexadecimal digits in each line, the newest first. `off`, or without it: what comes is kept unencrypted.
    #[arg(long, env)]
    pub data_keys_url: Option<String>,

    #[command(flatten)]
    pub rules: Rules,
}

/// What the service is told where it is a process of its own.
#[derive(Debug, clap::Args)]
pub struct Settings {
    #[command(flatten)]
    pub config: Config,

    /// Where the auth service answers.
    #[arg(long, env)]
    pub auth_url: String,

    /// Where the registry answers, whose key signs the anchors of the audit trail.
    #[arg(long, env)]
    pub registry_url: Option<String>,

    /// What medseg's own workers sign in with, in whose name anchors are signed; without it, they are not.
    #[arg(long, env, hide_env_values = true)]
    pub service_secret: Option<SecretString>,
}

/// How long, how often, how full.
#[derive(Clone, Debug, clap::Args)]
pub struct Rules {
    /// How long a worker may be silent before its job is given to another, in seconds.
    #[arg(long, env, default_value_t = DEFAULT.lease_s)]
    pub lease_s: u32,

    /// How many attempts a job gets before its scan is said to have failed.
    #[arg(long, env, default_value_t = DEFAULT.attempts_max)]
    pub attempts_max: u32,

    /// How often to look for jobs that nobody works on, in seconds: with the lease, how long the job of a dead worker waits.
    #[arg(long, env, default_value_t = DEFAULT.sweep_s)]
    pub sweep_s: u32,

    /// Uploads are refused when the disk has less room than this, in MiB.
    #[arg(long, env, default_value_t = DEFAULT.disk_reserve_mib)]
    pub disk_reserve_mib: u64,

    /// How much of a disk that several hospitals' scans lie on those of one may take, in percent of what is free and what scans take,
    /// less the reserve; 100: all of it. Buckets have no bound.
    #[arg(long, env, default_value_t = DEFAULT.disk_share_percent, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub disk_share_percent: u8,

    /// How old an object without a row must be before it is deleted, in hours.
    #[arg(long, env, default_value_t = DEFAULT.orphan_hours)]
    pub orphan_hours: u32,

    /// How often the heads of the audit trail's chains are written into the object store, in minutes.
    #[arg(long, env, default_value_t = DEFAULT.audit_anchor_minutes)]
    pub audit_anchor_minutes: u32,

    /// Who must say why when they ask whose a scan is: `clinician`, `integrator` or both, with commas between; nobody must without.
    /// Whoever has another of these roles need not.
    #[arg(long, env, value_delimiter = ',', value_parser = asking_role)]
    pub identity_reason_roles: Vec<Role>,
}

const DEFAULT: Rules = Rules {
    lease_s: 30,
    attempts_max: 3,
    sweep_s: 4,
    disk_reserve_mib: RESERVE_MIB,
    disk_share_percent: 80,
    orphan_hours: 24,
    audit_anchor_minutes: 60,
    identity_reason_roles: Vec::new(),
};

/// A role that may ask whose a scan is.
fn asking_role(name: &str) -> std::result::Result<Role, String> {
    Role::named(name)
        .filter(|role| rpc::IDENTITY_ROLES.contains(role))
        .ok_or_else(|| format!("`{name}` is no role that may ask whose a scan is"))
}

impl Default for Rules {
    fn default() -> Rules {
        DEFAULT
    }
}

impl Rules {
    /// How long a lease lasts that nobody extends.
    fn lease_ms(&self) -> i64 {
        i64::from(self.lease_s) * 1000
    }
}

/// The ports that the service runs on, opened by the composition root.
#[derive(Clone)]
pub struct Ports {
    pub database: Database,
    pub blobs: Blobs,
    pub queue: Queue,
    /// None: what comes is kept unencrypted.
    pub keys: Option<KeyRing>,
    pub clock: Clock,
    pub random: Random,
}

impl Ports {
    /// Opens the ports that `config` names.
    pub async fn open(config: &Config, clock: Clock, random: Random) -> Result<Ports> {
        let database = db::connect(config.database_url.expose_secret(), &MIGRATIONS).await?;
        let blobs = blob::connect(config.blob_url.expose_secret()).await?;
        let queue = queue::connect(config.queue_url.expose_secret()).await?;
        let named = config.data_keys_url.as_deref().filter(|url| !["", "off"].contains(url));
        let keys = match named {
            Some(url) => Some(keys::connect(url, random.clone()).await?),
            None => None,
        };
        data_keys::check(&database, keys.as_ref()).await?;
        Ok(Ports { database, blobs, queue, keys, clock, random })
    }
}

/// The services that this one calls.
pub struct Peers {
    /// For the public keys that tokens are verified with.
    pub auth: Peer,
    /// Signs the anchors of the audit trail; without it, or without the secret, they are not signed.
    pub registry: Option<Peer>,
    /// What medseg's own workers sign in with, who alone have something signed.
    pub service_secret: Option<SecretString>,
}

impl Peers {
    /// Auth alone.
    pub fn auth(auth: Peer) -> Peers {
        Peers { auth, registry: None, service_secret: None }
    }
}

/// The service that `settings` describe.
pub async fn open(settings: Settings) -> Result<Service> {
    let Settings { config, auth_url, registry_url, service_secret } = settings;
    let auth = Peer::connect(&auth_url)?;
    let registry = registry_url.as_deref().map(Peer::connect).transpose()?;
    let ports = Ports::open(&config, service::system_clock(), service::system_random()).await?;
    Ok(build(config.rules, ports, Peers { auth, registry, service_secret }))
}

/// Builds the service.
pub fn build(rules: Rules, ports: Ports, peers: Peers) -> Service {
    describe();
    let verifier = Verifier::new(peers.auth.clone(), ports.clock.clone()).of("storage");
    let readiness = readiness(&ports);
    let (queue, interval) = (ports.queue.clone(), Duration::from_secs(rules.sweep_s.into()));
    let store = Store::new(rules, ports, verifier.clone());
    let workers = vec![
        outbox::relay(store.clone(), queue),
        sweeper::sweep(store.clone(), interval),
        noting::count(store.clone(), interval),
        orphans::clean(store.clone()),
        anchors::anchor(store.clone(), peers),
        tombstones::keep(store.clone()),
        retention::expire(store.clone()),
        stored::keep_right(store.clone()),
        data_keys::rewrap(store.clone()),
    ];
    let grpc = Routes::new(ScansServer::new(rpc::Scans::new(store.clone(), verifier.clone())))
        .add_service(FeedbackServer::new(rpc::Feedback::new(store.clone(), verifier.clone())))
        .add_service(LearningServer::new(rpc::Learning::new(store.clone(), verifier.clone())))
        .add_service(StopsServer::new(rpc::Stops::new(store.clone(), verifier.clone())))
        .add_service(SeriesRulesServer::new(rpc::SeriesRules::new(store.clone(), verifier.clone())))
        .add_service(LimitsServer::new(rpc::Limits::new(store.clone(), verifier.clone())))
        .add_service(IncidentsServer::new(rpc::Incidents::new(store.clone(), verifier.clone())))
        .add_service(AuditTrailServer::new(rpc::AuditTrail::new(store.clone(), verifier.clone())))
        .add_service(ErasuresServer::new(rpc::Erasures::new(store.clone(), verifier.clone())))
        .add_service(HandoverServer::new(rpc::Handover::new(store.clone(), verifier.clone())))
        .add_service(JobsServer::new(rpc::Jobs::new(store, verifier)));
    Service { name: "storage", grpc, workers, readiness, ..Default::default() }
}

/// The readiness checks. The queue is none of them: without it, uploads are accepted and their messages wait in the outbox.
fn readiness(ports: &Ports) -> Vec<(String, service::Check)> {
    let database = ports.database.clone();
    let database = check(move || {
        let database = database.clone();
        async move { database.ping().await }
    });
    vec![("database".into(), database)]
}

fn describe() {
    describe_gauge!("medseg_jobs", Count, "Jobs that wait (queued) or are worked on (leased)");
    describe_gauge!(
        "medseg_outbox_age_seconds",
        Seconds,
        "How long the oldest message has waited to be published"
    );
    describe_histogram!(
        "medseg_response_seconds",
        Seconds,
        "From upload accepted to result readable"
    );
    describe_counter!(
        "medseg_incidents_total",
        Count,
        "What people have reported that went wrong, about a scan or about the system"
    );
    describe_counter!(
        "medseg_model_stops_total",
        Count,
        "Models that a hospital takes no answers of any more (stopped), or again (lifted)"
    );
    describe_counter!(
        "medseg_expired_total",
        Count,
        "What was deleted because its hospital keeps it no longer, by kind"
    );
    describe_counter!(
        "medseg_limit_refusals_total",
        Count,
        "Scans that were not accepted because a limit of their hospital or of their sender leaves no room, by limit"
    );
    for limit in limits::KINDS.into_iter().chain([limits::SHARE]) {
        counter!("medseg_limit_refusals_total", "limit" => limit).increment(0);
    }
    for kind in retention::KINDS {
        counter!("medseg_expired_total", "kind" => kind).increment(0);
    }
    for what in stops::WHAT {
        counter!("medseg_model_stops_total", "what" => what).increment(0);
    }
    for about in incidents::ABOUT {
        counter!("medseg_incidents_total", "about" => about).increment(0);
    }
}
