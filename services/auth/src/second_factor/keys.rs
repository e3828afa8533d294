//! Security keys as a second factor: how they come and go.

use domain::{Result, SecurityKeyId, TenantId, UserId};

use super::codes::{forget_codes_of_nothing, has_factor, hashes, keep_codes};
use super::{Factors, check_remover, forget_begun};
use crate::accounts::label;
use crate::{audit, security_keys};

impl Factors {
    /// Keeps the security key that a browser has made as it was asked; codes for recovery, where it is the first factor of its user.
    /// It is asked for from now on.
    pub async fn add_key(
        &self,
        tenant: TenantId,
        id: UserId,
        name: &str,
        json: &str,
    ) -> Result<(SecurityKeyId, Vec<String>)> {
        let name = label(name, "a security key's name")?;
        let key = self.keys.made((tenant, id), json).await?;
        let (key_id, now_ms) = (key.id, self.clock.now_ms());
        let codes = self.draw_codes();
        let hashes = hashes(&codes);
        let is_first = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let is_first = !has_factor(unit, tenant, id).await?;
                    security_keys::insert(unit, (tenant, id), key, name, now_ms).await?;
                    forget_begun(unit, tenant, id).await?;
                    let (action, which) = ("second_factor.key_added", key_id.to_string());
                    audit::note(unit, tenant, now_ms, action, id, &which).await?;
                    // With the key or not at all: nothing else makes them for whoever has keys alone.
                    if is_first {
                        keep_codes(unit, (tenant, id), hashes, now_ms).await?;
                    }
                    Ok(is_first)
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "registered a security key");
        Ok((key_id, if is_first { codes } else { Vec::new() }))
    }

    /// Takes one security key away; with the last factor go the codes for recovery. `NotFound` where the user has none of that id.
    pub async fn remove_key(&self, tenant: TenantId, id: UserId, key: SecurityKeyId) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    security_keys::forget_one(unit, (tenant, id), key).await?;
                    forget_begun(unit, tenant, id).await?;
                    forget_codes_of_nothing(unit, tenant, id).await?;
                    let (action, which) = ("second_factor.key_removed", key.to_string());
                    audit::note(unit, tenant, now_ms, action, id, &which).await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "took a security key away");
        Ok(())
    }

    /// The same by an administrator, as [`Factors::remove_of`].
    pub async fn remove_key_of(
        &self,
        tenant: TenantId,
        id: UserId,
        key: SecurityKeyId,
        by: &str,
    ) -> Result<()> {
        check_remover(id, by)?;
        self.remove_key(tenant, id, key).await
    }
}
