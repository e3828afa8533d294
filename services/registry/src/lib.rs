//! The models: their versions, which of them serve, and who decided so.
//!
//! A version's files are signed with the deployment's key when it is registered, and verified on every read: a file or a row
//! that somebody has swapped is refused. A version serves once the gate lets it through; workers ask what serves.

mod comparisons;
mod erased;
mod evaluations;
mod events;
mod files;
mod first;
mod gate;
mod manifest;
mod registration;
mod routes;
mod routing;
mod rpc;
mod signature;
mod store;
mod table;
mod versions;

use std::path::PathBuf;

use domain::{Clock, Random, Result};
use platform::blob::{self, Blobs};
use platform::db::{self, Database};
use platform::queue::{self, Queue};
use proto::registry::models_server::ModelsServer;
use proto::registry::routing_server::RoutingServer;
use secrecy::{ExposeSecret, SecretString};
use service::claims::Verifier;
use service::{Peer, Service, check};
use tonic::service::Routes;

use store::Store;

pub use signature::Signer;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Where everything is kept, and by which rules.
#[derive(Debug, clap::Args)]
pub struct Config {
    /// Where rows live: `mysql://…` or `sqlite://…`; a database of the registry's own.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: SecretString,

    /// Where weights live: `gs://BUCKET[/PREFIX]`, `s3://BUCKET[/PREFIX]` or `file:///…`.
    #[arg(long, env, hide_env_values = true)]
    pub blob_url: SecretString,

    /// Where workers hear that a version is to be evaluated, and news of erased scans comes from: `amqp://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    pub queue_url: SecretString,

    /// The private key that versions and results are signed with: Ed25519 as PKCS#8 PEM, made where it is missing.
    #[arg(long, env)]
    pub model_key: PathBuf,

    #[command(flatten)]
    pub rules: Rules,
}

/// What serves at first, and what may serve later.
#[derive(Clone, Debug, Default, clap::Args)]
// Beside storage's rules in one process.
#[group(id = "registry_rules")]
pub struct Rules {
    /// The folder of the model that serves where none is registered yet.
    #[arg(long, env)]
    pub first_model: Option<PathBuf>,

    /// The private keys that signed before the one that signs now, as they were: what they have signed, versions and results,
    /// stays true. With commas between.
    #[arg(long, env, value_delimiter = ',')]
    pub earlier_model_keys: Vec<PathBuf>,

    #[command(flatten)]
    pub gate: GateRules,
}

/// What a version must keep to before it serves.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct GateRules {
    /// The longest that a worker may take for a slice, in milliseconds (the median on the gate set).
    #[arg(long, env, default_value_t = GateRules::default().gate_ms_per_slice)]
    pub gate_ms_per_slice: f64,
}

impl Default for GateRules {
    fn default() -> GateRules {
        GateRules { gate_ms_per_slice: 1000.0 }
    }
}

/// The ports that the service runs on, opened by the composition root.
pub struct Ports {
    pub database: Database,
    pub blobs: Blobs,
    pub queue: Queue,
    pub signer: Signer,
    pub clock: Clock,
    pub random: Random,
}

impl Ports {
    /// Opens the ports that `config` names, and joins those who listen to erased scans.
    pub async fn open(config: &Config, clock: Clock, random: Random) -> Result<Ports> {
        let database = db::connect(config.database_url.expose_secret(), &MIGRATIONS).await?;
        let blobs = blob::connect(config.blob_url.expose_secret()).await?;
        let queue = queue::connect(config.queue_url.expose_secret()).await?;
        erased::join(&queue).await;
        let signer = Signer::open(&config.model_key, &random)?;
        let signer = signer.with_earlier(&config.rules.earlier_model_keys)?;
        Ok(Ports { database, blobs, queue, signer, clock, random })
    }
}

/// The services that this one calls.
pub struct Peers {
    /// For the public keys that tokens are verified with.
    pub auth: Peer,
}

/// Builds the service.
pub fn build(rules: Rules, ports: Ports, peers: Peers) -> Service {
    let verifier = Verifier::new(peers.auth, ports.clock.clone()).of("registry");
    let (database, queue) = (ports.database.clone(), ports.queue.clone());
    let store = Store::new(rules.gate, ports);
    let mut workers = vec![
        evaluations::announce(store.clone(), queue.clone()),
        erased::watch(store.clone(), queue),
    ];
    workers.extend(rules.first_model.map(|folder| first::begin_with(store.clone(), folder)));
    let models = rpc::Models { store: store.clone(), verifier: verifier.clone() };
    let routing = rpc::Routing { store, verifier };
    Service {
        name: "registry",
        grpc: Routes::new(ModelsServer::new(models)).add_service(RoutingServer::new(routing)),
        workers,
        readiness: vec![("database".into(), check(move || ping(database.clone())))],
        ..Service::default()
    }
}

async fn ping(database: Database) -> Result<()> {
    database.ping().await
}
