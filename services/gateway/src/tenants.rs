//! Hospitals, as operators manage them.

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
use crate::clients::ClientAccount;
use crate::extract::{JsonBody, Path};
use crate::problem::{INVALID, Problem};
use crate::said::something;
use crate::users::{PasswordLink, User, missing, moment};

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change))
        .routes(routes!(set_state))
        .routes(routes!(export))
}

/// What a hospital can be.
#[derive(ToSchema)]
#[schema(as = TenantStateName, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum StateName {
    Active,
    Suspended,
    Closed,
}

/// The languages that the page speaks.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum Language {
    En,
    Fr,
}

/// A hospital.
#[derive(Serialize, ToSchema)]
pub struct Tenant {
    #[schema(format = "uuid")]
    id: String,
    name: String,
    #[schema(value_type = StateName)]
    state: String,
    /// The first is its own.
    #[schema(value_type = Vec<Language>)]
    languages: Vec<String>,
    /// How many users it may have.
    users_max: u32,
    /// How many API clients it may have.
    clients_max: u32,
    users: u32,
    clients: u32,
    #[schema(format = "date-time")]
    created_at: Option<String>,
}

impl From<auth::Tenant> for Tenant {
    fn from(tenant: auth::Tenant) -> Tenant {
        Tenant {
            id: tenant.id,
            name: tenant.name,
            state: tenant.state,
            languages: tenant.languages,
            users_max: tenant.users_max,
            clients_max: tenant.clients_max,
            users: tenant.users,
            clients: tenant.clients,
            created_at: moment(tenant.created_ms),
        }
    }
}

/// All hospitals.
#[derive(Serialize, ToSchema)]
pub struct Tenants {
    tenants: Vec<Tenant>,
}

/// A hospital to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    /// Its first administrator, who is invited.
    #[schema(pattern = r"^\s*[A-Za-z0-9._@+-]{1,128}\s*$")]
    admin_user_name: String,
    /// The first is its own; left out: `en`.
    #[schema(value_type = Option<Vec<Language>>, min_items = 1, max_items = 2)]
    languages: Option<Vec<String>>,
    /// Left out: 1000.
    #[schema(minimum = 1, maximum = 100000)]
    users_max: Option<u32>,
    /// Left out: 100.
    #[schema(minimum = 1, maximum = 100000)]
    clients_max: Option<u32>,
}

/// What is to be different about a hospital; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    #[schema(
        min_length = 1,
        max_length = 128,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: Option<String>,
    #[schema(value_type = Option<Vec<Language>>, min_items = 1, max_items = 2)]
    languages: Option<Vec<String>>,
    #[schema(minimum = 1, maximum = 100000)]
    users_max: Option<u32>,
    #[schema(minimum = 1, maximum = 100000)]
    clients_max: Option<u32>,
}

/// What a hospital is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantState {
    #[schema(value_type = StateName)]
    state: String,
}

/// A new hospital, and how its first administrator gets in.
#[derive(Serialize, ToSchema)]
pub struct TenantMade {
    tenant: Tenant,
    invitation: PasswordLink,
}

/// What a hospital takes along: its settings and accounts, without secrets.
#[derive(Serialize, ToSchema)]
pub struct TenantExport {
    tenant: Tenant,
    users: Vec<User>,
    clients: Vec<ClientAccount>,
}

/// Lists the hospitals
#[utoipa::path(
    operation_id = "list_tenants", get, path = "/v1/tenants", tag = "tenants",
    responses((status = 200, description = "The hospitals, by name", body = Tenants)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Tenants>, Problem> {
    let message = auth::ListTenantsRequest {};
    let tenants = gateway.tenants.list(caller.request(message)).await?.into_inner().tenants;
    Ok(Json(Tenants { tenants: tenants.into_iter().map(Tenant::from).collect() }))
}

/// Makes a hospital, and invites its first administrator
#[utoipa::path(
    operation_id = "create_tenant", post, path = "/v1/tenants", tag = "tenants", request_body = NewTenant,
    responses(
        (status = 201, description = "The hospital, and the link for its administrator", body = TenantMade),
        (status = 409, description = "A name is taken", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(new): JsonBody<NewTenant>,
) -> Result<(StatusCode, Json<TenantMade>), Problem> {
    let message = auth::NewTenant {
        name: new.name,
        admin_user_name: new.admin_user_name,
        languages: languages(new.languages)?,
        users_max: limit("users_max", new.users_max)?,
        clients_max: limit("clients_max", new.clients_max)?,
    };
    let made = gateway.tenants.create(caller.request(message)).await?.into_inner();
    let tenant = made.tenant.ok_or_else(missing)?.into();
    let invitation = made.invitation.ok_or_else(missing)?.try_into()?;
    Ok((StatusCode::CREATED, Json(TenantMade { tenant, invitation })))
}

/// Shows a hospital
#[utoipa::path(
    operation_id = "get_tenant", get, path = "/v1/tenants/{id}", tag = "tenants",
    params(("id" = String, Path, description = "The hospital's id")),
    responses(
        (status = 200, description = "The hospital", body = Tenant),
        (status = 404, description = "No such hospital", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<Tenant>, Problem> {
    let tenant = gateway.tenants.get(caller.request(auth::TenantRef { tenant_id })).await?;
    Ok(Json(tenant.into_inner().into()))
}

/// Changes a hospital's name, languages and limits
#[utoipa::path(
    operation_id = "change_tenant", patch, path = "/v1/tenants/{id}", tag = "tenants", request_body = TenantChange,
    params(("id" = String, Path, description = "The hospital's id")),
    responses(
        (status = 200, description = "The hospital", body = Tenant),
        (status = 404, description = "No such hospital", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is taken", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn change(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(tenant_id): Path<String>,
    JsonBody(change): JsonBody<TenantChange>,
) -> Result<Json<Tenant>, Problem> {
    let message = auth::TenantChange {
        tenant_id,
        name: something("name", change.name)?,
        languages: languages(change.languages)?,
        users_max: limit("users_max", change.users_max)?,
        clients_max: limit("clients_max", change.clients_max)?,
    };
    let tenant = gateway.tenants.change(caller.request(message)).await?;
    Ok(Json(tenant.into_inner().into()))
}

/// Suspends a hospital, lets it go on, or closes it
///
/// Whoever belongs to it is refused within a minute everywhere, and cannot sign in while it is not active. Closing is for good;
/// what is kept of it is kept until it is erased.
#[utoipa::path(
    operation_id = "set_tenant_state", put, path = "/v1/tenants/{id}/state", tag = "tenants", request_body = TenantState,
    params(("id" = String, Path, description = "The hospital's id")),
    responses(
        (status = 200, description = "The hospital", body = Tenant),
        (status = 404, description = "No such hospital", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is closed", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn set_state(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(tenant_id): Path<String>,
    JsonBody(TenantState { state }): JsonBody<TenantState>,
) -> Result<Json<Tenant>, Problem> {
    let message = auth::TenantStateChange { tenant_id, state };
    let tenant = gateway.tenants.set_state(caller.request(message)).await?;
    Ok(Json(tenant.into_inner().into()))
}

/// Hands out a hospital's settings and accounts, without secrets
#[utoipa::path(
    operation_id = "export_tenant", get, path = "/v1/tenants/{id}/export", tag = "tenants",
    params(("id" = String, Path, description = "The hospital's id")),
    responses(
        (status = 200, description = "What the hospital takes along", body = TenantExport),
        (status = 404, description = "No such hospital", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn export(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<TenantExport>, Problem> {
    let message = caller.request(auth::TenantRef { tenant_id });
    let export = gateway.tenants.export(message).await?.into_inner();
    Ok(Json(TenantExport {
        tenant: export.tenant.ok_or_else(missing)?.into(),
        users: export.users.into_iter().map(User::from).collect(),
        clients: export.clients.into_iter().map(ClientAccount::from).collect(),
    }))
}

/// The languages, where some are said: none would be as if nobody had said anything.
fn languages(said: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
    match said {
        Some(languages) if languages.is_empty() => {
            Err(INVALID.problem("name at least one language"))
        }
        languages => Ok(languages.unwrap_or_default()),
    }
}

/// A limit, where it is said.
fn limit(name: &str, said: Option<u32>) -> Result<u32, Problem> {
    match said {
        Some(0) => Err(INVALID.problem(format!("`{name}` is 1 or more"))),
        most => Ok(most.unwrap_or_default()),
    }
}
