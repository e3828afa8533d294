//! A drift service with everything real behind it, and a clock that stands.

use std::time::Duration;

use domain::{FeedbackId, ManualClock, ScanId, TenantId};
use drift::{Distribution, Peers, Ports, Reference, Schedule, Settings, build};
use platform::db::Database;
use platform::queue::{self, Queue};
use proto::drift::drift_client::DriftClient;
use proto::drift::{Quality, QualityBy, QualityRequest, ReportRequest};
use serde_json::{Value, json};
use service::claims::testing::Issuer;
use service::claims::{Role, authorised};
use service::topics::{FEEDBACK_GIVEN, SCAN_COMPLETED, UPLOAD_REFUSED};
use service::{Peer, serve, system_clock, system_random};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub const NOW_MS: i64 = 1_700_000_000_000;

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running drift service; stops when dropped.
pub struct Drift {
    pub client: DriftClient<Peer>,
    pub queue: Queue,
    pub issuer: Issuer,
    pub database: Database,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Drop for Drift {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Drift {
    pub async fn start() -> anyhow::Result<Drift> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().display();
        Drift::on(&format!("sqlite://{path}/drift.db"), folder).await
    }

    /// `None` when no MySQL or MariaDB is named; a database of its own on it otherwise.
    pub async fn mysql() -> anyhow::Result<Option<Drift>> {
        let Ok(url) = std::env::var("TEST_MYSQL_URL") else { return Ok(None) };
        let url = fresh_database(&url).await?;
        Ok(Some(Drift::on(&url, tempfile::tempdir()?).await?))
    }

    pub async fn on(database_url: &str, folder: TempDir) -> anyhow::Result<Drift> {
        let queue =
            queue::connect(&format!("sqlite://{}/queue.db", folder.path().display())).await?;
        let clock = ManualClock::at(NOW_MS).clock();
        let issuer = Issuer::at(clock.clone());
        let ports = Ports::open(database_url, queue.clone(), clock, system_random()).await?;
        let database = ports.database.clone();
        // Windows are closed as soon as there are scans enough.
        let schedule = Schedule { window_s: 0 };
        let settings = Settings { reference: reference(), schedule, ..Settings::default() };
        let service = build(settings, ports, Peers { auth: issuer.peer(), registry: None });
        let client = DriftClient::new(Peer::within(&service));
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        tokio::spawn(serve(service, listener, stop.clone()));
        Ok(Drift { client, queue, issuer, database, stop, _folder: folder })
    }

    /// Tells of a scan that is done.
    pub async fn emit(&self, event: &Value) -> anyhow::Result<()> {
        Ok(self.queue.emit(SCAN_COMPLETED, event.to_string().as_bytes()).await?)
    }

    /// Tells of a reader's word.
    pub async fn give(&self, event: &Value) -> anyhow::Result<()> {
        Ok(self.queue.emit(FEEDBACK_GIVEN, event.to_string().as_bytes()).await?)
    }

    /// Tells of a file that was refused.
    pub async fn refuse(&self, event: &Value) -> anyhow::Result<()> {
        Ok(self.queue.emit(UPLOAD_REFUSED, event.to_string().as_bytes()).await?)
    }

    pub async fn report(&self, tenant: TenantId, window: ReportRequest) -> anyhow::Result<Value> {
        let token = self.issuer.token(tenant, &[Role::Scientist]);
        let reply =
            self.client.clone().create_report(authorised(window, &token)).await?.into_inner();
        Ok(serde_json::from_str(&reply.json)?)
    }

    /// The report once `scans` of the tenant have been observed.
    pub async fn report_of(&self, tenant: TenantId, scans: u64) -> anyhow::Result<Value> {
        let all = async {
            loop {
                let report = self.report(tenant, ReportRequest::default()).await?;
                if report["scans"].as_u64() >= Some(scans) {
                    return anyhow::Ok(report);
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(PATIENCE, all).await?
    }

    /// The figures of all the tenant's scans.
    pub async fn quality(&self, tenant: TenantId, by: QualityBy) -> anyhow::Result<Quality> {
        let request = QualityRequest { by: by.into(), ..QualityRequest::default() };
        self.quality_of(tenant, request).await
    }

    pub async fn quality_of(
        &self,
        tenant: TenantId,
        request: QualityRequest,
    ) -> anyhow::Result<Quality> {
        let token = self.issuer.token(tenant, &[Role::Scientist]);
        Ok(self.client.clone().get_quality(authorised(request, &token)).await?.into_inner())
    }

    /// Waits until there are so many observations and words, of whomever.
    pub async fn kept(&self, observations: i64, words: i64) -> anyhow::Result<()> {
        let all = async {
            while self.rows("SELECT COUNT(*) FROM observations").await? < observations
                || self.rows("SELECT COUNT(*) FROM reviews").await? < words
            {
                tokio::time::sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await?
    }

    /// Waits until so many refused files are counted, of whomever.
    pub async fn counted(&self, files: i64) -> anyhow::Result<()> {
        let all = async {
            while self.files().await? < files {
                tokio::time::sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await?
    }

    /// All files that are counted. One dialect adds up whole numbers to another type than the other, so it is done here.
    async fn files(&self) -> anyhow::Result<i64> {
        let files: Vec<i64> = sqlx::query_scalar("SELECT files FROM door_refusals")
            .fetch_all(self.database.pool())
            .await?;
        Ok(files.iter().sum())
    }

    pub async fn rows(&self, count: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(count).fetch_one(self.database.pool()).await?)
    }
}

pub fn spread(count: u32) -> impl Iterator<Item = f64> {
    (1..=count).map(|k| (f64::from(k) * 0.618_033_988_749_894_9) % 1.0)
}

fn reference() -> Reference {
    let sample = spread(400).collect();
    let distribution = Distribution { edges: vec![0.0, 0.5, 1.0], counts: vec![200, 200], sample };
    Reference { features: [("mean".to_owned(), distribution)].into(), ..Reference::default() }
}

pub fn tenant() -> TenantId {
    TenantId::new(&system_clock(), &system_random())
}

pub fn scan() -> ScanId {
    ScanId::new(&system_clock(), &system_random())
}

pub fn completed(tenant: TenantId, id: &str, mean: f64) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "medseg/storage", "type": "scan.completed",
        "data": {
            "tenant": tenant, "scan_id": scan(), "answer": "found",
            "completed_ms": NOW_MS - 1000, "response_ms": 120,
            "observation": {
                "features": { "mean": mean }, "mask_fraction": 0.02, "confidence": 0.9, "compute_ms": 80.5,
                "model": { "name": "medseg-mr", "version": "1", "sha256": "ab" },
            },
        },
    })
}

/// That a file was refused at that moment, which was made there.
pub fn refused(tenant: TenantId, problem: &str, site: &str, refused_ms: i64) -> Value {
    json!({
        "specversion": "1.0", "id": scan(), "source": "medseg/storage", "type": "upload.refused",
        "data": { "tenant_id": tenant, "refused_ms": refused_ms, "problem": problem, "site": site, "image_kind": "flair" },
    })
}

/// What the reader says of that scan, which was answered with `found`.
pub fn word(tenant: TenantId, scan: ScanId, reader: &str, verdict: &str) -> Value {
    let id = FeedbackId::new(&system_clock(), &system_random());
    json!({
        "specversion": "1.0", "id": id, "source": "medseg/storage", "type": "feedback.given",
        "data": {
            "tenant_id": tenant, "scan_id": scan, "feedback_id": id, "given_ms": NOW_MS - 500,
            "verdict": verdict, "reader_digest": reader, "answer": "found",
            "model": { "name": "medseg-mr", "version": "1", "sha256": "ab" },
            "image_kind": "flair", "mask_fraction": 0.02,
        },
    })
}

/// A database of its own on the suite's server, for each service brings its own migrations.
async fn fresh_database(url: &str) -> anyhow::Result<String> {
    let name = format!("drift_{}", u64::from_be_bytes(system_random().bytes()));
    sqlx::any::install_default_drivers();
    let server = sqlx::AnyPool::connect(url).await?;
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&server).await?;
    let (base, _) = url.rsplit_once('/').expect("a URL that names a database");
    Ok(format!("{base}/{name}"))
}
