use std::sync::Arc;

use domain::{Clock, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, BindId, Database, Run, Unit};
use service::claims::SigningKey;
use sqlx::FromRow;

use crate::accounts::Credentials;
use crate::{audit, revocations, secrets};

/// However often it is refreshed, a session ends so long after its sign-in.
const LIFETIME_MS: i64 = 12 * 60 * 60 * 1000;

/// Two tabs, or a client whose answer was lost, may use a token twice within this time.
const GRACE_MS: i64 = 10_000;

/// Sessions: from a sign-in to a sign-out, through a chain of refresh tokens that each work once.
///
/// Only hashes of refresh tokens are kept. A token's successor is derived from it with the signing key,
/// so that a second use within the grace gets the same successor although nobody has kept it. A use after
/// that means that a token was stolen, and ends the session for thief and owner alike.
pub struct Sessions {
    database: Database,
    key: Arc<SigningKey>,
    clock: Clock,
    random: Random,
}

/// Whose session it is, and the refresh token that comes next.
pub struct Refreshed {
    pub tenant: String,
    pub user: String,
    pub successor: String,
}

/// What a session has that was begun through a hospital's provider.
pub struct ByProvider {
    /// The digest of the session there; empty: it has named none.
    pub session: String,
    /// It ends so long after its sign-in: then the provider is asked again.
    pub lasts_ms: i64,
}

/// A session that goes on.
#[derive(FromRow)]
pub struct Session {
    pub id: String,
    /// 0: before this was kept.
    pub begun_ms: i64,
    pub expires_ms: i64,
    /// The network address of its sign-in.
    pub place: String,
}

struct Found {
    tenant: String,
    session: String,
    user: String,
    used_ms: i64,
    expires_ms: i64,
    revoked_ms: i64,
}

impl Sessions {
    pub fn new(database: Database, key: Arc<SigningKey>, clock: Clock, random: Random) -> Sessions {
        Sessions { database, key, clock, random }
    }

    /// Begins a session of whom `credentials` are, at `place`; the answer is its first refresh token. None when their account has
    /// changed since it was looked up, as by a reset in the very moment of a sign-in with the old password.
    pub async fn begin(
        &self,
        credentials: &Credentials,
        place: &str,
        by: Option<ByProvider>,
    ) -> Result<Option<String>> {
        let token = secrets::secret(&self.random);
        let (hash, now_ms) = (secrets::hash(&token), self.clock.now_ms());
        let session = UserId::new(&self.clock, &self.random).to_string();
        let whose = credentials.user.tenant;
        let how = if by.is_some() { "through a provider" } else { "" };
        let (user, epoch) = (&credentials.user, credentials.epochs.subject);
        let (tenant, user) = (user.tenant.to_string(), user.id.to_string());
        let place = place.to_owned();
        let by_provider = i64::from(by.is_some());
        let (provider_session, lasts_ms) = by
            .map_or((String::new(), LIFETIME_MS), |by| (by.session, by.lasts_ms.min(LIFETIME_MS)));
        let has_begun = self
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    if !is_as_it_was(unit, &tenant, &user, epoch, now_ms).await? {
                        return Ok(false);
                    }
                    forget_expired(unit, &tenant, &user, now_ms).await?;
                    sqlx::query(
                        "INSERT INTO sessions (tenant_id, id, user_id, expires_ms, revoked_ms, begun_ms, place,
                             provider_session, by_provider)
                         VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)",
                    )
                    .bind(tenant.as_str())
                    .bind(session.as_str())
                    .bind(user.as_str())
                    .bind(now_ms + lasts_ms)
                    .bind(now_ms)
                    .bind(place)
                    .bind(provider_session)
                    .bind(by_provider)
                    .execute(&mut **unit)
                    .await
                    .map_err(db::failed)?;
                    keep(unit, &tenant, &session, &hash).await?;
                    let own = (whose, user.as_str());
                    audit::note_by(unit, own, now_ms, "sign_in.succeeded", how).await?;
                    Ok(true)
                })
            })
            .await?;
        Ok(has_begun.then_some(token))
    }

    /// The user's sessions that go on, the newest first.
    pub async fn of(&self, tenant: TenantId, user: UserId) -> Result<Vec<Session>> {
        sqlx::query_as(
            "SELECT id, begun_ms, expires_ms, place FROM sessions
             WHERE tenant_id = ? AND user_id = ? AND revoked_ms = 0 AND expires_ms > ?
             ORDER BY begun_ms DESC, id DESC",
        )
        .id(tenant)
        .id(user)
        .bind(self.clock.now_ms())
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)
    }

    /// Ends one of the user's sessions. Access tokens do not say their session: all of the user's are refused within a minute,
    /// and who holds another session gets a new one without noticing.
    pub async fn end_one(&self, tenant: TenantId, user: UserId, session: String) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    let ended = sqlx::query(
                        "UPDATE sessions SET revoked_ms = ?
                         WHERE tenant_id = ? AND user_id = ? AND id = ? AND revoked_ms = 0",
                    );
                    let ended = ended.bind(now_ms).id(tenant).id(user).bind(session.clone());
                    if ended.run(unit).await? == 0 {
                        return Err(ErrorKind::NotFound.error("no such session"));
                    }
                    revocations::of_user(unit, tenant, user, now_ms).await?;
                    audit::note(unit, tenant, now_ms, "session.ended", session, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %user, "ended a session");
        Ok(())
    }

    /// Uses `token` up. None when it is unknown, expired, revoked, or used before.
    pub async fn refresh(&self, token: &str) -> Result<Option<Refreshed>> {
        let successor = secrets::text(&self.key.derive("refresh token", token.as_bytes()));
        let (hash, next) = (secrets::hash(token), secrets::hash(&successor));
        let now_ms = self.clock.now_ms();
        let found =
            self.database.unit(move |unit| Box::pin(rotate(unit, hash, next, now_ms))).await?;
        Ok(found.map(|found| Refreshed { tenant: found.tenant, user: found.user, successor }))
    }

    /// Ends the session that `token` belongs to, if any does that goes on: it ends once, and is said to have ended once.
    pub async fn end(&self, token: &str) -> Result<()> {
        let (hash, now_ms) = (secrets::hash(token), self.clock.now_ms());
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    let Some(found) = find(unit, &hash).await? else { return Ok(()) };
                    if !revoke(unit, &found, now_ms).await? {
                        return Ok(());
                    }
                    let own = (found.tenant.parse::<TenantId>()?, found.user.as_str());
                    audit::note_by(unit, own, now_ms, "session.ended", "signed out").await
                })
            })
            .await
    }
}

/// Whether nothing was taken from the user since; notes that they have signed in.
async fn is_as_it_was(
    unit: &mut Unit,
    tenant: &str,
    user: &str,
    epoch: i64,
    now_ms: i64,
) -> Result<bool> {
    let noted = sqlx::query(
        "UPDATE users SET signed_in_ms = ? WHERE tenant_id = ? AND id = ? AND epoch = ? AND state = 'active'",
    );
    let noted = noted.bind(now_ms).bind(tenant.to_owned()).bind(user.to_owned()).bind(epoch);
    Ok(noted.run(unit).await? == 1)
}

/// Of many parallel uses, the one whose UPDATE counts makes the successor; the others find it made.
async fn rotate(unit: &mut Unit, hash: String, next: String, now_ms: i64) -> Result<Option<Found>> {
    let first =
        sqlx::query("UPDATE refresh_tokens SET used_ms = ? WHERE token_hash = ? AND used_ms = 0")
            .bind(now_ms)
            .bind(hash.as_str())
            .execute(&mut **unit)
            .await
            .map_err(db::failed)?
            .rows_affected()
            == 1;
    let Some(found) = find(unit, &hash).await? else { return Ok(None) };
    if found.revoked_ms != 0 || found.expires_ms <= now_ms {
        return Ok(None);
    }
    if first {
        keep(unit, &found.tenant, &found.session, &next).await?;
        return Ok(Some(found));
    }
    if now_ms - found.used_ms <= GRACE_MS {
        // Not there when the signing key has changed meanwhile: then refused, but nobody is accused.
        let made = find(unit, &next).await?.is_some();
        return Ok(made.then_some(found));
    }
    tracing::warn!(session.id = %found.session, "a refresh token was used again: session revoked");
    revoke(unit, &found, now_ms).await?;
    let (own, why) =
        ((found.tenant.parse::<TenantId>()?, found.user.as_str()), "a token was used again");
    audit::note_by(unit, own, now_ms, "session.ended", why).await?;
    Ok(None)
}

async fn find(unit: &mut Unit, hash: &str) -> Result<Option<Found>> {
    let row: Option<(String, String, String, i64, i64, i64)> = sqlx::query_as(
        "SELECT s.tenant_id, s.id, s.user_id, t.used_ms, s.expires_ms, s.revoked_ms
         FROM refresh_tokens t JOIN sessions s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
         WHERE t.token_hash = ?",
    )
    .bind(hash)
    .fetch_optional(&mut **unit)
    .await
    .map_err(db::failed)?;
    Ok(row.map(|(tenant, session, user, used_ms, expires_ms, revoked_ms)| Found {
        tenant,
        session,
        user,
        used_ms,
        expires_ms,
        revoked_ms,
    }))
}

async fn keep(unit: &mut Unit, tenant: &str, session: &str, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO refresh_tokens (tenant_id, token_hash, session_id, used_ms)
         VALUES (?, ?, ?, 0)",
    )
    .bind(tenant)
    .bind(hash)
    .bind(session)
    .execute(&mut **unit)
    .await
    .map(drop)
    .map_err(db::failed)
}

/// Whether it had not ended before.
async fn revoke(unit: &mut Unit, found: &Found, now_ms: i64) -> Result<bool> {
    sqlx::query(
        "UPDATE sessions SET revoked_ms = ? WHERE tenant_id = ? AND id = ? AND revoked_ms = 0",
    )
    .bind(now_ms)
    .bind(found.tenant.as_str())
    .bind(found.session.as_str())
    .execute(&mut **unit)
    .await
    .map(|revoked| revoked.rows_affected() == 1)
    .map_err(db::failed)
}

/// Sweeps at each sign-in, so that what a user leaves behind never grows beyond one lifetime's.
async fn forget_expired(unit: &mut Unit, tenant: &str, user: &str, now_ms: i64) -> Result<()> {
    for sweep in [
        "DELETE FROM refresh_tokens WHERE tenant_id = ? AND session_id IN (
             SELECT id FROM sessions s WHERE s.tenant_id = refresh_tokens.tenant_id
             AND s.user_id = ? AND s.expires_ms < ?)",
        "DELETE FROM sessions WHERE tenant_id = ? AND user_id = ? AND expires_ms < ?",
    ] {
        sqlx::query(sweep)
            .bind(tenant)
            .bind(user)
            .bind(now_ms)
            .execute(&mut **unit)
            .await
            .map_err(db::failed)?;
    }
    Ok(())
}
