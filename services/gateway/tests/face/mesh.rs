//! The real auth, storage, drift and delivery behind the gateway, on SQLite and files, with a clock that the test holds.

use auth::Accounts;
use domain::{Clock, ManualClock, Random, TenantId};
use futures::stream;
use platform::db::Database;
use platform::queue::Queue;
use proto::registry::routing_client::RoutingClient;
use proto::registry::{Comparison, Evaluation};
use proto::storage::accept_part::Part;
use proto::storage::complete_part::Part as ResultPart;
use proto::storage::jobs_client::JobsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::*;
use service::claims::{
    Epochs, Grant, Role, SigningKey, authorised, delivery_tenant, operator_tenant, service_tenant,
    vouched,
};
use service::{Peer, Service, system_random};
use sha2::{Digest, Sha256};
use storage::{Ports, Rules};
use tempfile::TempDir;
use tonic::Request;
use tonic::service::Routes;

use crate::between::Between;

/// When the clock begins to be held.
pub const NOW_MS: i64 = 1_700_000_000_000;
/// How long an analysis takes by that clock.
pub const ANALYSIS_MS: i64 = 1_000;
/// Whom the hospital has from the start, a clinician.
pub const USER: &str = "ada";
pub const PASSWORD: &str = "a long and right one";
/// The files of a result, beside its document.
const FILES: [&str; 3] = ["mask.png", "overlay.png", "mask.nii.gz"];

/// One hospital's scans and users, and what may be done to them behind the gateway's back.
pub struct Mesh {
    pub clock: ManualClock,
    pub between: Between,
    key: SigningKey,
    tenant: TenantId,
    scans: ScansClient<Peer>,
    jobs: JobsClient<Peer>,
    routing: RoutingClient<Peer>,
    ports: Ports,
    of_drift: Database,
    data: TempDir,
}

/// What answers the gateway.
pub struct Faces {
    pub auth: Routes,
    pub storage: Routes,
    pub drift: Routes,
    pub registry: Routes,
    pub delivery: Routes,
}

impl Mesh {
    pub async fn open() -> (Mesh, Faces) {
        let data = tempfile::tempdir().unwrap();
        let (clock, random) = (ManualClock::at(NOW_MS), system_random());
        let (tenant, auth) = auth(&data, clock.clock(), random.clone()).await;
        let to_auth = Peer::within(&auth);
        let pem = std::fs::read_to_string(data.path().join("key.pem")).unwrap();

        let rules = Rules { disk_reserve_mib: 1, ..Rules::default() };
        let ports = storage_ports(&data, rules.clone(), clock.clock(), random.clone()).await;
        let peers = storage::Peers::auth(to_auth.clone());
        let storage = storage::build(rules, ports.clone(), peers);
        let peer = Peer::within(&storage);
        let registry = registry(&data, to_auth.clone(), (clock.clock(), random.clone())).await;
        let to_registry = Peer::within(&registry);
        let routing = RoutingClient::new(to_registry.clone());
        let peers = drift::Peers { auth: to_auth.clone(), registry: Some(to_registry) };
        let (of_drift, drift) =
            drift(&data, ports.queue.clone(), peers, (clock.clock(), random)).await;

        let delivery =
            delivery(&data, ports.queue.clone(), (to_auth.clone(), peer.clone()), clock.clock())
                .await;

        let between = Between::default();
        let faces = Faces {
            auth: auth.grpc,
            storage: between.before(storage.grpc),
            drift: drift.grpc,
            registry: registry.grpc,
            delivery: delivery.grpc,
        };
        let mesh = Mesh {
            clock,
            between,
            key: SigningKey::from_pem(&pem).unwrap(),
            tenant,
            scans: ScansClient::new(peer.clone()),
            jobs: JobsClient::new(peer),
            routing,
            ports,
            of_drift,
            data,
        };
        (mesh, faces)
    }

    /// As auth signs it for somebody of the hospital, or for whoever has a role that no hospital gives.
    pub fn token(&self, role: Role) -> String {
        let tenant = match role {
            Role::Operator => operator_tenant(),
            Role::Service => service_tenant(),
            Role::Delivery => delivery_tenant(),
            _ => self.tenant,
        };
        self.sign(tenant, role)
    }

    /// As auth signs it for an API client of the hospital that is confined to that section.
    pub fn confined(&self, role: Role, scope: &str) -> String {
        let grant =
            Grant { scopes: vec![scope.to_owned()], ..grant("tester", self.tenant, vec![role]) };
        grant.sign(&self.key, self.clock.clock().now_ms())
    }

    fn sign(&self, tenant: TenantId, role: Role) -> String {
        self.sign_as("tester", tenant, vec![role])
    }

    /// As auth signs it for an operator.
    pub fn operator_token(&self) -> String {
        self.token(Role::Operator)
    }

    /// As auth signs it for an administrator of another hospital.
    pub fn admin_elsewhere(&self) -> String {
        self.token_there(Role::Admin)
    }

    /// As auth signs it for a clinician of another hospital.
    pub fn token_elsewhere(&self) -> String {
        self.token_there(Role::Clinician)
    }

    /// As auth signs it for somebody of another hospital.
    pub fn token_there(&self, role: Role) -> String {
        self.sign("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(), role)
    }

    /// As auth signs it for somebody of the hospital with that id, whose name it is, too.
    pub fn token_of(&self, subject: &str, role: Role) -> String {
        self.sign_as(subject, self.tenant, vec![role])
    }

    /// The same for a reader who may settle what others differ on.
    pub fn adjudicator_token(&self, subject: &str) -> String {
        self.sign_as(subject, self.tenant, vec![Role::Clinician, Role::Adjudicator])
    }

    fn sign_as(&self, subject: &str, tenant: TenantId, roles: Vec<Role>) -> String {
        grant(subject, tenant, roles).sign(&self.key, self.clock.clock().now_ms())
    }

    /// Puts other bytes in the place of what is kept of a model's file.
    pub fn swap_in_registry(&self, of: &[u8], by: &[u8]) {
        let object = self.data.path().join("models/models").join(sha256(of));
        assert!(std::fs::read(&object).unwrap() == of);
        std::fs::write(object, by).unwrap();
    }

    fn service_token(&self) -> String {
        self.token(Role::Service)
    }

    /// What a worker reports of a model.
    pub async fn evaluated(&self, evaluation: Evaluation) {
        let request = authorised(evaluation, &self.service_token());
        self.routing.clone().record_evaluation(request).await.unwrap();
    }

    /// What a worker reports of version 2.0, which looked on at a scan of this hospital or of another, beside 1.0.
    pub async fn looked_on(&self, scan: &str, [answer, serving_answer]: [&str; 2], other: bool) {
        let tenant = if other { service_tenant() } else { self.tenant };
        let comparison = Comparison {
            name: "medseg-mr".into(),
            version: "2.0".into(),
            serving_name: "medseg-mr".into(),
            serving_version: "1.0".into(),
            tenant_id: tenant.to_string(),
            scan_id: scan.into(),
            answer: answer.into(),
            serving_answer: serving_answer.into(),
            ..Comparison::default()
        };
        let request = authorised(comparison, &self.service_token());
        self.routing.clone().record_comparison(request).await.unwrap();
    }

    /// As ingest passes calls on.
    fn sent<T>(&self, message: T) -> Request<T> {
        vouched(authorised(message, &self.token(Role::Clinician)), &self.service_token())
    }

    /// Keeps a scan of which that is known; its id.
    pub async fn accept(&self, known: AcceptHeader) -> String {
        self.keep(known, b"voxels", [1, 64, 64]).await
    }

    /// Keeps a scan with those voxels, in their stored form; its id.
    pub async fn stored(&self, volume: &[u8], shape: [u32; 3]) -> String {
        self.keep(AcceptHeader::default(), volume, shape).await
    }

    async fn keep(&self, known: AcceptHeader, volume: &[u8], shape: [u32; 3]) -> String {
        self.pictured(known, volume, shape, b"bytes of image.png").await
    }

    /// Keeps a scan of which that is known, with those voxels and that picture of its middle slice; its id.
    pub async fn pictured(
        &self,
        known: AcceptHeader,
        volume: &[u8],
        shape: [u32; 3],
        picture: &[u8],
    ) -> String {
        self.uploaded(known, volume, shape, picture, (b"<script>", b"")).await
    }

    /// The same of that file, with the index of its DICOM instances; empty: it has none.
    pub async fn uploaded(
        &self,
        known: AcceptHeader,
        volume: &[u8],
        shape: [u32; 3],
        picture: &[u8],
        (original, instances): (&[u8], &[u8]),
    ) -> String {
        let header = AcceptHeader {
            format: "png".into(),
            shape: shape.into(),
            original_sha256: sha256(original),
            volume_sha256: sha256(volume),
            ..known
        };
        let mut parts = vec![
            Part::Header(header),
            Part::Volume(volume.to_vec().into()),
            Part::Original(original.to_vec().into()),
            Part::Preview(picture.to_vec().into()),
        ];
        if !instances.is_empty() {
            parts.push(Part::Instances(instances.to_vec().into()));
        }
        let parts = parts.into_iter().map(|part| AcceptPart { part: Some(part) });
        let parts = stream::iter(parts.collect::<Vec<_>>());
        self.scans.clone().accept(self.sent(parts)).await.unwrap().into_inner().id
    }

    pub async fn queued(&self) -> String {
        self.accept(AcceptHeader::default()).await
    }

    pub async fn running(&self) -> String {
        let id = self.queued().await;
        self.claim(&id).await;
        id
    }

    pub async fn done(&self) -> String {
        self.analysed(&FILES).await
    }

    /// A scan of whose image the result shows another slice.
    pub async fn volume(&self) -> String {
        self.analysed(&[&FILES[..], &["shown.png"]].concat()).await
    }

    async fn analysed(&self, files: &[&str]) -> String {
        let id = self.queued().await;
        let job = self.claim(&id).await;
        self.clock.advance(ANALYSIS_MS);
        self.complete(&job, Answer::Found, files).await;
        id
    }

    pub async fn failed(&self) -> String {
        let id = self.queued().await;
        self.give_up(&id).await;
        id
    }

    /// The scan is analysed no more.
    pub async fn give_up(&self, scan: &str) {
        let Job { job_id, attempt, .. } = self.claim(scan).await;
        self.clock.advance(ANALYSIS_MS);
        let reason = "the worker died three times".into();
        let fail = FailJob { job_id, attempt, reason, retry: false };
        self.jobs.clone().fail(authorised(fail, &self.service_token())).await.unwrap();
    }

    /// A scan that is done with an answer that nobody knows.
    pub async fn unclear(&self) -> String {
        let id = self.done().await;
        let query = sqlx::query("UPDATE scans SET answer = '' WHERE id = ?").bind(&id);
        query.execute(self.ports.database.pool()).await.unwrap();
        id
    }

    /// What storage has kept of whose scan it is becomes that text.
    pub async fn overwrite_identity(&self, scan: &str, text: &str) {
        let query = sqlx::query("UPDATE identities SET identity_json = ? WHERE scan_id = ?");
        query.bind(text).bind(scan).execute(self.ports.database.pool()).await.unwrap();
    }

    /// Drift keeps that verdict of a reader on a scan that was answered so at that time, as when it hears of it; of a hospital
    /// other than the own, if need be.
    pub async fn reviewed(&self, scan: &str, verdict: &str, answer: Answer, other: bool) {
        let tenant = if other { service_tenant() } else { self.tenant };
        let answer = if answer == Answer::Found { "found" } else { "none_found" };
        let query = sqlx::query(
            "INSERT INTO reviews (tenant_id, feedback_id, scan_id, reader, given_ms, verdict, truth, answer,
                 model_name, model_version, image_kind, reason, finding_reasons)
             VALUES (?, ?, ?, 'reader', ?, ?, '', ?, 'medseg-mr', '1', 'flair', ?, ?)",
        );
        let why = if verdict == "agree" { ("", "") } else { ("outline", "quality=2") };
        let query = query.bind(tenant.to_string()).bind(scan).bind(scan).bind(NOW_MS - 1);
        let query = query.bind(verdict).bind(answer).bind(why.0).bind(why.1);
        query.execute(self.of_drift.pool()).await.unwrap();
    }

    /// A window of drift with one scan, of this hospital or of another.
    pub async fn window(&self, id: &str, number: i64, other: bool) {
        let tenant = if other { service_tenant() } else { self.tenant };
        let document = serde_json::json!({
            "model": { "name": "medseg-mr", "version": "1", "sha256": "ab" }, "answers": { "found": 1 },
            "features": [], "thresholds": { "scans_min": 30, "psi_watch": 0.1, "psi_drift": 0.25, "p_max": 0.002 },
        });
        let window = sqlx::query(
            "INSERT INTO drift_windows (tenant_id, window_id, model_name, model_version, image_kind, scanner, number,
                 from_ms, to_ms, created_ms, scans, drifted, calm, document)
             VALUES (?, ?, 'medseg-mr', '1', 'flair', '', ?, ?, ?, ?, 1, 0, 1, ?)",
        );
        let window = window.bind(tenant.to_string()).bind(id).bind(number);
        let window = window.bind(NOW_MS + number).bind(NOW_MS + number).bind(NOW_MS);
        window.bind(document.to_string()).execute(self.of_drift.pool()).await.unwrap();
        let scan = sqlx::query(
            "INSERT INTO observations (tenant_id, event_id, scan_id, answer, completed_ms, observation, window_id)
             VALUES (?, ?, ?, 'found', ?, ?, ?)",
        );
        let observation = r#"{"features":{"mean":0.5},"image_kind":"flair"}"#;
        let scan = scan.bind(tenant.to_string()).bind(id).bind(format!("scan of {id}"));
        let scan = scan.bind(NOW_MS - number).bind(observation).bind(id);
        scan.execute(self.of_drift.pool()).await.unwrap();
    }

    /// A scan that this version of the model has answered.
    pub async fn observed(&self, version: &str, scan: &str) {
        let observation = serde_json::json!({
            "model": { "name": "medseg-mr", "version": version, "sha256": "ab" },
            "features": { "mean": 0.5 }, "image_kind": "flair",
        });
        let query = sqlx::query(
            "INSERT INTO observations (tenant_id, event_id, scan_id, answer, completed_ms, observation)
             VALUES (?, ?, ?, 'found', ?, ?)",
        );
        let query = query.bind(self.tenant.to_string()).bind(scan).bind(scan).bind(NOW_MS - 1);
        query.bind(observation.to_string()).execute(self.of_drift.pool()).await.unwrap();
    }

    /// From now on storage cannot read its scans.
    pub async fn lose_the_scans(&self) {
        let query = sqlx::query("ALTER TABLE scans RENAME TO scans_of_nobody");
        query.execute(self.ports.database.pool()).await.unwrap();
    }

    /// Lets a worker have the scan's job.
    pub async fn claim(&self, scan: &str) -> Job {
        let job_id = sqlx::query_scalar("SELECT id FROM jobs WHERE scan_id = ?")
            .bind(scan)
            .fetch_one(self.ports.database.pool())
            .await
            .unwrap();
        let claim = ClaimJob { job_id, worker: "worker".into(), alone: true, in_turn: false };
        let request = authorised(claim, &self.service_token());
        self.jobs.clone().claim(request).await.unwrap().into_inner()
    }

    /// Hands in a result with these files.
    pub async fn complete(&self, job: &Job, answer: Answer, files: &[&str]) {
        let document = [r#"{"answer":"found","#, r#""findings":[{}]}"#];
        let document = document.map(|half| ("result.json", half.as_bytes().to_vec()));
        let files = files
            .iter()
            .flat_map(|name| [(*name, b"bytes of ".to_vec()), (*name, name.as_bytes().to_vec())]);
        self.hand_in(job, answer, document.into_iter().chain(files).collect()).await;
    }

    /// Hands in a result of these files, each in one piece or in several.
    pub async fn hand_in(&self, job: &Job, answer: Answer, pieces: Vec<(&str, Vec<u8>)>) {
        let header = CompleteHeader {
            job_id: job.job_id.clone(),
            attempt: job.attempt,
            binding: job.binding.clone(),
            volume_sha256: job.volume_sha256.clone(),
            answer: answer.into(),
            ..CompleteHeader::default()
        };
        let part = |(name, data): (&str, Vec<u8>)| {
            ResultPart::Artefact(ArtefactPart { name: name.to_owned(), data: data.into() })
        };
        let parts = [ResultPart::Header(header)].into_iter().chain(pieces.into_iter().map(part));
        let parts: Vec<ResultPart> = parts.collect();
        let parts = stream::iter(parts.into_iter().map(|part| CompletePart { part: Some(part) }));
        self.jobs.clone().complete(authorised(parts, &self.service_token())).await.unwrap();
    }

    /// A batch of that scan, of one that failed, and of a file that was refused.
    pub async fn batch(&self, scan: &str) -> Batch {
        let entry = |name: &str, scan_id: &str| BatchEntry {
            name: name.into(),
            scan_id: scan_id.into(),
            ..BatchEntry::default()
        };
        let refusal = Refusal {
            problem: "too-small".into(),
            title: "The image is too small".into(),
            detail: "12 x 12".into(),
        };
        let failed = self.failed().await;
        let entries = vec![
            entry("../a.png", scan),
            entry("b.png", &failed),
            BatchEntry { refusal: Some(refusal), ..entry("c.png", "") },
        ];
        let batch = self.sent(Batch { entries, ..Batch::default() });
        self.scans.clone().put_batch(batch).await.unwrap().into_inner()
    }
}

fn grant(subject: &str, tenant: TenantId, roles: Vec<Role>) -> Grant {
    let (subject, name) = (subject.to_owned(), subject.to_owned());
    let (scopes, epochs) = (Vec::new(), Epochs::default());
    Grant { subject, name, tenant, roles, scopes, epochs }
}

fn at(data: &TempDir, name: &str) -> String {
    data.path().join(name).display().to_string()
}

/// A hospital with one user, and who knows them.
async fn auth(data: &TempDir, clock: Clock, random: Random) -> (TenantId, Service) {
    let database_url = format!("sqlite://{}", at(data, "auth.db"));
    let accounts = Accounts::open(&database_url, clock.clone(), random.clone()).await.unwrap();
    let tenant = accounts.create_tenant("the hospital").await.unwrap();
    accounts.create_user(tenant, USER, PASSWORD, &[Role::Clinician]).await.unwrap();
    let config = auth::Config {
        database_url: database_url.into(),
        signing_key: data.path().join("key.pem"),
        previous_key: None,
        service_secret: None,
        delivery_secret: None,
        gateway_secret: None,
        first_password: None,
        first_tenant: String::new(),
        rules: auth::Rules::default(),
    };
    let (ports, _) = auth::open(&config, clock, random).await.unwrap();
    (tenant, auth::build(config, ports))
}

async fn storage_ports(data: &TempDir, rules: Rules, clock: Clock, random: Random) -> Ports {
    let config = storage::Config {
        database_url: format!("sqlite://{}", at(data, "storage.db")).into(),
        blob_url: format!("file://{}", at(data, "blobs")).into(),
        queue_url: format!("sqlite://{}", at(data, "queue.db")).into(),
        data_keys_url: None,
        rules,
    };
    Ports::open(&config, clock, random).await.unwrap()
}

async fn drift(
    data: &TempDir,
    queue: Queue,
    peers: drift::Peers,
    (clock, random): (Clock, Random),
) -> (Database, Service) {
    let database_url = format!("sqlite://{}", at(data, "drift.db"));
    let ports = drift::Ports::open(&database_url, queue, clock, random).await.unwrap();
    let database = ports.database.clone();
    (database, drift::build(drift::Settings::default(), ports, peers))
}

async fn delivery(
    data: &TempDir,
    queue: Queue,
    (auth, storage): (Peer, Peer),
    clock: Clock,
) -> Service {
    let database_url = format!("sqlite://{}", at(data, "delivery.db"));
    let ports = delivery::Ports::open(&database_url, queue, clock, system_random()).await.unwrap();
    let rules = delivery::Rules::default();
    let settings = delivery::Settings { rules, delivery_secret: "none here".into() };
    delivery::build(settings, ports, delivery::Peers { auth, storage }).unwrap()
}

async fn registry(data: &TempDir, auth: Peer, (clock, random): (Clock, Random)) -> Service {
    let config = registry::Config {
        database_url: format!("sqlite://{}", at(data, "registry.db")).into(),
        blob_url: format!("file://{}", at(data, "models")).into(),
        queue_url: format!("sqlite://{}", at(data, "queue.db")).into(),
        model_key: data.path().join("model-key.pem"),
        rules: registry::Rules::default(),
    };
    let ports = registry::Ports::open(&config, clock, random).await.unwrap();
    registry::build(config.rules, ports, registry::Peers { auth })
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
