//! The providers that hospitals have named, and what works once.

use domain::{Error, ErrorKind, Result, TenantId};
use platform::db::{self, BindId, Database, Run, Unit};
use sqlx::FromRow;

use super::rules::Rules;
use crate::accounts::{hold, taken};
use crate::lives::{end_all, is_administered};
use crate::{audit, revocations};

/// A hospital's provider. Its secret is sealed.
#[derive(Clone)]
pub struct Provider {
    pub tenant: TenantId,
    pub alias: String,
    pub issuer: String,
    pub client_id: String,
    pub sealed_secret: String,
    /// Whom it knows may have a password here, too.
    pub passwords: bool,
    pub rules: Rules,
}

#[derive(FromRow)]
struct Row {
    tenant_id: String,
    alias: String,
    issuer: String,
    client_id: String,
    client_secret: String,
    passwords: i64,
    rules: String,
}

impl TryFrom<Row> for Provider {
    type Error = Error;

    fn try_from(row: Row) -> Result<Provider> {
        Ok(Provider {
            tenant: row.tenant_id.parse()?,
            alias: row.alias,
            issuer: row.issuer,
            client_id: row.client_id,
            sealed_secret: row.client_secret,
            passwords: row.passwords != 0,
            rules: Rules::from_json(&row.rules)?,
        })
    }
}

macro_rules! providers {
    ($of:literal) => {
        concat!(
            "SELECT p.tenant_id, p.alias, p.issuer, p.client_id, p.client_secret, p.passwords, p.rules
             FROM providers p JOIN tenants t ON t.id = p.tenant_id WHERE ",
            $of
        )
    };
}

/// The provider whose sign-in that is, of a hospital that is neither suspended nor closed.
pub async fn called(database: &Database, alias: &str) -> Result<Option<Provider>> {
    let row: Option<Row> = sqlx::query_as(providers!("p.alias = ? AND t.state = 'active'"))
        .bind(alias.to_owned())
        .fetch_optional(database.pool())
        .await
        .map_err(db::failed)?;
    // A database may think "ábc" equal to "abc".
    row.filter(|row| row.alias == alias).map(Provider::try_from).transpose()
}

/// The provider of a hospital.
pub async fn of(database: &Database, tenant: TenantId) -> Result<Option<Provider>> {
    let row: Option<Row> = sqlx::query_as(providers!("p.tenant_id = ?"))
        .id(tenant)
        .fetch_optional(database.pool())
        .await
        .map_err(db::failed)?;
    row.map(Provider::try_from).transpose()
}

/// Keeps a provider in the place of the one before. All sessions that were begun through that one end: what it was trusted with may
/// be what is changed. With another issuer, or another client there, nobody is anybody's subject any more. And where whom it knows may
/// have a password no more, what was begun with one ends, too.
pub async fn keep(unit: &mut Unit, new: Provider, now_ms: i64) -> Result<()> {
    let tenant = new.tenant;
    hold(unit, tenant).await?;
    let before: Option<(String, String, i64)> =
        sqlx::query_as("SELECT issuer, client_id, passwords FROM providers WHERE tenant_id = ?")
            .id(tenant)
            .fetch_optional(&mut **unit)
            .await
            .map_err(db::failed)?;
    if let Some((issuer, client_id, passwords)) = before {
        end_sessions(unit, tenant, now_ms).await?;
        if passwords != 0 && !new.passwords {
            end_of_subjects(unit, tenant, now_ms).await?;
        }
        if issuer != new.issuer || client_id != new.client_id {
            forget_subjects(unit, tenant).await?;
        }
        sqlx::query("DELETE FROM providers WHERE tenant_id = ?").id(tenant).run(unit).await?;
    }
    sqlx::query(
        "INSERT INTO providers (tenant_id, alias, issuer, client_id, client_secret, passwords, rules, changed_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(new.alias)
    .bind(new.issuer)
    .bind(new.client_id)
    .bind(new.sealed_secret)
    .bind(i64::from(new.passwords))
    .bind(new.rules.to_json()?)
    .bind(now_ms)
    .run(unit)
    .await
    .map_err(|error| taken(error, "another hospital's sign-in has that name"))?;
    audit::note(unit, tenant, now_ms, "provider.changed", tenant, "").await
}

/// Takes a hospital's provider away; what was begun through it ends. `Conflict` where nobody who has a password administers the hospital:
/// everybody would be locked out.
pub async fn remove(unit: &mut Unit, tenant: TenantId, now_ms: i64) -> Result<()> {
    hold(unit, tenant).await?;
    end_sessions(unit, tenant, now_ms).await?;
    forget_subjects(unit, tenant).await?;
    let removed = sqlx::query("DELETE FROM providers WHERE tenant_id = ?").id(tenant).run(unit);
    if removed.await? != 1 {
        return Err(no_provider());
    }
    if !is_administered(unit, tenant, None).await? {
        return Err(ErrorKind::Conflict.error(
            "nobody with the role `admin` has a password here, and without the provider nobody could administer this hospital: \
             invite somebody with that role, and take the provider away once they have chosen a password",
        ));
    }
    audit::note(unit, tenant, now_ms, "provider.removed", tenant, "").await
}

async fn forget_subjects(unit: &mut Unit, tenant: TenantId) -> Result<()> {
    let forget = sqlx::query("DELETE FROM provider_subjects WHERE tenant_id = ?");
    forget.id(tenant).run(unit).await.map(drop)
}

/// Ends all sessions of the hospital that were begun through its provider.
async fn end_sessions(unit: &mut Unit, tenant: TenantId, now_ms: i64) -> Result<()> {
    let users: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT user_id FROM sessions
         WHERE tenant_id = ? AND by_provider = 1 AND revoked_ms = 0 AND expires_ms > ?",
    )
    .id(tenant)
    .bind(now_ms)
    .fetch_all(&mut **unit)
    .await
    .map_err(db::failed)?;
    sqlx::query(
        "UPDATE sessions SET revoked_ms = ? WHERE tenant_id = ? AND by_provider = 1 AND revoked_ms = 0",
    )
    .bind(now_ms)
    .id(tenant)
    .run(unit)
    .await?;
    for (user,) in users {
        revocations::of_user(unit, tenant, user.parse()?, now_ms).await?;
    }
    Ok(())
}

/// Ends all sessions of whom the hospital's provider knows.
async fn end_of_subjects(unit: &mut Unit, tenant: TenantId, now_ms: i64) -> Result<()> {
    let users: Vec<(String,)> =
        sqlx::query_as("SELECT user_id FROM provider_subjects WHERE tenant_id = ?")
            .id(tenant)
            .fetch_all(&mut **unit)
            .await
            .map_err(db::failed)?;
    for (user,) in users {
        end_all(unit, tenant, user.parse()?, now_ms).await?;
    }
    Ok(())
}

/// Uses up what works once; whether it had not been used before. What has expired is forgotten on the way: it is refused for that.
pub async fn spend(
    database: &Database,
    hash: String,
    expires_ms: i64,
    now_ms: i64,
) -> Result<bool> {
    let spent = database
        .unit(move |unit| Box::pin(async move { spend_in(unit, hash, expires_ms, now_ms).await }))
        .await;
    match spent {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same within a unit; `Conflict` where it had been used.
pub async fn spend_in(unit: &mut Unit, hash: String, expires_ms: i64, now_ms: i64) -> Result<()> {
    let sweep = sqlx::query("DELETE FROM spent WHERE expires_ms < ?");
    sweep.bind(now_ms).run(unit).await?;
    let spend = sqlx::query("INSERT INTO spent (hash, expires_ms) VALUES (?, ?)");
    spend.bind(hash).bind(expires_ms).run(unit).await.map(drop)
}

pub fn no_provider() -> Error {
    ErrorKind::NotFound.error("the hospital has no provider of identities")
}
