//! Access tokens, verified offline, and the tenant that only a verified token can name.
//!
//! Every user-facing call carries `authorization: Bearer <access token>`. The callee asks a
//! [`Verifier`] for the [`Claims`]; no service asks auth about a single call.

mod ed25519;
mod keys;
mod revoked;
mod service_token;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod token;
mod verifier;

use std::fmt;

use domain::{ErrorKind, Result, TenantId};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};
use tonic::Request;
use tonic::metadata::MetadataMap;

pub use keys::{ANCHOR_PURPOSE, ERASURE_PURPOSE, PublicKeys, RESULT_PURPOSE, SigningKey};
pub use service_token::{DELIVERY_CLIENT, SERVICE_CLIENT, ServiceToken};
pub use token::{Epochs, Grant, LIFETIME_S, delivery_tenant, operator_tenant, service_tenant};
pub use verifier::Verifier;

/// The metadata in which the gateway tells the network address that a call comes from, and services tell it on.
pub const ORIGIN: &str = "medseg-origin";

/// The same of why somebody asks, in their own words; percent-encoded. It is a header of the REST face, too.
pub const REASON: &str = "medseg-reason";

/// The metadata in which one of medseg's own services shows its own token, beside that of whom it works for.
const VOUCHER: &str = "medseg-service-token";

/// The hospital that a verified token speaks for.
///
/// Nothing but the verification of a token makes one, so a query that takes a `Tenant` cannot be
/// asked on behalf of a hospital that nobody signed in to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tenant(TenantId);

impl Tenant {
    /// The id that rows carry.
    pub fn id(self) -> TenantId {
        self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a caller may do.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    EnumString,
    Eq,
    Hash,
    IntoStaticStr,
    PartialEq,
    Serialize,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Uploads, looks, says agree, correct or reject.
    Clinician,
    /// Settles what readers differ on, beside what another role lets them do: whoever has no role that reads scans reads none by this one.
    Adjudicator,
    /// A hospital's system that uploads and reads results.
    Integrator,
    /// Reads quality figures and drift reports.
    Scientist,
    /// Manages the users and API clients of its own tenant.
    Admin,
    /// Makes, suspends and closes tenants; belongs to none of them and sees nothing of theirs.
    Operator,
    /// medseg's own workers; never a person, never a hospital's.
    Service,
    /// What pushes results to hospitals' own systems: it alone is handed pixels and identity of any hospital's scan.
    Delivery,
}

impl Role {
    /// The name used in tokens, SQL and pages.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The role of that [`name`](Role::name).
    pub fn named(name: &str) -> Option<Role> {
        name.parse().ok()
    }
}

/// What a verified token says of its bearer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claims {
    /// The id of the user or API client.
    pub subject: String,
    /// What people call them, when the token was signed; empty: it does not say. Never logged.
    pub name: String,
    /// Never empty.
    pub roles: Vec<Role>,
    /// The sections of the REST face that an API client is confined to; empty: whatever the roles allow.
    pub scopes: Vec<String>,
    tenant: Tenant,
    epochs: Epochs,
}

impl Claims {
    /// The epochs of account and tenant that the token was signed in.
    pub fn epochs(&self) -> Epochs {
        self.epochs
    }

    /// Refuses a bearer who is confined to other sections than `scope`.
    pub fn require_scope(&self, scope: &str) -> Result<()> {
        if self.scopes.is_empty() || self.scopes.iter().any(|own| own == scope) {
            return Ok(());
        }
        Err(ErrorKind::Forbidden.error("this API client is confined to other sections"))
    }

    /// The hospital that the bearer belongs to; for [`Role::Service`], [`Role::Delivery`] and [`Role::Operator`] one that owns nothing.
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// Refuses a bearer who has none of `roles`. No role contains another.
    pub fn require(&self, roles: &[Role]) -> Result<()> {
        if self.roles.iter().any(|role| roles.contains(role)) {
            return Ok(());
        }
        Err(ErrorKind::Forbidden.error("your role does not allow this"))
    }
}

/// The bearer token of a call; none when there are two, for then nobody can say which one counts.
pub fn bearer(metadata: &MetadataMap) -> Option<&str> {
    let mut values = metadata.get_all("authorization").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A request that carries `token`.
///
/// What cannot be a token, such as a text with line breaks, is left out: the callee then answers
/// that nobody has signed in.
pub fn authorised<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// The request of one of medseg's own services, in the name of whoever it works for: for calls that nobody may make but
/// such a service.
pub fn vouched<T>(mut request: Request<T>, service_token: &str) -> Request<T> {
    // What cannot be a token is no voucher.
    if let Ok(value) = service_token.parse() {
        request.metadata_mut().insert(VOUCHER, value);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_one_name_everywhere() {
        for &role in Role::VARIANTS {
            assert_eq!(Role::named(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }

    #[test]
    fn the_bearer_is_what_the_sender_put_in() {
        let request = authorised((), "abc.def.ghi");
        assert_eq!(bearer(request.metadata()), Some("abc.def.ghi"));
        assert_eq!(bearer(authorised((), "two\nlines").metadata()), None);
    }

    #[test]
    fn two_authorization_headers_are_none() {
        let mut request = authorised((), "mine");
        request.metadata_mut().append("authorization", "Bearer other".parse().unwrap());
        assert_eq!(bearer(request.metadata()), None);
    }

    #[test]
    fn another_scheme_is_no_bearer() {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", "Basic YTpi".parse().unwrap());
        assert_eq!(bearer(&metadata), None);
        metadata.insert("authorization", "bEaReR token".parse().unwrap());
        assert_eq!(bearer(&metadata), Some("token"));
    }
}
