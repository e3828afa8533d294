use std::str::FromStr;

use domain::limits::{ENTRY_NAME_CHARS_MAX, UPLOAD_FILES_MAX};
use domain::{BatchId, ErrorKind, Result, ScanId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{Batch, BatchEntry, Refusal};
use service::claims::Tenant;

use crate::deletion::require_deleted;
use crate::series_choice;
use crate::store::Store;

impl Store {
    /// Binds scans and refusals to the entries of one archive.
    pub async fn put_batch(&self, tenant: Tenant, mut entries: Vec<BatchEntry>) -> Result<Batch> {
        check(&entries)?;
        for entry in entries.iter_mut().filter(|entry| !entry.scan_id.is_empty()) {
            self.settle(&tenant, entry).await?;
        }
        let id = BatchId::new(&self.clock, &self.random);
        let batch = Batch { id: id.to_string(), entries, accepted_ms: self.clock.now_ms() };
        let (of, tenant) = (Some(tenant.id()), tenant.to_string());
        self.unit(of, move |_, unit| {
            Box::pin(async move { insert(unit, &tenant, &batch).await.map(|()| batch) })
        })
        .await
    }

    /// Leaves nothing but its place of an entry whose scan was deleted while others of the archive still came. `NOT_FOUND` in the same
    /// words for another tenant's scan and for one that never was.
    async fn settle(&self, tenant: &Tenant, entry: &mut BatchEntry) -> Result<()> {
        match self.scan(tenant, &entry.scan_id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let scan = ScanId::from_str(&entry.scan_id)?;
                require_deleted(self.database.pool(), tenant.id(), scan).await?;
                entry.name.clear();
                entry.series = None;
                Ok(())
            }
            found => found.map(drop),
        }
    }

    /// The batch; `NOT_FOUND` in the same words for another tenant's and for one that never was.
    pub async fn batch(&self, tenant: &Tenant, id: &str) -> Result<Batch> {
        let id = BatchId::from_str(id)?.to_string();
        let accepted_ms: Option<i64> =
            sqlx::query_scalar("SELECT accepted_ms FROM batches WHERE tenant_id = ? AND id = ?")
                .id(tenant)
                .bind(&id)
                .fetch_optional(self.database.pool())
                .await
                .map_err(failed)?;
        let accepted_ms = accepted_ms.ok_or_else(|| ErrorKind::NotFound.error("no such batch"))?;
        let rows: Vec<Row> = sqlx::query_as(
            // A scan that was deleted has no job: of its entry nothing is left but its place.
            "SELECT name, jobs.scan_id, refusal_json, series_json FROM batch_entries
             LEFT JOIN jobs ON jobs.tenant_id = batch_entries.tenant_id AND jobs.scan_id = batch_entries.scan_id
             WHERE batch_entries.tenant_id = ? AND batch_id = ? ORDER BY position",
        )
        .id(tenant)
        .bind(&id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let entries = rows.into_iter().map(entry_of).collect::<Result<_>>()?;
        Ok(Batch { id, entries, accepted_ms })
    }
}

/// The entry of a row: its refusal is JSON, as every version has written it, and read by this service alone.
fn entry_of((name, scan_id, refusal, series): Row) -> Result<BatchEntry> {
    let scan_id = scan_id.unwrap_or_default();
    let refusal = refusal.filter(|json| !json.is_empty());
    let refusal: Option<Refusal> =
        refusal.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| {
            ErrorKind::Internal.error("a stored refusal cannot be read").because(error)
        })?;
    // A scan that was deleted in the moment of the archive's end may have left a name, which may be a patient's.
    let is_gone = scan_id.is_empty() && refusal.is_none();
    let name = if is_gone { String::new() } else { name };
    let series = series_choice::told(series.filter(|_| !is_gone))?;
    Ok(BatchEntry { name, scan_id, refusal, series })
}

/// Name, scan, refusal and how well a series fits, the last two as JSON.
type Row = (String, Option<String>, Option<String>, Option<String>);

/// The row's text of a refusal.
fn json(refusal: &Refusal) -> Result<String> {
    serde_json::to_string(refusal)
        .map_err(|error| ErrorKind::Internal.error("a refusal cannot be written").because(error))
}

fn check(entries: &[BatchEntry]) -> Result<()> {
    if entries.is_empty() || entries.len() > UPLOAD_FILES_MAX {
        return Err(ErrorKind::Invalid.error("a batch has too few entries, or too many"));
    }
    let one = |entry: &BatchEntry| entry.scan_id.is_empty() == entry.refusal.is_some();
    let named = |entry: &BatchEntry| entry.name.chars().count() <= ENTRY_NAME_CHARS_MAX;
    if !entries.iter().all(|entry| one(entry) && named(entry)) {
        return Err(ErrorKind::Invalid.error("an entry is either a scan or a refusal, with a name"));
    }
    Ok(())
}

async fn insert(unit: &mut Unit, tenant: &str, batch: &Batch) -> Result<()> {
    sqlx::query("INSERT INTO batches (tenant_id, id, accepted_ms) VALUES (?, ?, ?)")
        .bind(tenant)
        .bind(&batch.id)
        .bind(batch.accepted_ms)
        .run(unit)
        .await?;
    for (position, entry) in (0_i64..).zip(&batch.entries) {
        let scan_id = (!entry.scan_id.is_empty()).then(|| entry.scan_id.clone());
        sqlx::query(
            "INSERT INTO batch_entries (tenant_id, batch_id, position, name, scan_id, refusal_json, series_json)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant)
        .bind(&batch.id)
        .bind(position)
        .bind(&entry.name)
        .bind(scan_id)
        .bind(entry.refusal.as_ref().map(json).transpose()?)
        .bind(series_choice::json(entry.series.as_ref())?)
        .run(unit)
        .await?;
    }
    Ok(())
}
