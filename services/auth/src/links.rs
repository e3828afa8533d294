//! Links that set a password once: invitations, and resets by an administrator.

use domain::{Error, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, BindId, Database, Run, Unit};

use crate::secrets;

/// Whoever is invited may be away for the weekend.
const INVITATION_MS: i64 = 72 * 3600 * 1000;
const RESET_MS: i64 = 24 * 3600 * 1000;

/// A link to be: its token is shown once, and only its hash is kept.
pub struct NewLink {
    token: String,
    expires_ms: i64,
}

impl NewLink {
    pub fn invitation(random: &Random, now_ms: i64) -> NewLink {
        NewLink { token: secrets::secret(random), expires_ms: now_ms + INVITATION_MS }
    }

    pub fn reset(random: &Random, now_ms: i64) -> NewLink {
        NewLink { token: secrets::secret(random), expires_ms: now_ms + RESET_MS }
    }

    /// The token, when it expires, and its hash.
    pub fn into_parts(self) -> (String, i64, String) {
        let hash = hash(&self.token);
        (self.token, self.expires_ms, hash)
    }
}

pub fn hash(token: &str) -> String {
    secrets::hash(token)
}

/// Keeps a user's link, in the place of any before.
pub async fn keep(
    unit: &mut Unit,
    tenant: TenantId,
    user: UserId,
    hash: String,
    expires_ms: i64,
) -> Result<()> {
    forget(unit, tenant, user).await?;
    sqlx::query(
        "INSERT INTO links (tenant_id, user_id, token_hash, expires_ms) VALUES (?, ?, ?, ?)",
    )
    .id(tenant)
    .id(user)
    .bind(hash)
    .bind(expires_ms)
    .run(unit)
    .await
    .map(drop)
}

/// Whose link that is, while it is valid.
pub async fn find(
    database: &Database,
    hash: &str,
    now_ms: i64,
) -> Result<Option<(TenantId, UserId)>> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT tenant_id, user_id FROM links WHERE token_hash = ? AND expires_ms > ?",
    )
    .bind(hash.to_owned())
    .bind(now_ms)
    .fetch_optional(database.pool())
    .await
    .map_err(db::failed)?;
    row.map(|(tenant, user)| Ok((tenant.parse()?, user.parse()?))).transpose()
}

/// Uses a link up: of many who try at once, one succeeds.
pub async fn take(unit: &mut Unit, hash: String) -> Result<()> {
    let taken = sqlx::query("DELETE FROM links WHERE token_hash = ?").bind(hash).run(unit).await?;
    if taken == 1 { Ok(()) } else { Err(not_valid()) }
}

pub async fn forget(unit: &mut Unit, tenant: TenantId, user: UserId) -> Result<()> {
    let forget = sqlx::query("DELETE FROM links WHERE tenant_id = ? AND user_id = ?");
    forget.id(tenant).id(user).run(unit).await.map(drop)
}

pub fn not_valid() -> Error {
    ErrorKind::NotFound
        .error("the link is not valid, or not any more: ask your administrator for another")
}
