//! Whether a hospital lets its confirmed scans be learned from. Without a decision it does not.

use domain::{ErrorKind, Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::Consent;
use service::claims::{Claims, Tenant};
use sqlx::{Any, Executor, FromRow};

use super::pseudonyms;
use crate::audit::{self, Entry};
use crate::jobs::name_of;
use crate::store::Store;

/// A decision, as it is kept.
#[derive(FromRow)]
struct Row {
    position: i64,
    learning: i64,
    name: String,
    decided_ms: i64,
}

impl Store {
    /// The last decision.
    pub async fn consent(&self, tenant: Tenant) -> Result<Consent> {
        let last = last(self.database.pool(), tenant.id()).await?;
        let told =
            |row: Row| Consent { learning: row.learning != 0, by: row.name, at_ms: row.decided_ms };
        Ok(last.map(told).unwrap_or_default())
    }

    /// Decides anew, beside the decisions before. The audit entry comes first: it gives decisions that come at once an order.
    pub async fn decide(&self, claims: &Claims, learning: bool) -> Result<Consent> {
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        audit::begin(&self.database, tenant).await?;
        let name = name_of(claims);
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let at_ms = store.clock.now_ms();
                let action = if learning { "consent.given" } else { "consent.withdrawn" };
                let (subject, object) = (&*subject, tenant.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
                let before = last(&mut **unit, tenant).await?;
                let position = before.map_or(1, |row| row.position + 1);
                let row = Row { position, learning: learning.into(), name, decided_ms: at_ms };
                let consent = Consent { learning, by: row.name.clone(), at_ms };
                insert(unit, tenant, subject, row).await?;
                if learning {
                    pseudonyms::begin(unit, tenant, store.random.bytes()).await?;
                }
                Ok(consent)
            })
        })
        .await
    }
}

/// `Forbidden` unless the last decision lets scans be learned from.
pub async fn require(executor: impl Executor<'_, Database = Any>, tenant: TenantId) -> Result<()> {
    match last(executor, tenant).await? {
        Some(row) if row.learning != 0 => Ok(()),
        _ => Err(ErrorKind::Forbidden.error("the hospital does not let its scans be learned from")),
    }
}

async fn last(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
) -> Result<Option<Row>> {
    sqlx::query_as(
        "SELECT position, learning, name, decided_ms FROM consents
         WHERE tenant_id = ? ORDER BY position DESC LIMIT 1",
    )
    .id(tenant)
    .fetch_optional(executor)
    .await
    .map_err(failed)
}

async fn insert(unit: &mut Unit, tenant: TenantId, decided_by: &str, row: Row) -> Result<()> {
    sqlx::query(
        "INSERT INTO consents (tenant_id, position, learning, decided_by, name, decided_ms)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.position)
    .bind(row.learning)
    .bind(decided_by.to_owned())
    .bind(row.name)
    .bind(row.decided_ms)
    .run(unit)
    .await
    .map(drop)
}
