use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use proto::auth;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::JsonBody;
use crate::problem::Problem;

/// What somebody may do; a role contains no other.
#[derive(ToSchema)]
#[schema(as = AccountRole, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum RoleName {
    Clinician,
    Integrator,
    Scientist,
    Admin,
}

/// Somebody who signs in with a password.
#[derive(Serialize, ToSchema)]
pub struct User {
    #[schema(format = "uuid")]
    id: String,
    user_name: String,
    #[schema(value_type = Vec<RoleName>)]
    roles: Vec<String>,
}

impl From<auth::User> for User {
    fn from(auth::User { id, user_name, roles }: auth::User) -> User {
        User { id, user_name, roles }
    }
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

/// A program to be, that signs in with a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// What people call it.
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    #[schema(value_type = Vec<RoleName>, min_items = 1)]
    roles: Vec<String>,
}

/// A program that signs in with a secret.
#[derive(Serialize, ToSchema)]
pub struct Client {
    #[schema(format = "uuid")]
    client_id: String,
    /// Shown this once.
    client_secret: String,
    name: String,
    #[schema(value_type = Vec<RoleName>)]
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

/// Adds an API client to the hospital
#[utoipa::path(
    operation_id = "create_client", post, path = "/v1/clients", tag = "users", request_body = NewClient,
    responses((status = 201, description = "The client, with its secret: shown this once", body = Client)),
    security(("bearer" = [])),
)]
pub async fn create_client(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewClient { name, roles }): JsonBody<NewClient>,
) -> Result<(StatusCode, Json<Client>), Problem> {
    let client =
        gateway.auth.create_client(caller.request(auth::NewClient { name, roles })).await?;
    let auth::Client { client_id, client_secret, name, roles } = client.into_inner();
    Ok((StatusCode::CREATED, Json(Client { client_id, client_secret, name, roles })))
}
