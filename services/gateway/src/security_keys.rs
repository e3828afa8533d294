//! Security keys and passkeys of one's own account, and those that an administrator takes away.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use proto::auth;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::Problem;
use crate::token::located;
use crate::users::{missing, moment};

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(begin))
        .routes(routes!(challenge))
        .routes(routes!(remove))
        .routes(routes!(list_of))
        .routes(routes!(remove_of))
}

/// A key that somebody shows beside their password (WebAuthn): one to be plugged in or held near, or a passkey of a telephone or a
/// computer.
#[derive(Serialize, ToSchema)]
pub struct SecurityKey {
    #[schema(format = "uuid")]
    id: String,
    /// As its owner calls it.
    name: String,
    #[schema(format = "date-time")]
    created_at: Option<String>,
    /// None: never.
    #[schema(format = "date-time")]
    used_at: Option<String>,
}

/// Somebody's keys, the oldest first.
#[derive(Serialize, ToSchema)]
pub struct SecurityKeys {
    keys: Vec<SecurityKey>,
    /// Whether there can be any: the installation knows by which name browsers reach it.
    offered: bool,
}

/// That whoever asks is still there. Where they have a second factor already, with a code of it, or the answer of a key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecurityKeyBeginning {
    password: String,
    /// Or a code for recovery.
    one_time_code: Option<String>,
    /// The answer to a challenge, as JSON: `AuthenticationResponseJSON` of WebAuthn Level 3.
    security_key: Option<String>,
}

/// What a browser is to be told.
#[derive(Serialize, ToSchema)]
pub struct SecurityKeyOptions {
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON`, or `parseRequestOptionsFromJSON` of a challenge (WebAuthn Level 3).
    #[schema(value_type = Object)]
    options: Value,
}

/// A key that a browser has made as it was told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSecurityKey {
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// What the browser says of it, as JSON: `RegistrationResponseJSON` of WebAuthn Level 3.
    made: String,
}

/// A key that is asked for from now on.
#[derive(Serialize, ToSchema)]
pub struct SecurityKeyAdded {
    #[schema(format = "uuid")]
    id: String,
    /// Codes for whoever has lost it; each works once, and they are shown this once. Where it is the account's first factor; else none.
    recovery_codes: Vec<String>,
}

impl From<auth::SecurityKeys> for SecurityKeys {
    fn from(auth::SecurityKeys { keys, offered }: auth::SecurityKeys) -> SecurityKeys {
        let key = |key: auth::SecurityKey| SecurityKey {
            id: key.id,
            name: key.name,
            created_at: moment(key.created_ms),
            used_at: moment(key.used_ms),
        };
        SecurityKeys { keys: keys.into_iter().map(key).collect(), offered }
    }
}

/// What auth says that a browser is to be told.
pub fn options(json: &str) -> Result<Value, Problem> {
    serde_json::from_str(json).map_err(|_| missing())
}

/// Lists the security keys of one's own account
#[utoipa::path(
    operation_id = "list_security_keys", get, path = "/v1/account/security-keys", tag = "account",
    responses((status = 200, description = "The keys", body = SecurityKeys)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<SecurityKeys>, Problem> {
    let message = auth::SecurityKeysRef::default();
    let keys = gateway.second_factors.list_keys(caller.request(message)).await?;
    Ok(Json(keys.into_inner().into()))
}

/// Begins another security key of one's own account
///
/// The answer is for `navigator.credentials.create`, and good for five minutes.
#[utoipa::path(
    operation_id = "begin_security_key", post, path = "/v1/account/security-keys/options", tag = "account", request_body = SecurityKeyBeginning,
    responses(
        (status = 200, description = "What the browser is to be told", body = SecurityKeyOptions),
        (status = 403, description = "The password or the second factor is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Whoever asks is no user", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There can be none here, or no more", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn begin(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(beginning): JsonBody<SecurityKeyBeginning>,
) -> Result<Json<SecurityKeyOptions>, Problem> {
    let SecurityKeyBeginning { password, one_time_code, security_key } = beginning;
    let (code, security_key) =
        (one_time_code.unwrap_or_default(), security_key.unwrap_or_default());
    let message = auth::BeginSecurityKey { password, code, security_key };
    let request = located(origin, caller.request(message));
    let begun = gateway.second_factors.begin_key(request).await?.into_inner();
    Ok(Json(SecurityKeyOptions { options: options(&begun.json)? }))
}

/// Registers the security key that a browser has made
///
/// A sign-in asks for it from now on.
#[utoipa::path(
    operation_id = "add_security_key", post, path = "/v1/account/security-keys", tag = "account", request_body = NewSecurityKey,
    responses(
        (status = 201, description = "It is registered", body = SecurityKeyAdded),
        (status = 409, description = "It is registered already, or there can be no more", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn add(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewSecurityKey { name, made }): JsonBody<NewSecurityKey>,
) -> Result<(StatusCode, Json<SecurityKeyAdded>), Problem> {
    let message = auth::NewSecurityKey { name, made };
    let added = gateway.second_factors.add_key(caller.request(message)).await?.into_inner();
    let auth::SecurityKeyAdded { id, recovery_codes } = added;
    Ok((StatusCode::CREATED, Json(SecurityKeyAdded { id, recovery_codes })))
}

/// Asks the security keys of one's own account, where a password alone is not enough
///
/// The answer is for `navigator.credentials.get`, and good once and for five minutes.
#[utoipa::path(
    operation_id = "challenge_security_keys", post, path = "/v1/account/security-keys/challenge", tag = "account",
    responses(
        (status = 200, description = "What the browser is to be told", body = SecurityKeyOptions),
        (status = 404, description = "There is none that can be asked", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn challenge(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<SecurityKeyOptions>, Problem> {
    let message = auth::ChallengeSecurityKeys {};
    let asked = gateway.second_factors.challenge_keys(caller.request(message)).await?.into_inner();
    Ok(Json(SecurityKeyOptions { options: options(&asked.json)? }))
}

/// Takes a security key of one's own account away
#[utoipa::path(
    operation_id = "remove_security_key", post, path = "/v1/account/security-keys/{key}/remove", tag = "account", request_body = SecurityKeyBeginning,
    params(("key" = String, Path, description = "The key's id")),
    responses(
        (status = 204, description = "It is not asked for any more"),
        (status = 403, description = "The password or the second factor is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such key", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the last factor, and the hospital asks for one", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(end): JsonBody<SecurityKeyBeginning>,
) -> Result<StatusCode, Problem> {
    let SecurityKeyBeginning { password, one_time_code, security_key } = end;
    let (code, security_key) =
        (one_time_code.unwrap_or_default(), security_key.unwrap_or_default());
    let message = auth::RemoveSecurityKey { id, password, code, security_key };
    gateway.second_factors.remove_key(located(origin, caller.request(message))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists a user's security keys
#[utoipa::path(
    operation_id = "list_user_security_keys", get, path = "/v1/users/{id}/security-keys", tag = "users",
    params(("id" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "The keys", body = SecurityKeys),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn list_of(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<SecurityKeys>, Problem> {
    let message = auth::SecurityKeysRef { user_id };
    let keys = gateway.second_factors.list_keys(caller.request(message)).await?;
    Ok(Json(keys.into_inner().into()))
}

/// Takes a security key of a user away, who has lost it
///
/// Not one's own: that goes at `/v1/account/security-keys/{key}/remove`, with the second factor. The reason, in the header `Medseg-Reason`
/// (percent-encoded UTF-8), stands in the audit trail.
#[utoipa::path(
    operation_id = "remove_user_security_key", delete, path = "/v1/users/{id}/security-keys/{key}", tag = "users", params(
        ("id" = String, Path, description = "The user's id"),
        ("key" = String, Path, description = "The key's id"),
        ("Medseg-Reason" = String, Header, description = "Why, in your own words, of three characters or more")),
    responses(
        (status = 204, description = "It is not asked for any more"),
        (status = 404, description = "No such user, or no such key", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is one's own", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove_of(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((user_id, id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let message = auth::SecurityKeyRef { user_id, id };
    gateway.second_factors.remove_key_of(caller.request(message)).await?;
    Ok(StatusCode::NO_CONTENT)
}
