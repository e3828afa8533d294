//! The one-time passwords of one's own account, and what a hospital asks for.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use proto::auth;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::Problem;
use crate::token::located;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(confirm))
        .routes(routes!(remove))
        .routes(routes!(remove_of))
        .routes(routes!(rules, set_rules))
}

/// That whoever asks is still there; with the answer of a security key, or a code for recovery, where they have a key already.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorBeginning {
    password: String,
    one_time_code: Option<String>,
    /// As JSON: `AuthenticationResponseJSON` of WebAuthn Level 3.
    security_key: Option<String>,
}

/// What an app is to be told that makes one-time passwords (RFC 6238).
#[derive(Serialize, ToSchema)]
pub struct SecondFactor {
    /// In base32, to be typed.
    secret: String,
    /// The same as an address (`otpauth://`), to be shown as a picture or opened on the telephone itself.
    address: String,
}

/// A code that an app shows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneTimeCode {
    #[schema(pattern = "^[0-9]{6}$")]
    one_time_code: String,
}

/// Codes for whoever has lost what makes the others; each works once.
#[derive(Serialize, ToSchema)]
pub struct RecoveryCodes {
    /// Shown this once. Those from before work no more.
    codes: Vec<String>,
}

/// That whoever asks is still there, with the factor that is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorEnd {
    password: String,
    /// Or a code for recovery.
    one_time_code: Option<String>,
    /// Or what a security key has answered, as JSON: `AuthenticationResponseJSON` of WebAuthn Level 3.
    security_key: Option<String>,
}

/// What a hospital asks of whoever signs in with a password.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInRules {
    /// A second factor. Whoever has none yet is shown one at the next sign-in.
    second_factor_required: bool,
}

/// Begins one-time passwords of one's own account
///
/// It is asked for once a code has shown that it works.
#[utoipa::path(
    operation_id = "begin_second_factor", post, path = "/v1/account/second-factor", tag = "account", request_body = SecondFactorBeginning,
    responses(
        (status = 200, description = "What an app is to be told", body = SecondFactor),
        (status = 403, description = "The password or the security key is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Whoever asks is no user", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is one already", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn begin(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(beginning): JsonBody<SecondFactorBeginning>,
) -> Result<Json<SecondFactor>, Problem> {
    let SecondFactorBeginning { password, one_time_code, security_key } = beginning;
    let (code, security_key) =
        (one_time_code.unwrap_or_default(), security_key.unwrap_or_default());
    let message = auth::BeginSecondFactor { password, code, security_key };
    let request = located(origin, caller.request(message));
    let begun = gateway.second_factors.begin(request).await?.into_inner();
    let auth::SecondFactorBegun { secret, address } = begun;
    Ok(Json(SecondFactor { secret, address }))
}

/// Shows that one's own second factor works, and makes codes for recovery
#[utoipa::path(
    operation_id = "confirm_second_factor", post, path = "/v1/account/second-factor/codes", tag = "account", request_body = OneTimeCode,
    responses(
        (status = 200, description = "It is asked for from now on", body = RecoveryCodes),
        (status = 403, description = "The code is wrong, or was used before", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "None was begun", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn confirm(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(OneTimeCode { one_time_code }): JsonBody<OneTimeCode>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let message = auth::ConfirmSecondFactor { code: one_time_code };
    let request = located(origin, caller.request(message));
    let auth::RecoveryCodes { codes } = gateway.second_factors.confirm(request).await?.into_inner();
    Ok(Json(RecoveryCodes { codes }))
}

/// Takes the one-time passwords of one's own account away
#[utoipa::path(
    operation_id = "remove_second_factor", post, path = "/v1/account/second-factor/remove", tag = "account", request_body = SecondFactorEnd,
    responses(
        (status = 204, description = "There is none any more"),
        (status = 403, description = "The password or the second factor is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is the last factor, and the hospital asks for one", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(end): JsonBody<SecondFactorEnd>,
) -> Result<StatusCode, Problem> {
    let SecondFactorEnd { password, one_time_code, security_key } = end;
    let (code, security_key) =
        (one_time_code.unwrap_or_default(), security_key.unwrap_or_default());
    let message = auth::RemoveSecondFactor { password, code, security_key };
    gateway.second_factors.remove(located(origin, caller.request(message))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a user's whole second factor away, who has lost it and their codes
///
/// One-time passwords and security keys alike. Not one's own: that goes at `/v1/account/second-factor/remove`, with a code. The reason, in the header `Medseg-Reason` (percent-encoded
/// UTF-8), stands in the audit trail.
#[utoipa::path(
    operation_id = "remove_user_second_factor", delete, path = "/v1/users/{id}/second-factor", tag = "users", params(
        ("id" = String, Path, description = "The user's id"),
        ("Medseg-Reason" = String, Header, description = "Why, in your own words, of three characters or more")),
    responses(
        (status = 204, description = "There is none any more"),
        (status = 404, description = "No such user, or none that has one", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is one's own", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove_of(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.second_factors.remove_of(caller.request(auth::UserRef { user_id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what the hospital asks of whoever signs in with a password
#[utoipa::path(
    operation_id = "get_sign_in_rules", get, path = "/v1/sign-in-rules", tag = "users",
    responses((status = 200, description = "The rules", body = SignInRules)),
    security(("bearer" = [])),
)]
pub async fn rules(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<SignInRules>, Problem> {
    let asked = caller.request(auth::SignInRulesRef {});
    let rules = gateway.second_factors.get_rules(asked).await?.into_inner();
    let second_factor_required = rules.second_factor_required;
    Ok(Json(SignInRules { second_factor_required }))
}

/// Changes what the hospital asks of whoever signs in with a password
#[utoipa::path(
    operation_id = "set_sign_in_rules", put, path = "/v1/sign-in-rules", tag = "users", request_body = SignInRules,
    responses((status = 200, description = "The rules from now on: whoever is signed in stays so", body = SignInRules)),
    security(("bearer" = [])),
)]
pub async fn set_rules(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(SignInRules { second_factor_required }): JsonBody<SignInRules>,
) -> Result<Json<SignInRules>, Problem> {
    let message = auth::SignInRules { second_factor_required };
    let rules = gateway.second_factors.set_rules(caller.request(message)).await?.into_inner();
    let second_factor_required = rules.second_factor_required;
    Ok(Json(SignInRules { second_factor_required }))
}
