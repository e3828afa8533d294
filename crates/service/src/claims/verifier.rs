use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::limits::UPLOAD_SECONDS_MAX;
use domain::{Clock, ErrorKind, Result, TenantId};
use proto::auth::auth_client::AuthClient;
use proto::auth::{KeysRequest, RevocationsRequest};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::revoked::Revoked;
use super::token::{LIFETIME_S, Unverified, invalid_token};
use super::{Claims, PublicKeys, Role, VOUCHER, bearer};
use crate::{Peer, asked, trace};

/// After so long keys and revocations are asked for again. While somebody asks, others go on with what there is.
const MAX_AGE_MS: i64 = 20_000;
/// What is older, as after an idle hour, nobody goes on with while auth answers: a right that was taken away is gone within a
/// minute everywhere.
const OLD_MS: i64 = 40_000;
/// How long revocations are believed while auth is away: as long as any token that it has signed before lives. Beyond that
/// nobody is let in on the strength of a list that may miss them.
const LIST_KEPT_MS: i64 = LIFETIME_S * 1000;
/// Some 250,000 revocations; a hundredth of them would be a busy minute.
const LIST_BYTES_MAX: usize = 16 << 20;
/// Auth is asked at most this often, however many tokens name keys that do not exist.
const JWKS_FETCH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How long an upload may take that a service has let in.
const UPLOAD_S: i64 = UPLOAD_SECONDS_MAX as i64;
/// A caller waits no longer than this for auth.
const JWKS_TIMEOUT: Duration = Duration::from_secs(3);

/// Tells who is calling, from the token alone.
///
/// Auth's public keys and its revocations are fetched when first needed and then kept: while auth is away, tokens go on being
/// verified with what was known last, for as long as one lives that auth has signed.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    auth: Option<AuthClient<Peer>>,
    /// The service that asks; empty: none that tokens are made for.
    own: &'static str,
    clock: Clock,
    known: RwLock<Known>,
    /// Held by the one who asks auth; when it was last asked.
    asking: Mutex<Option<Instant>>,
}

/// What is known of auth's keys, and of whom it refuses.
#[derive(Clone, Default)]
struct Known {
    keys: Option<Arc<PublicKeys>>,
    revoked: Arc<Revoked>,
    /// When auth has last told who is revoked.
    listed_ms: i64,
    /// When it has last told both.
    fetched_ms: i64,
    /// How often auth was asked, so that who waited sees that somebody else has asked meanwhile.
    asked: u64,
    /// Whether auth did not answer when it was last asked.
    away: bool,
}

impl Known {
    fn is_fresh(&self, now_ms: i64) -> bool {
        (0..MAX_AGE_MS).contains(&(now_ms - self.fetched_ms))
    }

    fn is_old(&self, now_ms: i64) -> bool {
        !(0..OLD_MS).contains(&(now_ms - self.fetched_ms))
    }

    /// Whether it may still be believed who is not revoked.
    fn lists_at(&self, now_ms: i64) -> bool {
        now_ms - self.listed_ms < LIST_KEPT_MS
    }

    fn has(&self, key_id: &str) -> bool {
        self.keys.as_deref().is_some_and(|keys| keys.get(key_id).is_some())
    }
}

impl Verifier {
    /// Verifies with the keys that `auth` publishes.
    pub fn new(auth: Peer, clock: Clock) -> Verifier {
        let auth = AuthClient::new(auth).max_decoding_message_size(LIST_BYTES_MAX);
        Verifier::build(Some(auth), "", Known::default(), clock)
    }

    /// Verifies with just these keys; for auth itself, which looks up for each call whether its caller is revoked.
    pub fn with_keys(keys: PublicKeys, clock: Clock) -> Verifier {
        let known = Known { keys: Some(Arc::new(keys)), ..Default::default() };
        Verifier::build(None, "", known, clock)
    }

    /// The same of the service of that name: it takes tokens that are made for it alone, too. Those for another service nobody takes.
    #[must_use]
    pub fn of(self, service: &'static str) -> Verifier {
        let Inner { auth, clock, .. } = &*self.0;
        Verifier::build(auth.clone(), service, self.known(), clock.clone())
    }

    fn build(
        auth: Option<AuthClient<Peer>>,
        own: &'static str,
        known: Known,
        clock: Clock,
    ) -> Verifier {
        let (known, asking) = (RwLock::new(known), Mutex::default());
        Verifier(Arc::new(Inner { auth, own, clock, known, asking }))
    }

    /// The claims of the call's bearer token.
    pub async fn claims(&self, metadata: &MetadataMap) -> Result<Claims> {
        self.verify(bearer(metadata).ok_or_else(unsigned)?).await
    }

    /// The claims of the call's bearer, who has one of `roles`: `Forbidden` for whoever has none.
    pub async fn caller(&self, metadata: &MetadataMap, roles: &[Role]) -> Result<Claims> {
        let claims = self.claims(metadata).await?;
        claims.require(roles)?;
        Ok(claims)
    }

    /// The claims of whoever sent what a service of medseg [vouches](super::vouched) for. It has verified their token before it
    /// let the first byte in, and on a slow line the last one comes when the token has long ended.
    pub async fn sender(&self, metadata: &MetadataMap) -> Result<Claims> {
        self.require_service(metadata).await?;
        self.verify_late(bearer(metadata).ok_or_else(unsigned)?, UPLOAD_S).await
    }

    /// The claims of whoever calls and has one of `roles`: of a call that a service of medseg [vouches](super::vouched) for, those
    /// of its [sender](Verifier::sender); of any other, those of its [caller](Verifier::caller).
    pub async fn caller_or_sender(&self, metadata: &MetadataMap, roles: &[Role]) -> Result<Claims> {
        if !metadata.contains_key(VOUCHER) {
            return self.caller(metadata, roles).await;
        }
        let claims = self.sender(metadata).await?;
        claims.require(roles)?;
        Ok(claims)
    }

    /// Refuses a call that no service of medseg [vouches](super::vouched) for: `Forbidden` without a token of one.
    pub async fn require_service(&self, metadata: &MetadataMap) -> Result<()> {
        let mut tokens = metadata.get_all(VOUCHER).iter();
        let (Some(token), None) = (tokens.next(), tokens.next()) else { return Err(unvouched()) };
        let token = token.to_str().map_err(|_| unvouched())?;
        self.verify(token).await?.require(&[Role::Service])
    }

    /// The claims of `token`: `Unauthenticated` when it is not valid, `Unavailable` when that cannot
    /// be told without auth, which is away.
    pub async fn verify(&self, token: &str) -> Result<Claims> {
        self.verify_late(token, 0).await
    }

    /// Refuses a token that was valid once, if what it allowed was taken away since; that it has ended is no reason. For answers
    /// that go on for longer than a token lives.
    pub async fn still(&self, token: &str) -> Result<()> {
        self.verify_late(token, UPLOAD_S).await.map(drop)
    }

    /// Whether that hospital is neither suspended nor closed, for what is done in its name by somebody who needs no token: known within
    /// a minute, as what is revoked. `Unavailable` when it cannot be told without auth, which is away.
    pub async fn is_active(&self, tenant: TenantId) -> Result<bool> {
        let Some(auth) = &self.0.auth else { return Ok(true) };
        let mut known = self.recent(auth).await;
        if !known.lists_at(self.0.clock.now_ms()) {
            known = self.asked_again(auth, &known).await;
        }
        if !known.lists_at(self.0.clock.now_ms()) {
            return Err(away());
        }
        Ok(!known.revoked.has_stopped(tenant))
    }

    /// Whether that hospital is closed for good, as far as auth has said so when it last told who is revoked: asks nobody.
    pub fn knows_closed(&self, tenant: TenantId) -> bool {
        self.known().revoked.has_closed(tenant)
    }

    async fn verify_late(&self, token: &str, late_s: i64) -> Result<Claims> {
        let token = Unverified::parse(token)?;
        let known = match &self.0.auth {
            Some(auth) => self.known_for(auth, &token.key_id).await,
            None => self.known(),
        };
        let key = known.keys.as_deref().and_then(|keys| keys.get(&token.key_id));
        match key {
            Some(key) => {
                let now_ms = self.0.clock.now_ms();
                let claims = token.verify(key, self.0.own, now_ms, late_s)?;
                if self.0.auth.is_some() {
                    if !known.lists_at(now_ms) {
                        return Err(away());
                    }
                    known.revoked.check(&claims)?;
                }
                trace::asked_by(&claims.subject, claims.tenant());
                asked::known(&claims);
                Ok(claims)
            }
            None if known.away => Err(away()),
            None => Err(invalid_token("it is signed with an unknown key")),
        }
    }

    async fn known_for(&self, auth: &AuthClient<Peer>, key_id: &str) -> Known {
        let mut known = self.recent(auth).await;
        if !known.has(key_id) {
            known = self.asked_again(auth, &known).await;
        }
        known
    }

    /// What is known, asked for anew where it is not fresh any more.
    async fn recent(&self, auth: &AuthClient<Peer>) -> Known {
        let known = self.known();
        let now_ms = self.0.clock.now_ms();
        if known.keys.is_some() && known.is_old(now_ms) && !known.away {
            return self.asked_again(auth, &known).await;
        }
        if known.keys.is_some() && !known.is_fresh(now_ms) {
            return self.renewed(auth, &known).await;
        }
        known
    }

    fn known(&self) -> Known {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for newer keys, unless somebody is asking already: then the old ones will do.
    async fn renewed(&self, auth: &AuthClient<Peer>, known: &Known) -> Known {
        match self.0.asking.try_lock() {
            Ok(mut last) if last.is_none_or(|last| last.elapsed() >= JWKS_FETCH_INTERVAL_MIN) => {
                *last = Some(Instant::now());
                self.ask(auth).await
            }
            _ => known.clone(),
        }
    }

    /// Asks auth for its keys after `known`; many who want that wait for one answer.
    async fn asked_again(&self, auth: &AuthClient<Peer>, known: &Known) -> Known {
        let mut last = self.0.asking.lock().await;
        let newest = self.known();
        if newest.asked != known.asked {
            return newest;
        }
        if let Some(last) = *last {
            sleep_until(last + JWKS_FETCH_INTERVAL_MIN).await;
        }
        *last = Some(Instant::now());
        self.ask(auth).await
    }

    async fn ask(&self, auth: &AuthClient<Peer>) -> Known {
        // What auth tells was true when it was asked, and perhaps no longer.
        let now_ms = self.0.clock.now_ms();
        let (keys, revoked) = tokio::join!(published(auth), listed(auth));
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.asked += 1;
        known.away = keys.is_err() || revoked.is_err();
        if !known.away {
            known.fetched_ms = now_ms;
        }
        match keys {
            Ok(keys) => known.keys = Some(Arc::new(keys)),
            Err(error) => tracing::warn!(%error, "cannot read auth's keys, keeping the old ones"),
        }
        match revoked {
            Ok(revoked) => {
                known.revoked = Arc::new(revoked);
                known.listed_ms = now_ms;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read who is revoked, keeping the old list")
            }
        }
        known.clone()
    }
}

async fn published(auth: &AuthClient<Peer>) -> Result<PublicKeys> {
    let answer = timeout(JWKS_TIMEOUT, auth.clone().keys(KeysRequest {})).await;
    match answer.map_err(slow)? {
        Ok(set) => PublicKeys::from_jwks(&set.into_inner().jwks_json),
        Err(status) => Err(status.into()),
    }
}

async fn listed(auth: &AuthClient<Peer>) -> Result<Revoked> {
    let answer = timeout(JWKS_TIMEOUT, auth.clone().revocations(RevocationsRequest {})).await;
    match answer.map_err(slow)? {
        Ok(list) => Ok(Revoked::of(list.into_inner())),
        // The version before, during a roll-out: it revokes nobody.
        Err(status) if status.code() == Code::Unimplemented => Ok(Revoked::default()),
        Err(status) => Err(status.into()),
    }
}

fn slow(late: tokio::time::error::Elapsed) -> domain::Error {
    ErrorKind::Unavailable.error("auth is slow").because(late)
}

fn away() -> domain::Error {
    ErrorKind::Unavailable.error("cannot verify tokens now")
}

fn unsigned() -> domain::Error {
    ErrorKind::Unauthenticated.error("sign in first: no bearer token")
}

fn unvouched() -> domain::Error {
    ErrorKind::Forbidden.error("only medseg's own services may do this")
}
