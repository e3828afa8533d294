//! What a provider's tokens must say to be believed: OpenID Connect Core 1.0, section 3.1.3.7, and Back-Channel Logout 1.0,
//! section 2.6.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::secrets;

/// How far two clocks may be apart.
const SKEW_S: i64 = 60;
/// An ID token is made while its receiver waits, a logout token while its session ends.
const AGE_S_MAX: i64 = 600;
/// A logout token lives two minutes at most, as the standard recommends; providers are lax about it.
const LOGOUT_LIFE_S_MAX: i64 = 24 * 3600;
/// Core 1.0, section 2.
const SUBJECT_CHARS_MAX: usize = 255;
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What is known of a token before it is looked at.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub now_s: i64,
}

/// Somebody, as the provider calls them.
#[derive(Debug)]
pub struct Identity {
    pub subject: String,
    pub session: Option<String>,
    pub claims: Value,
}

/// Whose sessions end, and the token's own name and end.
#[derive(Debug)]
pub struct Logout {
    pub subject: Option<String>,
    pub session: Option<String>,
    pub token_id: String,
    pub expires_s: i64,
}

type Checked<T> = Result<T, &'static str>;

/// Who an ID token speaks of. Its signature has been verified; `nonce` is that of the very sign-in.
pub fn of_id_token(
    claims: Value,
    expected: &Expected,
    nonce: &str,
    access_token: Option<&str>,
) -> Checked<Identity> {
    addressed(&claims, expected)?;
    let expires_s = number(&claims, "exp").ok_or("it does not say when it expires")?;
    if expires_s <= expected.now_s - SKEW_S {
        return Err("it has expired");
    }
    if !text(&claims, "nonce").is_some_and(|said| secrets::same(said, nonce)) {
        return Err("it is of another sign-in");
    }
    if let Some(hash) = claims.get("at_hash") {
        let goes_with =
            access_token.is_some_and(|token| hash.as_str() == Some(at_hash(token).as_str()));
        if !goes_with {
            return Err("it goes with another access token");
        }
    }
    let subject = subject(&claims)?.ok_or("it does not say of whom it speaks")?;
    let session = text(&claims, "sid").map(str::to_owned);
    Ok(Identity { subject, session, claims })
}

/// Whose sessions a logout token ends. Its signature has been verified.
pub fn of_logout_token(claims: &Value, expected: &Expected) -> Checked<Logout> {
    addressed(claims, expected)?;
    if !claims["events"][LOGOUT_EVENT].is_object() {
        return Err("it is no logout token");
    }
    // So that no ID token passes for one.
    if claims.get("nonce").is_some() {
        return Err("a logout token has no nonce");
    }
    let latest_s = expected.now_s + LOGOUT_LIFE_S_MAX;
    let expires_s = number(claims, "exp").unwrap_or(expected.now_s + AGE_S_MAX);
    if expires_s <= expected.now_s - SKEW_S || expires_s > latest_s {
        return Err("it has expired, or lives for too long");
    }
    let token_id = text(claims, "jti").filter(|id| !id.is_empty());
    let token_id = token_id.ok_or("it has no id of its own")?.to_owned();
    let (subject, session) = (subject(claims)?, text(claims, "sid").map(str::to_owned));
    if subject.is_none() && session.is_none() {
        return Err("it names neither a subject nor a session");
    }
    // What is taken once is remembered for longer than it is taken.
    Ok(Logout { subject, session, token_id, expires_s: expires_s + AGE_S_MAX })
}

/// Whether the token is from the provider, for us, and of now.
fn addressed(claims: &Value, expected: &Expected) -> Checked<()> {
    if text(claims, "iss") != Some(expected.issuer) {
        return Err("another provider has issued it");
    }
    // An audience beside us is one that we do not know, and so do not trust.
    let is_for_us = match &claims["aud"] {
        Value::String(one) => one == expected.client_id,
        Value::Array(all) => !all.is_empty() && all.iter().all(|one| one == expected.client_id),
        _ => false,
    };
    if !is_for_us {
        return Err("it is for somebody else");
    }
    if claims.get("azp").is_some_and(|party| party != expected.client_id) {
        return Err("somebody else has asked for it");
    }
    let issued_s = number(claims, "iat").ok_or("it does not say when it was issued")?;
    if issued_s > expected.now_s + SKEW_S || issued_s < expected.now_s - AGE_S_MAX {
        return Err("it was not issued now");
    }
    let is_early = |begins_s: i64| begins_s > expected.now_s + SKEW_S;
    if claims.get("nbf").is_some() && number(claims, "nbf").is_none_or(is_early) {
        return Err("it is not valid yet");
    }
    Ok(())
}

/// The subject, if one is named.
fn subject(claims: &Value) -> Checked<Option<String>> {
    let Some(said) = claims.get("sub") else { return Ok(None) };
    let subject = said.as_str().ok_or("its subject is no text")?;
    if subject.is_empty() || subject.len() > SUBJECT_CHARS_MAX || !subject.is_ascii() {
        return Err("its subject is not what a subject may be");
    }
    Ok(Some(subject.to_owned()))
}

fn text<'c>(claims: &'c Value, name: &str) -> Option<&'c str> {
    claims.get(name)?.as_str()
}

/// A time (RFC 7519, NumericDate), which may have a fraction.
fn number(claims: &Value, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    value.as_i64().or_else(|| {
        let seconds = value.as_f64()?;
        (seconds.abs() < 1e15).then_some(seconds as i64)
    })
}

/// The left half of the digest; both algorithms that are taken here have SHA-256 (section 3.1.3.6).
fn at_hash(access_token: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(access_token).into();
    URL_SAFE_NO_PAD.encode(&digest[..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_S: i64 = 1_790_000_000;
    const EXPECTED: Expected =
        Expected { issuer: "https://idp.example", client_id: "medseg", now_s: NOW_S };

    fn good() -> Value {
        json!({
            "iss": "https://idp.example", "sub": "Ada", "aud": "medseg", "exp": NOW_S + 60, "iat": NOW_S,
            "nonce": "n", "sid": "s",
        })
    }

    fn said(name: &str, value: Value) -> Checked<Identity> {
        let mut claims = good();
        claims[name] = value;
        of_id_token(claims, &EXPECTED, "n", Some("token"))
    }

    #[test]
    fn an_id_token_is_from_there_for_us_and_of_now() {
        let identity = of_id_token(good(), &EXPECTED, "n", None).unwrap();
        assert_eq!((identity.subject.as_str(), identity.session.as_deref()), ("Ada", Some("s")));
        for (name, value) in [
            ("iss", json!("https://idp.example/")),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", json!(["medseg", "other"])),
            ("aud", json!({"medseg": true})),
            ("azp", json!("other")),
            ("exp", json!(NOW_S - 60)),
            ("exp", json!("tomorrow")),
            ("exp", json!(null)),
            ("iat", json!(NOW_S + 61)),
            ("iat", json!(NOW_S - 601)),
            ("iat", json!(null)),
            ("nbf", json!(NOW_S + 61)),
            ("nbf", json!("now")),
            ("nbf", json!(1e300)),
            ("nonce", json!("other")),
            ("nonce", json!(null)),
            ("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
            ("at_hash", json!(7)),
            ("sub", json!("")),
            ("sub", json!("é")),
            ("sub", json!(7)),
            ("sub", json!("x".repeat(256))),
        ] {
            assert!(said(name, value.clone()).is_err(), "{name} {value}");
        }
        for (name, value) in [
            ("aud", json!(["medseg"])),
            ("azp", json!("medseg")),
            ("exp", json!(NOW_S - 59)),
            ("iat", json!(NOW_S + 60)),
            ("iat", json!(NOW_S as f64 + 0.5)),
            ("nbf", json!(NOW_S)),
            ("at_hash", json!(at_hash("token"))),
        ] {
            assert!(said(name, value.clone()).is_ok(), "{name} {value}");
        }
    }

    #[test]
    fn the_digest_of_an_access_token_is_the_standards() {
        // Core 1.0, appendix A.3.
        assert_eq!(
            at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
    }

    #[test]
    fn a_logout_token_is_no_id_token_and_names_somebody() {
        let mut claims = good();
        assert!(of_logout_token(&claims, &EXPECTED).is_err());
        claims["events"] = json!({ LOGOUT_EVENT: {} });
        claims["jti"] = "7".into();
        assert!(of_logout_token(&claims, &EXPECTED).is_err(), "it has a nonce");
        let members = claims.as_object_mut().unwrap();
        members.remove("nonce");
        members.remove("exp");
        let logout = of_logout_token(&claims, &EXPECTED).unwrap();
        assert_eq!(
            (logout.subject.as_deref(), logout.session.as_deref()),
            (Some("Ada"), Some("s"))
        );
        for (name, value) in [
            ("events", json!({})),
            ("events", json!([LOGOUT_EVENT])),
            ("jti", json!("")),
            ("jti", json!(null)),
            ("iat", json!(NOW_S - 601)),
            ("exp", json!(NOW_S - 60)),
            ("exp", json!(NOW_S + 2 * LOGOUT_LIFE_S_MAX)),
        ] {
            let mut changed = claims.clone();
            changed[name] = value.clone();
            assert!(of_logout_token(&changed, &EXPECTED).is_err(), "{name} {value}");
        }
        let members = claims.as_object_mut().unwrap();
        members.remove("sub");
        assert!(of_logout_token(&claims, &EXPECTED).is_ok());
        claims.as_object_mut().unwrap().remove("sid");
        assert!(of_logout_token(&claims, &EXPECTED).is_err());
    }
}
