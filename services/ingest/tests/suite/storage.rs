//! The real storage on SQLite and files, and what it has kept.

use domain::artefact::{IMAGE, INSTANCES, ORIGINAL, VOLUME};
use domain::limits::PAGE_MAX;
use domain::{Artefact, Clock, Identity, Random, Result};
use futures::stream;
use proto::events::UploadRefused;
use proto::storage::complete_part::Part as ResultPart;
use proto::storage::feedback_client::FeedbackClient;
use proto::storage::jobs_client::JobsClient;
use proto::storage::limits_client::LimitsClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::{
    Amounts, Answer, ArtefactPart, ArtefactRef, Batch, BatchRef, ClaimJob, CompleteHeader,
    CompletePart, FeedbackEntry, FeedbackRef, ListScans, NewTenantLimit, Scan, ScanIdentity,
    ScanRef,
};
use service::claims::authorised;
use service::claims::testing::Issuer;
use service::topics::UPLOAD_REFUSED;
use service::{CloudEvent, Peer, wire};
use storage::{Config, Peers, Ports, Rules};
use tempfile::TempDir;

/// A storage, looked at by somebody of one hospital.
pub struct Storage {
    pub peer: Peer,
    scans: ScansClient<Peer>,
    token: String,
    ports: Ports,
    _data: TempDir,
}

/// A scan with the bytes that are kept of it.
pub struct Kept {
    pub scan: Scan,
    pub volume: Vec<u8>,
    pub original: Vec<u8>,
    pub preview: Vec<u8>,
}

impl Storage {
    /// Its workers do not run: nobody here waits for news.
    pub async fn open(
        rules: Rules,
        issuer: &Issuer,
        token: String,
        (clock, random): (Clock, Random),
    ) -> Storage {
        let data = tempfile::tempdir().unwrap();
        let at = |name: &str| data.path().join(name).display().to_string();
        let config = Config {
            database_url: format!("sqlite://{}", at("storage.db")).into(),
            blob_url: format!("file://{}", at("blobs")).into(),
            queue_url: format!("sqlite://{}", at("queue.db")).into(),
            data_keys_url: None,
            rules,
        };
        let ports = Ports::open(&config, clock, random).await.unwrap();
        let service = storage::build(config.rules, ports.clone(), Peers::auth(issuer.peer()));
        let peer = Peer::within(&service);
        let scans = ScansClient::new(peer.clone());
        Storage { peer, scans, token, ports, _data: data }
    }

    /// The scan as that token's bearer sees it.
    pub async fn get_as(&self, scan: &Scan, token: &str) -> Result<Scan> {
        let request = authorised(ScanRef { id: scan.id.clone() }, token);
        Ok(self.scans.clone().get(request).await?.into_inner())
    }

    pub async fn kept(&self, scan: &Scan) -> Kept {
        Kept {
            scan: self.get_as(scan, &self.token).await.unwrap(),
            volume: self.read(scan, VOLUME).await,
            original: self.read(scan, ORIGINAL).await,
            preview: self.read(scan, IMAGE).await,
        }
    }

    /// The index of its DICOM instances, if it has one.
    pub async fn index(&self, scan: &Scan) -> Option<Vec<u8>> {
        let of = ArtefactRef { id: scan.id.clone(), name: INSTANCES.name.to_owned() };
        let chunks = self.scans.clone().read(authorised(of, &self.token)).await.ok()?;
        let (mut chunks, mut bytes) = (chunks.into_inner(), Vec::new());
        while let Some(chunk) = chunks.message().await.ok()? {
            bytes.extend_from_slice(&chunk.data);
        }
        Some(bytes)
    }

    async fn read(&self, scan: &Scan, artefact: Artefact) -> Vec<u8> {
        let of = ArtefactRef { id: scan.id.clone(), name: artefact.name.to_owned() };
        let chunks = self.scans.clone().read(authorised(of, &self.token)).await.unwrap();
        let (mut chunks, mut bytes) = (chunks.into_inner(), Vec::new());
        while let Some(chunk) = chunks.message().await.unwrap() {
            bytes.extend_from_slice(&chunk.data);
        }
        bytes
    }

    /// Gives the scan a result with these files, as the bearer of a worker's token.
    pub async fn complete(&self, scan: &Scan, token: &str, files: &[(&str, Vec<u8>)]) {
        let mut jobs = JobsClient::new(self.peer.clone());
        let job_id = sqlx::query_scalar("SELECT id FROM jobs WHERE scan_id = ?")
            .bind(&scan.id)
            .fetch_one(self.ports.database.pool())
            .await
            .unwrap();
        let claim = ClaimJob { job_id, worker: "worker".into(), alone: true, in_turn: false };
        let job = jobs.claim(authorised(claim, token)).await.unwrap().into_inner();
        let header = CompleteHeader {
            job_id: job.job_id,
            attempt: job.attempt,
            binding: job.binding,
            volume_sha256: job.volume_sha256,
            answer: Answer::Found.into(),
            ..CompleteHeader::default()
        };
        let artefact = |(name, data): &(&str, Vec<u8>)| {
            let (name, data) = ((*name).to_owned(), data.clone().into());
            ResultPart::Artefact(ArtefactPart { name, data })
        };
        let parts: Vec<_> =
            std::iter::once(ResultPart::Header(header)).chain(files.iter().map(artefact)).collect();
        let parts = stream::iter(parts.into_iter().map(|part| CompletePart { part: Some(part) }));
        jobs.complete(authorised(parts, token)).await.unwrap();
    }

    /// A reader's mask as it is kept.
    pub async fn readers_mask(&self, given: &FeedbackEntry) -> Vec<u8> {
        let of = FeedbackRef { scan_id: given.scan_id.clone(), id: given.id.clone() };
        let mut feedback = FeedbackClient::new(self.peer.clone());
        let chunks = feedback.read_mask(authorised(of, &self.token)).await.unwrap();
        let (mut chunks, mut bytes) = (chunks.into_inner(), Vec::new());
        while let Some(chunk) = chunks.message().await.unwrap() {
            bytes.extend_from_slice(&chunk.data);
        }
        bytes
    }

    /// Those of the hospital's scans that the list asks for.
    pub async fn scans(&self, list: ListScans) -> Vec<Scan> {
        let request = authorised(ListScans { limit: PAGE_MAX, ..list }, &self.token);
        let page = self.scans.clone().list(request).await.unwrap().into_inner();
        assert!(page.next_cursor.is_empty(), "more than one page");
        page.scans
    }

    pub async fn batch(&self, id: &str) -> Batch {
        let request = authorised(BatchRef { id: id.into() }, &self.token);
        self.scans.clone().get_batch(request).await.unwrap().into_inner()
    }

    /// Whose scan it is.
    pub async fn identity(&self, scan: &Scan) -> Identity {
        let request = authorised(ScanRef { id: scan.id.clone() }, &self.token);
        let ScanIdentity { identity, .. } =
            self.scans.clone().get_identity(request).await.unwrap().into_inner();
        wire::identity_of(identity.unwrap())
    }

    /// What the binding of scan and patient is made with; no call asks for it.
    pub async fn patient(&self, scan: &Scan) -> String {
        sqlx::query_scalar("SELECT patient FROM identities WHERE scan_id = ?")
            .bind(&scan.id)
            .fetch_one(self.ports.database.pool())
            .await
            .unwrap()
    }

    /// What those who count are told of refused files, by when: nobody here takes it out of the outbox.
    pub async fn refused(&self) -> Vec<UploadRefused> {
        let bodies: Vec<String> =
            sqlx::query_scalar("SELECT body FROM outbox WHERE topic = ? ORDER BY id")
                .bind(UPLOAD_REFUSED.0)
                .fetch_all(self.ports.database.pool())
                .await
                .unwrap();
        let parsed = bodies.iter().map(|body| CloudEvent::parse(UPLOAD_REFUSED, body.as_bytes()));
        parsed.map(|event: Result<CloudEvent<UploadRefused>>| event.unwrap().data).collect()
    }

    /// From now on so many scans of the one hospital that has any may wait or run, as that operator says; 0: as many as come.
    pub async fn limit_jobs(&self, jobs: u64, operator: &str) {
        let tenant_id: String = sqlx::query_scalar("SELECT DISTINCT tenant_id FROM scans")
            .fetch_one(self.ports.database.pool())
            .await
            .unwrap();
        let new = NewTenantLimit { tenant_id, most: Some(Amounts { jobs, ..Amounts::default() }) };
        let mut limits = LimitsClient::new(self.peer.clone());
        limits.set_of_tenant(authorised(new, operator)).await.unwrap();
    }

    /// From where such things were done, as the audit trail says.
    pub async fn origins(&self, action: &'static str) -> Vec<String> {
        sqlx::query_scalar("SELECT origin FROM audit WHERE action = ?")
            .bind(action)
            .fetch_all(self.ports.database.pool())
            .await
            .unwrap()
    }

    /// How many rows of the table there are.
    pub async fn count(&self, table: &'static str) -> i64 {
        let query = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar(query).fetch_one(self.ports.database.pool()).await.unwrap()
    }
}
