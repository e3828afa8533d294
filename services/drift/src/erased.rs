//! Scans of patients who were erased: rows about them go, and none comes back.

use domain::{Result, ScanId, TenantId};
use platform::db::{self, BindId};
use service::ErasedScan;
use service::claims::Tenant;

use crate::store::{Store, once};

/// Each takes tenant and scan.
const ROWS: [&str; 2] = [
    "DELETE FROM observations WHERE tenant_id = ? AND scan_id = ?",
    "DELETE FROM reviews WHERE tenant_id = ? AND scan_id = ?",
];
const COUNTS: [&str; 2] = [
    "SELECT COUNT(*) FROM observations WHERE tenant_id = ? AND scan_id = ?",
    "SELECT COUNT(*) FROM reviews WHERE tenant_id = ? AND scan_id = ?",
];

impl Store {
    /// Deletes all rows about the scan. That it was erased is written down before: whoever keeps one in the same moment sees that, or
    /// their row is seen here.
    pub async fn erase(&self, erased: &ErasedScan) -> Result<()> {
        let ErasedScan { tenant, scan, erased_ms } = *erased;
        let noted = sqlx::query(
            "INSERT INTO erased_scans (tenant_id, scan_id, erased_ms) VALUES (?, ?, ?)",
        )
        .id(tenant)
        .id(scan)
        .bind(erased_ms)
        .execute(self.database.pool())
        .await
        .map_err(db::failed);
        once(noted)?;
        self.forget(tenant, scan).await?;
        self.database.scrub().await
    }

    /// To be called behind whatever keeps a row about the scan: takes it away again where the scan was erased.
    pub async fn forget_erased(&self, tenant: TenantId, scan: ScanId) -> Result<()> {
        let erased: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM erased_scans WHERE tenant_id = ? AND scan_id = ?",
        )
        .id(tenant)
        .id(scan)
        .fetch_one(self.database.pool())
        .await
        .map_err(db::failed)?;
        if erased == 0 { Ok(()) } else { self.forget(tenant, scan).await }
    }

    async fn forget(&self, tenant: TenantId, scan: ScanId) -> Result<()> {
        for statement in ROWS {
            sqlx::query(statement)
                .id(tenant)
                .id(scan)
                .execute(self.database.pool())
                .await
                .map_err(db::failed)?;
        }
        Ok(())
    }

    /// How many rows there are about these scans.
    pub async fn rows_of(&self, tenant: Tenant, scans: &[String]) -> Result<u64> {
        let mut rows = 0;
        for scan in scans {
            for count in COUNTS {
                let some: i64 = sqlx::query_scalar(count)
                    .id(tenant)
                    .bind(scan.clone())
                    .fetch_one(self.database.pool())
                    .await
                    .map_err(db::failed)?;
                rows += some.unsigned_abs();
            }
        }
        Ok(rows)
    }
}
