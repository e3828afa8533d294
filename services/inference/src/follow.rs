//! Follows the registry: loads what is to serve, and lets it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::{ErrorKind, Result};
use durable::Scratch;
use metrics::{counter, gauge};
use proto::registry::models_client::ModelsClient;
use proto::registry::routing_client::RoutingClient;
use proto::registry::{
    FileRef, ResultSignature, ResultStatement, Routes, RoutesRequest, Version, VersionRef,
};
use service::claims::{ServiceToken, authorised};
use service::{Peer, Worker};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cores::Cores;
use crate::engine::{self, Engine};
use crate::in_hand::{InHand, Yielding};
use crate::model::{Ended, Model, end_of};
use crate::serving::{Served, Serving, Table};

/// How often the registry is asked what serves: a promotion is here within twice that and the time to load it.
const ASK_INTERVAL: Duration = Duration::from_secs(3);
/// The longest pause before what could not be loaded is fetched again, unless the registry says something new.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The files that a worker needs.
const MANIFEST: &str = "model.json";

/// The registry, as a worker sees it.
#[derive(Clone)]
pub struct Registry {
    models: ModelsClient<Peer>,
    routing: RoutingClient<Peer>,
    token: ServiceToken,
}

/// Where and how models run.
#[derive(Clone)]
pub struct Engines {
    pub device: String,
    pub batch: usize,
    pub research: bool,
    /// Where scans are calculated, whichever model serves them.
    pub cores: Cores,
    /// What shadows and evaluations give way to.
    pub in_hand: InHand,
    /// Cancelled once the worker is told to stop.
    pub ending: CancellationToken,
}

/// A version's files on this machine; gone when this is dropped.
pub struct Fetched {
    folder: Scratch,
    weights: String,
}

impl Registry {
    pub fn new(registry: Peer, token: ServiceToken) -> Registry {
        let (models, routing) = (ModelsClient::new(registry.clone()), RoutingClient::new(registry));
        Registry { models, routing, token }
    }

    async fn routes(&self) -> Result<Routes> {
        let request = authorised(RoutesRequest {}, &self.token.get().await?);
        Ok(self.routing.clone().get_routes(request).await?.into_inner())
    }

    /// Reports to the registry.
    pub async fn routing(&self) -> Result<(RoutingClient<Peer>, String)> {
        Ok((self.routing.clone(), self.token.get().await?))
    }

    /// The deployment's signature of what is stated of a result.
    pub async fn sign(&self, canonical: Vec<u8>) -> Result<ResultSignature> {
        let statement = ResultStatement { canonical: canonical.into() };
        let request = authorised(statement, &self.token.get().await?);
        Ok(self.routing.clone().sign_result(request).await?.into_inner())
    }

    /// Whether a version has its evaluation, or is not there at all: then there is nothing to do.
    pub async fn is_evaluated(&self, name: &str, version: &str) -> Result<bool> {
        let of = VersionRef { name: name.to_owned(), version: version.to_owned() };
        let request = authorised(of, &self.token.get().await?);
        match self.models.clone().get(request).await.map_err(domain::Error::from) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            version => Ok(version?.into_inner().evaluation.is_some()),
        }
    }

    /// Brings the files that a worker needs of a version to this machine.
    pub async fn fetch(&self, name: &str, version: &str) -> Result<Fetched> {
        let folder = Scratch::temporary().map_err(|error| {
            ErrorKind::Unavailable.error("no folder for a model").because(error)
        })?;
        let manifest = self.file(name, version, MANIFEST, folder.path()).await?;
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).map_err(|error| {
            ErrorKind::Invalid.error("the model's manifest is no JSON").because(error)
        })?;
        let weights = manifest["file"].as_str().unwrap_or_default().to_owned();
        // The registry lets no path in; this side does not rely on it.
        if Path::new(&weights).file_name() != Some(weights.as_ref()) {
            return Err(ErrorKind::Invalid.error("the model's manifest names no weights file"));
        }
        self.file(name, version, &weights, folder.path()).await?;
        Ok(Fetched { folder, weights })
    }

    /// A file's bytes, which are written into `folder` too.
    pub async fn file(
        &self,
        name: &str,
        version: &str,
        file: &str,
        folder: &Path,
    ) -> Result<Vec<u8>> {
        let (name, version) = (name.to_owned(), version.to_owned());
        let of = FileRef { name, version, file: file.to_owned() };
        let request = authorised(of, &self.token.get().await?);
        let mut chunks = self.models.clone().read(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            bytes.extend_from_slice(&chunk.data);
        }
        tokio::fs::write(folder.join(file), &bytes).await.map_err(|error| {
            ErrorKind::Unavailable.error("a model's file cannot be written here").because(error)
        })?;
        Ok(bytes)
    }
}

impl Fetched {
    /// Where the weights file is.
    pub fn url(&self) -> String {
        self.folder.path().join(&self.weights).display().to_string()
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Asks the registry until something serves, loads it, and from then on whatever takes its place.
pub fn follow(registry: Registry, engines: Engines, serving: Serving) -> Worker {
    Worker::new("registry", move |stop| async move {
        let (broken, mut breaks) = mpsc::channel(1);
        // Also where this ends by a failure: then the process ends.
        let _ending = engines.ending.clone().drop_guard();
        let (loaded, spare) = Default::default();
        let mut follower = Follower { registry, engines, serving, loaded, spare, broken };
        let mut tried = Tried::default();
        let follow = async {
            loop {
                match follower.registry.routes().await {
                    Ok(routes) if tried.is_due(&routes, Instant::now()) => {
                        let whole = follower.take(&routes).await;
                        tried.note(routes, whole, Instant::now());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        counter!("medseg_model_load_failures_total").increment(1);
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "the registry did not say what is to serve");
                    }
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            // Without its model the process is of no use, and a new one may do better.
            Some(error) = breaks.recv() => Err(error),
            () = follow => Ok(()),
        }
    })
}

/// What the registry said last, and when to try that again.
#[derive(Default)]
struct Tried {
    routes: Option<Routes>,
    /// Absent: all of it was loaded.
    again: Option<Instant>,
    pause: Duration,
}

impl Tried {
    fn is_due(&self, routes: &Routes, now: Instant) -> bool {
        self.routes.as_ref() != Some(routes) || self.again.is_some_and(|again| again <= now)
    }

    /// A version that does not load is 26 MB each time: the pause doubles until something else is to serve.
    fn note(&mut self, routes: Routes, whole: bool, now: Instant) {
        let anew = self.routes.as_ref() != Some(&routes);
        self.pause = if anew { ASK_INTERVAL } else { (self.pause * 2).min(PAUSE_MAX) };
        self.again = (!whole).then(|| now + self.pause);
        self.routes = Some(routes);
    }
}

/// A version by its name, its version and its weights' digest.
type Identity = (String, String, String);

/// Versions that are loaded.
type Models = BTreeMap<(Part, Identity), Loaded>;

/// Whether a version answers, or looks on.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Part {
    Serves,
    LooksOn,
}

struct Follower {
    registry: Registry,
    engines: Engines,
    serving: Serving,
    /// What serves and looks on. A model that nobody holds any more ends by itself.
    loaded: Models,
    /// What came for a table that was not whole, for the next try; of one table only, or each would leave some behind.
    spare: Models,
    broken: mpsc::Sender<domain::Error>,
}

#[derive(Clone)]
struct Loaded {
    model: Model,
    /// The engine is opened anew from there after it has failed.
    _files: Arc<Fetched>,
}

impl Follower {
    /// Loads what is to serve and to look on, and lets it; whether all of it was loaded.
    async fn take(&mut self, routes: &Routes) -> bool {
        let (mut table, mut needed, mut whole) = (Table::new(), Models::new(), true);
        for route in routes.routes.iter().chain(&routes.kinds) {
            let Some(version) = &route.serving else { continue };
            let Some(loaded) = self.load(version, Part::Serves, &mut needed).await else {
                // Whole or not at all: what serves goes on as it was. What came is there for the next try.
                self.spare = needed;
                return false;
            };
            let forced_because = version.forced_because.clone();
            let mut served = Served { forced_because, ..Served::by(loaded) };
            if let Some(shadow) = &route.shadow {
                // One that cannot be loaded is none.
                let shadow = self.load(shadow, Part::LooksOn, &mut needed).await;
                whole &= shadow.is_some();
                served.shadow = shadow.map(|shadow| Box::new(Served::by(shadow)));
            }
            table.insert((route.modality.clone(), route.image_kind.clone()), served);
        }
        gauge!("medseg_model_generation").set(routes.generation as f64);
        self.serving.replace(table);
        self.loaded = needed;
        self.spare.clear();
        whole
    }

    /// A version that is loaded, and `needed` from now on.
    async fn load(&self, version: &Version, part: Part, needed: &mut Models) -> Option<Model> {
        let key = (part, identity(version));
        // First: one version may serve several modalities and kinds, and is loaded once.
        let there = needed.get(&key).or_else(|| self.loaded.get(&key));
        let loaded = match there.or_else(|| self.spare.get(&key)) {
            Some(loaded) => Ok(loaded.clone()),
            None => self.start(version, part).await,
        };
        match loaded {
            Ok(loaded) => {
                needed.insert(key, loaded.clone());
                Some(loaded.model)
            }
            Err(error) => {
                counter!("medseg_model_load_failures_total").increment(1);
                let error = &error as &dyn std::error::Error;
                let Version { name, version, .. } = version;
                tracing::error!(error, name, version, "could not load a model");
                None
            }
        }
    }

    async fn start(&self, version: &Version, part: Part) -> Result<Loaded> {
        let files = Arc::new(self.registry.fetch(&version.name, &version.version).await?);
        let (url, engines) = (files.url(), self.engines.clone());
        let open = move || {
            let engine = engine::open(&url, &engines.device, engines.research)?;
            let in_hand = engines.in_hand.clone();
            Ok(match part {
                Part::Serves => engine,
                Part::LooksOn => Box::new(Yielding { engine, in_hand }) as Box<dyn Engine>,
            })
        };
        let (model, ended) = Model::start(open, self.engines.batch).await?;
        if model.model_info().sha256 != version.sha256 {
            return Err(
                ErrorKind::Invalid.error("the weights are not those that the registry names")
            );
        }
        let mut model = model.of_data(&version.data_version);
        // What looks on has its own: no scan that is to be answered waits for it.
        if part == Part::Serves {
            model = model.on(&self.engines.cores);
            tokio::spawn(tell_of_the_end(ended, self.broken.clone()));
        }
        Ok(Loaded { model, _files: files })
    }
}

fn identity(version: &Version) -> Identity {
    (version.name.clone(), version.version.clone(), version.sha256.clone())
}

/// Passes on why a model's thread ended, unless nobody needs it any more.
async fn tell_of_the_end(ended: Ended, broken: mpsc::Sender<domain::Error>) {
    if let Err(error) = end_of(ended).await {
        // The first is enough: the process ends.
        let _ = broken.try_send(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_load_is_tried_ever_more_seldom_and_something_new_at_once() {
        let routes = |generation| Routes { generation, ..Routes::default() };
        let (mut tried, mut now) = (Tried::default(), Instant::now());
        assert!(tried.is_due(&routes(1), now));
        for pause in [3, 6, 12, 24, 48, 60, 60].map(Duration::from_secs) {
            tried.note(routes(1), false, now);
            assert!(!tried.is_due(&routes(1), now + pause - Duration::from_secs(1)));
            now += pause;
            assert!(tried.is_due(&routes(1), now));
        }
        assert!(tried.is_due(&routes(2), now));
        tried.note(routes(2), true, now);
        assert!(!tried.is_due(&routes(2), now + 2 * PAUSE_MAX));
        assert!(tried.is_due(&routes(1), now));
    }
}
