//! A storage service with everything real behind it, and a clock that the test holds.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::{ManualClock, TenantId};
use futures::StreamExt;
use platform::keys;
use platform::queue::{self, Deliveries, Queue, Work};
use proto::events::Observation;
use proto::storage::accept_part::Part;
use proto::storage::complete_part::Part as ResultPart;
use proto::storage::erasures_client::ErasuresClient;
use proto::storage::feedback_client::FeedbackClient;
use proto::storage::handover_client::HandoverClient;
use proto::storage::incidents_client::IncidentsClient;
use proto::storage::jobs_client::JobsClient;
use proto::storage::learning_client::LearningClient;
use proto::storage::limits_client::LimitsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::series_rules_client::SeriesRulesClient;
use proto::storage::stops_client::StopsClient;
use proto::storage::*;
use service::claims::testing::Issuer;
use service::claims::{Role, authorised, vouched};
use service::{Peer, Service, topics};
use sha2::{Digest, Sha256};
use storage::{Config, Peers, Ports, Rules};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

const PATIENCE: Duration = Duration::from_secs(10);
/// The group that the suite listens with.
const GROUP: &str = "suite";

/// A running storage service; stops when dropped.
pub struct World {
    pub clock: ManualClock,
    pub scans: ScansClient<Peer>,
    pub jobs: JobsClient<Peer>,
    pub erasures: ErasuresClient<Peer>,
    pub feedback: FeedbackClient<Peer>,
    pub learning: LearningClient<Peer>,
    pub stops: StopsClient<Peer>,
    pub incidents: IncidentsClient<Peer>,
    pub series_rules: SeriesRulesClient<Peer>,
    pub limits: LimitsClient<Peer>,
    pub handover: HandoverClient<Peer>,
    pub queue: Queue,
    pub data: TempDir,
    pub ports: Ports,
    /// What the ports were opened by.
    pub config: Config,
    pub rules: Rules,
    pub issuer: Issuer,
    pub hospital: TenantId,
    pub neighbour: TenantId,
    _stop: DropGuard,
}

impl World {
    pub async fn sqlite() -> World {
        let data = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/storage.db", data.path().display());
        World::on(data, database).await
    }

    /// `None` when no MySQL or MariaDB is named; a database of its own on it otherwise.
    pub async fn mysql() -> Option<World> {
        let server = std::env::var("TEST_MYSQL_URL").ok()?;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("medseg_storage_{}_{count}", std::process::id());
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&server).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&pool).await.unwrap();
        let (root, _) = server.rsplit_once('/').unwrap();
        Some(World::on(tempfile::tempdir().unwrap(), format!("{root}/{name}")).await)
    }

    async fn on(data: TempDir, database_url: String) -> World {
        let at = |name: &str| format!("{}/{name}", data.path().display());
        let queue_url = format!("sqlite://{}", at("queue.db"));
        let rules = Rules { sweep_s: 1, disk_reserve_mib: 1, ..Default::default() };
        let blob_url = format!("file://{}", at("blobs"));
        let (random, data_keys) = (service::system_random(), data.path().join("data-keys"));
        keys::make(&data_keys, &random).unwrap();
        let config = Config {
            database_url: database_url.into(),
            blob_url: blob_url.into(),
            queue_url: queue_url.as_str().into(),
            data_keys_url: Some(format!("file://{}", data_keys.display())),
            rules: rules.clone(),
        };
        let clock = ManualClock::at(service::system_clock().now_ms());
        let ports = Ports::open(&config, clock.clock(), random.clone()).await.unwrap();
        let issuer = Issuer::at(clock.clock());
        for event in [
            topics::SCAN_COMPLETED,
            topics::FEEDBACK_GIVEN,
            topics::INCIDENT_REPORTED,
            topics::UPLOAD_REFUSED,
            topics::SCAN_ERASED,
        ] {
            ports.queue.create_group(event, GROUP).await.unwrap();
        }

        let service = storage::build(rules.clone(), ports.clone(), Peers::auth(issuer.peer()));
        let peer = Peer::within(&service);
        let _stop = serve(service).await;
        World {
            scans: ScansClient::new(peer.clone()),
            jobs: JobsClient::new(peer.clone()),
            erasures: ErasuresClient::new(peer.clone()),
            feedback: FeedbackClient::new(peer.clone()),
            learning: LearningClient::new(peer.clone()),
            stops: StopsClient::new(peer.clone()),
            incidents: IncidentsClient::new(peer.clone()),
            series_rules: SeriesRulesClient::new(peer.clone()),
            limits: LimitsClient::new(peer.clone()),
            handover: HandoverClient::new(peer),
            queue: queue::connect(&queue_url).await.unwrap(),
            hospital: TenantId::new(&clock.clock(), &random),
            neighbour: TenantId::new(&clock.clock(), &random),
            clock,
            data,
            ports,
            config,
            rules,
            issuer,
            _stop,
        }
    }

    /// Storage as it is without a key ring, and was before there were keys.
    pub fn without_keys(&self) -> ScansClient<Peer> {
        let ports = Ports { keys: None, ..self.ports.clone() };
        let service = storage::build(self.rules.clone(), ports, Peers::auth(self.auth()));
        ScansClient::new(Peer::within(&service))
    }

    /// Stands in for auth.
    pub fn auth(&self) -> Peer {
        self.issuer.peer()
    }

    /// A call by a clinician of that hospital.
    pub fn by<T>(&self, tenant: TenantId, message: T) -> Request<T> {
        self.vouched(authorised(message, &self.issuer.token(tenant, &[Role::Clinician])))
    }

    /// A call by somebody with that role there.
    pub fn by_role<T>(&self, tenant: TenantId, role: Role, message: T) -> Request<T> {
        self.vouched(authorised(message, &self.issuer.token(tenant, &[role])))
    }

    /// As ingest passes calls on.
    fn vouched<T>(&self, request: Request<T>) -> Request<T> {
        vouched(request, &self.issuer.service_token())
    }

    /// A call by one of medseg's workers.
    pub fn worker<T>(&self, message: T) -> Request<T> {
        authorised(message, &self.issuer.service_token())
    }

    pub async fn accept(&self, upload: Upload) -> Result<Scan, Status> {
        self.accept_for(self.hospital, upload).await
    }

    pub async fn accept_for(&self, tenant: TenantId, upload: Upload) -> Result<Scan, Status> {
        self.accept_at(self.scans.clone(), tenant, upload).await
    }

    pub async fn accept_at(
        &self,
        mut scans: ScansClient<Peer>,
        tenant: TenantId,
        upload: Upload,
    ) -> Result<Scan, Status> {
        let parts = futures::stream::iter(upload.parts());
        Ok(scans.accept(self.by(tenant, parts)).await?.into_inner())
    }

    pub async fn get(&self, scan: &Scan) -> Scan {
        let request = self.by(self.hospital, ScanRef { id: scan.id.clone() });
        self.scans.clone().get(request).await.unwrap().into_inner()
    }

    pub async fn read(&self, scan: &Scan, name: &str) -> Result<Vec<u8>, Status> {
        let of = ArtefactRef { id: scan.id.clone(), name: name.into() };
        let chunks = self.scans.clone().read(self.by(self.hospital, of)).await?;
        collect(chunks.into_inner()).await
    }

    pub async fn claim(&self, job_id: &str) -> Result<Job, Status> {
        self.claim_as(job_id, true).await
    }

    /// As a worker that has other jobs in hand too, or none.
    pub async fn claim_as(&self, job_id: &str, alone: bool) -> Result<Job, Status> {
        let (job_id, worker) = (job_id.into(), "worker-1".into());
        let claim = ClaimJob { job_id, worker, alone, in_turn: false };
        Ok(self.jobs.clone().claim(self.worker(claim)).await?.into_inner())
    }

    /// As a worker that takes a job in turn, in place of the one that its message names.
    pub async fn claim_in_turn(&self, job_id: &str) -> Result<Job, Status> {
        let (job_id, worker) = (job_id.into(), "worker-1".into());
        let claim = ClaimJob { job_id, worker, alone: false, in_turn: true };
        Ok(self.jobs.clone().claim(self.worker(claim)).await?.into_inner())
    }

    pub async fn volume(&self, job: &Job) -> Result<Vec<u8>, Status> {
        let lease = Lease { job_id: job.job_id.clone(), attempt: job.attempt };
        let chunks = self.jobs.clone().read_volume(self.worker(lease)).await?;
        collect(chunks.into_inner()).await
    }

    pub async fn complete(&self, parts: Vec<CompletePart>) -> Result<Scan, Status> {
        let parts = futures::stream::iter(parts);
        Ok(self.jobs.clone().complete(self.worker(parts)).await?.into_inner())
    }

    pub async fn fail(&self, job: &Job, reason: &str, retry: bool) -> Result<Scan, Status> {
        let (job_id, attempt) = (job.job_id.clone(), job.attempt);
        let fail = FailJob { job_id, attempt, reason: reason.into(), retry };
        Ok(self.jobs.clone().fail(self.worker(fail)).await?.into_inner())
    }

    pub async fn subscribe(&self, work: Work<'_>) -> Deliveries {
        self.queue.subscribe_work(work, 16).await.unwrap()
    }

    /// The news of completed scans since the world began.
    pub async fn completed(&self) -> Deliveries {
        self.queue.subscribe_event(topics::SCAN_COMPLETED, GROUP, 16).await.unwrap()
    }

    /// The news of what readers have said since the world began.
    pub async fn given(&self) -> Deliveries {
        self.queue.subscribe_event(topics::FEEDBACK_GIVEN, GROUP, 16).await.unwrap()
    }

    /// The news of what was reported since the world began.
    pub async fn reported(&self) -> Deliveries {
        self.queue.subscribe_event(topics::INCIDENT_REPORTED, GROUP, 16).await.unwrap()
    }

    /// The news of refused files since the world began.
    pub async fn refused(&self) -> Deliveries {
        self.queue.subscribe_event(topics::UPLOAD_REFUSED, GROUP, 16).await.unwrap()
    }

    /// The news of erased scans since the world began.
    pub async fn erased(&self) -> Deliveries {
        self.queue.subscribe_event(topics::SCAN_ERASED, GROUP, 16).await.unwrap()
    }

    /// The job that the next message announces; the message is acknowledged.
    pub async fn announced(&self, ready: &mut Deliveries) -> String {
        String::from_utf8(next(ready).await).unwrap()
    }

    /// An accepted scan and the job that it waits in.
    pub async fn ready(&self) -> (Scan, String) {
        let scan = self.accept(Upload::of("a head")).await.unwrap();
        let mut ready = self.subscribe(topics::SCAN_READY).await;
        let job = self.announced(&mut ready).await;
        (scan, job)
    }

    /// How many rows of the table there are.
    pub async fn count(&self, table: &'static str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar(query).fetch_one(self.ports.database.pool()).await.unwrap()
    }

    /// What each hospital has stored is counted as it is.
    pub async fn require_counted(&self) {
        let wrong: Vec<String> = sqlx::query_scalar(
            "SELECT tenant_id FROM stored_bytes WHERE bytes <>
                 (SELECT COALESCE(SUM(size_bytes), 0) FROM artefacts WHERE artefacts.tenant_id = stored_bytes.tenant_id)",
        )
        .fetch_all(self.ports.database.pool())
        .await
        .unwrap();
        assert_eq!((wrong, self.count("stored_bytes").await > 0), (vec![], true));
    }
}

/// Runs the service's workers until the guard is dropped.
pub async fn serve(service: Service) -> DropGuard {
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(service::serve(service, listener, stop.clone()));
    stop.drop_guard()
}

/// The body of the next message, which is acknowledged.
pub async fn next(deliveries: &mut Deliveries) -> Vec<u8> {
    let delivery = timeout(PATIENCE, deliveries.next()).await.expect("a message in time");
    let delivery = delivery.unwrap().unwrap();
    let body = delivery.body.clone();
    delivery.ack().await.unwrap();
    body
}

/// Waits until `wish` holds of what `look` sees.
pub async fn until<T, F: Future<Output = T>>(look: impl Fn() -> F, wish: impl Fn(&T) -> bool) -> T {
    let poll = async {
        loop {
            let seen = look().await;
            if wish(&seen) {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, poll).await.expect("the wish comes true in time")
}

pub async fn collect(mut chunks: tonic::Streaming<Chunk>) -> Result<Vec<u8>, Status> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await? {
        bytes.extend_from_slice(&chunk.data);
    }
    Ok(bytes)
}

/// An upload that ingest has checked.
#[derive(Clone)]
pub struct Upload {
    pub header: AcceptHeader,
    pub volume: Vec<u8>,
    pub original: Vec<u8>,
    pub preview: Vec<u8>,
}

impl Upload {
    pub fn of(head: &str) -> Upload {
        let (volume, original) = (format!("{head} voxels").repeat(999), format!("{head} file"));
        let header = AcceptHeader {
            format: "png".into(),
            modality: "MR".into(),
            shape: vec![1, 64, 64],
            original_sha256: sha256(original.as_bytes()),
            volume_sha256: sha256(volume.as_bytes()),
            identity: Some(Identity {
                patient_name: Some("Doe^Jane".into()),
                ..Identity::default()
            }),
            patient: "4711".into(),
            ..Default::default()
        };
        let preview = b"a preview".to_vec();
        Upload { header, volume: volume.into(), original: original.into(), preview }
    }

    pub fn with_key(mut self, key: &str) -> Upload {
        self.header.idempotency_key = key.into();
        self
    }

    pub fn parts(self) -> Vec<AcceptPart> {
        let chunked = |bytes: Vec<u8>, part: fn(bytes::Bytes) -> Part| {
            bytes.chunks(100_000).map(|piece| part(piece.to_vec().into())).collect::<Vec<_>>()
        };
        let mut parts = vec![Part::Header(self.header)];
        parts.extend(chunked(self.volume, Part::Volume));
        parts.extend(chunked(self.original, Part::Original));
        parts.extend(chunked(self.preview, Part::Preview));
        parts.into_iter().map(|part| AcceptPart { part: Some(part) }).collect()
    }
}

/// What a worker sends when it has found something.
pub fn found(job: &Job) -> Vec<CompletePart> {
    let header = CompleteHeader {
        job_id: job.job_id.clone(),
        attempt: job.attempt,
        binding: job.binding.clone(),
        volume_sha256: job.volume_sha256.clone(),
        answer: Answer::Found.into(),
        reason: String::new(),
        observation: Some(Observation { mask_fraction: Some(0.25), ..Default::default() }),
        refusal: String::new(),
        volume_ml: Some(12.5),
    };
    let artefact = |name: &str, data: &'static str| {
        ResultPart::Artefact(ArtefactPart { name: name.into(), data: data.into() })
    };
    let parts = [
        ResultPart::Header(header),
        artefact("result.json", "{\"answer\":"),
        artefact("result.json", "\"found\"}"),
        artefact("mask.png", "a mask"),
    ];
    parts.map(|part| CompletePart { part: Some(part) }).to_vec()
}

/// The same result with another header.
pub fn but(
    mut parts: Vec<CompletePart>,
    change: impl Fn(&mut CompleteHeader),
) -> Vec<CompletePart> {
    if let Some(ResultPart::Header(header)) = &mut parts[0].part {
        change(header);
    }
    parts
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
