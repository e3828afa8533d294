//! The second factor of those who sign in with a password: one-time passwords or security keys, and codes for whoever has lost them.

mod codes;
mod keys;

use std::sync::Arc;

use domain::{Clock, Error, ErrorKind, Random, Result, TenantId, UserId};
use platform::db::{self, BindId, Database, Run, Unit};
use platform::trail;
use sqlx::FromRow;

use crate::accounts::{Credentials, REQUIRED};
use crate::sealed::{self, Sealer};
use crate::security_keys::{self, Keys};
use crate::{audit, totp};
use codes::{forget_codes, forget_codes_of_nothing};

/// The longest code that is looked at.
const CODE_CHARS_MAX: usize = 64;
/// The shortest reason that says something.
const REASON_CHARS_MIN: usize = 3;

/// Second factors, and how they are asked for.
#[derive(Clone)]
pub struct Factors {
    database: Database,
    sealer: Arc<Sealer>,
    pub keys: Keys,
    clock: Clock,
    random: Random,
}

/// What is shown beside a password; what is empty is not.
#[derive(Clone, Copy, Default)]
pub struct Proof<'a> {
    /// Of an app, or for recovery.
    pub code: &'a str,
    /// What a security key has answered, as a browser writes it.
    pub key: &'a str,
}

impl Proof<'_> {
    fn is_empty(&self) -> bool {
        self.code.is_empty() && self.key.is_empty()
    }
}

/// What a proof comes to, beside the right password.
pub enum Answer {
    /// It is right, or none is asked for.
    Passed,
    /// It is right, and the first code of a factor that is asked for from now on.
    Enrolled,
    /// One is asked for. `asked`: what a browser is to be told that is to ask a security key, where there is one.
    Needed {
        asked: Option<String>,
    },
    Wrong,
    /// The hospital asks for one, and they have none yet.
    Enrol(Enrolment),
}

/// What an app is to be told.
pub struct Enrolment {
    pub secret: String,
    pub address: String,
}

#[derive(FromRow)]
struct Row {
    secret: String,
    confirmed_ms: i64,
    last_step: i64,
}

impl Row {
    fn is_confirmed(&self) -> bool {
        self.confirmed_ms > 0
    }
}

impl Factors {
    pub fn new(
        database: Database,
        sealer: Arc<Sealer>,
        keys: Keys,
        clock: Clock,
        random: Random,
    ) -> Factors {
        Factors { database, sealer, keys, clock, random }
    }

    /// Whether whoever has given the right password may go on with `proof`, which may be empty. A right one is used up.
    pub async fn check(&self, known: &Credentials, proof: Proof<'_>) -> Result<Answer> {
        let (tenant, id) = (known.user.tenant, known.user.id);
        let row = self.of(tenant, id).await?;
        let keys = self.keys.of(tenant, id).await?;
        let is_confirmed = row.as_ref().is_some_and(Row::is_confirmed);
        let has_factor = is_confirmed || !keys.is_empty();
        match row {
            // Begun at the account page and never shown to work: it keeps nobody out.
            _ if !has_factor && !known.needs_second_factor => Ok(Answer::Passed),
            _ if has_factor && proof.is_empty() => {
                Ok(Answer::Needed { asked: self.keys.challenge(tenant, id, keys).await? })
            }
            row if has_factor => {
                // What a right proof changes is their own doing: so the audit trail has it.
                audit::known(&known.user);
                // Beside a key, what was begun and never shown to work lets nobody in.
                let row = row.filter(Row::is_confirmed);
                let is_right = if proof.key.is_empty() {
                    self.takes(tenant, id, row.as_ref(), proof.code).await?
                } else {
                    self.keys.has_answered(tenant, id, proof.key).await?
                };
                Ok(if is_right { Answer::Passed } else { Answer::Wrong })
            }
            Some(row) if !proof.code.is_empty() => {
                audit::known(&known.user);
                // No code for recovery is one of an app.
                let is_right = totp::is_code(proof.code.trim())
                    && self.takes(tenant, id, Some(&row), proof.code).await?;
                Ok(if is_right { Answer::Enrolled } else { Answer::Wrong })
            }
            _ => Ok(Answer::Enrol(self.begin(known).await?)),
        }
    }

    /// Whether the user has one-time passwords that were shown to work.
    pub async fn has(&self, tenant: TenantId, id: UserId) -> Result<bool> {
        Ok(self.of(tenant, id).await?.is_some_and(|row| row.is_confirmed()))
    }

    /// Begins a second factor; asked again before it is confirmed, another one in its place: whoever knows the password alone, and was
    /// shown one before its owner was, has none of it. `Conflict` where there is one that works.
    pub async fn begin(&self, known: &Credentials) -> Result<Enrolment> {
        let (tenant, id) = (known.user.tenant, known.user.id);
        let whose = sealed::of_factor(&tenant.to_string(), &id.to_string());
        let secret = totp::base32(&self.random.bytes::<{ totp::SECRET_BYTES }>());
        let sealed = self.sealer.seal(&whose, &secret)?;
        match self.of(tenant, id).await? {
            Some(row) if row.is_confirmed() => return Err(begun_already()),
            Some(_) => self.replace(tenant, id, sealed).await?,
            None => self.insert(tenant, id, sealed).await?,
        }
        let address = totp::address(&known.user.user_name, &secret);
        Ok(Enrolment { secret, address })
    }

    /// Two who begin at once have the one of whoever was first: the other is told to ask again.
    async fn insert(&self, tenant: TenantId, id: UserId, sealed: String) -> Result<()> {
        sqlx::query(
            "INSERT INTO second_factors (tenant_id, user_id, secret, confirmed_ms, last_step)
             VALUES (?, ?, ?, 0, 0)",
        )
        .id(tenant)
        .id(id)
        .bind(sealed)
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(db::failed)
    }

    /// `Conflict` where somebody has confirmed it meanwhile.
    async fn replace(&self, tenant: TenantId, id: UserId, sealed: String) -> Result<()> {
        let replaced = sqlx::query(
            "UPDATE second_factors SET secret = ?
             WHERE tenant_id = ? AND user_id = ? AND confirmed_ms = 0",
        )
        .bind(sealed)
        .id(tenant)
        .id(id)
        .execute(self.database.pool())
        .await
        .map_err(db::failed)?;
        if replaced.rows_affected() == 1 { Ok(()) } else { Err(begun_already()) }
    }

    /// Shows that `code` is right, which makes the factor asked for from now on, and gives other codes for recovery. None: it is
    /// wrong.
    pub async fn confirm(
        &self,
        tenant: TenantId,
        id: UserId,
        code: &str,
    ) -> Result<Option<Vec<String>>> {
        let row = self.of(tenant, id).await?;
        let row = row.ok_or_else(|| ErrorKind::NotFound.error("begin a second factor first"))?;
        // No code for recovery makes others.
        if !totp::is_code(code) || !self.takes(tenant, id, Some(&row), code).await? {
            return Ok(None);
        }
        self.make_codes(tenant, id).await.map(Some)
    }

    /// Takes one's own one-time passwords away; with the last factor go the codes for recovery. `NotFound` where there are none.
    pub async fn remove(&self, tenant: TenantId, id: UserId) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    if !forget_passwords(unit, tenant, id).await? {
                        return Err(ErrorKind::NotFound.error("the user has no one-time passwords"));
                    }
                    forget_begun(unit, tenant, id).await?;
                    forget_codes_of_nothing(unit, tenant, id).await?;
                    audit::note(unit, tenant, now_ms, "second_factor.removed", id, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "took one-time passwords away");
        Ok(())
    }

    /// Takes all of a user's second factor away, with their codes for recovery. `NotFound` where there is none.
    async fn remove_all(&self, tenant: TenantId, id: UserId) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    if !forget(unit, tenant, id).await? {
                        return Err(ErrorKind::NotFound.error("the user has no second factor"));
                    }
                    audit::note(unit, tenant, now_ms, "second_factor.removed", id, "").await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, account.id = %id, "took a second factor away");
        Ok(())
    }

    /// The same by an administrator, of somebody who has lost what makes their codes: never their own, for which no code would be
    /// asked, and not without a reason, which the entry of the audit trail has.
    pub async fn remove_of(&self, tenant: TenantId, id: UserId, by: &str) -> Result<()> {
        check_remover(id, by)?;
        self.remove_all(tenant, id).await
    }

    /// Whether the hospital asks everybody for one.
    pub async fn is_required(&self, tenant: TenantId) -> Result<bool> {
        let rule: Option<(String,)> =
            sqlx::query_as("SELECT second_factor FROM tenants WHERE id = ?")
                .id(tenant)
                .fetch_optional(self.database.pool())
                .await
                .map_err(db::failed)?;
        Ok(rule.is_some_and(|(rule,)| rule == REQUIRED))
    }

    /// Says whether the hospital asks everybody for one; whoever is signed in stays so.
    pub async fn require(&self, tenant: TenantId, is_required: bool) -> Result<()> {
        let rule = if is_required { REQUIRED } else { "optional" };
        let now_ms = self.clock.now_ms();
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    let set = sqlx::query("UPDATE tenants SET second_factor = ? WHERE id = ?");
                    set.bind(rule).id(tenant).run(unit).await?;
                    let action = "second_factor.rule_changed";
                    audit::note(unit, tenant, now_ms, action, tenant, rule).await
                })
            })
            .await?;
        tracing::info!(tenant.id = %tenant, rule, "said whether a second factor is asked for");
        Ok(())
    }

    async fn of(&self, tenant: TenantId, id: UserId) -> Result<Option<Row>> {
        sqlx::query_as(
            "SELECT secret, confirmed_ms, last_step FROM second_factors
             WHERE tenant_id = ? AND user_id = ?",
        )
        .id(tenant)
        .id(id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(db::failed)
    }

    /// Whether `code` is right, and was not used before; of many who bring the same one, one is taken.
    /// `row`: of one-time passwords, if there are any.
    async fn takes(
        &self,
        tenant: TenantId,
        id: UserId,
        row: Option<&Row>,
        code: &str,
    ) -> Result<bool> {
        let code = code.trim().to_lowercase();
        if code.len() > CODE_CHARS_MAX {
            return Ok(false);
        }
        if !totp::is_code(&code) {
            // Nobody has any of whom no factor is asked for yet.
            return self.recovers(tenant, id, &code).await;
        }
        let Some(row) = row else { return Ok(false) };
        let whose = sealed::of_factor(&tenant.to_string(), &id.to_string());
        let secret = totp::of_base32(&self.sealer.open(&whose, &row.secret)?);
        let secret =
            secret.ok_or_else(|| ErrorKind::Internal.error("a second factor is no base32"))?;
        let now_ms = self.clock.now_ms();
        let Some(step) = totp::step_of(&secret, &code, now_ms, row.last_step) else {
            return Ok(false);
        };
        let (sealed, is_first) = (row.secret.clone(), !row.is_confirmed());
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    let taken = use_step(unit, (tenant, id), sealed, (step, now_ms)).await?;
                    if taken && is_first {
                        forget_begun(unit, tenant, id).await?;
                        audit::note(unit, tenant, now_ms, "second_factor.added", id, "").await?;
                    }
                    Ok(taken)
                })
            })
            .await
    }
}

/// What is said to whoever begins one-time passwords beside some that work.
pub fn begun_already() -> Error {
    ErrorKind::Conflict.error("you have one-time passwords already: take them away first")
}

/// Refuses an administrator who would take their own second factor away, or does not say why.
fn check_remover(id: UserId, by: &str) -> Result<()> {
    if by == id.to_string() {
        let words = "take your own second factor away with your password and a code of it, or one for recovery \
             (`POST /v1/account/second-factor/remove`); whoever has lost both asks another administrator";
        return Err(ErrorKind::Conflict.error(words));
    }
    if trail::reason().chars().count() < REASON_CHARS_MIN {
        let words =
            "say why it is taken away, in the header `Medseg-Reason`: the audit trail keeps it";
        return Err(ErrorKind::Invalid.error(words));
    }
    Ok(())
}

/// Uses up a step, and makes the factor one that is asked for. Of that very secret: another one that was shown meanwhile nobody has
/// shown to work.
async fn use_step(
    unit: &mut Unit,
    (tenant, id): (TenantId, UserId),
    sealed: String,
    (step, now_ms): (i64, i64),
) -> Result<bool> {
    let used = sqlx::query(
        "UPDATE second_factors SET last_step = ?,
             confirmed_ms = CASE WHEN confirmed_ms = 0 THEN ? ELSE confirmed_ms END
         WHERE tenant_id = ? AND user_id = ? AND last_step < ? AND secret = ?",
    );
    let used = used.bind(step).bind(now_ms).id(tenant).id(id).bind(step).bind(sealed);
    Ok(used.run(unit).await? == 1)
}

/// Forgets all of a user's second factor; whether there was one.
pub async fn forget(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<bool> {
    forget_codes(unit, tenant, id).await?;
    let had_keys = security_keys::forget(unit, tenant, id).await?;
    Ok(forget_passwords(unit, tenant, id).await? || had_keys)
}

/// Forgets what makes one-time passwords; whether there was anything.
async fn forget_passwords(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<bool> {
    let forget = sqlx::query("DELETE FROM second_factors WHERE tenant_id = ? AND user_id = ?");
    Ok(forget.id(tenant).id(id).run(unit).await? > 0)
}

/// Forgets what was begun and not shown to work, one-time passwords and keys alike, as factors come and go: whoever has begun it may
/// have shown less than is asked for now, or what has just been taken away.
async fn forget_begun(unit: &mut Unit, tenant: TenantId, id: UserId) -> Result<()> {
    security_keys::forget_asked(unit, tenant, id).await?;
    let forget = sqlx::query(
        "DELETE FROM second_factors WHERE tenant_id = ? AND user_id = ? AND confirmed_ms = 0",
    );
    forget.id(tenant).id(id).run(unit).await.map(drop)
}
