//! The form of an access token: a JWT (RFC 7519) of the profile RFC 9068, and nothing beside it.
//!
//! Written here instead of taken from a JWT library, because all that such a library adds is choice
//! (of algorithms, header parameters, types of claims), and each choice has been somebody's hole.

use domain::{Error, ErrorKind, Result, TenantId};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::keys::{SigningKey, decode, encode};
use super::{Claims, Role, Tenant};

/// How long an access token lives.
pub const LIFETIME_S: i64 = 300;

/// How far two machines' clocks may differ.
const LEEWAY_S: i64 = 30;
/// No token of ours is nearly as long.
const MAX_LENGTH: usize = 4096;

const ALGORITHM: &str = "EdDSA";
const TYPE: &str = "at+jwt";
const ISSUER: &str = "medseg/auth";
const AUDIENCE: &str = "medseg";

/// The tenant of medseg's own workers: no hospital, so it owns nothing.
pub fn service_tenant() -> TenantId {
    "00000000-0000-0000-0000-000000000000".parse().expect("the nil UUID is an id")
}

/// What a token will say.
pub struct Grant {
    pub subject: String,
    pub tenant: TenantId,
    pub roles: Vec<Role>,
}

impl Grant {
    /// The access token: valid from now on, for [`LIFETIME_S`].
    pub fn sign(&self, key: &SigningKey, now_ms: i64) -> String {
        let now = now_ms.div_euclid(1000);
        let payload = Payload {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: self.subject.clone(),
            tenant: self.tenant.to_string(),
            roles: self.roles.clone(),
            iat: now,
            nbf: now,
            exp: now + LIFETIME_S,
        };
        let header = Header { alg: ALGORITHM.into(), typ: TYPE.into(), kid: key.id().into() };
        sign_parts(key, &json(&header), &json(&payload))
    }
}

fn json(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("texts and numbers are always JSON")
}

/// Signs any header and payload; the tests forge with it.
pub(super) fn sign_parts(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = encode(&key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// All three are required. One more (`jku`, `jwk`, `x5u`, `crit`, `zip`, `b64`…) and the token is refused.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// All are required and of exactly these types: `aud` is one text, times are whole seconds.
/// Claims that a later version adds are passed over.
#[derive(Deserialize, Serialize)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    tenant: String,
    roles: Vec<Role>,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A token taken apart, of which nothing is believed yet.
pub(super) struct Unverified<'a> {
    pub key_id: String,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    pub fn parse(token: &'a str) -> Result<Unverified<'a>> {
        if token.len() > MAX_LENGTH {
            return Err(refused("it is too long"));
        }
        let (message, signature) =
            token.rsplit_once('.').ok_or_else(|| refused("it has no parts"))?;
        let (header, payload) =
            message.split_once('.').ok_or_else(|| refused("it has two parts"))?;
        let header: Header = read(header)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Err(refused("it is of another type or algorithm"));
        }
        Ok(Unverified { key_id: header.kid, message, payload, signature })
    }

    /// The claims, once the signature fits `key` and the token is for us and for now.
    pub fn verify(&self, key: &VerifyingKey, now_ms: i64) -> Result<Claims> {
        let signature = Signature::from_slice(&decode(self.signature)?).map_err(refused)?;
        key.verify_strict(self.message.as_bytes(), &signature).map_err(refused)?;
        // Only now is the payload worth parsing: it is ours.
        let payload: Payload = read(self.payload)?;
        payload.is_for_us_at(now_ms.div_euclid(1000))?;
        payload.claims()
    }
}

impl Payload {
    fn is_for_us_at(&self, now: i64) -> Result<()> {
        if self.iss != ISSUER || self.aud != AUDIENCE {
            return Err(refused("it is from or for somebody else"));
        }
        let times = [self.iat, self.nbf, self.exp];
        if times.iter().any(|time| !(0..=i64::from(u32::MAX)).contains(time)) {
            return Err(refused("its times make no sense"));
        }
        if self.exp < self.nbf || self.exp - self.iat > LIFETIME_S {
            return Err(refused("it lives longer than any token of ours"));
        }
        if self.iat > now + LEEWAY_S || self.nbf > now + LEEWAY_S {
            return Err(refused("it is not valid yet"));
        }
        if self.exp + LEEWAY_S <= now {
            return Err(refused("it has expired"));
        }
        Ok(())
    }

    fn claims(self) -> Result<Claims> {
        let tenant: TenantId = self.tenant.parse().map_err(refused)?;
        if tenant.to_string() != self.tenant {
            return Err(refused("its tenant is not written as we write it"));
        }
        if self.sub.is_empty() || self.roles.is_empty() {
            return Err(refused("it names nobody, or no role"));
        }
        // Workers belong to no hospital, and nobody in a hospital is a worker.
        let is_service = self.roles == [Role::Service];
        if is_service != (tenant == service_tenant())
            || (!is_service && self.roles.contains(&Role::Service))
        {
            return Err(refused("its roles do not go with its tenant"));
        }
        Ok(Claims { subject: self.sub, roles: self.roles, tenant: Tenant(tenant) })
    }
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T> {
    serde_json::from_slice(&decode(part)?).map_err(refused)
}

/// One answer for every flaw: a forger learns nothing, the log has the reason.
pub(super) fn refused(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    ErrorKind::Unauthenticated.error("the access token is not valid").because(reason)
}
