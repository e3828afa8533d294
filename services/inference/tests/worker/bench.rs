//! The real storage on SQLite and files, and a worker whose calls to it are overheard.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::artefact::{ALL, Made};
use domain::{ManualClock, TenantId};
use futures::{StreamExt, stream};
use imaging::{ResultDocument, Volume};
use inference::{BARE_MODEL_MIB, Config, build};
use platform::queue::{Deliveries, Queue};
use proto::events::{Observation, ScanCompleted};
use proto::storage::accept_part::Part;
use proto::storage::jobs_client::JobsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::*;
use service::claims::testing::Issuer;
use service::claims::{Role, authorised, vouched};
use service::topics::SCAN_COMPLETED;
use service::{CloudEvent, Peer, Service, system_clock, system_random};
use sha2::{Digest, Sha256};
use storage::{Ports, Rules};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Code, Status};

use crate::overheard::Overheard;

const PATIENCE: Duration = Duration::from_secs(20);
/// How long a lease lasts: a third of it is the pause between two heartbeats.
pub const LEASE_S: u32 = 1;
/// The group that the bench listens with.
const GROUP: &str = "bench";

/// A storage by a clock that the test holds, and a worker once there is one; both stop when dropped.
pub struct Bench {
    pub clock: ManualClock,
    pub queue: Queue,
    pub worker: Overheard,
    scans: ScansClient<Peer>,
    jobs: JobsClient<Peer>,
    issuer: Issuer,
    token: String,
    ports: Ports,
    completed: Deliveries,
    stop: CancellationToken,
    _stop: DropGuard,
    _folder: TempDir,
}

/// What has become of a scan.
pub struct Outcome {
    pub scan: Scan,
    pub artefacts: BTreeMap<String, Vec<u8>>,
    pub document: ResultDocument,
}

impl Bench {
    /// With a worker already.
    pub async fn start(model_url: &str) -> Bench {
        let bench = Bench::idle(3).await;
        bench.work(model_url).await;
        bench
    }

    /// Without a worker: jobs wait. A job has so many attempts.
    pub async fn idle(attempts_max: u32) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        // The sweeper never comes: nothing is announced but by its own transaction.
        let rules = Rules {
            lease_s: LEASE_S,
            attempts_max,
            sweep_s: 3600,
            disk_reserve_mib: 1,
            ..Rules::default()
        };
        let clock = ManualClock::at(system_clock().now_ms());
        let issuer = Issuer::at(clock.clock());
        let ports = ports(&folder, rules.clone(), &clock).await;
        let queue = ports.queue.clone();
        let completed = queue.subscribe_event(SCAN_COMPLETED, GROUP, 16).await.unwrap();
        let peers = storage::Peers::auth(issuer.peer());
        let service = storage::build(rules, ports.clone(), peers);
        let (peer, worker) = (Peer::within(&service), Overheard::of(&service));
        let stop = CancellationToken::new();
        run(service, &stop).await;
        Bench {
            token: issuer.token(TenantId::new(&ports.clock, &ports.random), &[Role::Clinician]),
            clock,
            queue,
            worker,
            scans: ScansClient::new(peer.clone()),
            jobs: JobsClient::new(peer),
            issuer,
            ports,
            completed,
            _stop: stop.clone().drop_guard(),
            stop,
            _folder: folder,
        }
    }

    /// Lets a worker begin.
    pub async fn work(&self, model_url: &str) {
        let config = Config { model_url: Some(model_url.into()), research: true, ..config() };
        let (queue, clock, random) = (self.queue.clone(), system_clock(), system_random());
        let ports = inference::Ports { queue, clock, random };
        let (storage, auth) = (self.worker.peer(), self.issuer.peer());
        let peers = inference::Peers { storage, auth, registry: None };
        run(build(config, ports, peers).await.unwrap(), &self.stop).await;
    }

    /// Hands a volume in, as ingest does.
    pub async fn accept(&self, volume: &Volume) -> Scan {
        let (bytes, file) = (volume.to_bytes(), b"a file");
        let shape = [volume.shape.slices, volume.shape.rows, volume.shape.columns];
        let header = AcceptHeader {
            format: "png".into(),
            shape: shape.map(|length| length as u32).to_vec(),
            original_sha256: sha256(file),
            volume_sha256: sha256(&bytes),
            ..AcceptHeader::default()
        };
        let mut parts = vec![Part::Header(header), Part::Preview(b"a preview"[..].into())];
        parts.push(Part::Original(file[..].into()));
        parts.extend(bytes.chunks(100_000).map(|part| Part::Volume(part.to_vec().into())));
        let parts = stream::iter(parts.into_iter().map(|part| AcceptPart { part: Some(part) }));
        let request = vouched(authorised(parts, &self.token), &self.issuer.service_token());
        self.scans.clone().accept(request).await.unwrap().into_inner()
    }

    pub async fn get(&self, scan: &Scan) -> Scan {
        let request = authorised(ScanRef { id: scan.id.clone() }, &self.token);
        self.scans.clone().get(request).await.unwrap().into_inner()
    }

    /// The scan once it is as wished.
    pub async fn until(&self, scan: &Scan, wish: impl Fn(&Scan) -> bool) -> Scan {
        let poll = async {
            loop {
                let scan = self.get(scan).await;
                if wish(&scan) {
                    return scan;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, poll).await.expect("the wish comes true in time")
    }

    pub async fn outcome(&self, scan: &Scan) -> Outcome {
        let scan = self.until(scan, |scan| scan.state() == State::Done).await;
        let artefacts = self.artefacts(&scan).await;
        let document = artefacts.get("result.json").unwrap_or_else(|| panic!("{scan:?}"));
        Outcome { document: serde_json::from_slice(document).unwrap(), scan, artefacts }
    }

    /// What the scan's result has brought.
    pub async fn artefacts(&self, scan: &Scan) -> BTreeMap<String, Vec<u8>> {
        let mut artefacts = BTreeMap::new();
        for artefact in ALL.iter().filter(|artefact| artefact.made == Made::Result) {
            let of = ArtefactRef { id: scan.id.clone(), name: artefact.name.to_owned() };
            match self.scans.clone().read(authorised(of, &self.token)).await {
                Ok(chunks) => {
                    let bytes = collect(chunks.into_inner()).await;
                    artefacts.insert(artefact.name.to_owned(), bytes);
                }
                Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
            }
        }
        artefacts
    }

    /// What the next news says that was seen, and of which scan.
    pub async fn observed(&mut self) -> (String, Observation) {
        let delivery = timeout(PATIENCE, self.completed.next()).await.expect("news in time");
        let event =
            CloudEvent::<ScanCompleted>::parse(SCAN_COMPLETED, &delivery.unwrap().unwrap().body);
        let completed = event.unwrap().data;
        (completed.scan_id, completed.observation.unwrap())
    }

    /// The job that the scan waits in; no call asks for it.
    pub async fn job_of(&self, scan: &Scan) -> String {
        sqlx::query_scalar("SELECT id FROM jobs WHERE scan_id = ?")
            .bind(&scan.id)
            .fetch_one(self.ports.database.pool())
            .await
            .unwrap()
    }

    /// Leases the job for another worker.
    pub async fn claim(&self, job_id: &str) -> Result<Job, Status> {
        let claim = ClaimJob {
            job_id: job_id.into(),
            worker: "another".into(),
            alone: true,
            in_turn: false,
        };
        let request = authorised(claim, &self.issuer.service_token());
        Ok(self.jobs.clone().claim(request).await?.into_inner())
    }

    /// What that worker says when another attempt may go better.
    pub async fn give_back(&self, job: Job) {
        let Job { job_id, attempt, .. } = job;
        let fail = FailJob { job_id, attempt, reason: "it was too much".into(), retry: true };
        let request = authorised(fail, &self.issuer.service_token());
        self.jobs.clone().fail(request).await.unwrap();
    }
}

/// Of a worker on the processor; which model is for the test to say.
pub fn config() -> Config {
    Config {
        model_url: None,
        research: false,
        device: "cpu".into(),
        batch: 4,
        window: Some(8),
        worker: "bench".into(),
        service_secret: Issuer::SERVICE_SECRET.into(),
        drain_s: 3,
        bare_model_mib: BARE_MODEL_MIB,
    }
}

async fn ports(folder: &TempDir, rules: Rules, clock: &ManualClock) -> Ports {
    let at = |name: &str| folder.path().join(name).display().to_string();
    let config = storage::Config {
        database_url: format!("sqlite://{}", at("storage.db")).into(),
        blob_url: format!("file://{}", at("blobs")).into(),
        queue_url: format!("sqlite://{}", at("queue.db")).into(),
        data_keys_url: None,
        rules,
    };
    Ports::open(&config, clock.clock(), system_random()).await.unwrap()
}

/// Runs the service's workers until it is told to stop.
async fn run(service: Service, stop: &CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(service::serve(service, listener, stop.clone()));
}

async fn collect(mut chunks: tonic::Streaming<Chunk>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.message().await.unwrap() {
        bytes.extend_from_slice(&chunk.data);
    }
    bytes
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until it is so.
pub async fn until(wish: impl Fn() -> bool) {
    let poll = async {
        while !wish() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, poll).await.expect("it comes about in time");
}
