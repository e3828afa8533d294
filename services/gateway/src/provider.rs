//! The hospital's own provider of identities, as its administrators name it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use proto::auth;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::users::{RoleName, missing};

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(show, set, remove))
}

/// How a provider may sign.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
enum SigningAlgorithm {
    RS256,
    ES256,
}

/// Whom of those that the provider knows the hospital lets in, and as what.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderRules {
    /// How the provider signs; `RS256` where nothing is said.
    #[serde(default)]
    #[schema(value_type = Vec<SigningAlgorithm>)]
    algorithms: Vec<String>,
    /// What is asked for beside `openid`, such as `email` and `groups`.
    #[serde(default)]
    scopes: Vec<String>,
    /// The claim that is the user name here: `email`, which the provider must have verified, where nothing is said.
    #[serde(default)]
    name_claim: String,
    /// The claim with somebody's groups: names with dots between; empty: roles are given here.
    #[serde(default)]
    roles_claim: String,
    /// The role that each group has. No group makes anybody an operator.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, RoleName>)]
    roles: BTreeMap<String, String>,
    /// The roles of whoever has none by a group; empty: they are not let in.
    #[serde(default)]
    #[schema(value_type = Vec<RoleName>)]
    default_roles: Vec<String>,
    /// What user names must end in after their `@`; empty: anything.
    #[serde(default)]
    domains: Vec<String>,
    /// Nobody but who was invited; `false`: whoever comes and has a role gets an account.
    #[serde(default)]
    invited_only: bool,
    /// How long a session lasts before the provider is asked again, 5 to 720; as long as any other where nothing is said.
    #[serde(default)]
    session_minutes: u32,
}

/// A provider to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderToBe {
    /// What the address of the sign-in ends in, and people type.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    name: String,
    /// As the provider's own document says it, letter by letter.
    #[schema(max_length = 1000, format = "uri")]
    issuer: String,
    #[schema(min_length = 1, max_length = 255)]
    client_id: String,
    /// Left out: as it is. It is never shown again, and is kept sealed.
    #[schema(max_length = 1000, write_only)]
    client_secret: Option<String>,
    /// Whether whom the provider knows may have a password here, too.
    #[serde(default)]
    passwords: bool,
    #[serde(default)]
    rules: ProviderRules,
}

/// The hospital's provider.
#[derive(Serialize, ToSchema)]
pub struct Provider {
    name: String,
    issuer: String,
    client_id: String,
    has_secret: bool,
    passwords: bool,
    rules: ProviderRules,
    /// To be registered at the provider as where it may send browsers back to.
    redirect_url: String,
    /// To be registered at the provider as where it tells of sessions that end (back-channel logout).
    logout_url: String,
}

impl From<auth::ProviderRules> for ProviderRules {
    fn from(rules: auth::ProviderRules) -> ProviderRules {
        ProviderRules {
            algorithms: rules.algorithms,
            scopes: rules.scopes,
            name_claim: rules.name_claim,
            roles_claim: rules.roles_claim,
            roles: rules.roles.into_iter().collect(),
            default_roles: rules.default_roles,
            domains: rules.domains,
            invited_only: rules.invited_only,
            session_minutes: rules.session_minutes,
        }
    }
}

impl From<ProviderRules> for auth::ProviderRules {
    fn from(rules: ProviderRules) -> auth::ProviderRules {
        auth::ProviderRules {
            algorithms: rules.algorithms,
            scopes: rules.scopes,
            name_claim: rules.name_claim,
            roles_claim: rules.roles_claim,
            roles: rules.roles.into_iter().collect(),
            default_roles: rules.default_roles,
            domains: rules.domains,
            invited_only: rules.invited_only,
            session_minutes: rules.session_minutes,
        }
    }
}

impl TryFrom<auth::Provider> for Provider {
    type Error = Problem;

    fn try_from(provider: auth::Provider) -> Result<Provider, Problem> {
        Ok(Provider {
            name: provider.name,
            issuer: provider.issuer,
            client_id: provider.client_id,
            has_secret: provider.has_secret,
            passwords: provider.passwords,
            rules: provider.rules.ok_or_else(missing)?.into(),
            redirect_url: provider.redirect_url,
            logout_url: provider.logout_url,
        })
    }
}

/// Shows the hospital's provider
#[utoipa::path(
    operation_id = "get_provider", get, path = "/v1/provider", tag = "users",
    responses(
        (status = 200, description = "The provider", body = Provider),
        (status = 404, description = "The hospital has none", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Provider>, Problem> {
    let provider = gateway.providers.get(caller.request(auth::ProviderRef {})).await?;
    Ok(Json(provider.into_inner().try_into()?))
}

/// Names the hospital's provider, or changes what is said of it
///
/// The provider is asked for what it publishes of itself first. All sessions that were begun through the one before end.
#[utoipa::path(
    operation_id = "set_provider", put, path = "/v1/provider", tag = "users", request_body = ProviderToBe,
    responses(
        (status = 200, description = "The provider", body = Provider),
        (status = 409, description = "Another hospital's sign-in has that name, or this installation does not know where browsers reach it", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn set(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(to_be): JsonBody<ProviderToBe>,
) -> Result<Json<Provider>, Problem> {
    let message = auth::ProviderToBe {
        name: to_be.name,
        issuer: to_be.issuer,
        client_id: to_be.client_id,
        client_secret: to_be.client_secret,
        passwords: to_be.passwords,
        rules: Some(to_be.rules.into()),
    };
    let provider = gateway.providers.set(caller.request(message)).await?.into_inner();
    Ok(Json(provider.try_into()?))
}

/// Takes the hospital's provider away; what was begun through it ends
#[utoipa::path(
    operation_id = "remove_provider", delete, path = "/v1/provider", tag = "users",
    responses(
        (status = 204, description = "There is none any more"),
        (status = 404, description = "The hospital has none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody with a password and the role `admin` is left: everybody would be locked out", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    gateway.providers.remove(caller.request(auth::ProviderRef {})).await?;
    Ok(StatusCode::NO_CONTENT)
}
