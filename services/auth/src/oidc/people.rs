//! Who of a hospital somebody is that its provider knows.

use domain::{Error, ErrorKind, Result, TenantId, UserId, hex};
use platform::db::{self, BindId, Run, Unit};
use service::claims::Role;
use sha2::{Digest, Sha256};

use super::claims::Logout;
use super::rules::Admitted;
use super::store::{self, Provider};
use crate::accounts::{self, Accounts, Credentials, UserToBe, hold};
use crate::lives::end_all;
use crate::states::UserState;
use crate::{audit, links, revocations, roles};

/// What is kept of a subject, or of a session at the provider.
pub fn digest(issuer: &str, name: &str) -> String {
    hex(&Sha256::digest([issuer.as_bytes(), b"\0", name.as_bytes()].concat()))
}

/// The account of whom the provider calls `subject`, made where the rules allow that, with the roles of now.
pub async fn admit(
    accounts: &Accounts,
    provider: &Provider,
    subject: String,
    admitted: Admitted,
) -> Result<Credentials> {
    let (id, now_ms) = (UserId::new(&accounts.clock, &accounts.random), accounts.clock.now_ms());
    let (tenant, rules) = (provider.tenant, provider.rules.clone());
    let by_default = rules.default_roles;
    let invited_only = rules.invited_only;
    let user = accounts
        .database
        .unit(move |unit| {
            Box::pin(async move {
                // Two first sign-ins of one person are one after the other.
                hold(unit, tenant).await?;
                let found = match linked(unit, tenant, &subject).await? {
                    Some(found) => found,
                    None => {
                        let new = New { id, subject, invited_only, by_default };
                        link(unit, tenant, new, &admitted, now_ms).await?
                    }
                };
                bring_up_to_date(unit, tenant, &found, admitted.roles, now_ms).await?;
                Ok(found.id)
            })
        })
        .await?;
    let user = accounts.user(tenant, user).await?.filter(Credentials::may_sign_in);
    user.ok_or_else(|| ErrorKind::Forbidden.error("your account here is disabled"))
}

/// Notes that whom the provider calls so could not sign in, by the id of their account, where they have one.
pub async fn refused(accounts: &Accounts, tenant: TenantId, subject: String) -> Result<()> {
    let now_ms = accounts.clock.now_ms();
    accounts
        .database
        .unit(move |unit| {
            Box::pin(async move {
                let found = linked(unit, tenant, &subject).await?;
                let own = found.map(|found| found.id.to_string()).unwrap_or_default();
                let (action, why) = ("sign_in.failed", "known to the provider, and not let in");
                audit::note_by(unit, (tenant, &*own), now_ms, action, why).await
            })
        })
        .await
}

/// A user who may be somebody's account.
struct Found {
    id: UserId,
    state: UserState,
    roles: Vec<Role>,
    has_password: bool,
}

/// What there is to know where a subject comes for the first time.
struct New {
    id: UserId,
    subject: String,
    invited_only: bool,
    by_default: Vec<Role>,
}

async fn linked(unit: &mut Unit, tenant: TenantId, subject: &str) -> Result<Option<Found>> {
    let row: Option<(String, String, String, String)> = sqlx::query_as(
        "SELECT u.id, u.state, u.roles, u.password_hash
         FROM provider_subjects s JOIN users u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
         WHERE s.tenant_id = ? AND s.subject_hash = ?",
    )
    .id(tenant)
    .bind(subject.to_owned())
    .fetch_optional(&mut **unit)
    .await
    .map_err(db::failed)?;
    row.map(found).transpose()
}

/// Takes an account for whom the provider speaks of, for good: that of somebody who is invited, or was known by another provider of
/// this hospital; or a new one. Never one with a password: whoever can choose a name there would become its owner.
async fn link(
    unit: &mut Unit,
    tenant: TenantId,
    new: New,
    admitted: &Admitted,
    now_ms: i64,
) -> Result<Found> {
    let row: Option<(String, String, String, String)> = sqlx::query_as(
        "SELECT id, state, roles, password_hash FROM users WHERE tenant_id = ? AND user_name = ?",
    )
    .id(tenant)
    .bind(admitted.user_name.clone())
    .fetch_optional(&mut **unit)
    .await
    .map_err(db::failed)?;
    let user = match row.map(found).transpose()? {
        Some(user) if user.has_password => return Err(another("has a password of its own")),
        Some(user) => user,
        None if new.invited_only => {
            let words = "your hospital lets in who is invited: ask its administrator";
            return Err(ErrorKind::Forbidden.error(words));
        }
        None => made(unit, tenant, &new, admitted, now_ms).await?,
    };
    sqlx::query(
        "INSERT INTO provider_subjects (tenant_id, subject_hash, user_id) VALUES (?, ?, ?)",
    )
    .id(tenant)
    .bind(new.subject)
    .id(user.id)
    .run(unit)
    .await
    .map_err(|error| match error.kind() {
        ErrorKind::Conflict => another("is somebody else's at your hospital's provider"),
        _ => error,
    })?;
    tracing::info!(tenant.id = %tenant, account.id = %user.id, "an account is a provider's subject");
    Ok(user)
}

async fn made(
    unit: &mut Unit,
    tenant: TenantId,
    new: &New,
    admitted: &Admitted,
    now_ms: i64,
) -> Result<Found> {
    let roles = admitted.roles.clone().unwrap_or_else(|| new.by_default.clone());
    if roles.is_empty() {
        let words = "you have no role here: ask your hospital's administrator for an invitation";
        return Err(ErrorKind::Forbidden.error(words));
    }
    let (user_name, password_hash) = (admitted.user_name.clone(), String::new());
    let to_be =
        UserToBe { tenant, user_name, roles: roles.clone(), password_hash, must_change: false };
    let user = accounts::insert_user(unit, new.id, to_be, now_ms).await?;
    Ok(Found { id: user.id, state: user.state, roles, has_password: false })
}

/// Whoever was invited has come; roles are what the provider says, also where that takes the last administrator's: it may give them
/// again.
async fn bring_up_to_date(
    unit: &mut Unit,
    tenant: TenantId,
    user: &Found,
    roles: Option<Vec<Role>>,
    now_ms: i64,
) -> Result<()> {
    if user.state == UserState::Invited {
        let active = sqlx::query("UPDATE users SET state = ? WHERE tenant_id = ? AND id = ?");
        active.bind(UserState::Active.name()).id(tenant).id(user.id).run(unit).await?;
        links::forget(unit, tenant, user.id).await?;
    }
    let Some(roles) = roles.filter(|roles| !same(roles, &user.roles)) else { return Ok(()) };
    let change = sqlx::query("UPDATE users SET roles = ? WHERE tenant_id = ? AND id = ?");
    change.bind(roles::to_text(&roles)).id(tenant).id(user.id).run(unit).await?;
    tracing::info!(tenant.id = %tenant, account.id = %user.id, "a provider has changed a user's roles");
    revocations::of_user(unit, tenant, user.id, now_ms).await?;
    let own = user.id.to_string();
    audit::note_by(unit, (tenant, &*own), now_ms, "user.changed", "by the provider").await
}

/// Ends what a provider says has ended: all sessions of a subject, or those of one session there. The token of that digest does so
/// once: what is begun afterwards it does not end.
pub async fn log_out(
    accounts: &Accounts,
    provider: &Provider,
    logout: Logout,
    (hash, expires_ms): (String, i64),
) -> Result<()> {
    let (tenant, now_ms) = (provider.tenant, accounts.clock.now_ms());
    let named = |name: Option<String>| name.map(|name| digest(&provider.issuer, &name));
    let (subject, session) = (named(logout.subject), named(logout.session));
    let ended = accounts
        .database
        .unit(move |unit| {
            Box::pin(async move {
                store::spend_in(unit, hash, expires_ms, now_ms).await?;
                if let Some(session) = session {
                    return end_session(unit, tenant, session, now_ms).await;
                }
                let Some(subject) = subject else { return Ok(()) };
                match linked(unit, tenant, &subject).await? {
                    Some(user) => end_all_of(unit, tenant, user.id, now_ms).await,
                    None => Ok(()),
                }
            })
        })
        .await;
    match ended {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            tracing::warn!(tenant.id = %tenant, "a logout token was used again");
            Ok(())
        }
        ended => ended,
    }
}

async fn end_all_of(unit: &mut Unit, tenant: TenantId, user: UserId, now_ms: i64) -> Result<()> {
    let going_on: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sessions
         WHERE tenant_id = ? AND user_id = ? AND revoked_ms = 0 AND expires_ms > ?",
    )
    .id(tenant)
    .id(user)
    .bind(now_ms)
    .fetch_one(&mut **unit)
    .await
    .map_err(db::failed)?;
    end_all(unit, tenant, user, now_ms).await?;
    if going_on == 0 {
        return Ok(());
    }
    note_ended(unit, tenant, &user.to_string(), now_ms).await
}

async fn note_ended(unit: &mut Unit, tenant: TenantId, user: &str, now_ms: i64) -> Result<()> {
    audit::note_by(unit, (tenant, user), now_ms, "session.ended", "by the provider").await
}

async fn end_session(
    unit: &mut Unit,
    tenant: TenantId,
    session: String,
    now_ms: i64,
) -> Result<()> {
    let users: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT user_id FROM sessions WHERE tenant_id = ? AND provider_session = ? AND revoked_ms = 0",
    )
    .id(tenant)
    .bind(session.clone())
    .fetch_all(&mut **unit)
    .await
    .map_err(db::failed)?;
    let end = sqlx::query(
        "UPDATE sessions SET revoked_ms = ? WHERE tenant_id = ? AND provider_session = ? AND revoked_ms = 0",
    );
    end.bind(now_ms).id(tenant).bind(session).run(unit).await?;
    for (user,) in users {
        revocations::of_user(unit, tenant, user.parse()?, now_ms).await?;
        note_ended(unit, tenant, &user, now_ms).await?;
    }
    Ok(())
}

fn found((id, state, roles, password_hash): (String, String, String, String)) -> Result<Found> {
    Ok(Found {
        id: id.parse()?,
        state: UserState::of_row(&state)?,
        roles: roles::from_text(&roles),
        has_password: !password_hash.is_empty(),
    })
}

fn same(one: &[Role], other: &[Role]) -> bool {
    one.len() == other.len() && one.iter().all(|role| other.contains(role))
}

fn another(why: &str) -> Error {
    let words = format!("the account of your name here {why}: ask your hospital's administrator");
    ErrorKind::Forbidden.error(words)
}
