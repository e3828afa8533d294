use std::str::FromStr;

use domain::limits::ENTRY_NAME_CHARS_MAX;
use domain::{BatchId, ErrorKind, Result};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{Batch, BatchEntry};
use service::claims::Tenant;

use crate::store::Store;

const ENTRIES_MAX: usize = 10_000;

impl Store {
    /// Binds scans and refusals to the entries of one archive.
    pub async fn put_batch(&self, tenant: Tenant, entries: Vec<BatchEntry>) -> Result<Batch> {
        check(&entries)?;
        for entry in entries.iter().filter(|entry| !entry.scan_id.is_empty()) {
            self.scan(&tenant, &entry.scan_id).await?;
        }
        let id = BatchId::new(&self.clock, &self.random);
        let batch = Batch { id: id.to_string(), entries, accepted_ms: self.clock.now_ms() };
        let tenant = tenant.to_string();
        self.unit(move |_, unit| {
            Box::pin(async move { insert(unit, &tenant, &batch).await.map(|()| batch) })
        })
        .await
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
        let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT name, scan_id, refusal_json FROM batch_entries
             WHERE tenant_id = ? AND batch_id = ? ORDER BY position",
        )
        .id(tenant)
        .bind(&id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let entry = |(name, scan_id, refusal_json): (_, Option<_>, Option<_>)| BatchEntry {
            name,
            scan_id: scan_id.unwrap_or_default(),
            refusal_json: refusal_json.unwrap_or_default(),
        };
        Ok(Batch { id, entries: rows.into_iter().map(entry).collect(), accepted_ms })
    }
}

fn check(entries: &[BatchEntry]) -> Result<()> {
    if entries.is_empty() || entries.len() > ENTRIES_MAX {
        return Err(ErrorKind::Invalid.error("a batch has too few entries, or too many"));
    }
    let one = |entry: &BatchEntry| entry.scan_id.is_empty() != entry.refusal_json.is_empty();
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
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        sqlx::query(
            "INSERT INTO batch_entries (tenant_id, batch_id, position, name, scan_id, refusal_json)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant)
        .bind(&batch.id)
        .bind(position)
        .bind(&entry.name)
        .bind(some(&entry.scan_id))
        .bind(some(&entry.refusal_json))
        .run(unit)
        .await?;
    }
    Ok(())
}
