//! A delivery service with a real storage behind it, and a clock that the test holds.

use std::path::Path;
use std::time::Duration;

use delivery::{Network, Peers, Ports, Rules, Settings, build};
use domain::{Answer, ManualClock, TenantId};
use futures::StreamExt;
use imaging::ResultDocument;
use imaging::phantom::{Phantom, Settings as Drawn};
use platform::db::Database;
use platform::queue::Queue;
use proto::delivery::delivery_client::DeliveryClient;
use proto::delivery::{
    DeliveryEntry, DeliveryState, DestinationKind, DestinationMade, ListDeliveriesRequest,
    NewDestination,
};
use proto::storage::accept_part::Part;
use proto::storage::complete_part::Part as ResultPart;
use proto::storage::jobs_client::JobsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::{
    AcceptHeader, AcceptPart, Answer as WireAnswer, ArtefactPart, ClaimJob, CompleteHeader,
    CompletePart, FailJob, Identity, Job, Scan,
};
use service::claims::testing::Issuer;
use service::claims::{Role, authorised, vouched};
use service::topics::{SCAN_COMPLETED, SCAN_READY};
use service::{Peer, Service, serve, system_clock, system_random};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

use crate::receiver::Receiver;
use crate::tls;

pub const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const SHAPE: imaging::Shape = imaging::Shape { slices: 4, rows: 64, columns: 64 };

/// A running delivery service; stops when dropped.
pub struct World {
    pub client: DeliveryClient<Peer>,
    pub hospital: TenantId,
    pub clock: ManualClock,
    pub issuer: Issuer,
    pub database: Database,
    pub queue: Queue,
    pub of_storage: Database,
    pub storage: Peer,
    scans: ScansClient<Peer>,
    jobs: JobsClient<Peer>,
    _stop: DropGuard,
    folder: TempDir,
}

impl World {
    pub async fn sqlite() -> anyhow::Result<World> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}/delivery.db", folder.path().display());
        World::on(&url, folder).await
    }

    /// `None` when no MySQL or MariaDB is named; a database of its own on it otherwise.
    pub async fn mysql() -> anyhow::Result<Option<World>> {
        let Ok(server) = std::env::var("TEST_MYSQL_URL") else { return Ok(None) };
        let name = format!("delivery_{}", u64::from_be_bytes(system_random().bytes()));
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&server).await?;
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&pool).await?;
        let (base, _) = server.rsplit_once('/').expect("a URL that names a database");
        Ok(Some(World::on(&format!("{base}/{name}"), tempfile::tempdir()?).await?))
    }

    async fn on(database_url: &str, folder: TempDir) -> anyhow::Result<World> {
        let at = |name: &str| format!("{}/{name}", folder.path().display());
        let (clock, random) = (ManualClock::at(system_clock().now_ms()), system_random());
        let issuer = Issuer::at(clock.clock());
        let rules = storage::Rules { disk_reserve_mib: 1, ..storage::Rules::default() };
        let config = storage::Config {
            database_url: format!("sqlite://{}", at("storage.db")).into(),
            blob_url: format!("file://{}", at("blobs")).into(),
            queue_url: format!("sqlite://{}", at("queue.db")).into(),
            data_keys_url: None,
            rules: rules.clone(),
        };
        let kept = storage::Ports::open(&config, clock.clock(), random.clone()).await?;
        let (queue, of_storage) = (kept.queue.clone(), kept.database.clone());
        let storage = storage::build(rules, kept, storage::Peers::auth(issuer.peer()));
        let to_storage = Peer::within(&storage);

        let ports = Ports::open(database_url, queue.clone(), clock.clock(), random.clone()).await?;
        let database = ports.database.clone();
        tls::certificates(folder.path())?;
        // Receivers are on this machine.
        let rules = Rules {
            delivery_networks: vec!["127.0.0.0/8".parse::<Network>().map_err(anyhow::Error::msg)?],
            delivery_authorities: Some(folder.path().join(tls::AUTHORITY)),
            ..Rules::default()
        };
        let settings = Settings { rules, delivery_secret: Issuer::DELIVERY_SECRET.into() };
        let peers = Peers { auth: issuer.peer(), storage: to_storage.clone() };
        let delivery = build(settings, ports, peers)?;
        let client = DeliveryClient::new(Peer::within(&delivery));
        let stop = CancellationToken::new();
        for service in [storage, delivery] {
            run(service, &stop).await?;
        }
        Ok(World {
            client,
            hospital: TenantId::new(&clock.clock(), &random),
            clock,
            issuer,
            database,
            queue,
            of_storage,
            scans: ScansClient::new(to_storage.clone()),
            jobs: JobsClient::new(to_storage.clone()),
            storage: to_storage,
            _stop: stop.drop_guard(),
            folder,
        })
    }

    /// Where its files lie, certificates among them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn by<T>(&self, tenant: TenantId, role: Role, message: T) -> Request<T> {
        authorised(message, &self.issuer.token(tenant, &[role]))
    }

    pub fn admin<T>(&self, message: T) -> Request<T> {
        self.by(self.hospital, Role::Admin, message)
    }

    pub async fn create(&self, new: NewDestination) -> Result<DestinationMade, Status> {
        let made = self.client.clone().create_destination(self.admin(new)).await?;
        Ok(made.into_inner())
    }

    /// Its results go to `receiver` from now on, in that format; its secret.
    pub async fn webhook(&self, receiver: &Receiver, format: &str) -> anyhow::Result<String> {
        Ok(self.create(webhook(&receiver.url, format)).await?.secret)
    }

    pub async fn list(&self, tenant: TenantId) -> anyhow::Result<Vec<DeliveryEntry>> {
        let asked = ListDeliveriesRequest { limit: 100, ..ListDeliveriesRequest::default() };
        let request = self.by(tenant, Role::Integrator, asked);
        Ok(self.client.clone().list_deliveries(request).await?.into_inner().deliveries)
    }

    /// The hospital's one delivery once it is so far.
    pub async fn one(
        &self,
        wish: impl Fn(&DeliveryEntry) -> bool,
    ) -> anyhow::Result<DeliveryEntry> {
        let seen = async {
            loop {
                let all = self.list(self.hospital).await?;
                anyhow::ensure!(all.len() <= 1, "one delivery: {all:?}");
                if let Some(one) = all.into_iter().find(&wish) {
                    return anyhow::Ok(one);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await?
    }

    pub async fn ended(&self, state: DeliveryState) -> anyhow::Result<DeliveryEntry> {
        self.one(|entry| entry.state() == state).await
    }

    /// Lets time pass until the next attempts are due.
    pub fn pass(&self, minutes: i64) {
        self.clock.advance(minutes * 60_000);
    }

    /// Waits until the audit trail says so of that scan; who did it.
    pub async fn audited(&self, action: &str, object: &str) -> anyhow::Result<String> {
        let seen = async {
            loop {
                let subject: Option<String> = sqlx::query_scalar(
                    "SELECT subject FROM audit WHERE action = ? AND object_id = ?",
                )
                .bind(action.to_owned())
                .bind(object.to_owned())
                .fetch_optional(self.of_storage.pool())
                .await?;
                if let Some(subject) = subject {
                    return anyhow::Ok(subject);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await?
    }

    pub async fn rows(&self, count: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(count).fetch_one(self.database.pool()).await?)
    }

    /// An accepted scan of a patient, with its job.
    async fn accepted(&self, tenant: TenantId) -> anyhow::Result<(Scan, Job)> {
        let drawn = Drawn { shape: SHAPE, spacing: [8.0, 3.5, 3.5], ..Drawn::slice(2) };
        let volume = Phantom::new(&drawn)?.volume;
        let preview = imaging::lettered_png(&volume, SHAPE.slices / 2)?;
        let original = format!("a file of {tenant}").into_bytes();
        let parts = futures::stream::iter(upload(volume.to_bytes(), original, preview));
        let token = self.issuer.token(tenant, &[Role::Clinician]);
        let request = vouched(authorised(parts, &token), &self.issuer.service_token());
        let scan = self.scans.clone().accept(request).await?.into_inner();
        let mut ready = self.queue.subscribe_work(SCAN_READY, 1).await?;
        let message = tokio::time::timeout(PATIENCE, ready.next()).await?;
        let message = message.ok_or_else(|| anyhow::anyhow!("the queue has ended"))??;
        let job_id = String::from_utf8(message.body.clone())?;
        message.ack().await?;
        let claim = ClaimJob { job_id, worker: "suite".into(), alone: true, in_turn: false };
        let job = self.jobs.clone().claim(self.worker(claim)).await?.into_inner();
        Ok((scan, job))
    }

    fn worker<T>(&self, message: T) -> Request<T> {
        authorised(message, &self.issuer.service_token())
    }

    /// A scan in which nothing was found, and the bytes of its result.
    pub async fn completed(&self) -> anyhow::Result<(Scan, Vec<u8>)> {
        self.completed_for(self.hospital).await
    }

    pub async fn completed_for(&self, tenant: TenantId) -> anyhow::Result<(Scan, Vec<u8>)> {
        let (scan, job) = self.accepted(tenant).await?;
        let none = ResultDocument::failed(scan.id.clone(), None, 1, 2);
        let result = ResultDocument { answer: Answer::NoneFound, ..none }.to_json();
        let header = CompleteHeader {
            job_id: job.job_id,
            attempt: job.attempt,
            binding: job.binding,
            volume_sha256: job.volume_sha256,
            answer: WireAnswer::NoneFound.into(),
            ..CompleteHeader::default()
        };
        let artefact = ArtefactPart { name: "result.json".into(), data: result.clone().into() };
        let parts = [ResultPart::Header(header), ResultPart::Artefact(artefact)];
        let parts = parts.map(|part| CompletePart { part: Some(part) });
        let request = self.worker(futures::stream::iter(parts));
        Ok((self.jobs.clone().complete(request).await?.into_inner(), result))
    }

    /// A scan that was given up.
    pub async fn failed(&self) -> anyhow::Result<Scan> {
        let (_, job) = self.accepted(self.hospital).await?;
        let Job { job_id, attempt, .. } = job;
        let fail = FailJob { job_id, attempt, reason: "no worker could".into(), retry: false };
        Ok(self.jobs.clone().fail(self.worker(fail)).await?.into_inner())
    }

    /// Tells of a scan that is done, as storage does.
    pub async fn tell(&self, tenant: TenantId, scan: &Scan) -> anyhow::Result<()> {
        let event = serde_json::json!({
            "specversion": "1.0", "id": scan.id, "source": "/medseg/storage", "type": "scan.completed",
            "data": { "tenant": tenant, "scan_id": scan.id, "answer": "none_found", "completed_ms": 2 },
        });
        Ok(self.queue.emit(SCAN_COMPLETED, event.to_string().as_bytes()).await?)
    }
}

pub fn webhook(url: &str, format: &str) -> NewDestination {
    NewDestination {
        name: "a system".into(),
        kind: DestinationKind::Webhook.into(),
        url: url.into(),
        formats: vec![format.into()],
        ..NewDestination::default()
    }
}

pub async fn run(service: Service, stop: &CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    tokio::spawn(serve(service, listener, stop.clone()));
    Ok(())
}

/// As ingest sends it on: a head that came as DICOM.
fn upload(volume: Vec<u8>, original: Vec<u8>, preview: Vec<u8>) -> Vec<AcceptPart> {
    let some = |text: &str| Some(text.to_owned());
    let identity = Identity {
        patient_name: some("Canary^Yellow"),
        patient_id: some("4711"),
        study_instance_uid: some("1.2.3"),
        series_instance_uid: some("1.2.3.4"),
        sop_class_uid: some("1.2.840.10008.5.1.4.1.1.4"),
        frame_of_reference_uid: some("1.2.3.5"),
        sop_instance_uids: (0..SHAPE.slices).map(|slice| format!("1.2.3.4.{slice}")).collect(),
        ..Identity::default()
    };
    let header = AcceptHeader {
        format: "dicom".into(),
        modality: "MR".into(),
        shape: SHAPE.lengths().map(|length| length as u32).to_vec(),
        original_sha256: sha256(&original),
        volume_sha256: sha256(&volume),
        identity: Some(identity),
        patient: "4711".into(),
        ..AcceptHeader::default()
    };
    let mut parts = vec![Part::Header(header)];
    parts.extend(volume.chunks(100_000).map(|piece| Part::Volume(piece.to_vec().into())));
    parts.push(Part::Original(original.into()));
    parts.push(Part::Preview(preview.into()));
    parts.into_iter().map(|part| AcceptPart { part: Some(part) }).collect()
}

fn sha256(bytes: &[u8]) -> String {
    domain::hex(&Sha256::digest(bytes))
}
