//! How far an erasure has come: scans that it is of and that are still to be erased, also where a hold came in between, or a crash.

use domain::{ErasureId, Error, ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};

use super::Begun;
use crate::store::Store;

/// Writes down which scans are to be erased, as part of the unit in which an erasure begins.
pub async fn note(
    unit: &mut Unit,
    (tenant, id): (TenantId, ErasureId),
    scans: &[ScanId],
) -> Result<()> {
    for scan in scans {
        sqlx::query("INSERT INTO unerased_scans (tenant_id, scan_id, erasure_id) VALUES (?, ?, ?)")
            .id(tenant)
            .id(scan)
            .id(id)
            .run(unit)
            .await?;
    }
    Ok(())
}

/// To be called in the unit in which the scan goes, whichever erasure it is a part of.
pub async fn forget(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<()> {
    sqlx::query("DELETE FROM unerased_scans WHERE tenant_id = ? AND scan_id = ?")
        .id(tenant)
        .id(scan)
        .run(unit)
        .await
        .map(drop)
}

impl Store {
    /// The scans that the erasure has not come to, oldest first.
    pub(super) async fn unerased(&self, tenant: TenantId, id: ErasureId) -> Result<Vec<String>> {
        sqlx::query_scalar(
            "SELECT scan_id FROM unerased_scans WHERE tenant_id = ? AND erasure_id = ? ORDER BY scan_id",
        )
        .id(tenant)
        .id(id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)
    }

    /// What whoever asked is told where a hold came in between: noted as any that is refused because of one. What is erased stays so.
    pub(super) async fn stopped(&self, begun: &Begun, why: Error) -> Error {
        let (by, id) = (begun.order.subject.clone(), begun.id);
        let why = self.refused(begun.order.tenant, by, id.to_string(), why).await;
        if why.kind() != ErrorKind::Conflict {
            return why;
        }
        let words = format!(
            "a legal hold was placed while the patient was being erased, and the rest is kept: the receipt of the erasure {id} says how far it \
             came; once an administrator has taken the hold back, erase the patient again"
        );
        ErrorKind::Conflict.error(words).because(why)
    }
}
