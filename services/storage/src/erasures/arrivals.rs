//! What ingest asks of whatever has come, and tells of what it has not taken; and that it may come back after all.

use domain::{ErasureId, ErrorKind, RefusalId, Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{Arrival, ErasedArrival, ErasedArrivals, ErasureLift};
use service::claims::{Claims, Tenant};

use super::barred::{self, Key, Names};
use crate::audit::{self, Entry};
use crate::holds::reason;
use crate::jobs::name_of;
use crate::store::Store;

/// What one call may ask about.
const ARRIVALS_MAX: usize = 1000;
/// What is told apart of what was refused because of one erasure, and of what was dropped: programs send the same again for ever. The audit
/// trail has each.
const REFUSALS_MAX: i64 = 1000;

impl Store {
    /// Because of what each of them may not come back.
    pub async fn find_erased(
        &self,
        tenant: Tenant,
        arrivals: Vec<Arrival>,
    ) -> Result<ErasedArrivals> {
        if arrivals.len() > ARRIVALS_MAX {
            return Err(ErrorKind::Invalid
                .error(format!("{ARRIVALS_MAX} arrivals at most are asked about")));
        }
        let (tenant, pool) = (tenant.id(), self.database.pool());
        let (rows, newest_ms): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COALESCE(MAX(noted_ms), 0) FROM barred WHERE tenant_id = ?",
        )
        .id(tenant)
        .fetch_one(pool)
        .await
        .map_err(failed)?;
        let mut erasure_ids = vec![String::new(); arrivals.len()];
        let key = Key::if_any(pool, tenant).await?;
        let (Some(key), 1..) = (key, rows) else {
            return Ok(ErasedArrivals { erasure_ids, version: String::new() });
        };
        for (arrival, by) in arrivals.iter().zip(&mut erasure_ids) {
            *by = barred::barred_by(pool, tenant, &key, arrival).await?.unwrap_or_default();
        }
        Ok(ErasedArrivals { erasure_ids, version: format!("{rows} {newest_ms}") })
    }

    /// Notes that something was not taken. All of its study is refused from then on: what comes late must not stand for the whole.
    pub async fn note_erased(&self, claims: &Claims, told: ErasedArrival) -> Result<()> {
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move { store.note_erased_in(unit, tenant, &subject, told).await })
        })
        .await
    }

    async fn note_erased_in(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        subject: &str,
        told: ErasedArrival,
    ) -> Result<()> {
        let (at_ms, arrival) = (self.clock.now_ms(), told.arrival.unwrap_or_default());
        let Some(key) = Key::if_any(&mut **unit, tenant).await? else { return Ok(()) };
        // Lifted meanwhile: it may come.
        let Some(by) = barred::barred_by(&mut **unit, tenant, &key, &arrival).await? else {
            return Ok(());
        };
        let action = if told.dropped { "erased.dropped" } else { "erased.refused" };
        audit::append(unit, Entry { tenant, at_ms, subject, action, object: by.clone() }).await?;
        let Names { study, series, .. } = key.names(&arrival);
        barred::bar(unit, tenant, &by, &[&study, &series], (0, at_ms)).await?;
        let (instances, dropped) = (i64::try_from(told.instances), i64::from(told.dropped));
        let instances = instances.unwrap_or(i64::MAX);
        if count_on(unit, (tenant, by.as_str()), at_ms, (instances, dropped)).await? {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO refused_arrivals (tenant_id, id, erasure_id, at_ms, instances, dropped)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .id(tenant)
        .id(RefusalId::new(&self.clock, &self.random))
        .bind(by)
        .bind(at_ms)
        .bind(instances)
        .bind(dropped)
        .run(unit)
        .await
        .map(drop)
    }

    /// Lets come back what may not because of that erasure. What was done stays done.
    pub async fn lift_erasure(&self, claims: &Claims, lift: ErasureLift) -> Result<()> {
        let reason = reason(&lift.reason)?;
        // Also the id of a scan that was erased again: whatever is none answers like one that never was.
        let id: ErasureId = lift.id.parse()?;
        let (tenant, subject, name) =
            (claims.tenant().id(), claims.subject.clone(), name_of(claims));
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let (at_ms, action) = (store.clock.now_ms(), "erasure.lifted");
                let (subject, object) = (subject.as_str(), id.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
                lift_in(unit, (tenant, id), at_ms, [name, reason]).await
            })
        })
        .await
    }
}

/// Adds it to the last row of its kind that there is room for; whether there was one.
async fn count_on(
    unit: &mut Unit,
    (tenant, by): (TenantId, &str),
    at_ms: i64,
    (instances, dropped): (i64, i64),
) -> Result<bool> {
    let last: Option<String> = sqlx::query_scalar(
        "SELECT id FROM refused_arrivals WHERE tenant_id = ? AND erasure_id = ? AND dropped = ?
         ORDER BY id LIMIT 1 OFFSET ?",
    )
    .id(tenant)
    .id(by)
    .bind(dropped)
    .bind(REFUSALS_MAX - 1)
    .fetch_optional(&mut **unit)
    .await
    .map_err(failed)?;
    let Some(last) = last else { return Ok(false) };
    sqlx::query(
        "UPDATE refused_arrivals SET at_ms = ?, instances = instances + ? WHERE tenant_id = ? AND id = ?",
    )
    .bind(at_ms)
    .bind(instances)
    .id(tenant)
    .bind(last)
    .run(unit)
    .await
    .map(|_| true)
}

async fn lift_in(
    unit: &mut Unit,
    (tenant, id): (TenantId, ErasureId),
    at_ms: i64,
    [name, reason]: [String; 2],
) -> Result<()> {
    let freed = sqlx::query("DELETE FROM barred WHERE tenant_id = ? AND erasure_id = ?")
        .id(tenant)
        .id(id)
        .run(unit)
        .await?;
    free_keys(unit, tenant, id).await?;
    let noted = sqlx::query(
        "UPDATE erasures SET lifted_ms = ?, lifted_by = ?, lifted_reason = ? WHERE tenant_id = ? AND id = ?",
    )
    .bind(at_ms)
    .bind(name)
    .bind(reason)
    .id(tenant)
    .id(id)
    .run(unit)
    .await?;
    if freed == 0 && noted == 0 {
        return Err(ErrorKind::NotFound.error("no such erasure"));
    }
    Ok(())
}

/// The same upload with the same key is to make a scan again. Scan by scan: a statement that looks through all keys of the hospital would wait
/// for those of scans that are being accepted, which wait for the audit trail, which is held here.
async fn free_keys(unit: &mut Unit, tenant: TenantId, id: ErasureId) -> Result<()> {
    let mut scans: Vec<String> = sqlx::query_scalar(
        "SELECT scan_id FROM erased_scans WHERE tenant_id = ? AND erasure_id = ?",
    )
    .id(tenant)
    .id(id)
    .fetch_all(&mut **unit)
    .await
    .map_err(failed)?;
    scans.push(id.to_string());
    for scan in scans {
        sqlx::query(
            "DELETE FROM idempotency WHERE tenant_id = ? AND scan_id = ? AND fingerprint = ''",
        )
        .id(tenant)
        .bind(scan)
        .run(unit)
        .await?;
    }
    Ok(())
}
