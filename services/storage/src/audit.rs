use domain::{Result, TenantId};
use platform::db::{BindId, Database, Run, Unit, failed};

use crate::artefacts::sha256_of;

/// An entry of the audit trail: who did what to which scan, never what is in it.
pub struct Entry<'a> {
    pub tenant: TenantId,
    pub at_ms: i64,
    /// The user, API client or worker.
    pub subject: &'a str,
    pub action: &'static str,
    pub object: String,
}

/// Appends an entry to the tenant's hash chain, as part of `unit`: a change and its audit entry commit together.
pub async fn append(unit: &mut Unit, entry: Entry<'_>) -> Result<()> {
    let tenant = entry.tenant.to_string();
    let (position, previous) = next(unit, &tenant).await?;
    let digest = sha256_of(&[
        &previous,
        &tenant,
        &position.to_string(),
        &entry.at_ms.to_string(),
        entry.subject,
        entry.action,
        &entry.object,
    ]);
    sqlx::query(
        "INSERT INTO audit (tenant_id, position, at_ms, subject, action, object_id, previous, sha256)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&tenant)
    .bind(position)
    .bind(entry.at_ms)
    .bind(entry.subject)
    .bind(entry.action)
    .bind(entry.object)
    .bind(previous)
    .bind(&digest)
    .run(unit)
    .await?;
    sqlx::query("UPDATE audit_heads SET sha256 = ? WHERE tenant_id = ?")
        .bind(digest)
        .bind(tenant)
        .run(unit)
        .await?;
    Ok(())
}

/// The position of the next entry, and the digest of the one before it. Whoever asks holds the head
/// until the unit ends, so that the chain has one order.
async fn next(unit: &mut Unit, tenant: &str) -> Result<(i64, String)> {
    sqlx::query("UPDATE audit_heads SET position = position + 1 WHERE tenant_id = ?")
        .bind(tenant)
        .run(unit)
        .await?;
    sqlx::query_as("SELECT position, sha256 FROM audit_heads WHERE tenant_id = ?")
        .bind(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)
}

/// Begins the tenant's chain, unless it has begun. Not as part of a unit: of several that begin it in the same moment, each
/// would wait for the others.
pub async fn begin(database: &Database, tenant: TenantId) -> Result<()> {
    let begun: Option<i64> =
        sqlx::query_scalar("SELECT position FROM audit_heads WHERE tenant_id = ?")
            .id(tenant)
            .fetch_optional(database.pool())
            .await
            .map_err(failed)?;
    if begun.is_some() {
        return Ok(());
    }
    let begun =
        sqlx::query("INSERT INTO audit_heads (tenant_id, position, sha256) VALUES (?, 0, '')")
            .id(tenant)
            .execute(database.pool())
            .await;
    match begun {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
        begun => begun.map(drop).map_err(failed),
    }
}
