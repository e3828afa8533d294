//! A registry with everything real behind it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use domain::{ManualClock, TenantId, hex};
use futures::{Stream, StreamExt, TryStreamExt};
use platform::queue::{self, Queue};
use proto::registry::models_client::ModelsClient;
use proto::registry::register_part::Part;
use proto::registry::routing_client::RoutingClient;
use proto::registry::*;
use registry::{Config, Peers, Ports, Rules};
use service::claims::testing::Issuer;
use service::claims::{Role, authorised};
use service::{Peer, Service};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

/// A running registry; stops when dropped.
pub struct World {
    pub models: ModelsClient<Peer>,
    pub routing: RoutingClient<Peer>,
    pub queue: Queue,
    pub data: TempDir,
    pub issuer: Issuer,
    pub hospital: TenantId,
    pub neighbour: TenantId,
    pub clock: ManualClock,
    database_url: String,
    _stop: DropGuard,
}

/// A file of a version.
pub type File = (&'static str, Vec<u8>);

/// A version with three bytes of weights, made for MR.
pub fn files(name: &str, version: &str, weights: &[u8]) -> Vec<File> {
    made_for(name, version, weights, &["MR"])
}

pub fn made_for(name: &str, version: &str, weights: &[u8], modalities: &[&str]) -> Vec<File> {
    let manifest = serde_json::json!({
        "file": "weights.safetensors", "bytes": weights.len(), "sha256": hex(&Sha256::digest(weights)),
        "name": name, "version": version, "preprocessing": "head-square-2", "modalities": modalities,
    });
    let digest = hex(&Sha256::digest(weights));
    let card = format!("# {name} {version}\n| SHA-256 | `{digest}` |\n\nData version `d1`.\n");
    vec![
        ("model.json", manifest.to_string().into_bytes()),
        ("weights.safetensors", weights.to_vec()),
        ("card.md", card.into_bytes()),
    ]
}

/// An evaluation that passes the gate wherever nothing better serves.
pub fn evaluation(name: &str, version: &str, dice: f64) -> Evaluation {
    Evaluation {
        name: name.into(),
        version: version.into(),
        gate_set: "phantoms-1".into(),
        device: "cpu".into(),
        dice_mean: dice,
        dice_low: dice - 0.01,
        dice_high: dice + 0.01,
        ms_per_slice: 50.0,
        golden_dice: Some(1.0),
        kinds: ["flair", "t1_contrast"].map(|kind| of_kind(kind, dice)).into(),
        ..Evaluation::default()
    }
}

/// What it comes to on one kind of image.
pub fn of_kind(kind: &str, dice: f64) -> KindFigures {
    KindFigures {
        image_kind: kind.into(),
        dice_mean: dice,
        dice_low: dice - 0.01,
        dice_high: dice + 0.01,
        ..KindFigures::default()
    }
}

impl World {
    pub async fn sqlite() -> World {
        let data = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/registry.db", data.path().display());
        World::on(data, database).await
    }

    /// `None` when no MySQL or MariaDB is named; a database of its own on it otherwise.
    pub async fn mysql() -> Option<World> {
        let server = std::env::var("TEST_MYSQL_URL").ok()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("medseg_registry_{}_{count}", std::process::id());
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&pool).await.unwrap();
        let (root, _) = server.rsplit_once('/').unwrap();
        Some(World::on(tempfile::tempdir().unwrap(), format!("{root}/{name}")).await)
    }

    async fn on(data: TempDir, database_url: String) -> World {
        let clock = ManualClock::at(service::system_clock().now_ms());
        let issuer = Issuer::at(clock.clock());
        let service = registry(&data, &database_url, &clock, &issuer, Rules::default()).await;
        let peer = Peer::within(&service);
        let _stop = serve(service).await;
        let random = service::system_random();
        World {
            models: ModelsClient::new(peer.clone()),
            routing: RoutingClient::new(peer),
            queue: queue::connect(&queue_url(&data)).await.unwrap(),
            hospital: TenantId::new(&clock.clock(), &random),
            neighbour: TenantId::new(&clock.clock(), &random),
            data,
            issuer,
            clock,
            database_url,
            _stop,
        }
    }

    /// A second registry on the same database and objects, as two pods are.
    pub async fn second(&self) -> (ModelsClient<Peer>, DropGuard) {
        let service = self.another(Rules::default()).await;
        let models = ModelsClient::new(Peer::within(&service));
        (models, serve(service).await)
    }

    /// Two more, which start together and begin with the model in `folder`.
    pub async fn two_that_begin_with(&self, folder: &Path) -> [DropGuard; 2] {
        let rules = Rules { first_model: Some(folder.to_owned()), ..Rules::default() };
        let (one, other) = (self.another(rules.clone()).await, self.another(rules).await);
        [serve(one).await, serve(other).await]
    }

    async fn another(&self, rules: Rules) -> Service {
        registry(&self.data, &self.database_url, &self.clock, &self.issuer, rules).await
    }

    pub async fn sql(&self, statement: &'static str) -> u64 {
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&self.database_url).await.unwrap();
        sqlx::query(statement).execute(&pool).await.unwrap().rows_affected()
    }

    pub fn by<T>(&self, role: Role, message: T) -> Request<T> {
        authorised(message, &self.issuer.token(self.hospital, &[role]))
    }

    pub fn worker<T>(&self, message: T) -> Request<T> {
        authorised(message, &self.issuer.service_token())
    }

    pub async fn register(&self, files: &[File]) -> Result<Version, Status> {
        self.register_by(Role::Scientist, &self.models, files).await
    }

    /// By somebody else, or with another of the registries.
    pub async fn register_by(
        &self,
        role: Role,
        models: &ModelsClient<Peer>,
        files: &[File],
    ) -> Result<Version, Status> {
        let size_bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let request = self.by(role, self.parts(files, Some(RegisterEnd { size_bytes })));
        Ok(models.clone().register(request).await?.into_inner())
    }

    /// With what is told of where the version comes from.
    pub async fn send_from(
        &self,
        header: RegisterHeader,
        files: &[File],
    ) -> Result<Version, Status> {
        let size_bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let first = RegisterPart { part: Some(Part::Header(header)) };
        let parts = self.parts(files, Some(RegisterEnd { size_bytes })).skip(1);
        let parts = futures::stream::iter([first]).chain(parts);
        let request = self.by(Role::Scientist, parts);
        Ok(self.models.clone().register(request).await?.into_inner())
    }

    /// What a sender says of a version that ends so, or not at all.
    pub async fn send(&self, files: &[File], end: Option<RegisterEnd>) -> Result<Version, Status> {
        let request = self.by(Role::Scientist, self.parts(files, end));
        Ok(self.models.clone().register(request).await?.into_inner())
    }

    fn parts(
        &self,
        files: &[File],
        end: Option<RegisterEnd>,
    ) -> impl Stream<Item = RegisterPart> + Send + 'static + use<> {
        self.clock.advance(1);
        let header = RegisterHeader { source: "a test".into(), ..Default::default() };
        let mut parts = vec![Part::Header(header)];
        for (name, bytes) in files {
            parts.push(Part::File((*name).to_owned()));
            let pieces = bytes.chunks((bytes.len() / 16).max(2));
            parts.extend(pieces.map(|piece| Part::Data(piece.to_vec().into())));
        }
        parts.extend(end.map(Part::End));
        let parts = parts.into_iter().map(|part| RegisterPart { part: Some(part) });
        futures::stream::iter(parts.collect::<Vec<_>>())
    }

    /// A registered version that a worker has evaluated.
    pub async fn evaluated(&self, name: &str, version: &str, dice: f64) -> Version {
        let weights = format!("{name} {version}");
        let registered = self.register(&files(name, version, weights.as_bytes())).await.unwrap();
        self.record(evaluation(name, version, dice)).await.unwrap();
        registered
    }

    pub async fn record(&self, evaluation: Evaluation) -> Result<Evaluation, Status> {
        let request = self.worker(evaluation);
        Ok(self.routing.clone().record_evaluation(request).await?.into_inner())
    }

    pub async fn promote(&self, version: &str, force: &str) -> Result<Decision, Status> {
        let (force, reason) = (!force.is_empty(), force.into());
        self.decide(Promotion { version: version.into(), force, reason, ..Promotion::default() })
            .await
    }

    /// For that kind of image only.
    pub async fn promote_at(&self, kind: &str, version: &str) -> Result<Decision, Status> {
        let (version, image_kind) = (version.into(), kind.into());
        self.decide(Promotion { version, image_kind, ..Promotion::default() }).await
    }

    async fn decide(&self, promotion: Promotion) -> Result<Decision, Status> {
        // So that what happens has an order.
        self.clock.advance(1);
        let promotion = Promotion { name: "m".into(), ..promotion };
        Ok(self.models.clone().promote(self.by(Role::Admin, promotion)).await?.into_inner())
    }

    pub fn change(&self, version: &str) -> Change {
        self.change_at("", version)
    }

    pub fn change_at(&self, kind: &str, version: &str) -> Change {
        self.clock.advance(1);
        let (name, version, reason) = ("m".into(), version.into(), "a test".into());
        Change { name, version, reason, image_kind: kind.into() }
    }

    pub async fn get(&self, version: &str) -> Version {
        let of = VersionRef { name: "m".into(), version: version.into() };
        self.models.clone().get(self.by(Role::Scientist, of)).await.unwrap().into_inner()
    }

    pub async fn read(&self, version: &str, file: &str) -> Result<Vec<u8>, Status> {
        let of = FileRef { name: "m".into(), version: version.into(), file: file.into() };
        let chunks = self.models.clone().read(self.worker(of)).await?.into_inner();
        chunks.try_fold(Vec::new(), async |all, chunk| Ok([&all[..], &chunk.data].concat())).await
    }

    /// The version that serves MR, and the one that looks on.
    pub async fn serving(&self) -> (String, Option<String>) {
        let request = self.worker(RoutesRequest {});
        let routes = self.routing.clone().get_routes(request).await.unwrap().into_inner().routes;
        let route = routes.into_iter().find(|route| route.modality == "MR").unwrap();
        (route.serving.unwrap().version, route.shadow.map(|shadow| shadow.version))
    }

    /// The kinds of image that have a route of their own, as KIND:VERSION, with the one that looks on.
    pub async fn kinds(&self) -> Vec<String> {
        let request = self.worker(RoutesRequest {});
        let routes = self.routing.clone().get_routes(request).await.unwrap().into_inner();
        let told = routes.kinds.into_iter().map(|Route { image_kind, serving, shadow, .. }| {
            let serving = serving.unwrap().version;
            let shadow = shadow.map_or(String::new(), |shadow| format!("<{}", shadow.version));
            format!("{image_kind}:{serving}{shadow}")
        });
        told.collect()
    }

    pub async fn generation(&self) -> u64 {
        let request = self.worker(RoutesRequest {});
        self.routing.clone().get_routes(request).await.unwrap().into_inner().generation
    }

    /// Damages what is kept of these bytes, behind the registry's back.
    pub fn damage(&self, of: &[u8], how: impl Fn(&Path)) {
        let objects = std::fs::read_dir(self.data.path().join("objects/models")).unwrap();
        let is_it = |path: &PathBuf| std::fs::read(path).unwrap() == of;
        let mut found = objects.map(|object| object.unwrap().path()).filter(is_it);
        how(&found.next().unwrap());
    }

    /// What has happened, the newest first.
    pub async fn actions(&self) -> Vec<String> {
        let request = self.by(Role::Admin, ListEventsRequest::default());
        let events = self.models.clone().list_events(request).await.unwrap().into_inner().events;
        events.into_iter().map(|event| format!("{} {}", event.action, event.version)).collect()
    }
}

fn queue_url(data: &TempDir) -> String {
    format!("sqlite://{}/queue.db", data.path().display())
}

async fn registry(
    data: &TempDir,
    database_url: &str,
    clock: &ManualClock,
    issuer: &Issuer,
    rules: Rules,
) -> Service {
    let config = Config {
        database_url: database_url.into(),
        blob_url: format!("file://{}/objects", data.path().display()).into(),
        queue_url: queue_url(data).into(),
        model_key: data.path().join("model-key.pem"),
        rules,
    };
    let ports = Ports::open(&config, clock.clock(), service::system_random()).await.unwrap();
    registry::build(config.rules, ports, Peers { auth: issuer.peer() })
}

async fn serve(service: Service) -> DropGuard {
    let stop = CancellationToken::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(service::serve(service, listener, stop.clone()));
    stop.drop_guard()
}
