//! Security keys and passkeys of those who sign in with a password, and what each has been asked: in the database, so that whichever
//! instance an answer comes to knows the question.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Clock, Error, ErrorKind, Random, Result, SecurityKeyId, TenantId, UserId, hex};
use platform::db::{self, BindId, Database, Run, Unit};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use url::Url;

use crate::accounts::{self, User};
use crate::secrets;
use crate::webauthn::{Answered, Asked, Credential, Made, RelyingParty};

/// One that is carried, one in a drawer, and those of a telephone and two computers: each is named to the browser at a sign-in, and what
/// was asked is one column.
const KEYS_MAX: usize = 5;
/// As long as a browser waits for a key.
const CHALLENGE_MS: i64 = 5 * 60 * 1000;
/// What a challenge is for: an answer to one is none to the other.
const REGISTER: &str = "register";
const VERIFY: &str = "verify";

/// Everybody's keys.
#[derive(Clone)]
pub struct Keys {
    database: Database,
    /// None: it is not known where browsers reach the page, and keys answer no page but theirs.
    party: Option<Arc<RelyingParty>>,
    clock: Clock,
    random: Random,
}

/// Somebody's key.
pub struct Key {
    pub id: SecurityKeyId,
    pub name: String,
    pub created_ms: i64,
    /// 0: never.
    pub used_ms: i64,
    credential: Credential,
}

#[derive(FromRow)]
struct Row {
    id: String,
    name: String,
    credential: String,
    public_key: String,
    state: String,
    transports: i64,
    created_ms: i64,
    used_ms: i64,
}

impl Keys {
    pub fn new(database: Database, page: Option<&Url>, clock: Clock, random: Random) -> Keys {
        let party = page.and_then(RelyingParty::of).map(Arc::new);
        Keys { database, party, clock, random }
    }

    /// Whether there can be any here.
    pub fn are_offered(&self) -> bool {
        self.party.is_some()
    }

    /// Those of a user, the oldest first.
    pub async fn of(&self, tenant: TenantId, user: UserId) -> Result<Vec<Key>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, name, credential, public_key, state, transports, created_ms, used_ms FROM security_keys
             WHERE tenant_id = ? AND user_id = ? ORDER BY created_ms, id",
        )
        .id(tenant)
        .id(user)
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)?;
        rows.into_iter().map(key).collect()
    }

    /// What a browser is to be told that is to make another key. `Conflict` where there can be none, or no more.
    pub async fn begin(&self, user: &User) -> Result<String> {
        let party = self.party.as_ref().ok_or_else(not_offered)?;
        let known = credentials(self.of(user.tenant, user.id).await?);
        if known.len() >= KEYS_MAX {
            return Err(too_many());
        }
        let asked = party.ask_to_make(user.id, &user.user_name, &known)?;
        self.ask(user.tenant, user.id, REGISTER, asked).await
    }

    /// The key that was made as it was asked for, for [`insert`].
    pub async fn made(&self, (tenant, user): (TenantId, UserId), json: &str) -> Result<ToBe> {
        let party = self.party.as_ref().ok_or_else(not_offered)?;
        let made = Made::of_json(json).ok_or_else(not_made)?;
        let challenge = made.challenge().ok_or_else(not_made)?;
        let ceremony = self.take(tenant, user, REGISTER, challenge).await?;
        let ceremony = ceremony.ok_or_else(not_made)?;
        let credential = party.made(&ceremony, &made).map_err(|why| not_made().because(why))?;
        Ok(ToBe { id: SecurityKeyId::new(&self.clock, &self.random), credential })
    }

    /// What a browser is to be told that is to ask one of `keys`; None where there is none, or keys cannot be asked here.
    pub async fn challenge(
        &self,
        tenant: TenantId,
        user: UserId,
        keys: Vec<Key>,
    ) -> Result<Option<String>> {
        match &self.party {
            Some(party) if !keys.is_empty() => {
                let asked = party.ask_to_show(&credentials(keys))?;
                self.ask(tenant, user, VERIFY, asked).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether a key of that user has answered what it was asked. The question is used up, whatever the answer is.
    pub async fn has_answered(&self, tenant: TenantId, user: UserId, json: &str) -> Result<bool> {
        let (Some(party), Some(answer)) = (&self.party, Answered::of_json(json)) else {
            return Ok(false);
        };
        let Some(challenge) = answer.challenge() else { return Ok(false) };
        let Some(ceremony) = self.take(tenant, user, VERIFY, challenge).await? else {
            return Ok(false);
        };
        let credential = answer.credential();
        let keys = self.of(tenant, user).await?;
        let Some(key) = keys.into_iter().find(|key| key.credential.id == credential) else {
            return Ok(false);
        };
        match party.shown(&ceremony, user, &key.credential, &answer) {
            Ok(state) => self.use_up(tenant, &key, state).await,
            Err(why) => {
                tracing::warn!(tenant.id = %tenant, account.id = %user, why, "a security key was refused");
                Ok(false)
            }
        }
    }

    /// Writes down what the key is from now on, unless it has been used, or taken away, since it was read.
    async fn use_up(&self, tenant: TenantId, key: &Key, state: [u8; 7]) -> Result<bool> {
        let used = sqlx::query(
            "UPDATE security_keys SET state = ?, used_ms = ? WHERE tenant_id = ? AND id = ? AND state = ?",
        )
        .bind(secrets::text(&state))
        .bind(self.clock.now_ms())
        .id(tenant)
        .id(key.id)
        .bind(secrets::text(&key.credential.state))
        .execute(self.database.pool())
        .await
        .map_err(db::failed)?;
        Ok(used.rows_affected() == 1)
    }

    /// Keeps what is asked, in the place of what was asked for the same purpose before; what the browser is told.
    async fn ask(
        &self,
        tenant: TenantId,
        user: UserId,
        purpose: &'static str,
        asked: Asked,
    ) -> Result<String> {
        let Asked { challenge, ceremony, options } = asked;
        let (ceremony, expires_ms) = (secrets::text(&ceremony), self.clock.now_ms() + CHALLENGE_MS);
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    sqlx::query(
                        "DELETE FROM key_challenges WHERE tenant_id = ? AND user_id = ? AND purpose = ?",
                    )
                    .id(tenant)
                    .id(user)
                    .bind(purpose)
                    .run(unit)
                    .await?;
                    sqlx::query(
                        "INSERT INTO key_challenges (challenge, tenant_id, user_id, purpose, ceremony, expires_ms)
                         VALUES (?, ?, ?, ?, ?, ?)",
                    )
                    .bind(challenge)
                    .id(tenant)
                    .id(user)
                    .bind(purpose)
                    .bind(ceremony)
                    .bind(expires_ms)
                    .run(unit)
                    .await
                    .map(drop)
                })
            })
            .await?;
        Ok(options)
    }

    /// What was asked of that user with that challenge, which nobody is handed again; None: nothing was, or too long ago.
    async fn take(
        &self,
        tenant: TenantId,
        user: UserId,
        purpose: &'static str,
        challenge: String,
    ) -> Result<Option<Vec<u8>>> {
        let now_ms = self.clock.now_ms();
        let taken = self
            .database
            .unit(move |unit| {
                Box::pin(
                    async move { take_in(unit, (tenant, user), purpose, challenge, now_ms).await },
                )
            })
            .await?;
        taken.map(|ceremony| bytes(&ceremony)).transpose()
    }
}

/// A key that is made and not kept yet.
pub struct ToBe {
    pub id: SecurityKeyId,
    credential: Credential,
}

async fn take_in(
    unit: &mut Unit,
    (tenant, user): (TenantId, UserId),
    purpose: &'static str,
    challenge: String,
    now_ms: i64,
) -> Result<Option<String>> {
    let asked: Option<(String, i64)> = sqlx::query_as(
        "SELECT ceremony, expires_ms FROM key_challenges
         WHERE challenge = ? AND tenant_id = ? AND user_id = ? AND purpose = ?",
    )
    .bind(challenge.clone())
    .id(tenant)
    .id(user)
    .bind(purpose)
    .fetch_optional(&mut **unit)
    .await
    .map_err(db::failed)?;
    // Of many who bring the same answer, one deletes it.
    let delete = sqlx::query(
        "DELETE FROM key_challenges WHERE challenge = ? AND tenant_id = ? AND user_id = ? AND purpose = ?",
    );
    let delete = delete.bind(challenge).id(tenant).id(user).bind(purpose);
    let is_first = delete.run(unit).await? == 1;
    let asked = asked.filter(|(_, expires_ms)| is_first && now_ms < *expires_ms);
    Ok(asked.map(|(ceremony, _)| ceremony))
}

/// Keeps a key. `Conflict` where somebody has it already, or this user has as many as one can have.
pub async fn insert(
    unit: &mut Unit,
    (tenant, user): (TenantId, UserId),
    to_be: ToBe,
    name: String,
    now_ms: i64,
) -> Result<()> {
    if count(unit, tenant, user).await? >= KEYS_MAX {
        return Err(too_many());
    }
    let ToBe { id, credential } = to_be;
    sqlx::query(
        "INSERT INTO security_keys (tenant_id, id, user_id, name, credential, credential_hash, public_key, state,
             transports, created_ms, used_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
    )
    .id(tenant)
    .id(id)
    .id(user)
    .bind(name)
    .bind(secrets::text(&credential.id))
    .bind(hex(&Sha256::digest(&credential.id)))
    .bind(secrets::text(&credential.public_key))
    .bind(secrets::text(&credential.state))
    .bind(i64::from(credential.transports))
    .bind(now_ms)
    .run(unit)
    .await
    .map(drop)
    .map_err(|error| accounts::taken(error, "this security key is registered already"))
}

/// How many keys a user has.
pub async fn count(unit: &mut Unit, tenant: TenantId, user: UserId) -> Result<usize> {
    let keys: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM security_keys WHERE tenant_id = ? AND user_id = ?",
    )
    .id(tenant)
    .id(user)
    .fetch_one(&mut **unit)
    .await
    .map_err(db::failed)?;
    Ok(usize::try_from(keys).unwrap_or_default())
}

/// Forgets one key; `NotFound` where the user has none of that id.
pub async fn forget_one(
    unit: &mut Unit,
    (tenant, user): (TenantId, UserId),
    key: SecurityKeyId,
) -> Result<()> {
    let forget =
        sqlx::query("DELETE FROM security_keys WHERE tenant_id = ? AND user_id = ? AND id = ?");
    match forget.id(tenant).id(user).id(key).run(unit).await? {
        0 => Err(ErrorKind::NotFound.error("no such security key")),
        _ => Ok(()),
    }
}

/// Forgets what a user's keys were asked, and what was asked of one that was to be made.
pub async fn forget_asked(unit: &mut Unit, tenant: TenantId, user: UserId) -> Result<()> {
    let asked = sqlx::query("DELETE FROM key_challenges WHERE tenant_id = ? AND user_id = ?");
    asked.id(tenant).id(user).run(unit).await.map(drop)
}

/// Forgets all of a user's keys, and what they were asked; whether there was one.
pub async fn forget(unit: &mut Unit, tenant: TenantId, user: UserId) -> Result<bool> {
    forget_asked(unit, tenant, user).await?;
    let keys = sqlx::query("DELETE FROM security_keys WHERE tenant_id = ? AND user_id = ?");
    Ok(keys.id(tenant).id(user).run(unit).await? > 0)
}

fn credentials(keys: Vec<Key>) -> Vec<Credential> {
    keys.into_iter().map(|key| key.credential).collect()
}

fn key(row: Row) -> Result<Key> {
    let state: Result<[u8; 7], Vec<u8>> = bytes(&row.state)?.try_into();
    let credential = Credential {
        id: bytes(&row.credential)?,
        public_key: bytes(&row.public_key)?,
        state: state.map_err(|_| unreadable())?,
        transports: u8::try_from(row.transports).map_err(|_| unreadable())?,
    };
    let (id, name) = (row.id.parse()?, row.name);
    Ok(Key { id, name, created_ms: row.created_ms, used_ms: row.used_ms, credential })
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| unreadable().because(error))
}

fn unreadable() -> Error {
    ErrorKind::Internal.error("a row of a security key cannot be read")
}

fn too_many() -> Error {
    let words = format!("an account has {KEYS_MAX} security keys at most: take one away first");
    ErrorKind::Conflict.error(words)
}

fn not_offered() -> Error {
    let words = "this installation does not know by which name browsers reach it (PUBLIC_URL, with a name and no number): \
         until its operator says so, there are no security keys";
    ErrorKind::Conflict.error(words)
}

fn not_made() -> Error {
    ErrorKind::Invalid.error("that is no key that was just asked for here: begin anew")
}
