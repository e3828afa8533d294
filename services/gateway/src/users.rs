use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::rfc3339;
use proto::auth;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::account::Sessions;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::{INTERNAL, INVALID, Problem};

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(invite))
        .routes(routes!(change, delete))
        .routes(routes!(link))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
}

/// What somebody may do; a role contains no other.
#[derive(ToSchema)]
#[schema(as = AccountRole, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
pub enum RoleName {
    Clinician,
    Adjudicator,
    Integrator,
    Scientist,
    Admin,
}

/// What somebody may do who is signed in. An operator belongs to no hospital, and nobody is given that role here.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum HeldRole {
    Clinician,
    Adjudicator,
    Integrator,
    Scientist,
    Admin,
    Operator,
}

/// What a user can be.
#[derive(ToSchema)]
#[schema(as = UserState, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum StateName {
    Invited,
    Active,
    Disabled,
}

/// Somebody who signs in with a password.
#[derive(Serialize, ToSchema)]
pub struct User {
    #[schema(format = "uuid")]
    id: String,
    user_name: String,
    #[schema(value_type = Vec<HeldRole>)]
    roles: Vec<String>,
    #[schema(value_type = StateName)]
    state: String,
    /// When they have last given their password; `null`: never.
    #[schema(format = "date-time")]
    signed_in_at: Option<String>,
}

impl From<auth::User> for User {
    fn from(auth::User { id, user_name, roles, state, signed_in_ms }: auth::User) -> User {
        User { id, user_name, roles, state, signed_in_at: moment(signed_in_ms) }
    }
}

/// A moment that may be none.
pub fn moment(ms: i64) -> Option<String> {
    rfc3339(ms).filter(|_| ms > 0)
}

/// The roles to be, where some are said: nobody has none.
pub fn other_roles(roles: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
    match roles {
        Some(roles) if roles.is_empty() => Err(INVALID.problem("name at least one role")),
        roles => Ok(roles.unwrap_or_default()),
    }
}

/// Somebody to be, who chooses the password by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    #[schema(pattern = r"^\s*[A-Za-z0-9._@+-]{1,128}\s*$")]
    user_name: String,
    #[schema(value_type = Vec<RoleName>, min_items = 1)]
    roles: Vec<String>,
}

/// What sets a user's password once: append the token to `#/welcome/` of the page.
#[derive(Serialize, ToSchema)]
pub struct PasswordLink {
    user: User,
    /// Shown this once. Whoever has it is taken for that user.
    token: String,
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

impl TryFrom<auth::Link> for PasswordLink {
    type Error = Problem;

    fn try_from(auth::Link { user, token, expires_ms }: auth::Link) -> Result<Self, Problem> {
        let user = user.ok_or_else(missing)?.into();
        Ok(PasswordLink { user, token, expires_at: moment(expires_ms) })
    }
}

/// A peer has left out what it always says.
pub fn missing() -> Problem {
    INTERNAL.problem("internal error")
}

/// What is to be different about a user; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    #[schema(value_type = Option<Vec<RoleName>>, min_items = 1)]
    roles: Option<Vec<String>>,
    disabled: Option<bool>,
}

/// The users of the hospital.
#[derive(Serialize, ToSchema)]
pub struct Users {
    users: Vec<User>,
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    #[schema(pattern = r"^\s*[A-Za-z0-9._@+-]{1,128}\s*$")]
    user_name: String,
    /// None of those that are guessed first.
    #[schema(min_length = 12, max_length = 128)]
    password: String,
    #[schema(value_type = Vec<RoleName>, min_items = 1)]
    roles: Vec<String>,
}

/// Lists the hospital's users
#[utoipa::path(
    operation_id = "list_users", get, path = "/v1/users", tag = "users",
    responses((status = 200, description = "The users", body = Users)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Users>, Problem> {
    let users =
        gateway.auth.list_users(caller.request(auth::ListUsersRequest {})).await?.into_inner();
    Ok(Json(Users { users: users.users.into_iter().map(User::from).collect() }))
}

/// Adds a user to the hospital
#[utoipa::path(
    operation_id = "create_user", post, path = "/v1/users", tag = "users", request_body = NewUser,
    responses(
        (status = 201, description = "The user", body = User),
        (status = 409, description = "The name is taken", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewUser { user_name, password, roles }): JsonBody<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    let user = gateway
        .auth
        .create_user(caller.request(auth::NewUser { user_name, password, roles }))
        .await?;
    Ok((StatusCode::CREATED, Json(user.into_inner().into())))
}

/// Invites somebody to the hospital
///
/// The answer holds the token of a link by which they choose their password. It works once, for three days; how it reaches them
/// is up to you.
#[utoipa::path(
    operation_id = "invite_user", post, path = "/v1/invitations", tag = "users", request_body = NewInvitation,
    responses(
        (status = 201, description = "The user, and the link", body = PasswordLink),
        (status = 409, description = "The name is taken, or the hospital has as many users as it may", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn invite(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewInvitation { user_name, roles }): JsonBody<NewInvitation>,
) -> Result<(StatusCode, Json<PasswordLink>), Problem> {
    let message = auth::NewInvitation { user_name, roles };
    let link = gateway.accounts.invite(caller.request(message)).await?.into_inner();
    Ok((StatusCode::CREATED, Json(link.try_into()?)))
}

/// Changes a user's roles, disables or enables them
///
/// What they might do before is refused within a minute everywhere. Somebody who is disabled cannot sign in, and their sessions end.
#[utoipa::path(
    operation_id = "change_user", patch, path = "/v1/users/{id}", tag = "users", request_body = UserChange,
    params(("id" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "The user", body = User),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody would administer the hospital", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn change(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(user_id): Path<String>,
    JsonBody(UserChange { roles, disabled }): JsonBody<UserChange>,
) -> Result<Json<User>, Problem> {
    let message = auth::UserChange { user_id, roles: other_roles(roles)?, disabled };
    let user = gateway.accounts.change_user(caller.request(message)).await?.into_inner();
    Ok(Json(user.into()))
}

/// Deletes a user; what they have said of scans stays, under their name
#[utoipa::path(
    operation_id = "delete_user", delete, path = "/v1/users/{id}", tag = "users",
    params(("id" = String, Path, description = "The user's id")),
    responses(
        (status = 204, description = "There is no such user any more"),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody would administer the hospital", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn delete(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.accounts.delete_user(caller.request(auth::UserRef { user_id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link by which a user chooses another password
///
/// It works once, for a day, or for three where they were invited and have none yet; a link from before does not work any more.
/// Until it is used, the old password stays.
#[utoipa::path(
    operation_id = "reset_password", post, path = "/v1/users/{id}/password-link", tag = "users",
    params(("id" = String, Path, description = "The user's id")),
    responses(
        (status = 201, description = "The link", body = PasswordLink),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The user is disabled", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn link(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<(StatusCode, Json<PasswordLink>), Problem> {
    let link = gateway.accounts.reset_password(caller.request(auth::UserRef { user_id })).await?;
    Ok((StatusCode::CREATED, Json(link.into_inner().try_into()?)))
}

/// Lists the sessions of a user
#[utoipa::path(
    operation_id = "list_user_sessions", get, path = "/v1/users/{id}/sessions", tag = "users",
    params(("id" = String, Path, description = "The user's id")),
    responses(
        (status = 200, description = "Those that go on, the newest first", body = Sessions),
        (status = 404, description = "No such user", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn sessions(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<Sessions>, Problem> {
    let message = auth::ListSessionsRequest { user_id };
    let sessions = gateway.accounts.list_sessions(caller.request(message)).await?;
    Ok(Json(sessions.into_inner().into()))
}

/// Ends a session of a user
#[utoipa::path(
    operation_id = "end_user_session", delete, path = "/v1/users/{id}/sessions/{session}", tag = "users",
    params(("id" = String, Path, description = "The user's id"), ("session" = String, Path, description = "The session's id")),
    responses(
        (status = 204, description = "It has ended: nothing of it works a minute later"),
        (status = 404, description = "No such session", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn end_session(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((user_id, session_id)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let message = auth::SessionRef { user_id, session_id };
    gateway.accounts.end_session(caller.request(message)).await?;
    Ok(StatusCode::NO_CONTENT)
}
