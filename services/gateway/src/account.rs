//! One's own account, and the links that set its password.

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
use crate::token::{Token, located};
use crate::users::{User, missing, moment};
use crate::{second_factor, security_keys};

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(change_password))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(use_link))
        .merge(second_factor::routes())
        .merge(security_keys::routes())
}

/// Whoever asks.
#[derive(Serialize, ToSchema)]
pub struct Account {
    user: User,
    /// The name of the hospital.
    tenant: String,
    /// Those of the hospital, `en` or `fr`; the first is its own.
    languages: Vec<String>,
    /// Whether there are one-time passwords, of which one is asked for beside the password, or a security key.
    has_second_factor: bool,
    /// Whether the hospital asks everybody for one who signs in with a password.
    second_factor_required: bool,
}

/// Another password for oneself.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    password: String,
    /// None of those that are guessed first.
    #[schema(min_length = 12, max_length = 128)]
    new_password: String,
    /// Of the second factor, where the account has one.
    one_time_code: Option<String>,
    /// Or what a security key has answered, as JSON: `AuthenticationResponseJSON` of WebAuthn Level 3.
    security_key: Option<String>,
}

/// A link, and the password that it is to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordLinkUse {
    token: String,
    /// None of those that are guessed first.
    #[schema(min_length = 12, max_length = 128)]
    password: String,
}

/// Whose password was set.
#[derive(Serialize, ToSchema)]
pub struct PasswordLinkUsed {
    user_name: String,
}

/// A sign-in, and what has followed from it.
#[derive(Serialize, ToSchema)]
pub struct AccountSession {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "date-time")]
    begun_at: Option<String>,
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// The network address that it was begun from, as the gateway saw it; empty: it is not known.
    place: String,
}

/// Sessions that go on.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountSessions)]
pub struct Sessions {
    sessions: Vec<AccountSession>,
}

impl From<auth::Sessions> for Sessions {
    fn from(sessions: auth::Sessions) -> Sessions {
        let session = |session: auth::Session| AccountSession {
            id: session.id,
            begun_at: moment(session.begun_ms),
            expires_at: moment(session.expires_ms),
            place: session.place,
        };
        Sessions { sessions: sessions.sessions.into_iter().map(session).collect() }
    }
}

/// Shows one's own account
#[utoipa::path(
    operation_id = "get_account", get, path = "/v1/account", tag = "account",
    responses(
        (status = 200, description = "The account", body = Account),
        (status = 404, description = "Whoever asks is no user", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Account>, Problem> {
    let me = gateway.accounts.me(caller.request(auth::MeRequest {})).await?.into_inner();
    let user = me.user.ok_or_else(missing)?.into();
    Ok(Json(Account {
        user,
        tenant: me.tenant_name,
        languages: me.languages,
        has_second_factor: me.has_second_factor,
        second_factor_required: me.second_factor_required,
    }))
}

/// Changes one's own password
///
/// All sessions end, and the answer begins another one.
#[utoipa::path(
    operation_id = "change_password", post, path = "/v1/account/password", tag = "account", request_body = PasswordChange,
    responses((status = 200, description = "Changed, and signed in anew", body = Token)),
    security(("bearer" = [])),
)]
pub async fn change_password(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(change): JsonBody<PasswordChange>,
) -> Result<Json<Token>, Problem> {
    let PasswordChange { password, new_password, one_time_code, security_key } = change;
    let (code, security_key) =
        (one_time_code.unwrap_or_default(), security_key.unwrap_or_default());
    let message = auth::ChangePasswordRequest { password, new_password, code, security_key };
    let request = located(origin, caller.request(message));
    let tokens = gateway.accounts.change_password(request).await?.into_inner();
    Ok(Json(tokens.into()))
}

/// Lists one's own sessions
#[utoipa::path(
    operation_id = "list_sessions", get, path = "/v1/account/sessions", tag = "account",
    responses((status = 200, description = "Those that go on, the newest first", body = Sessions)),
    security(("bearer" = [])),
)]
pub async fn sessions(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Sessions>, Problem> {
    let message = auth::ListSessionsRequest::default();
    let sessions = gateway.accounts.list_sessions(caller.request(message)).await?;
    Ok(Json(sessions.into_inner().into()))
}

/// Ends one of one's own sessions
#[utoipa::path(
    operation_id = "end_session", delete, path = "/v1/account/sessions/{session}", tag = "account",
    params(("session" = String, Path, description = "The session's id")),
    responses(
        (status = 204, description = "It has ended: nothing of it works a minute later"),
        (status = 404, description = "No such session", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn end_session(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(session_id): Path<String>,
) -> Result<StatusCode, Problem> {
    let message = auth::SessionRef { session_id, ..Default::default() };
    gateway.accounts.end_session(caller.request(message)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sets a password by a link, which is used up by that
#[utoipa::path(
    operation_id = "use_password_link", post, path = "/v1/password-links/use", tag = "account", request_body = PasswordLinkUse,
    responses(
        (status = 200, description = "The password is set: sign in with it", body = PasswordLinkUsed),
        (status = 404, description = "The link is not valid, or not any more", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn use_link(
    State(mut gateway): State<Gateway>,
    origin: Option<Extension<ConnectInfo<SocketAddr>>>,
    JsonBody(PasswordLinkUse { token, password }): JsonBody<PasswordLinkUse>,
) -> Result<Json<PasswordLinkUsed>, Problem> {
    let message = auth::UseLinkRequest { token, password };
    let used = gateway.auth.use_link(located(origin, tonic::Request::new(message))).await?;
    let auth::LinkUsed { user_name } = used.into_inner();
    Ok(Json(PasswordLinkUsed { user_name }))
}
