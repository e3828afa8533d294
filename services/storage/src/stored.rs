//! How many bytes of objects each hospital has.
//!
//! A sum is a row, as what limits count is: whoever changes rows of artefacts changes it in the same unit, while the hospital's audit trail
//! is held, so that uploads that come at once are counted one after another.

use std::time::Duration;

use domain::{Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use service::Worker;
use service::claims::{delivery_tenant, operator_tenant, service_tenant};
use sqlx::{Any, Executor};

use crate::store::Store;

/// How often sums are compared with what they are of.
const INTERVAL: Duration = Duration::from_secs(3600);

impl Store {
    /// How many bytes all hospitals have, and that one.
    pub async fn stored_sums(&self, tenant: TenantId) -> Result<(i64, i64)> {
        sqlx::query_as(
            "SELECT (SELECT CAST(COALESCE(SUM(bytes), 0) AS SIGNED) FROM stored_bytes) AS all_bytes,
                 COALESCE((SELECT bytes FROM stored_bytes WHERE tenant_id = ?), 0) AS own_bytes",
        )
        .id(tenant)
        .fetch_one(self.database.pool())
        .await
        .map_err(failed)
    }

    /// Whether there is another hospital, as far as one has sent, read or been limited here, that is not closed.
    pub async fn has_neighbour(&self, tenant: TenantId) -> Result<bool> {
        let others: Vec<String> = sqlx::query_scalar(
            "SELECT tenant_id FROM audit_heads WHERE tenant_id NOT IN (?, ?, ?, ?)",
        )
        .id(tenant)
        .id(service_tenant())
        .id(operator_tenant())
        .id(delivery_tenant())
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        for other in others {
            if !self.verifier.knows_closed(other.parse()?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sets right each sum that is not what it should be; how many were not.
    async fn recount(&self) -> Result<usize> {
        let wrong: Vec<String> = sqlx::query_scalar(
            "SELECT h.tenant_id FROM audit_heads h LEFT JOIN stored_bytes s ON s.tenant_id = h.tenant_id
             WHERE COALESCE(s.bytes, 0) <>
                 (SELECT COALESCE(SUM(a.size_bytes), 0) FROM artefacts a WHERE a.tenant_id = h.tenant_id)",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let count = wrong.len();
        for tenant in wrong {
            let tenant: TenantId = tenant.parse()?;
            self.unit(None, move |_, unit| Box::pin(async move { correct(unit, tenant).await }))
                .await?;
        }
        Ok(count)
    }
}

/// How many bytes of objects the hospital has.
pub async fn of(executor: impl Executor<'_, Database = Any>, tenant: TenantId) -> Result<i64> {
    let bytes: Option<i64> =
        sqlx::query_scalar("SELECT bytes FROM stored_bytes WHERE tenant_id = ?")
            .id(tenant)
            .fetch_optional(executor)
            .await
            .map_err(failed)?;
    Ok(bytes.unwrap_or_default())
}

/// Adds to the sum, or takes away, what the unit has just made of rows or deleted; to be called once the audit trail is held.
pub async fn add(unit: &mut Unit, tenant: TenantId, bytes: i64) -> Result<()> {
    let counted = sqlx::query("UPDATE stored_bytes SET bytes = bytes + ? WHERE tenant_id = ?")
        .bind(bytes)
        .id(tenant)
        .run(unit)
        .await?;
    if counted > 0 { Ok(()) } else { begin(unit, tenant, bytes).await }
}

async fn begin(unit: &mut Unit, tenant: TenantId, bytes: i64) -> Result<()> {
    sqlx::query("INSERT INTO stored_bytes (tenant_id, bytes) VALUES (?, ?)")
        .id(tenant)
        .bind(bytes)
        .run(unit)
        .await
        .map(drop)
}

/// Counts anew. The hospital's audit trail is held first, as by whoever changes artefacts: what they change is seen here, or added
/// after, and no two make the row.
async fn correct(unit: &mut Unit, tenant: TenantId) -> Result<()> {
    let hold = "UPDATE audit_heads SET position = position WHERE tenant_id = ?";
    sqlx::query(hold).id(tenant).run(unit).await?;
    add(unit, tenant, 0).await?;
    let bytes: i64 = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(size_bytes), 0) AS SIGNED) FROM artefacts WHERE tenant_id = ?",
    )
    .id(tenant)
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)?;
    sqlx::query("UPDATE stored_bytes SET bytes = ? WHERE tenant_id = ?")
        .bind(bytes)
        .id(tenant)
        .run(unit)
        .await
        .map(drop)
}

/// The worker that sets right what a version before this one did not count.
pub fn keep_right(store: Store) -> Worker {
    Worker::new("stored bytes", move |stop| async move {
        loop {
            match stop.run_until_cancelled(store.recount()).await {
                Some(Ok(0)) => (),
                Some(Ok(hospitals)) => tracing::info!(hospitals, "counted stored bytes anew"),
                Some(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "stored bytes could not be counted anew");
                }
                None => return Ok(()),
            }
            if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
                return Ok(());
            }
        }
    })
}
