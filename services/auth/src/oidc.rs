//! Sign-in through a hospital's own provider of identities: the authorization code flow of OpenID Connect Core 1.0 with PKCE
//! (RFC 7636), for the page.
//!
//! Nothing is kept of a sign-in that has only begun: its state is a statement of ours that says until when it is valid, for which
//! provider and for which browser. Nonce and PKCE's verifier follow from it, by the signing key.

mod claims;
mod discovery;
pub mod jws;
pub mod people;
pub mod rules;
mod store;
mod web;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Error, ErrorKind, Random, Result, TenantId};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use service::claims::SigningKey;
use sha2::{Digest, Sha256};
use url::Url;

use crate::accounts::{Accounts, Credentials};
use crate::sealed::{self, Sealer};
use crate::sessions::ByProvider;
use crate::{Rules, secrets};
use claims::{Expected, Identity};
use discovery::{Discovery, Known};
use jws::Refused;
use store::Provider;
use web::Web;

/// How long a sign-in at the provider may take: some ask for a second factor there.
const SIGN_IN_MS: i64 = 10 * 60 * 1000;
const ALIAS_CHARS_MAX: usize = 64;
/// As their columns hold them.
const CLIENT_ID_CHARS_MAX: usize = 255;
const SECRET_CHARS_MAX: usize = 1000;
/// A code, as a state, is a word in an address.
const CODE_CHARS_MAX: usize = 4096;

/// Signs in those whom hospitals' providers know.
pub struct Providers {
    accounts: Accounts,
    discovery: Discovery,
    sealer: Arc<Sealer>,
    key: Arc<SigningKey>,
    random: Random,
    /// Where browsers reach the page; without it nobody comes back from a provider.
    public_url: Option<Url>,
}

/// A provider to be. No secret: as it is, or none where there is no provider yet.
pub struct ProviderToBe {
    pub alias: String,
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    pub passwords: bool,
    pub rules: rules::Rules,
}

/// A provider as its hospital's administrator sees it, without its secret.
pub struct Shown {
    pub alias: String,
    pub issuer: String,
    pub client_id: String,
    pub has_secret: bool,
    pub passwords: bool,
    pub rules: rules::Rules,
    /// What is to be told to the provider.
    pub redirect_url: String,
    pub logout_url: String,
}

/// Where a browser goes, and what it must bring back.
pub struct Begun {
    pub location: String,
    /// For a cookie: whoever comes back without it is somebody else.
    pub binding: String,
    pub lasts_s: u32,
    /// The page is reached by TLS.
    pub is_secure: bool,
}

/// What a browser comes back with.
pub struct Back<'a> {
    pub alias: &'a str,
    pub state: &'a str,
    pub code: &'a str,
    /// Who says that it has given the code (RFC 9207); empty: it does not say.
    pub issuer: &'a str,
    pub binding: &'a str,
    /// Nobody but the page's own host can have given the browser its binding, by TLS.
    pub is_secure: bool,
}

/// What the token endpoint answers.
#[derive(Deserialize)]
struct Answer {
    id_token: String,
    access_token: Option<String>,
}

impl Providers {
    pub fn new(
        rules: &Rules,
        accounts: Accounts,
        sealer: Arc<Sealer>,
        key: Arc<SigningKey>,
    ) -> Result<Providers> {
        let (clock, random) = (accounts.clock.clone(), accounts.random.clone());
        let discovery = Discovery::new(Web::new(rules)?, clock);
        let public_url = rules.public_url.clone();
        Ok(Providers { accounts, discovery, sealer, key, random, public_url })
    }

    /// Where a browser is sent to sign in.
    pub async fn begin(&self, alias: &str) -> Result<Begun> {
        let provider = self.called(alias).await?;
        let known = self.discovery.of(&provider.issuer).await?;
        let binding = secrets::secret(&self.random);
        let state = self.state(&provider, &binding);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(self.following("verifier", &state)));
        let mut location =
            Url::parse(&known.authorization).map_err(|error| web::away().because(error))?;
        let scope = [vec!["openid".to_owned()], provider.rules.scopes.clone()].concat().join(" ");
        location
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &self.redirect_url(alias)?)
            .append_pair("scope", &scope)
            .append_pair("state", &state)
            .append_pair("nonce", &self.following("nonce", &state))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let is_secure = self.is_secure();
        let lasts_s = (SIGN_IN_MS / 1000) as u32;
        Ok(Begun { location: location.into(), binding, lasts_s, is_secure })
    }

    /// Who has come back, and how long their session may last.
    pub async fn finish(&self, back: Back<'_>) -> Result<(Credentials, ByProvider)> {
        let provider = self.called(back.alias).await?;
        self.check_state(&provider, &back).await?;
        if !back.issuer.is_empty() && back.issuer != provider.issuer {
            return Err(not_this_sign_in());
        }
        if back.code.is_empty() || back.code.len() > CODE_CHARS_MAX {
            return Err(not_this_sign_in());
        }
        let known = self.discovery.of(&provider.issuer).await?;
        // RFC 9207, section 2.4: one that always says who it is has not said this.
        if known.names_itself && back.issuer.is_empty() {
            return Err(not_this_sign_in());
        }
        let answer = self.exchange(&provider, &known, &back).await?;
        let said = self.verified(&provider, known, &answer.id_token).await?;
        let identity = claims::of_id_token(
            said,
            &self.expected(&provider),
            &self.following("nonce", back.state),
            answer.access_token.as_deref(),
        )
        .map_err(|why| not_believed(&provider, why))?;
        let subject = people::digest(&provider.issuer, &identity.subject);
        let admitted = self.admitted(&provider, identity).await;
        // Whom the provider knows, and the hospital lets not in.
        if let Err(error) = &admitted
            && matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::Conflict)
        {
            people::refused(&self.accounts, provider.tenant, subject).await?;
        }
        admitted
    }

    async fn admitted(
        &self,
        provider: &Provider,
        identity: Identity,
    ) -> Result<(Credentials, ByProvider)> {
        let admitted = provider.rules.admit(&identity)?;
        let digest = |name: &str| people::digest(&provider.issuer, name);
        let subject = digest(&identity.subject);
        let by = ByProvider {
            session: identity.session.as_deref().map(digest).unwrap_or_default(),
            lasts_ms: i64::from(provider.rules.session_minutes) * 60_000,
        };
        Ok((people::admit(&self.accounts, provider, subject, admitted).await?, by))
    }

    /// Ends sessions by the provider's word. One answer for whatever is wrong.
    pub async fn log_out(&self, alias: &str, token: &str) -> Result<()> {
        let provider = self.called(alias).await?;
        let known = self.discovery.of(&provider.issuer).await?;
        let said = self.verified(&provider, known, token).await?;
        let logout = claims::of_logout_token(&said, &self.expected(&provider))
            .map_err(|why| not_believed(&provider, why))?;
        let hash = secrets::hash(&format!("logout {} {}", provider.tenant, logout.token_id));
        let expires_ms = logout.expires_s.saturating_mul(1000);
        people::log_out(&self.accounts, &provider, logout, (hash, expires_ms)).await
    }

    /// The provider of a hospital, as its administrator sees it.
    pub async fn show(&self, tenant: TenantId) -> Result<Shown> {
        let provider = store::of(&self.accounts.database, tenant).await?;
        self.shown(provider.ok_or_else(store::no_provider)?)
    }

    /// Names a hospital's provider, or another one. It is asked for what it publishes, so that what cannot work is told at once.
    pub async fn set(&self, tenant: TenantId, to_be: ProviderToBe) -> Result<Shown> {
        let ProviderToBe { alias, issuer, client_id, client_secret, passwords, rules } = to_be;
        check_alias(&alias)?;
        check_text(&client_id, "a client's id at a provider", CLIENT_ID_CHARS_MAX)?;
        rules.check()?;
        self.redirect_url(&alias)?;
        let url = self.discovery.web.checked(&issuer)?;
        if url.query().is_some() {
            return Err(ErrorKind::Invalid.error("an issuer is an address without a query"));
        }
        self.discovery.anew(&issuer).await.map_err(|error| {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            let words = why.unwrap_or_else(|| error.to_string());
            ErrorKind::Invalid.error(format!("the provider cannot be used: {words}"))
        })?;
        let sealed_secret = self.sealed_secret(tenant, &issuer, client_secret).await?;
        let provider =
            Provider { tenant, alias, issuer, client_id, sealed_secret, passwords, rules };
        let (new, now_ms) = (provider.clone(), self.accounts.clock.now_ms());
        self.accounts
            .database
            .unit(move |unit| Box::pin(async move { store::keep(unit, new, now_ms).await }))
            .await?;
        tracing::info!(tenant.id = %tenant, "named a provider of identities");
        self.shown(provider)
    }

    /// Takes a hospital's provider away, and ends all that was begun through it.
    pub async fn remove(&self, tenant: TenantId) -> Result<()> {
        let now_ms = self.accounts.clock.now_ms();
        self.accounts
            .database
            .unit(move |unit| Box::pin(async move { store::remove(unit, tenant, now_ms).await }))
            .await?;
        tracing::info!(tenant.id = %tenant, "took the provider of identities away");
        Ok(())
    }

    /// The secret to keep. One that is not said again is not sent to another issuer than before.
    async fn sealed_secret(
        &self,
        tenant: TenantId,
        issuer: &str,
        said: Option<String>,
    ) -> Result<String> {
        if let Some(secret) = said {
            if secret.is_empty() {
                return Ok(secret);
            }
            check_text(&secret, "a client's secret at a provider", SECRET_CHARS_MAX)?;
            return self.sealer.seal(&sealed::of_provider(&tenant.to_string()), &secret);
        }
        match store::of(&self.accounts.database, tenant).await? {
            Some(before) if before.issuer == issuer => Ok(before.sealed_secret),
            Some(before) if !before.sealed_secret.is_empty() => Err(ErrorKind::Invalid
                .error("with another issuer, say the secret again: it is sent there")),
            _ => Ok(String::new()),
        }
    }

    fn shown(&self, provider: Provider) -> Result<Shown> {
        let redirect_url = self.redirect_url(&provider.alias)?;
        let logout_url = self.address(&provider.alias, "/logout")?;
        let Provider { alias, issuer, client_id, sealed_secret, passwords, rules, .. } = provider;
        let has_secret = !sealed_secret.is_empty();
        Ok(Shown {
            alias,
            issuer,
            client_id,
            has_secret,
            passwords,
            rules,
            redirect_url,
            logout_url,
        })
    }

    async fn called(&self, alias: &str) -> Result<Provider> {
        let found = match check_alias(alias) {
            Ok(()) => store::called(&self.accounts.database, alias).await?,
            Err(_) => None,
        };
        found.ok_or_else(|| ErrorKind::NotFound.error("there is no sign-in of that name"))
    }

    fn is_secure(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    fn redirect_url(&self, alias: &str) -> Result<String> {
        self.address(alias, "/callback")
    }

    fn address(&self, alias: &str, last: &str) -> Result<String> {
        let Some(page) = &self.public_url else {
            let words = "this installation does not know where browsers reach it (PUBLIC_URL): its operator says so";
            return Err(ErrorKind::Conflict.error(words));
        };
        Ok(format!("{}/v1/sign-in/{alias}{last}", page.as_str().trim_end_matches('/')))
    }

    /// The statement that a sign-in has begun now, for that provider and that browser.
    fn state(&self, provider: &Provider, binding: &str) -> String {
        let until_ms = self.accounts.clock.now_ms() + SIGN_IN_MS;
        let drawn = secrets::text(&self.random.bytes::<16>());
        let stated = format!("{until_ms}.{drawn}");
        let signed = self.signed(&stated, provider, binding);
        format!("{stated}.{signed}")
    }

    /// The provider is all that says which one it is: a name may have become another hospital's meanwhile, to whose provider nobody
    /// brings the code of this one.
    fn signed(&self, stated: &str, provider: &Provider, binding: &str) -> String {
        let Provider { tenant, alias, issuer, client_id, .. } = provider;
        let binding = secrets::hash(binding);
        // None of them has a NUL but what somebody has invented for themselves.
        let input = format!("{stated}\0{alias}\0{binding}\0{tenant}\0{client_id}\0{issuer}");
        secrets::text(&self.key.derive("sign-in state", input.as_bytes()))
    }

    /// Refuses a state that we have not made, for another provider or another browser, that is late, or was used.
    async fn check_state(&self, provider: &Provider, back: &Back<'_>) -> Result<()> {
        let Back { state, binding, .. } = back;
        // Somebody's neighbour on a subdomain, or on the way, may have given the browser their own.
        if self.is_secure() && !back.is_secure {
            return Err(not_this_sign_in());
        }
        let (stated, signed) = state.rsplit_once('.').ok_or_else(not_this_sign_in)?;
        if binding.is_empty() || !secrets::same(signed, &self.signed(stated, provider, binding)) {
            return Err(not_this_sign_in());
        }
        let until_ms = stated.split_once('.').and_then(|(until_ms, _)| until_ms.parse().ok());
        let until_ms: i64 = until_ms.ok_or_else(not_this_sign_in)?;
        let now_ms = self.accounts.clock.now_ms();
        let hash = secrets::hash(&format!("state {state}"));
        if until_ms <= now_ms
            || !store::spend(&self.accounts.database, hash, until_ms, now_ms).await?
        {
            return Err(not_this_sign_in());
        }
        Ok(())
    }

    /// What goes with a state and is nobody's to know but ours and the provider's.
    fn following(&self, purpose: &str, state: &str) -> String {
        secrets::text(&self.key.derive(&format!("sign-in {purpose}"), state.as_bytes()))
    }

    /// The tokens for a code (section 3.1.3).
    async fn exchange(
        &self,
        provider: &Provider,
        known: &Known,
        back: &Back<'_>,
    ) -> Result<Answer> {
        let (redirect_url, verifier) =
            (self.redirect_url(back.alias)?, self.following("verifier", back.state));
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", back.code),
            ("redirect_uri", redirect_url.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let id = provider.client_id.as_str();
        let secret = match provider.sealed_secret.as_str() {
            "" => None,
            sealed => {
                let whose = sealed::of_provider(&provider.tenant.to_string());
                Some(self.sealer.open(&whose, sealed)?)
            }
        };
        let basic = match &secret {
            Some(secret) if !known.secret_in_form => Some((id, secret.as_str())),
            Some(secret) => {
                form.extend([("client_id", id), ("client_secret", secret.as_str())]);
                None
            }
            None => {
                form.push(("client_id", id));
                None
            }
        };
        let (status, body) = self.discovery.web.post(&known.token, &form, basic).await?;
        if status != StatusCode::OK {
            // What went wrong is a code of RFC 6749; whatever else stands there is not logged.
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            let error = answer["error"].as_str().unwrap_or_default();
            let error: String = error.chars().take(40).filter(|c| c.is_ascii_graphic()).collect();
            tracing::warn!(tenant.id = %provider.tenant, %status, error, "a provider has refused a code");
            return Err(not_this_sign_in());
        }
        serde_json::from_slice(&body).map_err(|error| web::away().because(error))
    }

    /// What a token of the provider says; its keys are read again where it names one that is not known.
    async fn verified(&self, provider: &Provider, known: Known, token: &str) -> Result<Value> {
        let allowed = &provider.rules.algorithms;
        let verified = match jws::verified(token, allowed, &known.keys) {
            Err(Refused::UnknownKey) => {
                match self.discovery.with_other_keys(&provider.issuer, &known).await? {
                    Some(renewed) => jws::verified(token, allowed, &renewed.keys),
                    None => Err(Refused::UnknownKey),
                }
            }
            verified => verified,
        };
        verified.map_err(|refused| match refused {
            Refused::UnknownKey => {
                not_believed(provider, "it names a key that the provider has not")
            }
            Refused::Because(why) => not_believed(provider, why),
        })
    }

    fn expected<'p>(&self, provider: &'p Provider) -> Expected<'p> {
        let now_s = self.accounts.clock.now_ms().div_euclid(1000);
        Expected { issuer: &provider.issuer, client_id: &provider.client_id, now_s }
    }
}

fn check_alias(alias: &str) -> Result<()> {
    let fits = (1..=ALIAS_CHARS_MAX).contains(&alias.len())
        && alias
            .bytes()
            .all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-');
    if fits {
        return Ok(());
    }
    Err(ErrorKind::Invalid
        .error("the name of a sign-in has 1 to 64 lower case letters, digits and hyphens"))
}

fn check_text(text: &str, what: &str, most: usize) -> Result<()> {
    if !text.is_empty()
        && text.len() <= most
        && text.bytes().all(|sign| (b' '..=b'~').contains(&sign))
    {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error(format!("{what} has 1 to {most} letters, digits and signs")))
}

/// One answer for whatever is wrong with a token: why is for the log.
fn not_believed(provider: &Provider, why: &str) -> Error {
    tracing::warn!(tenant.id = %provider.tenant, why, "a provider's token is not believed");
    not_this_sign_in()
}

fn not_this_sign_in() -> Error {
    ErrorKind::Unauthenticated.error("this sign-in has ended or was begun elsewhere: sign in again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_sign_in_is_a_word_of_an_address() {
        for good in ["a", "st-marys-2", &"x".repeat(64)] {
            assert!(check_alias(good).is_ok(), "{good}");
        }
        for bad in ["", "St", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(check_alias(bad).is_err(), "{bad}");
        }
    }
}
