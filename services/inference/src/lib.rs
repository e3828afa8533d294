//! The inference worker: claims jobs, runs the model on their scans, and delivers the results.
//!
//! Storage owns the jobs: a worker leases one, keeps the lease while it works, and either completes
//! the job or says why not. Slices of all jobs in hand share the batches of one model. While none of them waits, it sees what
//! the bare model is asked, by the Open Inference Protocol.

mod analysis;
mod cores;
mod engine;
#[cfg(feature = "torch")]
mod evaluating;
mod follow;
mod in_hand;
mod jobs;
mod kinds;
mod model;
mod open_inference;
mod passport;
mod serving;
mod shadow;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, ErrorKind, Priority, Random, Result};
use metrics::Unit::{Count, Seconds};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use platform::queue::{self, Queue};
use secrecy::{ExposeSecret, SecretString};
use service::claims::{ServiceToken, Verifier};
use service::topics::{MODEL_EVALUATE, SCAN_RETRY, scan_ready};
use service::{Check, Peer, Service, Turns, check};
use strum::VariantArray;
use tokio_util::sync::CancellationToken;

use cores::Cores;
use follow::{Engines, Registry};
use in_hand::InHand;
use jobs::Jobs;
use kinds::Kinds;
use model::{Ended, Model, end_of};
use serving::Serving;
use shadow::Shadows;
use worker::JobWorker;

/// Which model, and how much of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// The model: `file:///…/weights.safetensors` (or the path alone), or with `--research` `threshold:`, which knows
    /// bright from dark and needs no weights. Without it, the registry says what serves.
    #[arg(long, env)]
    pub model_url: Option<String>,

    /// Takes what is no trained model, too. No patient may depend on its answers; every result says so.
    #[arg(long, env)]
    pub research: bool,

    /// Where the network runs: `auto`, `cpu`, `openvino` (the processor, faster) or `cuda:N`.
    #[arg(long, env, default_value = "auto")]
    pub device: String,

    /// How many slices the model predicts in one batch, at most.
    #[arg(long, env, default_value_t = 8)]
    pub batch: usize,

    /// How many scans of each priority are in hand at a time; when it is not said, enough for three batches: one that the
    /// model predicts, one that is read and prepared, one that is handed in. Large volumes wait for room in memory all the same.
    #[arg(long, env)]
    pub window: Option<u16>,

    /// What this worker is called in the jobs that it leases.
    #[arg(long, env = "HOSTNAME", default_value = "inference")]
    pub worker: String,

    /// What medseg's own workers sign in with.
    #[arg(long, env, hide_env_values = true)]
    pub service_secret: SecretString,

    /// How long a worker that is told to stop may take to finish the scans in hand, in seconds. Those that are not
    /// finished then are done again elsewhere.
    #[arg(long, env, default_value_t = 3)]
    pub drain_s: u64,

    /// How much memory calls of the bare model may take, all together, in MiB: bodies, tiles and answers. Those of one
    /// hospital have half of it at most.
    #[arg(long, env, default_value_t = BARE_MODEL_MIB)]
    pub bare_model_mib: usize,
}

/// How much memory calls of the bare model may take unless it is said, in MiB.
pub const BARE_MODEL_MIB: usize = 1024;

/// The ports that the service runs on, opened by the composition root.
pub struct Ports {
    pub queue: Queue,
    pub clock: Clock,
    pub random: Random,
}

impl Ports {
    /// Opens the queue at `queue_url`.
    pub async fn open(queue_url: &SecretString, clock: Clock, random: Random) -> Result<Ports> {
        Ok(Ports { queue: queue::connect(queue_url.expose_secret()).await?, clock, random })
    }
}

/// Where the services that this one calls answer, when it is a process of its own.
#[derive(Debug, clap::Args)]
pub struct PeerUrls {
    /// Where the storage service answers.
    #[arg(long, env)]
    storage_url: String,

    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,

    /// Where the registry service answers, which says what serves where no model is named, and signs results.
    #[arg(long, env)]
    registry_url: Option<String>,
}

impl PeerUrls {
    /// Connects when the first call is made.
    pub fn connect(&self) -> Result<Peers> {
        let [storage, auth] = [&self.storage_url, &self.auth_url].map(|url| Peer::connect(url));
        let registry = self.registry_url.as_deref().map(Peer::connect).transpose()?;
        Ok(Peers { storage: storage?, auth: auth?, registry })
    }
}

/// The services that this one calls.
pub struct Peers {
    /// For jobs and volumes, and to hand in results.
    pub storage: Peer,
    /// For the token that says so.
    pub auth: Peer,
    /// For the models that serve, unless one is named, and for the signature of results.
    pub registry: Option<Peer>,
}

/// The service. A model that is named is loaded: one that cannot be is an error here and now.
pub async fn build(config: Config, ports: Ports, peers: Peers) -> Result<Service> {
    describe();
    let Config { model_url, research, device, batch, window, worker, service_secret, .. } = config;
    let Ports { queue, clock, random: _ } = ports;
    let verifier = Verifier::new(peers.auth.clone(), clock.clone()).of("inference");
    let token = ServiceToken::new(peers.auth, service_secret, clock.clone());
    let in_hand = InHand::default();
    let engines = Engines {
        device,
        batch,
        research,
        cores: Cores::of_machine(),
        in_hand: in_hand.clone(),
        ending: CancellationToken::new(),
    };
    // It signs also the results of a model that is named.
    let to_registry = token.towards("registry");
    let signing = peers.registry.clone().map(|peer| Registry::new(peer, to_registry.clone()));
    let mut shadows = None;
    let (serving, mut workers) = match (model_url, peers.registry) {
        (Some(url), _) => named(url, engines).await?,
        (None, Some(registry)) => {
            let registry = Registry::new(registry, to_registry.clone());
            let (show, compare) = Shadows::new(registry.clone(), clock.clone());
            shadows = Some(show);
            let (serving, mut workers) = registered(registry, engines, queue.clone());
            workers.push(compare);
            (serving, workers)
        }
        (None, None) => {
            return Err(ErrorKind::Invalid.error(
                "no model: name a weights file (MODEL_URL), or where the registry answers (REGISTRY_URL)",
            ));
        }
    };
    let jobs = Jobs::new(peers.storage, token.towards("storage"), worker);
    let readiness = vec![
        ("model".to_owned(), loaded(serving.clone())),
        ("queue".to_owned(), answers(queue.clone())),
    ];
    let window = window.unwrap_or_else(|| three_batches(batch));
    let exclusive_lock = Arc::default();
    let work = |topic, window, is_exclusive| {
        // What waits for room in memory does so behind its own kind only.
        let memory_budget = Turns::of(worker::MEMORY_UNITS);
        let (jobs, serving, clock) = (jobs.clone(), serving.clone(), clock.clone());
        let worker = JobWorker {
            jobs,
            serving,
            in_hand: in_hand.clone(),
            shadows: shadows.clone(),
            registry: signing.clone(),
            clock,
            memory_budget,
            exclusive_lock: Arc::clone(&exclusive_lock),
            is_exclusive,
        };
        service::work(queue.clone(), topic, window, move |job_id| worker.clone().work(job_id))
    };
    workers.push(work(SCAN_RETRY, 1, true));
    workers.extend(
        Priority::VARIANTS.iter().map(|&priority| work(scan_ready(priority), window, false)),
    );
    let bytes = config.bare_model_mib.saturating_mul(1 << 20);
    let kinds = kinds::server(Kinds::new(serving.clone(), in_hand.clone()), verifier.clone());
    let (grpc, http) = open_inference::faces(serving, in_hand.clone(), verifier, bytes);
    let grpc = grpc.add_service(kinds);
    let drain = Duration::from_secs(config.drain_s);
    Ok(Service { name: "inference", grpc, http, workers, readiness, drain, ..Default::default() })
}

/// The one model that is named, and what watches over it.
async fn named(url: String, engines: Engines) -> Result<(Serving, Vec<service::Worker>)> {
    let Engines { device, batch, research, .. } = engines;
    let open = move || engine::open(&url, &device, research);
    let (model, ended) = Model::start(open, batch).await?;
    Ok((Serving::only(model), vec![outlive(ended)]))
}

/// What the registry lets serve, and what follows it.
fn registered(
    registry: Registry,
    engines: Engines,
    queue: Queue,
) -> (Serving, Vec<service::Worker>) {
    let serving = Serving::default();
    let follow = follow::follow(registry.clone(), engines.clone(), serving.clone());
    #[cfg(feature = "torch")]
    let evaluate = service::work(queue, MODEL_EVALUATE, 1, move |message| {
        evaluating::evaluate(registry.clone(), engines.clone(), message)
    });
    #[cfg(feature = "torch")]
    return (serving, vec![follow, evaluate]);
    #[cfg(not(feature = "torch"))]
    (serving, vec![follow])
}

/// Never none: a batch of no slices is one of one, as the model takes it.
fn three_batches(batch: usize) -> u16 {
    u16::try_from(batch.max(1).saturating_mul(3)).unwrap_or(u16::MAX)
}

/// Without its model the process is of no use, and a new one may do better.
fn outlive(ended: Ended) -> service::Worker {
    service::Worker::new("model", |stop| async move {
        stop.run_until_cancelled(end_of(ended)).await.unwrap_or(Ok(()))
    })
}

fn loaded(serving: Serving) -> Check {
    check(move || std::future::ready(serving.check()))
}

fn answers(queue: Queue) -> Check {
    check(move || {
        let queue = queue.clone();
        async move { queue.ping().await }
    })
}

fn describe() {
    describe_histogram!(
        "medseg_inference_queue_seconds",
        Seconds,
        "From upload accepted to job claimed"
    );
    describe_histogram!(
        "medseg_inference_compute_seconds",
        Seconds,
        "What one batch took the model"
    );
    describe_histogram!("medseg_inference_batch_slices", Count, "Slices in one batch of the model");
    describe_gauge!(
        "medseg_inference_pending_slices",
        Count,
        "Slices that wait for the model or are with it"
    );
    describe_counter!("medseg_inference_jobs_total", Count, "Jobs by how they ended");
    describe_gauge!(
        "medseg_model_generation",
        Count,
        "Of what serves: it rises with each promotion"
    );
    describe_counter!("medseg_model_load_failures_total", Count, "Models that could not be loaded");
    describe_counter!(
        "medseg_shadow_scans_total",
        Count,
        "Scans for shadows: compared, skipped for want of time, or failed"
    );
    describe_counter!(
        "medseg_inference_restarts_total",
        Count,
        "Times that the model broke and was started anew"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_in_hand_whatever_the_batch() {
        let windows = [0, 1, 8, usize::MAX].map(three_batches);
        assert_eq!(windows, [3, 3, 24, u16::MAX]);
    }
}
