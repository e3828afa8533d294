//! The form of an access token: a JWT (RFC 7519) of the profile RFC 9068, and nothing beside it.
//!
//! `jsonwebtoken` signs and verifies. What it leaves to choose (other header parameters, lists for texts, its own clock) is
//! settled here, before and after it: each such choice has been somebody's hole.

mod object;
#[cfg(test)]
mod reference;

use std::sync::LazyLock;

use domain::{Error, ErrorKind, Result, TenantId};
use ed25519_dalek::VerifyingKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use serde::{Deserialize, Serialize};

use self::object::Object;
use super::keys::{SigningKey, decode};
use super::{Claims, Role, Tenant, ed25519};

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

/// The tenant of operators: no hospital either.
pub fn operator_tenant() -> TenantId {
    "00000000-0000-0000-0000-000000000001".parse().expect("a UUID is an id")
}

/// The tenant of what pushes results to hospitals' systems: no hospital either, and apart from the workers.
pub fn delivery_tenant() -> TenantId {
    "00000000-0000-0000-0000-000000000002".parse().expect("a UUID is an id")
}

/// In which epochs of its account and of its tenant a token was signed. Whatever takes a right away begins the next one, and
/// whoever verifies tokens learns of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Epochs {
    /// Of the user or API client.
    pub subject: i64,
    /// Of the hospital.
    pub tenant: i64,
}

/// What a token will say.
pub struct Grant {
    /// Who acts: the id of a user or of an API client, or a service's name.
    pub subject: String,
    /// What people call them; empty: nothing.
    pub name: String,
    /// The hospital that they act for, and whose rows they see.
    pub tenant: TenantId,
    /// What they may do.
    pub roles: Vec<Role>,
    /// The sections of the REST face that they are confined to; empty: to none.
    pub scopes: Vec<String>,
    /// As they are now.
    pub epochs: Epochs,
}

impl Grant {
    /// The access token: valid from now on, for [`LIFETIME_S`], at every service.
    pub fn sign(&self, key: &SigningKey, now_ms: i64) -> String {
        self.sign_for("", key, now_ms)
    }

    /// The same, at that service alone; at every one where its name is empty.
    pub fn sign_for(&self, service: &str, key: &SigningKey, now_ms: i64) -> String {
        let now = now_ms.div_euclid(1000);
        let payload = Payload {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: self.subject.clone(),
            name: self.name.clone(),
            tenant: self.tenant.to_string(),
            roles: self.roles.clone(),
            iat: now,
            nbf: now,
            exp: now + LIFETIME_S,
            scope: self.scopes.join(" "),
            epoch: self.epochs.subject,
            tenant_epoch: self.epochs.tenant,
            service: service.to_owned(),
        };
        let header = jsonwebtoken::Header {
            typ: Some(TYPE.to_owned()),
            kid: Some(key.id().to_owned()),
            ..jsonwebtoken::Header::new(Algorithm::EdDSA)
        };
        ed25519::install();
        jsonwebtoken::encode(&header, &payload, &EncodingKey::from_ed_der(key.seed()))
            .expect("texts and numbers are always JSON, and an Ed25519 key signs any message")
    }
}

/// What is checked with the signature. Times are not: they go by the service's own clock, in [`Payload::is_for_us_at`].
static RULES: LazyLock<Validation> = LazyLock::new(|| {
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[AUDIENCE]);
    (rules.validate_exp, rules.validate_nbf, rules.leeway) = (false, false, 0);
    rules
});

/// All three are required. One more (`jku`, `jwk`, `x5u`, `crit`, `zip`, `b64`…) and the token is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// All but the last five are required, and of exactly these types: `aud` is one text, times are whole seconds.
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
    /// Missing in tokens of the version before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    /// With blanks between (RFC 9068, 2.2.3).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(default)]
    epoch: i64,
    #[serde(default)]
    tenant_epoch: i64,
    /// The one service that it is for. Beside `aud`, of which services of the version before take `medseg` alone; they pass over this.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    service: String,
}

/// A token of which nothing is believed yet.
pub(super) struct Unverified<'a> {
    pub key_id: String,
    token: &'a str,
}

impl<'a> Unverified<'a> {
    /// Takes it apart. `Unauthenticated` where it is no compact JWS (RFC 7515) of EdDSA with a key id, or is too long.
    pub fn parse(token: &'a str) -> Result<Unverified<'a>> {
        if token.len() > MAX_LENGTH {
            return Err(invalid_token("it is too long"));
        }
        let (header, _) = token.split_once('.').ok_or_else(|| invalid_token("it has no parts"))?;
        let Object::<Header>(header) =
            serde_json::from_slice(&decode(header)?).map_err(invalid_token)?;
        if header.alg != ALGORITHM || header.typ != TYPE {
            return Err(invalid_token("it is of another type or algorithm"));
        }
        Ok(Unverified { key_id: header.kid, token })
    }

    /// The claims, once the signature fits `key` and the token is for us, who are called `own`, and for now, or has ended no longer than
    /// `late_s` ago.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        own: &str,
        now_ms: i64,
        late_s: i64,
    ) -> Result<Claims> {
        ed25519::install();
        let key = DecodingKey::from_ed_der(key.as_bytes());
        let Object::<Payload>(payload) =
            jsonwebtoken::decode(self.token, &key, &RULES).map_err(invalid_token)?.claims;
        payload.is_for_us_at(now_ms.div_euclid(1000), late_s)?;
        if !payload.service.is_empty() && payload.service != own {
            return Err(invalid_token("it is for another service"));
        }
        payload.claims()
    }
}

impl Payload {
    fn is_for_us_at(&self, now: i64, late_s: i64) -> Result<()> {
        if self.iss != ISSUER || self.aud != AUDIENCE {
            return Err(invalid_token("it is from or for somebody else"));
        }
        let times = [self.iat, self.nbf, self.exp];
        if times.iter().any(|time| !(0..=i64::from(u32::MAX)).contains(time)) {
            return Err(invalid_token("its times make no sense"));
        }
        if self.exp < self.nbf || self.exp - self.iat > LIFETIME_S {
            return Err(invalid_token("it lives longer than any token of ours"));
        }
        if self.iat > now + LEEWAY_S || self.nbf > now + LEEWAY_S {
            return Err(invalid_token("it is not valid yet"));
        }
        if self.exp + LEEWAY_S + late_s <= now {
            return Err(invalid_token("it has expired"));
        }
        Ok(())
    }

    fn claims(self) -> Result<Claims> {
        let tenant: TenantId = self.tenant.parse().map_err(invalid_token)?;
        if tenant.to_string() != self.tenant {
            return Err(invalid_token("its tenant is not written as we write it"));
        }
        if self.sub.is_empty() || self.roles.is_empty() {
            return Err(invalid_token("it names nobody, or no role"));
        }
        // Workers and operators belong to no hospital, and nobody in a hospital is either.
        for (role, home) in [
            (Role::Service, service_tenant()),
            (Role::Delivery, delivery_tenant()),
            (Role::Operator, operator_tenant()),
        ] {
            let is_one = self.roles == [role];
            if is_one != (tenant == home) || (!is_one && self.roles.contains(&role)) {
                return Err(invalid_token("its roles do not go with its tenant"));
            }
        }
        Ok(Claims {
            subject: self.sub,
            name: self.name,
            roles: self.roles,
            scopes: self.scope.split_whitespace().map(str::to_owned).collect(),
            tenant: Tenant(tenant),
            epochs: Epochs { subject: self.epoch, tenant: self.tenant_epoch },
        })
    }
}

/// One answer for every flaw: a forger learns nothing, the log has the reason.
pub(super) fn invalid_token(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    ErrorKind::Unauthenticated.error("the access token is not valid").because(reason)
}
