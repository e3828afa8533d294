//! Scans that were deleted, and are found by an erasure that comes later: copies of them may be elsewhere.

use domain::{Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::Arrival;
use service::topics::SCAN_ERASED;
use sqlx::{Any, Executor};

use super::barred::{self, Key, Names};
use super::{Begun, Erased, unerased};
use crate::audit::{self, Entry};
use crate::holds::require_patient_free;
use crate::store::Store;
use crate::{deletion, event, tombstones};

/// Remembers whose a scan was that is deleted, as part of the unit that does so.
pub async fn remember(
    unit: &mut Unit,
    tenant: TenantId,
    scan: ScanId,
    names: Names,
    at_ms: i64,
) -> Result<()> {
    forget(unit, tenant, scan).await?;
    let Names { patient, study, series, original } = names;
    sqlx::query(
        "INSERT INTO deleted_scans (tenant_id, scan_id, patient, study, series, original, deleted_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .id(scan)
    .bind(patient)
    .bind(study)
    .bind(series)
    .bind(original)
    .bind(at_ms)
    .run(unit)
    .await
    .map(drop)
}

/// Whether there was one.
async fn forget(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<bool> {
    let rows = sqlx::query("DELETE FROM deleted_scans WHERE tenant_id = ? AND scan_id = ?")
        .id(tenant)
        .id(scan)
        .run(unit)
        .await?;
    Ok(rows > 0)
}

/// The scans of the patient with that digest that were deleted, oldest first.
pub(super) async fn of_patient(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    digest: String,
) -> Result<Vec<ScanId>> {
    let scans: Vec<String> = sqlx::query_scalar(
        "SELECT scan_id FROM deleted_scans WHERE tenant_id = ? AND patient = ? ORDER BY scan_id",
    )
    .id(tenant)
    .bind(digest)
    .fetch_all(executor)
    .await
    .map_err(failed)?;
    scans.into_iter().map(ScanId::try_from).collect()
}

impl Store {
    /// The patient's scans that were deleted, oldest first. One that a version before this has deleted nobody finds.
    pub(super) async fn deleted_of(&self, tenant: TenantId, patient: &str) -> Result<Vec<ScanId>> {
        let Some(key) = Key::if_any(self.database.pool(), tenant).await? else {
            return Ok(Vec::new());
        };
        let names = key.names(&Arrival { patient: patient.to_owned(), ..Arrival::default() });
        of_patient(self.database.pool(), tenant, names.patient).await
    }

    /// Erases what is left of a scan that was deleted before: here words about it, and elsewhere what others have of it.
    pub(super) async fn erase_deleted(&self, begun: Begun, scan: ScanId) -> Result<()> {
        self.unit(Some(begun.order.tenant), move |store, unit| {
            Box::pin(async move { store.erase_deleted_in(unit, &begun, scan).await })
        })
        .await
    }

    /// The same as part of `unit`.
    pub(super) async fn erase_deleted_in(
        &self,
        unit: &mut Unit,
        begun: &Begun,
        scan: ScanId,
    ) -> Result<()> {
        let (tenant, at_ms) = (begun.order.tenant, self.clock.now_ms());
        unerased::forget(unit, tenant, scan).await?;
        let known: Option<(String, String, String, i64)> = sqlx::query_as(
            "SELECT study, series, original, deleted_ms FROM deleted_scans WHERE tenant_id = ? AND scan_id = ?",
        )
        .id(tenant)
        .id(scan)
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)?;
        let Some((study, series, original, deleted_ms)) = known else { return Ok(()) };
        // Somebody else has erased it in the same moment.
        if !forget(unit, tenant, scan).await? {
            return Ok(());
        }
        let (subject, action) = (begun.order.subject.as_str(), begun.order.action);
        let object = scan.to_string();
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        if let Some(patient) = &begun.patient {
            require_patient_free(unit, tenant, patient).await?;
        }
        let by = begun.id.to_string();
        barred::bar(unit, tenant, &by, &[&study, &series, &original], (0, at_ms)).await?;
        let erased = Erased { deleted_ms, ..self.about(unit, begun, scan).await? };
        deletion::silence(unit, tenant, scan).await?;
        tombstones::note(unit, tenant, scan, true).await?;
        self.announce(unit, SCAN_ERASED, &event::erased(tenant, scan, at_ms)?).await?;
        self.insert_erased(unit, begun, scan, erased).await
    }
}
