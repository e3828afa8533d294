//! What a provider publishes of itself (OpenID Connect Discovery 1.0), and its keys: asked for once an hour, and once a minute at
//! most where a token names a key that is not known. One that is broken is left in peace for some seconds: anybody may have it asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, Error, Result};
use serde::Deserialize;
use tokio::sync::Mutex as Turns;

use super::jws::KeySet;
use super::web::{Web, away};

const FRESH_MS: i64 = 60 * 60 * 1000;
const ASKED_AGAIN_MS: i64 = 60 * 1000;
/// For how long one that could not be asked is not asked again.
const HELD_BACK_MS: i64 = 10 * 1000;
/// Providers that are remembered: hospitals are few.
const PROVIDERS_MAX: usize = 256;

/// Where a provider does what, and its keys.
#[derive(Clone)]
pub struct Known {
    pub authorization: String,
    pub token: String,
    /// It takes a client's secret in the form only.
    pub secret_in_form: bool,
    /// It says who it is whenever it gives a code (RFC 9207).
    pub names_itself: bool,
    pub keys: Arc<KeySet>,
    jwks: String,
    read_ms: i64,
    keys_read_ms: i64,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of providers, by issuer: it is public, and the same for all who name that issuer.
pub struct Discovery {
    pub web: Web,
    known: Mutex<HashMap<String, Known>>,
    tries: Mutex<HashMap<String, Arc<Try>>>,
    clock: Clock,
}

/// What came of asking a provider last.
#[derive(Default)]
struct Try {
    /// One asks at a time, and the others take what came of it.
    turns: Turns<()>,
    /// When it could not be asked; None: it could.
    failed_ms: Mutex<Option<i64>>,
}

impl Discovery {
    pub fn new(web: Web, clock: Clock) -> Discovery {
        Discovery { web, known: Mutex::default(), tries: Mutex::default(), clock }
    }

    /// What `issuer` publishes. Where it could not be asked a moment ago, it is not asked again.
    pub async fn of(&self, issuer: &str) -> Result<Known> {
        if let Some(known) = self.fresh(issuer) {
            return Ok(known);
        }
        let last = self.last_try(issuer);
        let _turn = last.turns.lock().await;
        if let Some(known) = self.fresh(issuer) {
            return Ok(known);
        }
        if last.is_held_back(self.clock.now_ms()) {
            return Err(away().because("it could not be asked a moment ago"));
        }
        self.anew(issuer).await
    }

    /// The same, asked now.
    pub async fn anew(&self, issuer: &str) -> Result<Known> {
        let read = self.read(issuer, self.clock.now_ms()).await.inspect_err(told);
        self.last_try(issuer).note(read.is_err().then(|| self.clock.now_ms()));
        read
    }

    /// The same with keys that were read after `known`; none where they were asked for just before: whoever invents names of keys
    /// has us ask nobody more than once a minute.
    pub async fn with_other_keys(&self, issuer: &str, known: &Known) -> Result<Option<Known>> {
        let now_ms = self.clock.now_ms();
        let latest = self.remembered(issuer).unwrap_or_else(|| known.clone());
        if latest.keys_read_ms > known.keys_read_ms {
            return Ok(Some(latest));
        }
        if (0..ASKED_AGAIN_MS).contains(&(now_ms - latest.keys_read_ms)) {
            return Ok(None);
        }
        // Before it is asked: others who come meanwhile wait for their next try.
        self.remember(issuer, Known { keys_read_ms: now_ms, ..latest.clone() });
        let keys = self.keys(&latest.jwks).await.inspect_err(told)?;
        let renewed = Known { keys: Arc::new(keys), keys_read_ms: now_ms, ..latest };
        self.remember(issuer, renewed.clone());
        Ok(Some(renewed))
    }

    async fn read(&self, issuer: &str, now_ms: i64) -> Result<Known> {
        // Section 4: appended to the issuer, without a slash that ends it.
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document = self.web.get(&url).await?;
        let document: Document =
            serde_json::from_slice(&document).map_err(|error| away().because(error))?;
        // Section 4.3: exactly, so that nobody's document passes for another's.
        if document.issuer != issuer {
            return Err(away().because("its document names another issuer"));
        }
        self.web.checked(&document.authorization_endpoint)?;
        let methods = document.token_endpoint_auth_methods_supported;
        let takes = |method: &str| methods.iter().any(|known| known == method);
        let known = Known {
            authorization: document.authorization_endpoint,
            token: document.token_endpoint,
            // Section 3: nothing said means Basic.
            secret_in_form: takes("client_secret_post") && !takes("client_secret_basic"),
            names_itself: document.authorization_response_iss_parameter_supported,
            keys: Arc::new(self.keys(&document.jwks_uri).await?),
            jwks: document.jwks_uri,
            read_ms: now_ms,
            keys_read_ms: now_ms,
        };
        self.remember(issuer, known.clone());
        Ok(known)
    }

    async fn keys(&self, url: &str) -> Result<KeySet> {
        let jwks = self.web.get(url).await?;
        KeySet::parse(&jwks).ok_or_else(|| away().because("its key set cannot be read"))
    }

    fn fresh(&self, issuer: &str) -> Option<Known> {
        let now_ms = self.clock.now_ms();
        self.remembered(issuer).filter(|known| (0..FRESH_MS).contains(&(now_ms - known.read_ms)))
    }

    fn last_try(&self, issuer: &str) -> Arc<Try> {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= PROVIDERS_MAX && !tries.contains_key(issuer) {
            // Whoever asks just now holds theirs.
            tries.retain(|_, last| Arc::strong_count(last) > 1);
        }
        tries.entry(issuer.to_owned()).or_default().clone()
    }

    fn remembered(&self, issuer: &str) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned()
    }

    fn remember(&self, issuer: &str, new: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PROVIDERS_MAX && !known.contains_key(issuer) {
            let oldest = known.iter().min_by_key(|(_, known)| known.read_ms);
            if let Some(oldest) = oldest.map(|(issuer, _)| issuer.clone()) {
                known.remove(&oldest);
            }
        }
        known.insert(issuer.to_owned(), new);
    }
}

impl Try {
    fn is_held_back(&self, now_ms: i64) -> bool {
        let failed_ms = self.failed_ms.lock().unwrap_or_else(PoisonError::into_inner);
        failed_ms.is_some_and(|failed_ms| (0..HELD_BACK_MS).contains(&(now_ms - failed_ms)))
    }

    fn note(&self, failed_ms: Option<i64>) {
        *self.failed_ms.lock().unwrap_or_else(PoisonError::into_inner) = failed_ms;
    }
}

/// Whoever signs in learns no more than that the provider is away.
fn told(error: &Error) {
    tracing::warn!(error = error as &dyn std::error::Error, "a provider cannot be asked");
}
