//! Whose tokens are refused although they have not expired.
//!
//! Tokens say the epoch of their account and of their hospital. Whatever takes a right away begins the next epoch, and whoever
//! verifies tokens asks for this list every few seconds. It holds what may still matter and no more: a token lives five minutes.

use domain::{ErrorKind, Result, TenantId, UserId};
use platform::db::{self, BindId, Database, Run, Unit};
use proto::auth::{Revocation, RevocationList};
use service::claims::Claims;

use crate::states::TenantState;

const SUBJECT: &str = "subject";
const TENANT: &str = "tenant";

/// Twice as long as a token lives, with what clocks may differ.
const SUBJECT_KEPT_MS: i64 = 11 * 60 * 1000;
/// As long as an upload may take whose sender was let in before; hospitals are few.
const TENANT_KEPT_MS: i64 = 49 * 3600 * 1000;

/// Begins the next epoch of a user.
pub async fn of_user(unit: &mut Unit, tenant: TenantId, user: UserId, now_ms: i64) -> Result<()> {
    let next = sqlx::query("UPDATE users SET epoch = epoch + 1 WHERE tenant_id = ? AND id = ?");
    next.id(tenant).id(user).run(unit).await?;
    let epoch: i64 = sqlx::query_scalar("SELECT epoch FROM users WHERE tenant_id = ? AND id = ?")
        .id(tenant)
        .id(user)
        .fetch_one(&mut **unit)
        .await
        .map_err(db::failed)?;
    keep(unit, SUBJECT, user.to_string(), epoch, now_ms).await
}

/// Begins the next epoch of an API client.
pub async fn of_client(unit: &mut Unit, tenant: TenantId, id: UserId, now_ms: i64) -> Result<()> {
    let next = sqlx::query("UPDATE clients SET epoch = epoch + 1 WHERE tenant_id = ? AND id = ?");
    next.id(tenant).id(id).run(unit).await?;
    let epoch: i64 = sqlx::query_scalar("SELECT epoch FROM clients WHERE tenant_id = ? AND id = ?")
        .id(tenant)
        .id(id)
        .fetch_one(&mut **unit)
        .await
        .map_err(db::failed)?;
    keep(unit, SUBJECT, id.to_string(), epoch, now_ms).await
}

/// Begins the next epoch of a hospital, and with it of all who belong to it.
pub async fn of_tenant(unit: &mut Unit, tenant: TenantId, now_ms: i64) -> Result<()> {
    let next = sqlx::query("UPDATE tenants SET epoch = epoch + 1 WHERE id = ?");
    next.id(tenant).run(unit).await?;
    let epoch: i64 = sqlx::query_scalar("SELECT epoch FROM tenants WHERE id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(db::failed)?;
    keep(unit, TENANT, tenant.to_string(), epoch, now_ms).await
}

/// The row whose epoch it is has been changed in the same unit, so that nobody else writes its revocation meanwhile.
async fn keep(
    unit: &mut Unit,
    kind: &'static str,
    id: String,
    epoch: i64,
    now_ms: i64,
) -> Result<()> {
    sqlx::query("DELETE FROM revocations WHERE kind = ? AND id = ?")
        .bind(kind)
        .bind(id.clone())
        .run(unit)
        .await?;
    sqlx::query("INSERT INTO revocations (kind, id, epoch, revoked_ms) VALUES (?, ?, ?, ?)")
        .bind(kind)
        .bind(id)
        .bind(epoch)
        .bind(now_ms)
        .run(unit)
        .await?;
    Ok(())
}

/// All that may still matter, and the hospitals that are not active.
pub async fn list(database: &Database, now_ms: i64) -> Result<RevocationList> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT kind, id, epoch FROM revocations WHERE revoked_ms > ? OR (kind = ? AND revoked_ms > ?)",
    )
    .bind(now_ms - SUBJECT_KEPT_MS)
    .bind(TENANT)
    .bind(now_ms - TENANT_KEPT_MS)
    .fetch_all(database.pool())
    .await
    .map_err(db::failed)?;
    let mut list = RevocationList::default();
    for (kind, id, epoch) in rows {
        let of_kind = if kind == TENANT { &mut list.tenants } else { &mut list.subjects };
        of_kind.push(Revocation { id, epoch });
    }
    let stopped: Vec<(String, String)> =
        sqlx::query_as("SELECT id, state FROM tenants WHERE state <> ?")
            .bind(TenantState::Active.name())
            .fetch_all(database.pool())
            .await
            .map_err(db::failed)?;
    for (id, state) in stopped {
        if state == TenantState::Closed.name() {
            list.closed_tenants.push(id.clone());
        }
        list.stopped_tenants.push(id);
    }
    Ok(list)
}

/// Forgets what cannot matter any more; at a new start.
pub async fn sweep(database: &Database, now_ms: i64) -> Result<()> {
    sqlx::query("DELETE FROM revocations WHERE revoked_ms < ?")
        .bind(now_ms - TENANT_KEPT_MS)
        .execute(database.pool())
        .await
        .map(drop)
        .map_err(db::failed)
}

/// Refuses a token of an earlier epoch, at once: auth itself need not wait for its own list.
pub async fn check(database: &Database, claims: &Claims) -> Result<()> {
    let (epochs, tenant) = (claims.epochs(), claims.tenant().id());
    let newer: Option<i64> = sqlx::query_scalar(
        "SELECT epoch FROM revocations
         WHERE (kind = ? AND id = ? AND epoch > ?) OR (kind = ? AND id = ? AND epoch > ?) LIMIT 1",
    )
    .bind(SUBJECT)
    .bind(claims.subject.clone())
    .bind(epochs.subject)
    .bind(TENANT)
    .id(tenant)
    .bind(epochs.tenant)
    .fetch_optional(database.pool())
    .await
    .map_err(db::failed)?;
    match newer {
        Some(_) => Err(ErrorKind::Unauthenticated.error("the access token is not valid")),
        None => Ok(()),
    }
}
