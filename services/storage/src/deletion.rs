//! Deletes a scan with everything that is kept of it, but for its audit trail.

use std::str::FromStr;

use domain::{ErasureId, ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use service::claims::{Claims, Role};
use service::topics::SCAN_ERASED;
use sqlx::{Any, Executor, FromRow};

use crate::audit::{self, Entry};
use crate::data_keys::rows;
use crate::erasures::{barred, deleted};
use crate::store::Store;
use crate::{event, holds, stored, tombstones};

/// What is deleted first: without a job, nobody is shown the scan.
const JOB: &str = "DELETE FROM jobs WHERE tenant_id = ? AND scan_id = ?";

/// What is deleted then, in an order in which no row points to one that is gone.
const DELETED: [&str; 5] = [
    "DELETE FROM artefacts WHERE tenant_id = ? AND scan_id = ?",
    "DELETE FROM identities WHERE tenant_id = ? AND scan_id = ?",
    "DELETE FROM feedback_keys WHERE tenant_id = ? AND feedback_id IN
         (SELECT id FROM feedback WHERE tenant_id = ? AND scan_id = ?)",
    "DELETE FROM feedback WHERE tenant_id = ? AND scan_id = ?",
    "DELETE FROM unerased_scans WHERE tenant_id = ? AND scan_id = ?",
];

/// What stays as a row and says nothing any more: its place in a batch, and its key, so that nothing is made of it once more.
const BLANKED: [&str; 2] = [
    "UPDATE batch_entries SET name = '' WHERE tenant_id = ? AND scan_id = ?",
    "UPDATE idempotency SET fingerprint = '' WHERE tenant_id = ? AND scan_id = ?",
];

/// What goes besides when it is the patient who is erased: ways to write about the scan, and what was written, which may name them.
const ERASED: [&str; 2] = [
    "DELETE FROM incident_links WHERE tenant_id = ? AND scan_id = ?",
    "UPDATE incidents SET words = '' WHERE tenant_id = ? AND scan_id = ?",
];

/// Who deletes scans, and how.
#[derive(Clone)]
pub struct Order {
    pub tenant: TenantId,
    pub subject: String,
    /// As the audit trail calls it.
    pub action: &'static str,
    /// Whether what readers have said of a scan may go with it.
    pub with_words: bool,
    /// Whether a hold is heeded: one that came back with a restore is older than what was decided.
    pub heeds_holds: bool,
    /// Whether all of the patient is to be forgotten, also by others.
    pub erases: bool,
    /// The erasure that it is a part of; None where it is part of none, or of one that nobody knows any more.
    pub erasure: Option<ErasureId>,
}

/// An object that a scan had.
#[derive(Clone, FromRow)]
pub struct Object {
    pub name: String,
    pub blob_key: String,
    pub size_bytes: i64,
}

impl Store {
    /// Deletes the scan: rows in one unit with the audit entry, then the objects, of which the sweep for orphans finds what a crash
    /// leaves. A scan that was deleted before stays so, and nothing is noted.
    ///
    /// `Forbidden` for whoever is no admin where readers have judged it, `Conflict` where it is held. `NOT_FOUND` in the same words for
    /// another tenant's and for one that never was.
    pub async fn delete_scan(&self, claims: &Claims, id: &str) -> Result<ScanId> {
        let scan = ScanId::from_str(id)?;
        let order = Order {
            tenant: claims.tenant().id(),
            subject: claims.subject.clone(),
            action: "scan.deleted",
            with_words: claims.roles.contains(&Role::Admin),
            heeds_holds: true,
            erases: false,
            erasure: None,
        };
        let (tenant, subject) = (order.tenant, order.subject.clone());
        match self.delete_by(order, scan).await {
            Ok(()) => Ok(scan),
            Err(error) => Err(self.refused(tenant, subject, scan.to_string(), error).await),
        }
    }

    /// The same, as that order has it.
    pub async fn delete_by(&self, order: Order, scan: ScanId) -> Result<()> {
        let tenant = order.tenant;
        self.ask_ring(tenant).await;
        let deleted = self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move { store.remove(unit, &order, scan).await })
        });
        let objects = deleted.await?.unwrap_or_default();
        self.changed(tenant, scan);
        let keys: Vec<String> = objects.into_iter().map(|object| object.blob_key).collect();
        self.discard(&keys).await;
        // What cannot be written now is written later.
        if let Err(error) = self.bury().await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the object store is not told yet that a scan was deleted");
        }
        Ok(())
    }

    /// Deletes and blanks the rows, as part of `unit`; the objects that are to go. None: the scan was deleted before.
    ///
    /// The job comes first, as where it ends, and the audit entry second: who claims, completes, judges or holds the scan in the same
    /// moment has done so by then, or finds none.
    pub async fn remove(
        &self,
        unit: &mut Unit,
        order: &Order,
        scan: ScanId,
    ) -> Result<Option<Vec<Object>>> {
        let tenant = order.tenant;
        if run(unit, JOB, tenant, scan).await? == 0 {
            require_deleted(&mut **unit, tenant, scan).await?;
            return Ok(None);
        }
        let (at_ms, subject) = (self.clock.now_ms(), order.subject.as_str());
        let (action, object) = (order.action, scan.to_string());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        if order.heeds_holds {
            holds::require_free(unit, tenant, scan).await?;
        }
        if !order.with_words {
            require_unjudged(unit, tenant, scan).await?;
        }
        let objects = objects_of(unit, tenant, scan).await?;
        let keys = rows::of_scan(unit, tenant, scan).await?;
        let names = barred::names_of(self, unit, tenant, scan).await?;
        for statement in DELETED.into_iter().chain(BLANKED) {
            run(unit, statement, tenant, scan).await?;
        }
        let bytes: i64 = objects.iter().map(|object| object.size_bytes).sum();
        stored::add(unit, tenant, -bytes).await?;
        rows::destroy(unit, tenant, keys, at_ms).await?;
        bury(unit, tenant, scan, at_ms).await?;
        tombstones::note(unit, tenant, scan, order.erases).await?;
        if order.erases {
            silence(unit, tenant, scan).await?;
            let by = order.erasure.map_or_else(|| scan.to_string(), |id| id.to_string());
            barred::bar(unit, tenant, &by, &names.own(), (0, at_ms)).await?;
            let told = event::erased(tenant, scan, at_ms)?;
            self.announce(unit, SCAN_ERASED, &told).await?;
        } else {
            deleted::remember(unit, tenant, scan, names, at_ms).await?;
        }
        Ok(Some(objects))
    }
}

/// Takes away what was said of the scan in reports of incidents, and the ways to say more.
pub async fn silence(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<()> {
    for statement in ERASED {
        run(unit, statement, tenant, scan).await?;
    }
    Ok(())
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
    if words_of(unit, tenant, scan).await? == 0 {
        return Ok(());
    }
    Err(ErrorKind::Forbidden
        .error("readers have judged this scan: an administrator may delete it, and what they said"))
}

/// How many words readers have said of it.
pub async fn words_of(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM feedback WHERE tenant_id = ? AND scan_id = ?")
        .id(tenant)
        .id(scan)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)
}

async fn objects_of(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<Vec<Object>> {
    sqlx::query_as(
        "SELECT name, blob_key, size_bytes FROM artefacts WHERE tenant_id = ? AND scan_id = ?",
    )
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
             review = 'unreviewed', model_version = '', series_json = NULL, volume_ml = NULL, changed_ms = ?
         WHERE tenant_id = ? AND id = ?",
    )
    .bind(at_ms)
    .id(tenant)
    .id(scan)
    .run(unit)
    .await
    .map(drop)
}
