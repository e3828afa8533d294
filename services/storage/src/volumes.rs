//! How large the findings of a scan are together, beside its row: kept with the result, and with the first reading of one whose worker
//! did not say so.

use domain::{Answer, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use service::claims::Tenant;

use crate::store::Store;

/// What the column holds of a result that says of no volume.
const NONE: f64 = -1.0;

/// What a result that was handed in says.
pub fn told(volume_ml: Option<f64>, answer: Answer) -> Option<f64> {
    sound(volume_ml).filter(|_| answer == Answer::Found)
}

/// The column, once the result was read.
fn column(volume_ml: Option<f64>) -> f64 {
    volume_ml.unwrap_or(NONE)
}

/// What the column says.
pub fn sound(volume_ml: Option<f64>) -> Option<f64> {
    volume_ml.filter(|ml| ml.is_finite() && *ml >= 0.0)
}

impl Store {
    /// Keeps what a result says whose worker has not said it: one of a version before, or one that knows of no volume. Nobody's
    /// reading fails for it.
    pub async fn learn_volume(&self, tenant: Tenant, id: &str) {
        if let Err(error) = self.learn(tenant, id).await {
            tracing::warn!(scan.id = id, %error, "how large its findings are is not known yet");
        }
    }

    async fn learn(&self, tenant: Tenant, id: &str) -> Result<()> {
        let scan: ScanId = id.parse()?;
        let unknown: Option<(i64,)> = sqlx::query_as(
            "SELECT completed_ms FROM scans
             WHERE tenant_id = ? AND id = ? AND state = 'done' AND answer = 'found' AND volume_ml IS NULL",
        )
        .id(tenant.id())
        .id(scan)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        let Some((completed_ms,)) = unknown else { return Ok(()) };
        let judged = self.judged(tenant.id(), &self.scan(&tenant, id).await?).await?;
        let volume_ml = column(sound(judged.volume_ml));
        self.unit(Some(tenant.id()), move |_, unit| {
            Box::pin(keep(unit, tenant.id(), scan, completed_ms, volume_ml))
        })
        .await
    }
}

/// Of that very result: the scan may be gone by now.
async fn keep(
    unit: &mut Unit,
    tenant: TenantId,
    scan: ScanId,
    completed_ms: i64,
    volume_ml: f64,
) -> Result<()> {
    sqlx::query(
        "UPDATE scans SET volume_ml = ?
         WHERE tenant_id = ? AND id = ? AND state = 'done' AND completed_ms = ? AND volume_ml IS NULL",
    )
    .bind(volume_ml)
    .id(tenant)
    .id(scan)
    .bind(completed_ms)
    .run(unit)
    .await
    .map(drop)
}
