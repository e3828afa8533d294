//! What becomes of users after they were made.

use domain::{ErrorKind, Result, TenantId, UserId};
use platform::db::{self, BindId, Run, Unit};
use service::claims::{Role, operator_tenant};

use crate::accounts::{self, Accounts, User, UserToBe, acceptable, hold, no_such_user};
use crate::states::UserState;
use crate::{audit, links, revocations, roles};

/// What is to be different about a user.
#[derive(Default)]
pub struct UserChange {
    pub roles: Option<Vec<Role>>,
    pub disabled: Option<bool>,
}

/// A link that sets a password once, and the only sight of its token.
pub struct Link {
    pub user: User,
    pub token: String,
    pub expires_ms: i64,
}

impl Accounts {
    /// Makes a user who chooses the first password by a link.
    pub async fn invite(&self, tenant: TenantId, user_name: &str, roles: &[Role]) -> Result<Link> {
        let user_name = acceptable(user_name)?;
        roles::check(roles)?;
        let (password_hash, roles) = (String::new(), roles.to_vec());
        let to_be = UserToBe { tenant, user_name, roles, password_hash, must_change: false };
        let (id, now_ms) = (UserId::new(&self.clock, &self.random), self.clock.now_ms());
        let new = links::NewLink::invitation(&self.random, now_ms);
        let (token, expires_ms, hash) = new.into_parts();
        let user = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    let user = accounts::insert_user(unit, id, to_be, now_ms).await?;
                    links::keep(unit, tenant, id, hash, expires_ms).await?;
                    Ok(user)
                })
            })
            .await?;
        Ok(Link { user, token, expires_ms })
    }

    /// A link by which a user chooses another password. Until it is used, the old one stays; an earlier link does not.
    pub async fn reset_link(&self, tenant: TenantId, id: UserId) -> Result<Link> {
        let found = self.user(tenant, id).await?.ok_or_else(no_such_user)?;
        let (user, is_bound) = (found.user, found.is_bound);
        if user.state == UserState::Disabled {
            return Err(ErrorKind::Conflict.error("the user is disabled: enable them first"));
        }
        if is_bound {
            let words =
                "the user signs in through the hospital's provider, and has no password here";
            return Err(ErrorKind::Conflict.error(words));
        }
        let now_ms = self.clock.now_ms();
        let new = match user.state {
            UserState::Invited => links::NewLink::invitation(&self.random, now_ms),
            _ => links::NewLink::reset(&self.random, now_ms),
        };
        let (token, expires_ms, hash) = new.into_parts();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    links::keep(unit, tenant, id, hash, expires_ms).await?;
                    audit::note(unit, tenant, now_ms, "user.link_made", id, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "made a link for a password");
        Ok(Link { user, token, expires_ms })
    }

    /// Sets the password of whom the link was made for, and ends all their sessions. It works once; one answer for a link that
    /// never was, has expired, was used, or whose user may not sign in.
    pub async fn use_link(&self, token: &str, password: &str) -> Result<String> {
        let hash = links::hash(token);
        let found = links::find(&self.database, &hash, self.clock.now_ms()).await?;
        let (tenant, id) = found.ok_or_else(links::not_valid)?;
        let user = self.user(tenant, id).await?.ok_or_else(links::not_valid)?;
        if user.user.state == UserState::Disabled || !user.is_of_active_tenant() {
            return Err(links::not_valid());
        }
        let user_name = user.user.user_name;
        self.passwords.check(password, &user_name).await?;
        let password_hash = self.passwords.hash(password).await?;
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    hold(unit, tenant).await?;
                    links::take(unit, hash).await?;
                    let (user, _) = found_in(unit, tenant, id).await?;
                    if user.state == UserState::Disabled {
                        return Err(links::not_valid());
                    }
                    activate(unit, tenant, id, password_hash, now_ms).await?;
                    let own = id.to_string();
                    audit::note_by(unit, (tenant, &*own), now_ms, "user.password_set", "by link")
                        .await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "a password was set by link");
        Ok(user_name)
    }

    /// Gives the user another password. Ends all that was begun with the old one, and any link; whoever was only invited, and may
    /// be the one administrator of a hospital whose link has expired, has a password then. Whoever is disabled stays so.
    pub(crate) async fn set_password(&self, user: &User, password: &str) -> Result<()> {
        let (tenant, id, now_ms) = (user.tenant, user.id, self.clock.now_ms());
        let hash = self.passwords.hash(password).await?;
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE users SET password_hash = ?, must_change = 0,
                             state = CASE WHEN state = ? THEN ? ELSE state END
                         WHERE tenant_id = ? AND id = ?",
                    )
                    .bind(hash)
                    .bind(UserState::Invited.name())
                    .bind(UserState::Active.name())
                    .id(tenant)
                    .id(id)
                    .run(unit)
                    .await?;
                    links::forget(unit, tenant, id).await?;
                    end_all(unit, tenant, id, now_ms).await?;
                    audit::note(unit, tenant, now_ms, "user.password_set", id, "").await
                })
            })
            .await
    }

    /// Changes what a user may do. What they had before is refused within a minute everywhere.
    ///
    /// `Conflict` when nobody would be left to administer the hospital.
    pub async fn change_user(
        &self,
        tenant: TenantId,
        id: UserId,
        change: UserChange,
    ) -> Result<User> {
        if let Some(roles) = &change.roles {
            roles::check(roles)?;
        }
        let now_ms = self.clock.now_ms();
        let changed = self
            .database
            .unit(move |unit| {
                Box::pin(async move { change_in(unit, tenant, id, change, now_ms).await })
            })
            .await?;
        let (state, roles) = (changed.state.name(), roles::to_text(&changed.roles));
        tracing::info!(tenant.id = %tenant, account.id = %id, state, roles, "changed a user");
        Ok(changed)
    }

    /// Deletes an operator. Only whoever has the database can; nobody need be left.
    pub async fn remove_operator(&self, user_name: &str) -> Result<()> {
        let found = self.named(&acceptable(user_name)?).await?.map(|found| found.user);
        let operator = found.filter(|user| user.tenant == operator_tenant());
        let operator = operator.ok_or_else(|| ErrorKind::NotFound.error("no such operator"))?;
        self.delete_user(operator.tenant, operator.id).await
    }

    /// Deletes a user, with sessions and links. What they have said of scans stays under their name.
    pub async fn delete_user(&self, tenant: TenantId, id: UserId) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| Box::pin(async move { delete_in(unit, tenant, id, now_ms).await }))
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "deleted a user");
        Ok(())
    }
}

async fn change_in(
    unit: &mut Unit,
    tenant: TenantId,
    id: UserId,
    change: UserChange,
    now_ms: i64,
) -> Result<User> {
    hold(unit, tenant).await?;
    let (before, has_password) = found_in(unit, tenant, id).await?;
    let mut after = before.clone();
    after.roles = change.roles.unwrap_or(after.roles);
    after.state = match (change.disabled, before.state, has_password) {
        (Some(true), ..) => UserState::Disabled,
        (Some(false), UserState::Disabled, false) => UserState::Invited,
        (Some(false), UserState::Disabled, true) => UserState::Active,
        _ => before.state,
    };
    if after == before {
        return Ok(after);
    }
    if administers(&before) && !administers(&after) {
        another_administers(unit, tenant, id).await?;
    }
    sqlx::query("UPDATE users SET roles = ?, state = ? WHERE tenant_id = ? AND id = ?")
        .bind(roles::to_text(&after.roles))
        .bind(after.state.name())
        .id(tenant)
        .id(id)
        .run(unit)
        .await?;
    if after.state == UserState::Disabled {
        links::forget(unit, tenant, id).await?;
        end_all(unit, tenant, id, now_ms).await?;
    } else {
        revocations::of_user(unit, tenant, id, now_ms).await?;
    }
    let now = format!("{} {}", after.state.name(), roles::to_text(&after.roles));
    audit::note(unit, tenant, now_ms, "user.changed", id, &now).await?;
    Ok(after)
}

async fn delete_in(unit: &mut Unit, tenant: TenantId, id: UserId, now_ms: i64) -> Result<()> {
    hold(unit, tenant).await?;
    let (user, _) = found_in(unit, tenant, id).await?;
    if administers(&user) {
        another_administers(unit, tenant, id).await?;
    }
    revocations::of_user(unit, tenant, id, now_ms).await?;
    links::forget(unit, tenant, id).await?;
    for delete in [
        "DELETE FROM refresh_tokens WHERE tenant_id = ? AND session_id IN (
             SELECT id FROM sessions s WHERE s.tenant_id = refresh_tokens.tenant_id AND s.user_id = ?)",
        "DELETE FROM sessions WHERE tenant_id = ? AND user_id = ?",
        "DELETE FROM provider_subjects WHERE tenant_id = ? AND user_id = ?",
        "DELETE FROM recovery_codes WHERE tenant_id = ? AND user_id = ?",
        "DELETE FROM second_factors WHERE tenant_id = ? AND user_id = ?",
        "DELETE FROM key_challenges WHERE tenant_id = ? AND user_id = ?",
        "DELETE FROM security_keys WHERE tenant_id = ? AND user_id = ?",
        "DELETE FROM users WHERE tenant_id = ? AND id = ?",
    ] {
        sqlx::query(delete).id(tenant).id(id).run(unit).await?;
    }
    audit::note(unit, tenant, now_ms, "user.deleted", id, "").await
}

async fn activate(
    unit: &mut Unit,
    tenant: TenantId,
    id: UserId,
    password_hash: String,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE users SET password_hash = ?, state = ?, must_change = 0 WHERE tenant_id = ? AND id = ?",
    )
    .bind(password_hash)
    .bind(UserState::Active.name())
    .id(tenant)
    .id(id)
    .run(unit)
    .await?;
    end_all(unit, tenant, id, now_ms).await
}

/// Ends the user's sessions, and what was signed in them.
pub(crate) async fn end_all(
    unit: &mut Unit,
    tenant: TenantId,
    id: UserId,
    now_ms: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE sessions SET revoked_ms = ? WHERE tenant_id = ? AND user_id = ? AND revoked_ms = 0",
    )
    .bind(now_ms)
    .id(tenant)
    .id(id)
    .run(unit)
    .await?;
    revocations::of_user(unit, tenant, id, now_ms).await
}

/// The user as they are in this unit, and whether they have a password.
async fn found_in(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<(User, bool)> {
    let row: Option<(String, String, String, String, i64)> = sqlx::query_as(
        "SELECT user_name, roles, state, password_hash, signed_in_ms FROM users
         WHERE tenant_id = ? AND id = ?",
    )
    .id(tenant)
    .id(id)
    .fetch_optional(&mut **unit)
    .await
    .map_err(db::failed)?;
    let (user_name, roles, state, password_hash, signed_in_ms) = row.ok_or_else(no_such_user)?;
    let (roles, state) = (roles::from_text(&roles), UserState::of_row(&state)?);
    let user = User { id, tenant, user_name, roles, state, signed_in_ms };
    Ok((user, !password_hash.is_empty()))
}

fn administers(user: &User) -> bool {
    user.state == UserState::Active && user.roles.contains(&Role::Admin)
}

/// Refuses to leave a hospital without anybody who could make the next administrator.
async fn another_administers(unit: &mut Unit, tenant: TenantId, but: UserId) -> Result<()> {
    if is_administered(unit, tenant, Some(but)).await? {
        return Ok(());
    }
    Err(ErrorKind::Conflict.error(
        "nobody else who can sign in administers this hospital: give the role `admin` to somebody first",
    ))
}

/// Whether somebody (but that one) administers the hospital and can sign in: with a password, or through its provider where it has one.
pub(crate) async fn is_administered(
    unit: &mut Unit,
    tenant: TenantId,
    but: Option<UserId>,
) -> Result<bool> {
    let roles: Vec<(String,)> = sqlx::query_as(
        "SELECT roles FROM users WHERE tenant_id = ? AND id <> ? AND state = ?
         AND (password_hash <> '' OR EXISTS (SELECT 1 FROM providers p WHERE p.tenant_id = users.tenant_id))",
    )
    .id(tenant)
    .bind(but.map(|but| but.to_string()).unwrap_or_default())
    .bind(UserState::Active.name())
    .fetch_all(&mut **unit)
    .await
    .map_err(db::failed)?;
    Ok(roles.iter().any(|(roles,)| roles::from_text(roles).contains(&Role::Admin)))
}
