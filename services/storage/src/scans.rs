use std::str::FromStr;
use std::time::Duration;

use domain::{Answer, ErrorKind, Priority, Result, ScanId, TenantId};
use futures::Stream;
use futures::stream;
use platform::blob::ByteStream;
use platform::db::{BindId, failed};
use proto::storage::{Answer as WireAnswer, Scan, State};
use service::claims::Tenant;
use service::wire;
use sqlx::any::AnyRow;
use sqlx::{Any, Executor, Row};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::artefacts;
use crate::feedback::is_readers_mask;
use crate::series_choice;
use crate::store::Store;
use crate::volumes;

/// How often a watcher reads the scan, for changes by another process.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// What [`scan_of`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT scans.id, scans.state, answer, reason, accepted_ms, completed_ms, format,
                modality, shape, original_sha256, volume_sha256, attempt, priority, review, model_version, site,
                scans.series_json, volume_ml
             FROM scans JOIN jobs ON jobs.tenant_id = scans.tenant_id AND jobs.scan_id = scans.id ",
            $rest
        )
    };
}
pub(crate) use select;

/// Reads for a signed-in caller: each takes a tenant.
impl Store {
    /// The scan; `NOT_FOUND` in the same words for another tenant's and for one that never was.
    pub async fn scan(&self, tenant: &Tenant, id: &str) -> Result<Scan> {
        let id = ScanId::from_str(id)?;
        of_tenant(self.database.pool(), tenant.id(), id).await
    }

    /// The scan now, and again after each change, until it is done.
    pub async fn watch(
        &self,
        tenant: Tenant,
        id: &str,
    ) -> Result<impl Stream<Item = Result<Scan>> + Send + 'static> {
        let id = ScanId::from_str(id)?;
        // Subscribe before reading, so that no change falls in between.
        let changes = self.changes();
        let first = of_tenant(self.database.pool(), tenant.id(), id).await?;
        let watch = Watch { store: self.clone(), tenant, id, changes, last: None };
        Ok(stream::try_unfold((watch, Some(first)), async |(mut watch, next)| {
            let Some(scan) = next else {
                let Some(scan) = watch.next().await? else { return Ok(None) };
                return Ok(Some((scan, (watch, None))));
            };
            watch.last = Some(scan.clone());
            Ok(Some((scan, (watch, None))))
        }))
    }

    /// How large one of the scan's artefacts is, and its bytes.
    pub async fn read(&self, tenant: &Tenant, id: &str, name: &str) -> Result<(u64, ByteStream)> {
        let id = named(id, name)?;
        artefacts::read(self, tenant.id(), id, name).await
    }

    /// The same without the first `from` bytes, which are compared with no digest.
    pub async fn read_rest(
        &self,
        tenant: &Tenant,
        id: &str,
        name: &str,
        from: u64,
    ) -> Result<(u64, ByteStream)> {
        let id = named(id, name)?;
        artefacts::read_rest(self, tenant.id(), id, name, from).await
    }
}

/// The scan whose artefact may be read under that name.
fn named(id: &str, name: &str) -> Result<ScanId> {
    let absent = || ErrorKind::NotFound.error("no such artefact");
    let id = ScanId::from_str(id).map_err(|_| absent())?;
    if !artefacts::is_plain(name) || is_readers_mask(name) {
        return Err(absent());
    }
    Ok(id)
}

/// A subscription to the changes of one scan.
struct Watch {
    store: Store,
    tenant: Tenant,
    id: ScanId,
    changes: Receiver<(TenantId, ScanId)>,
    last: Option<Scan>,
}

impl Watch {
    /// The scan once it differs from the last one; `None` after it was done.
    async fn next(&mut self) -> Result<Option<Scan>> {
        if self.last.as_ref().is_some_and(|scan| scan.state() == State::Done) {
            return Ok(None);
        }
        loop {
            // In vain is fine: another process may have made the change.
            let _ = timeout(POLL_INTERVAL, self.changed()).await;
            let pool = self.store.database.pool();
            let scan = of_tenant(pool, self.tenant.id(), self.id).await?;
            if self.last.as_ref() != Some(&scan) {
                self.last = Some(scan.clone());
                return Ok(Some(scan));
            }
        }
    }

    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok((_, id)) if id != self.id => (),
                // Whatever was missed is in the database.
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// The scan of that tenant; for callers whose tenant comes from a token or from the job's own row.
pub async fn of_tenant(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    id: ScanId,
) -> Result<Scan> {
    let query = select!("WHERE scans.tenant_id = ? AND scans.id = ?");
    let row =
        sqlx::query(query).id(tenant).id(id).fetch_optional(executor).await.map_err(failed)?;
    scan_of(&row.ok_or_else(|| ErrorKind::NotFound.error("no such scan"))?)
}

pub fn scan_of(row: &AnyRow) -> Result<Scan> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed);
    Ok(Scan {
        id: text("id")?,
        state: state_named(&text("state")?)?.into(),
        answer: answer_named(&text("answer")?)?.into(),
        reason: text("reason")?,
        accepted_ms: number("accepted_ms")?,
        completed_ms: number("completed_ms")?,
        format: text("format")?,
        modality: text("modality")?,
        original_sha256: text("original_sha256")?,
        volume_sha256: text("volume_sha256")?,
        repeated: false,
        attempt: u32::try_from(number("attempt")?).unwrap_or(u32::MAX),
        shape: text("shape")?.split(',').flat_map(str::parse).collect(),
        priority: wire::priority(Priority::try_from(text("priority")?)?).into(),
        // What it belongs to is asked of other tables.
        study: String::new(),
        batch: String::new(),
        site: text("site")?,
        series: series_choice::told(row.try_get("series_json").map_err(failed)?)?,
        volume_ml: volumes::sound(row.try_get("volume_ml").map_err(failed)?),
    })
}

fn state_named(name: &str) -> Result<State> {
    match name {
        "queued" => Ok(State::Queued),
        "running" => Ok(State::Running),
        "done" => Ok(State::Done),
        _ => Err(ErrorKind::Internal.error("a scan is in a state that nobody knows")),
    }
}

fn answer_named(name: &str) -> Result<WireAnswer> {
    if name.is_empty() {
        return Ok(WireAnswer::Unspecified);
    }
    match Answer::named(name) {
        Some(Answer::Found) => Ok(WireAnswer::Found),
        Some(Answer::NoneFound) => Ok(WireAnswer::NoneFound),
        Some(Answer::NotAnalysable) => Ok(WireAnswer::NotAnalysable),
        Some(Answer::Failed) => Ok(WireAnswer::Failed),
        None => Err(ErrorKind::Internal.error("a scan has an answer that nobody knows")),
    }
}

/// The answer that a worker has sent.
pub fn answer_of(answer: WireAnswer) -> Result<Answer> {
    match answer {
        WireAnswer::Found => Ok(Answer::Found),
        WireAnswer::NoneFound => Ok(Answer::NoneFound),
        WireAnswer::NotAnalysable => Ok(Answer::NotAnalysable),
        WireAnswer::Failed => Ok(Answer::Failed),
        WireAnswer::Unspecified => Err(ErrorKind::Invalid.error("a result without an answer")),
    }
}
