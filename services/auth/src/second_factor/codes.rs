//! Codes for recovery, for whoever has lost what shows them otherwise.

use domain::{Result, TenantId, UserId};
use platform::db::{self, BindId, Run, Unit};

use super::Factors;
use crate::{audit, secrets, security_keys};

/// As many as fit on a slip of paper.
const RECOVERY_CODES: usize = 10;

impl Factors {
    /// Makes codes for recovery, in the place of all that are left.
    pub async fn make_codes(&self, tenant: TenantId, id: UserId) -> Result<Vec<String>> {
        let codes = self.draw_codes();
        let (hashes, now_ms) = (hashes(&codes), self.clock.now_ms());
        self.database
            .unit(move |unit| {
                Box::pin(async move { keep_codes(unit, (tenant, id), hashes, now_ms).await })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "made a user's codes for recovery");
        Ok(codes)
    }

    /// Codes that nobody has yet.
    pub(super) fn draw_codes(&self) -> Vec<String> {
        (0..RECOVERY_CODES).map(|_| secrets::readable_password(&self.random)).collect()
    }

    /// Whether that is a code for recovery, which is used up.
    pub(super) async fn recovers(&self, tenant: TenantId, id: UserId, code: &str) -> Result<bool> {
        let (hash, now_ms) = (secrets::hash(code), self.clock.now_ms());
        let is_right = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let is_right = use_code(unit, tenant, id, hash).await?;
                    if is_right {
                        audit::note(unit, tenant, now_ms, "second_factor.code_used", id, "")
                            .await?;
                    }
                    Ok(is_right)
                })
            })
            .await?;
        if is_right {
            tracing::warn!(tenant.id = %tenant, account.id = %id, "a code for recovery was used");
        }
        Ok(is_right)
    }
}

/// What is kept of codes.
pub(super) fn hashes(codes: &[String]) -> Vec<String> {
    codes.iter().map(|code| secrets::hash(code)).collect()
}

async fn use_code(unit: &mut Unit, tenant: TenantId, id: UserId, hash: String) -> Result<bool> {
    let used = sqlx::query(
        "DELETE FROM recovery_codes WHERE tenant_id = ? AND user_id = ? AND code_hash = ?",
    );
    Ok(used.id(tenant).id(id).bind(hash).run(unit).await? == 1)
}

/// Keeps codes in the place of all that are left.
pub(super) async fn keep_codes(
    unit: &mut Unit,
    (tenant, id): (TenantId, UserId),
    hashes: Vec<String>,
    now_ms: i64,
) -> Result<()> {
    forget_codes(unit, tenant, id).await?;
    for hash in hashes {
        sqlx::query("INSERT INTO recovery_codes (tenant_id, user_id, code_hash) VALUES (?, ?, ?)")
            .id(tenant)
            .id(id)
            .bind(hash)
            .run(unit)
            .await?;
    }
    audit::note(unit, tenant, now_ms, "second_factor.codes_made", id, "").await
}

/// Whether a user has anything that a sign-in asks for.
pub(super) async fn has_factor(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<bool> {
    let confirmed: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM second_factors WHERE tenant_id = ? AND user_id = ? AND confirmed_ms > 0",
    )
    .id(tenant)
    .id(id)
    .fetch_one(&mut **unit)
    .await
    .map_err(db::failed)?;
    Ok(confirmed > 0 || security_keys::count(unit, tenant, id).await? > 0)
}

/// Forgets codes for recovery that are for no factor any more.
pub(super) async fn forget_codes_of_nothing(
    unit: &mut Unit,
    tenant: TenantId,
    id: UserId,
) -> Result<()> {
    if has_factor(unit, tenant, id).await? {
        return Ok(());
    }
    forget_codes(unit, tenant, id).await
}

pub(super) async fn forget_codes(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<()> {
    let forget = sqlx::query("DELETE FROM recovery_codes WHERE tenant_id = ? AND user_id = ?");
    forget.id(tenant).id(id).run(unit).await.map(drop)
}
