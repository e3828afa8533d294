//! Deletes a scan with everything that is kept of it, but for its audit trail.

use std::str::FromStr;

use domain::{ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use service::claims::{Claims, Role};
use sqlx::{Any, Executor};

use crate::audit::{self, Entry};
use crate::store::Store;

/// What is deleted first: without a job, nobody is shown the scan.
const JOB: &str = "DELETE FROM jobs WHERE tenant_id = ? AND scan_id = ?";

/// What is deleted then, in an order in which no row points to one that is gone.
const DELETED: [&str; 4] = [
    "DELETE FROM artefacts WHERE tenant_id = ? AND scan_id = ?",
    "DELETE FROM identities WHERE tenant_id = ? AND scan_id = ?",
    "DELETE FROM feedback_keys WHERE tenant_id = ? AND feedback_id IN
         (SELECT id FROM feedback WHERE tenant_id = ? AND scan_id = ?)",
    "DELETE FROM feedback WHERE tenant_id = ? AND scan_id = ?",
];

/// What stays as a row and says nothing any more: its place in a batch, and its key, so that nothing is made of it once more.
const BLANKED: [&str; 2] = [
    "UPDATE batch_entries SET name = '' WHERE tenant_id = ? AND scan_id = ?",
    "UPDATE idempotency SET fingerprint = '' WHERE tenant_id = ? AND scan_id = ?",
];

impl Store {
    /// Deletes the scan: rows in one unit with the audit entry, then the objects, of which the sweep for orphans finds what a crash
    /// leaves. A scan that was deleted before stays so, and nothing is noted.
    ///
    /// `Forbidden` for whoever is no admin where readers have judged it. `NOT_FOUND` in the same words for another tenant's and for one
    /// that never was.
    pub async fn delete_scan(&self, claims: &Claims, id: &str) -> Result<ScanId> {
        let scan = ScanId::from_str(id)?;
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        let is_admin = claims.roles.contains(&Role::Admin);
        let erased = self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move { store.erase(unit, tenant, scan, &subject, is_admin).await })
        });
        let keys = erased.await?;
        self.changed(tenant, scan);
        self.discard(&keys).await;
        Ok(scan)
    }

    /// Deletes and blanks the rows; the keys of the objects that are to go.
    ///
    /// The job comes first, as where it ends, and the audit entry second: who claims, completes or judges the scan in the same moment
    /// has done so by then, or finds none.
    async fn erase(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        scan: ScanId,
        subject: &str,
        is_admin: bool,
    ) -> Result<Vec<String>> {
        if run(unit, JOB, tenant, scan).await? == 0 {
            require_deleted(&mut **unit, tenant, scan).await?;
            return Ok(Vec::new());
        }
        let (at_ms, action, object) = (self.clock.now_ms(), "scan.deleted", scan.to_string());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        if !is_admin {
            require_unjudged(unit, tenant, scan).await?;
        }
        let keys = keys_of(unit, tenant, scan).await?;
        for statement in DELETED.into_iter().chain(BLANKED) {
            run(unit, statement, tenant, scan).await?;
        }
        bury(unit, tenant, scan, at_ms).await?;
        Ok(keys)
    }
}

/// Runs a statement about one scan, which is named last; how many rows it has changed.
async fn run(
    unit: &mut Unit,
    statement: &'static str,
    tenant: TenantId,
    scan: ScanId,
) -> Result<u64> {
    let mut query = sqlx::query(statement).id(tenant);
    for _ in 2..statement.matches('?').count() {
        query = query.id(tenant);
    }
    query.id(scan).run(unit).await
}

/// `NOT_FOUND` where the scan never was, in the words for any that there is not.
pub async fn require_deleted(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    scan: ScanId,
) -> Result<()> {
    let deleted: Option<String> = sqlx::query_scalar(
        "SELECT id FROM scans WHERE tenant_id = ? AND id = ? AND state = 'deleted'",
    )
    .id(tenant)
    .id(scan)
    .fetch_optional(executor)
    .await
    .map_err(failed)?;
    deleted.map(drop).ok_or_else(|| ErrorKind::NotFound.error("no such scan"))
}

async fn require_unjudged(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<()> {
    let words: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM feedback WHERE tenant_id = ? AND scan_id = ?")
            .id(tenant)
            .id(scan)
            .fetch_one(&mut **unit)
            .await
            .map_err(failed)?;
    if words == 0 {
        return Ok(());
    }
    Err(ErrorKind::Forbidden
        .error("readers have judged this scan: an administrator may delete it, and what they said"))
}

async fn keys_of(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<Vec<String>> {
    sqlx::query_scalar("SELECT blob_key FROM artefacts WHERE tenant_id = ? AND scan_id = ?")
        .id(tenant)
        .id(scan)
        .fetch_all(&mut **unit)
        .await
        .map_err(failed)
}

/// Leaves of the scan's row that there was one.
async fn bury(unit: &mut Unit, tenant: TenantId, scan: ScanId, at_ms: i64) -> Result<()> {
    sqlx::query(
        "UPDATE scans SET state = 'deleted', answer = '', reason = '', completed_ms = 0, format = '', modality = '',
             shape = '', original_sha256 = '', volume_sha256 = '', site = '', scanner = '',
             review = 'unreviewed', model_version = '', changed_ms = ?
         WHERE tenant_id = ? AND id = ?",
    )
    .bind(at_ms)
    .id(tenant)
    .id(scan)
    .run(unit)
    .await
    .map(drop)
}
