//! Scans of patients who were erased: what waits of them is not sent, and what was sent is in the hospital's audit trail alone.

use domain::{ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use service::ErasedScan;
use service::claims::Tenant;
use sqlx::FromRow;

use crate::Store;
use crate::audit::{Act, Note};

/// A delivery of an erased scan that nobody is sending.
#[derive(FromRow)]
struct Row {
    delivery_id: String,
    destination_id: String,
    state: String,
    attempts: i64,
}

impl Store {
    /// Deletes what is kept of the scan. An attempt that is under way goes on: how it ends is noted, and its row is deleted then.
    pub async fn erase(&self, erased: ErasedScan) -> Result<()> {
        self.note_erased(erased).await?;
        let store = self.clone();
        self.database
            .unit(move |unit| Box::pin(async move { store.erase_in(unit, erased).await }))
            .await?;
        self.noted.notify_one();
        self.database.scrub().await
    }

    /// To be called behind whatever makes deliveries of the scan: takes them away again where the scan was erased.
    pub async fn forget_erased(&self, tenant: TenantId, scan: ScanId) -> Result<()> {
        let erased_ms: Option<i64> = sqlx::query_scalar(
            "SELECT erased_ms FROM erased_scans WHERE tenant_id = ? AND scan_id = ?",
        )
        .id(tenant)
        .id(scan)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        let Some(erased_ms) = erased_ms else { return Ok(()) };
        let (store, erased) = (self.clone(), ErasedScan { tenant, scan, erased_ms });
        self.database
            .unit(move |unit| Box::pin(async move { store.erase_in(unit, erased).await }))
            .await
    }

    /// Before all else, and for itself: no attempt begins of it from then on whose end does not see it.
    async fn note_erased(&self, erased: ErasedScan) -> Result<()> {
        let noted = sqlx::query(
            "INSERT INTO erased_scans (tenant_id, scan_id, erased_ms) VALUES (?, ?, ?)",
        )
        .id(erased.tenant)
        .id(erased.scan)
        .bind(erased.erased_ms)
        .execute(self.database.pool())
        .await
        .map_err(failed);
        match noted {
            // It was told before.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            noted => noted.map(drop),
        }
    }

    async fn erase_in(&self, unit: &mut Unit, erased: ErasedScan) -> Result<()> {
        let ErasedScan { tenant, scan, .. } = erased;
        let now_ms = self.clock.now_ms();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT delivery_id, destination_id, state, attempts FROM deliveries
             WHERE tenant_id = ? AND scan_id = ? AND leased_until_ms <= ?",
        )
        .id(tenant)
        .id(scan)
        .bind(now_ms)
        .fetch_all(&mut **unit)
        .await
        .map_err(failed)?;
        for row in rows {
            let gone = sqlx::query(
                "DELETE FROM deliveries WHERE tenant_id = ? AND delivery_id = ? AND leased_until_ms <= ?",
            )
            .id(tenant)
            .bind(row.delivery_id)
            .bind(now_ms)
            .run(unit)
            .await?;
            // What was tried and not confirmed may have arrived: whoever asks where copies are is told.
            if gone > 0 && row.state == "waiting" && row.attempts > 0 {
                let note = Note::of_destination(tenant, &row.destination_id, Act::Failed, now_ms);
                note.about(scan.to_string()).keep(unit, self).await?;
            }
        }
        Ok(())
    }

    /// How many deliveries are kept of these scans.
    pub async fn rows_of(&self, tenant: Tenant, scans: &[String]) -> Result<u64> {
        let mut rows = 0;
        for scan in scans {
            let some: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM deliveries WHERE tenant_id = ? AND scan_id = ?",
            )
            .id(tenant)
            .bind(scan.clone())
            .fetch_one(self.database.pool())
            .await
            .map_err(failed)?;
            rows += some.unsigned_abs();
        }
        Ok(rows)
    }
}

/// Whether the scan was erased, as `unit` sees it.
pub async fn is_erased(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<bool> {
    let erased: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM erased_scans WHERE tenant_id = ? AND scan_id = ?")
            .id(tenant)
            .id(scan)
            .fetch_one(&mut **unit)
            .await
            .map_err(failed)?;
    Ok(erased > 0)
}

/// Takes away the row of an attempt that has ended, whose scan was erased meanwhile.
pub async fn forget(unit: &mut Unit, tenant: TenantId, id: &str) -> Result<()> {
    sqlx::query("DELETE FROM deliveries WHERE tenant_id = ? AND delivery_id = ? AND lease = ''")
        .id(tenant)
        .bind(id.to_owned())
        .run(unit)
        .await
        .map(drop)
}
