use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::limits::UPLOAD_SECONDS_MAX;
use domain::{Clock, ErrorKind, Result};
use proto::auth::KeysRequest;
use proto::auth::auth_client::AuthClient;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::metadata::MetadataMap;

use super::token::{Unverified, invalid_token};
use super::{Claims, PublicKeys, Role, VOUCHER, bearer};
use crate::{Peer, trace};

/// A key that auth has retired is refused at most so much later.
const MAX_AGE_MS: i64 = 60_000;
/// Auth is asked at most this often, however many tokens name keys that do not exist.
const JWKS_FETCH_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// How long an upload may take that a service has let in.
const UPLOAD_S: i64 = UPLOAD_SECONDS_MAX as i64;
/// A caller waits no longer than this for auth.
const JWKS_TIMEOUT: Duration = Duration::from_secs(3);

/// Tells who is calling, from the token alone.
///
/// Auth's public keys are fetched when first needed and then kept: while auth is away, tokens go on
/// being verified with the keys known last.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    auth: Option<AuthClient<Peer>>,
    clock: Clock,
    known: RwLock<Known>,
    /// Held by the one who asks auth; when it was last asked.
    asking: Mutex<Option<Instant>>,
}

/// What is known of auth's keys.
#[derive(Clone, Default)]
struct Known {
    keys: Option<Arc<PublicKeys>>,
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

    fn has(&self, key_id: &str) -> bool {
        self.keys.as_deref().is_some_and(|keys| keys.get(key_id).is_some())
    }
}

impl Verifier {
    /// Verifies with the keys that `auth` publishes.
    pub fn new(auth: Peer, clock: Clock) -> Verifier {
        Verifier::build(Some(AuthClient::new(auth)), Known::default(), clock)
    }

    /// Verifies with just these keys; for auth itself.
    pub fn with_keys(keys: PublicKeys, clock: Clock) -> Verifier {
        Verifier::build(None, Known { keys: Some(Arc::new(keys)), ..Default::default() }, clock)
    }

    fn build(auth: Option<AuthClient<Peer>>, known: Known, clock: Clock) -> Verifier {
        let (known, asking) = (RwLock::new(known), Mutex::default());
        Verifier(Arc::new(Inner { auth, clock, known, asking }))
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

    async fn verify_late(&self, token: &str, late_s: i64) -> Result<Claims> {
        let token = Unverified::parse(token)?;
        let known = match &self.0.auth {
            Some(auth) => self.known_for(auth, &token.key_id).await,
            None => self.known(),
        };
        let key = known.keys.as_deref().and_then(|keys| keys.get(&token.key_id));
        match key {
            Some(key) => {
                let claims = token.verify(key, self.0.clock.now_ms(), late_s)?;
                trace::asked_by(&claims.subject, claims.tenant());
                Ok(claims)
            }
            None if known.away => Err(ErrorKind::Unavailable.error("cannot verify tokens now")),
            None => Err(invalid_token("it is signed with an unknown key")),
        }
    }

    async fn known_for(&self, auth: &AuthClient<Peer>, key_id: &str) -> Known {
        let mut known = self.known();
        if known.keys.is_some() && !known.is_fresh(self.0.clock.now_ms()) {
            known = self.renewed(auth, &known).await;
        }
        if !known.has(key_id) {
            known = self.asked_again(auth, &known).await;
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
        let answer = timeout(JWKS_TIMEOUT, auth.clone().keys(KeysRequest {})).await;
        let keys = match answer {
            Ok(Ok(set)) => PublicKeys::from_jwks(&set.into_inner().jwks_json),
            Ok(Err(status)) => Err(status.into()),
            Err(late) => Err(ErrorKind::Unavailable.error("auth is slow").because(late)),
        };
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.asked += 1;
        known.away = keys.is_err();
        match keys {
            Ok(keys) => {
                known.keys = Some(Arc::new(keys));
                known.fetched_ms = self.0.clock.now_ms();
            }
            Err(error) => tracing::warn!(%error, "cannot read auth's keys, keeping the old ones"),
        }
        known.clone()
    }
}

fn unsigned() -> domain::Error {
    ErrorKind::Unauthenticated.error("sign in first: no bearer token")
}

fn unvouched() -> domain::Error {
    ErrorKind::Forbidden.error("only medseg's own services may do this")
}
