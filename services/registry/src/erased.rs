//! Scans of patients who were erased: what a shadow said of them goes, and none of it comes back.

use domain::{ErrorKind, Result};
use platform::db::{BindId, failed};
use platform::queue::Queue;
use service::claims::Tenant;
use service::topics::SCAN_ERASED;
use service::{ErasedScan, Worker, listen};

use crate::store::Store;

/// The group that the registry listens with.
const GROUP: &str = "registry";
/// Events in hand at a time; each deletes a few small rows.
const WINDOW: u16 = 16;

/// From the first start on nothing is missed, also not what comes before the worker subscribes.
pub async fn join(queue: &Queue) {
    if let Err(error) = queue.create_group(SCAN_ERASED, GROUP).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(event = SCAN_ERASED.0, error, "an event is not listened to yet");
    }
}

/// Forgets each scan of a patient who is erased.
pub fn watch(store: Store, queue: Queue) -> Worker {
    listen(queue, SCAN_ERASED, GROUP, WINDOW, move |body| {
        let store = store.clone();
        async move { store.erase(&ErasedScan::parse(&body)?).await }
    })
}

impl Store {
    /// Deletes all comparisons of the scan. That it was erased is written down before: whoever keeps one in the same moment sees that, or
    /// their row is seen here.
    async fn erase(&self, erased: &ErasedScan) -> Result<()> {
        let ErasedScan { tenant, scan, erased_ms } = *erased;
        let noted = sqlx::query(
            "INSERT INTO erased_scans (tenant_id, scan_id, erased_ms) VALUES (?, ?, ?)",
        )
        .id(tenant)
        .id(scan)
        .bind(erased_ms)
        .execute(self.database.pool())
        .await
        .map_err(failed);
        match noted {
            // It was told before.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            noted => noted.map(drop)?,
        }
        self.forget(&tenant.to_string(), &scan.to_string()).await?;
        self.database.scrub().await
    }

    /// To be called behind whatever keeps a comparison of the scan: takes it away again where the scan was erased.
    pub async fn forget_erased(&self, tenant: &str, scan: &str) -> Result<()> {
        let erased: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM erased_scans WHERE tenant_id = ? AND scan_id = ?",
        )
        .id(tenant)
        .id(scan)
        .fetch_one(self.database.pool())
        .await
        .map_err(failed)?;
        if erased == 0 { Ok(()) } else { self.forget(tenant, scan).await }
    }

    async fn forget(&self, tenant: &str, scan: &str) -> Result<()> {
        sqlx::query("DELETE FROM comparisons WHERE tenant_id = ? AND scan_id = ?")
            .id(tenant)
            .id(scan)
            .execute(self.database.pool())
            .await
            .map(drop)
            .map_err(failed)
    }

    /// How many comparisons there are of these scans.
    pub async fn rows_of(&self, tenant: Tenant, scans: &[String]) -> Result<u64> {
        let mut rows = 0;
        for scan in scans {
            let some: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM comparisons WHERE tenant_id = ? AND scan_id = ?",
            )
            .id(tenant)
            .id(scan)
            .fetch_one(self.database.pool())
            .await
            .map_err(failed)?;
            rows += some.unsigned_abs();
        }
        Ok(rows)
    }
}
