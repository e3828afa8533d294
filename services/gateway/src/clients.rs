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
use crate::extract::{JsonBody, Path};
use crate::problem::Problem;
use crate::sections::{self, Scope};
use crate::times;
use crate::users::{RoleName, moment, other_roles};

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(change, delete))
        .routes(routes!(rotate, end_rotation))
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
    /// The sections of this description that it is confined to; none: whatever its roles allow.
    #[serde(default)]
    #[schema(value_type = Vec<Scope>, max_items = 11)]
    scopes: Vec<String>,
    /// From when on it cannot sign in any more; left out: never.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// A program that signs in with a secret, and that secret.
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

impl From<auth::Client> for Client {
    fn from(auth::Client { client_id, client_secret, name, roles }: auth::Client) -> Client {
        Client { client_id, client_secret, name, roles }
    }
}

/// A program that signs in with a secret.
#[derive(Serialize, ToSchema)]
pub struct ClientAccount {
    #[schema(format = "uuid")]
    client_id: String,
    name: String,
    #[schema(value_type = Vec<RoleName>)]
    roles: Vec<String>,
    /// None: whatever its roles allow.
    #[schema(value_type = Vec<Scope>)]
    scopes: Vec<String>,
    disabled: bool,
    #[schema(format = "date-time")]
    created_at: Option<String>,
    /// `null`: never.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// When it has last signed in, to the minute; `null`: never.
    #[schema(format = "date-time")]
    used_at: Option<String>,
    /// Whether two secrets are valid.
    rotating: bool,
}

impl From<auth::ClientAccount> for ClientAccount {
    fn from(client: auth::ClientAccount) -> ClientAccount {
        ClientAccount {
            client_id: client.client_id,
            name: client.name,
            roles: client.roles,
            scopes: client.scopes,
            disabled: client.disabled,
            created_at: moment(client.created_ms),
            expires_at: moment(client.expires_ms),
            used_at: moment(client.used_ms),
            rotating: client.rotating,
        }
    }
}

/// The API clients of the hospital.
#[derive(Serialize, ToSchema)]
pub struct Clients {
    clients: Vec<ClientAccount>,
}

/// What is to be different about a client; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientChange {
    #[schema(value_type = Option<Vec<RoleName>>, min_items = 1)]
    roles: Option<Vec<String>>,
    disabled: Option<bool>,
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// Lists the hospital's API clients
#[utoipa::path(
    operation_id = "list_clients", get, path = "/v1/clients", tag = "users",
    responses((status = 200, description = "The clients, without secrets", body = Clients)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Clients>, Problem> {
    let message = auth::ListClientsRequest {};
    let clients = gateway.accounts.list_clients(caller.request(message)).await?.into_inner();
    let clients = clients.clients.into_iter().map(ClientAccount::from).collect();
    Ok(Json(Clients { clients }))
}

/// Adds an API client to the hospital
#[utoipa::path(
    operation_id = "create_client", post, path = "/v1/clients", tag = "users", request_body = NewClient,
    responses(
        (status = 201, description = "The client, with its secret: shown this once", body = Client),
        (status = 409, description = "The hospital has as many clients as it may", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewClient { name, roles, scopes, expires_at }): JsonBody<NewClient>,
) -> Result<(StatusCode, Json<Client>), Problem> {
    sections::check(&scopes)?;
    let expires_ms = expiry(expires_at)?.unwrap_or_default();
    let message = auth::NewClient { name, roles, scopes, expires_ms };
    let client = gateway.auth.create_client(caller.request(message)).await?;
    Ok((StatusCode::CREATED, Json(client.into_inner().into())))
}

/// Changes a client's roles or when it expires, disables or enables it
///
/// What it might do before is refused within a minute everywhere.
#[utoipa::path(
    operation_id = "change_client", patch, path = "/v1/clients/{id}", tag = "users", request_body = ClientChange,
    params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 200, description = "The client", body = ClientAccount),
        (status = 404, description = "No such client", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn change(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(client_id): Path<String>,
    JsonBody(ClientChange { roles, disabled, expires_at }): JsonBody<ClientChange>,
) -> Result<Json<ClientAccount>, Problem> {
    let roles = other_roles(roles)?;
    let expires_ms = expiry(expires_at)?;
    let message = auth::ClientChange { client_id, roles, disabled, expires_ms };
    let client = gateway.accounts.change_client(caller.request(message)).await?;
    Ok(Json(client.into_inner().into()))
}

/// Deletes an API client
#[utoipa::path(
    operation_id = "delete_client", delete, path = "/v1/clients/{id}", tag = "users",
    params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 204, description = "There is no such client any more"),
        (status = 404, description = "No such client", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn delete(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.accounts.delete_client(caller.request(auth::ClientRef { client_id })).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a client a second secret
///
/// Both are valid until the rotation ends, so that whatever uses the old one can be told the new one in peace.
#[utoipa::path(
    operation_id = "rotate_client", post, path = "/v1/clients/{id}/rotation", tag = "users",
    params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 201, description = "The client, with its new secret: shown this once", body = Client),
        (status = 404, description = "No such client", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has two secrets already", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn rotate(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(client_id): Path<String>,
) -> Result<(StatusCode, Json<Client>), Problem> {
    let client =
        gateway.accounts.rotate_client(caller.request(auth::ClientRef { client_id })).await?;
    Ok((StatusCode::CREATED, Json(client.into_inner().into())))
}

/// Takes a client's old secret away, with all tokens from before
#[utoipa::path(
    operation_id = "end_rotation", delete, path = "/v1/clients/{id}/rotation", tag = "users",
    params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 200, description = "The client, which has one secret", body = ClientAccount),
        (status = 404, description = "No such client", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn end_rotation(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(client_id): Path<String>,
) -> Result<Json<ClientAccount>, Problem> {
    let client =
        gateway.accounts.end_rotation(caller.request(auth::ClientRef { client_id })).await?;
    Ok(Json(client.into_inner().into()))
}

/// When it is to expire; nothing: that is not said. Never nought, which would be never.
fn expiry(said: Option<String>) -> Result<Option<i64>, Problem> {
    Ok(times::ms_if_given("expires_at", said.as_deref())?.map(|ms| ms.max(1)))
}
