//! How much a hospital, and each of its API clients, may send; and what whoever sends is told of it.

use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use proto::auth;
use proto::storage::{self, Amounts, Quota, QuotasRef};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::{Caller, credentials, named};
use crate::extract::{JsonBody, Path};
use crate::problem::{INVALID, NOT_FOUND, Problem};
use crate::scans::some;
use crate::users::moment;

/// Of draft-ietf-httpapi-ratelimit-headers: which limits there are, and what is left of each.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// How long an answer waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The largest integer that a structured field may hold (RFC 9651, 3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(set_client))
        .routes(routes!(show_tenant, set_tenant))
}

/// How much may be sent; what is left out, or `null`, is not limited.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLimits {
    /// Scans accepted in a day, which begins at midnight UTC.
    #[schema(minimum = 1)]
    scans_per_day: Option<u64>,
    /// Bytes accepted in a day, of the files as they came.
    #[schema(minimum = 1)]
    bytes_per_day: Option<u64>,
    /// Scans that wait or are analysed at a time.
    #[schema(minimum = 1)]
    jobs: Option<u64>,
    /// Bytes of all that is kept of scans: files, volumes and results. Of a hospital only.
    #[schema(minimum = 1)]
    stored_bytes: Option<u64>,
}

impl NewLimits {
    /// In the words of storage.
    fn message(self) -> Result<Amounts, Problem> {
        Ok(Amounts {
            scans: amount("scans_per_day", self.scans_per_day)?,
            bytes: amount("bytes_per_day", self.bytes_per_day)?,
            jobs: amount("jobs", self.jobs)?,
            stored: amount("stored_bytes", self.stored_bytes)?,
        })
    }
}

/// How much may be sent, and what is used of it.
#[derive(Serialize, ToSchema)]
pub struct Limits {
    /// Scans accepted in a day, which begins at midnight UTC; `null`: as many as come.
    scans_per_day: Option<u64>,
    /// Bytes accepted in a day, of the files as they came; `null`: as many as come.
    bytes_per_day: Option<u64>,
    /// Scans that wait or are analysed at a time; `null`: as many as come.
    jobs: Option<u64>,
    /// Bytes of all that is kept of a hospital's scans: files, volumes and results. `null`: as many as come; on one disk with others', as
    /// many as its share of that is.
    stored_bytes: Option<u64>,
    used: Used,
    /// The name of the user who set them; `null`: nobody has.
    decided_by: Option<String>,
    #[schema(format = "date-time")]
    decided_at: Option<String>,
}

/// What is used of limits.
#[derive(Serialize, ToSchema)]
pub struct Used {
    /// Accepted today, while there was a limit.
    scans: u64,
    /// The same of their files.
    bytes: u64,
    /// That wait or are analysed now.
    jobs: u64,
    /// Bytes of all that is kept of the hospital's scans; `null` among the limits of an API client, which has none of that.
    stored_bytes: Option<u64>,
}

impl From<storage::Limit> for Limits {
    fn from(limit: storage::Limit) -> Limits {
        let most = limit.most.unwrap_or_default();
        let used = limit.used.unwrap_or_default();
        let limited = |amount: u64| (amount > 0).then_some(amount);
        Limits {
            scans_per_day: limited(most.scans),
            bytes_per_day: limited(most.bytes),
            jobs: limited(most.jobs),
            stored_bytes: limited(most.stored),
            used: Used {
                scans: used.scans,
                bytes: used.bytes,
                jobs: used.jobs,
                stored_bytes: limit.client_id.is_empty().then_some(used.stored),
            },
            decided_by: some(limit.decided_by),
            decided_at: moment(limit.decided_ms),
        }
    }
}

/// The limits of an API client.
#[derive(Serialize, ToSchema)]
pub struct ClientLimits {
    #[schema(format = "uuid")]
    client_id: String,
    limits: Limits,
}

/// The limits that hold in a hospital.
#[derive(Serialize, ToSchema)]
pub struct HospitalLimits {
    /// Those of all its people and programs together, which an operator sets.
    hospital: Limits,
    /// Those of its API clients that have some, which hold beside the hospital's.
    clients: Vec<ClientLimits>,
}

/// Lists how much the hospital and its API clients may send
#[utoipa::path(
    operation_id = "list_limits", get, path = "/v1/limits", tag = "users",
    responses((status = 200, description = "The hospital's limits, and those of its clients that have some", body = HospitalLimits)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<HospitalLimits>, Problem> {
    let asked = caller.request(storage::LimitsRef {});
    let limits = gateway.limits.list(asked).await?.into_inner().limits;
    let (own, clients): (Vec<_>, Vec<_>) =
        limits.into_iter().partition(|limit| limit.client_id.is_empty());
    let of_client = |limit: storage::Limit| ClientLimits {
        client_id: limit.client_id.clone(),
        limits: limit.into(),
    };
    Ok(Json(HospitalLimits {
        hospital: own.into_iter().next().unwrap_or_default().into(),
        clients: clients.into_iter().map(of_client).collect(),
    }))
}

/// Sets how much an API client may send: at most what the hospital may
///
/// All are set anew. What is beyond one is refused with 429 and `Retry-After`; what came in the day before the limit was set does not
/// count. How much is stored is limited for the hospital only.
#[utoipa::path(
    operation_id = "set_client_limits", put, path = "/v1/clients/{id}/limits", tag = "users", request_body = NewLimits,
    params(("id" = String, Path, description = "The client's id")),
    responses(
        (status = 200, description = "The client's limits", body = Limits),
        (status = 404, description = "No such client", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn set_client(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(client_id): Path<String>,
    JsonBody(new): JsonBody<NewLimits>,
) -> Result<Json<Limits>, Problem> {
    let most = Some(new.message()?);
    let asked = caller.request(auth::ListClientsRequest {});
    let clients = gateway.accounts.list_clients(asked).await?.into_inner().clients;
    if !clients.iter().any(|client| client.client_id == client_id) {
        return Err(NOT_FOUND.problem("no such client"));
    }
    let new = storage::NewClientLimit { client_id, most };
    let limit = gateway.limits.set_of_client(caller.request(new)).await?;
    Ok(Json(limit.into_inner().into()))
}

/// Shows how much a hospital may send
#[utoipa::path(
    operation_id = "get_tenant_limits", get, path = "/v1/tenants/{id}/limits", tag = "tenants",
    params(("id" = String, Path, description = "The hospital's id")),
    responses(
        (status = 200, description = "The hospital's limits", body = Limits),
        (status = 404, description = "No such hospital", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show_tenant(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(tenant_id): Path<String>,
) -> Result<Json<Limits>, Problem> {
    let tenant = gateway.tenants.get(caller.request(auth::TenantRef { tenant_id })).await?;
    let of = storage::TenantLimitRef { tenant_id: tenant.into_inner().id };
    let limit = gateway.limits.get_of_tenant(caller.request(of)).await?;
    Ok(Json(limit.into_inner().into()))
}

/// Sets how much a hospital may send
///
/// All are set anew, for all its people and programs together. What is beyond one is refused with 429 and `Retry-After`; what came by
/// DICOM waits until there is room. What came in the day before the limit was set does not count; what is stored does. Results are stored
/// also beyond the limit.
#[utoipa::path(
    operation_id = "set_tenant_limits", put, path = "/v1/tenants/{id}/limits", tag = "tenants", request_body = NewLimits,
    params(("id" = String, Path, description = "The hospital's id")),
    responses(
        (status = 200, description = "The hospital's limits", body = Limits),
        (status = 404, description = "No such hospital", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn set_tenant(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(tenant_id): Path<String>,
    JsonBody(new): JsonBody<NewLimits>,
) -> Result<Json<Limits>, Problem> {
    let most = Some(new.message()?);
    let tenant = gateway.tenants.get(caller.request(auth::TenantRef { tenant_id })).await?;
    let new = storage::NewTenantLimit { tenant_id: tenant.into_inner().id, most };
    let limit = gateway.limits.set_of_tenant(caller.request(new)).await?;
    Ok(Json(limit.into_inner().into()))
}

/// Tells whoever has sent scans, or was refused, what is left of the limits that hold for them.
pub async fn tell(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    if !sends_scans(&request) {
        return next.run(request).await;
    }
    let token = credentials(request.headers(), "bearer").map(str::to_owned);
    let (parts, body) = request.into_parts();
    let asked = token.map(|token| named(&parts, &token, QuotasRef {}));
    let mut response = next.run(Request::from_parts(parts, body)).await;
    let (Some(asked), true) = (asked, is_limited(&response)) else { return response };
    let mut limits = gateway.limits.clone();
    // What was answered holds all the same where nobody can say it.
    if let Ok(Ok(quotas)) = timeout(PATIENCE, limits.list_quotas(asked)).await {
        write(response.headers_mut(), &quotas.into_inner().quotas);
    }
    response
}

/// Whether what is asked for brings scans.
fn sends_scans(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    matches!(
        (request.method().as_str(), route),
        ("POST", "/v1/scans" | "/v1/batches" | "/dicomweb/studies" | "/dicomweb/studies/{study}")
            | ("PATCH", "/v1/uploads/{id}")
    )
}

/// Whether something was counted, or refused by a limit: whoever is refused for another reason is not told when it will pass.
fn is_limited(response: &Response) -> bool {
    let refusal = response.extensions().get::<Problem>();
    response.status().is_success() || refusal.is_some_and(Problem::says_when)
}

/// Writes both fields, unless nothing is limited.
fn write(headers: &mut HeaderMap, quotas: &[Quota]) {
    for (name, item) in
        [(POLICY, policy as fn(&Quota) -> String), (LEFT, left as fn(&Quota) -> String)]
    {
        let items: Vec<String> = quotas.iter().map(item).collect();
        if let Ok(value) = HeaderValue::try_from(items.join(", "))
            && !items.is_empty()
        {
            headers.insert(name, value);
        }
    }
}

fn policy(quota: &Quota) -> String {
    let mut item = format!("\"{}\";q={}", quota.name, quota.quota.min(INTEGER_MAX));
    if !quota.unit.is_empty() {
        item += &format!(";qu=\"{}\"", quota.unit);
    }
    if quota.window_s > 0 {
        item += &format!(";w={}", quota.window_s);
    }
    item
}

fn left(quota: &Quota) -> String {
    let item = format!("\"{}\";r={}", quota.name, quota.remaining.min(INTEGER_MAX));
    if quota.reset_s == 0 { item } else { format!("{item};t={}", quota.reset_s) }
}

/// A limit, where it is said: none is 0 to storage.
fn amount(name: &str, said: Option<u64>) -> Result<u64, Problem> {
    match said {
        Some(0) => Err(INVALID.problem(format!("`{name}` is 1 or more; left out, it is no limit"))),
        most => Ok(most.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_written_as_the_draft_has_it() {
        let quota = |name: &str, unit: &str, (window_s, reset_s)| Quota {
            name: name.into(),
            quota: 1000,
            remaining: 12,
            window_s,
            reset_s,
            unit: unit.into(),
        };
        let mut headers = HeaderMap::new();
        write(&mut headers, &[]);
        assert!(headers.is_empty());
        let quotas = [
            quota("scans", "", (86_400, 3600)),
            Quota { quota: u64::MAX, ..quota("bytes", "content-bytes", (86_400, 3600)) },
            quota("client-jobs", "concurrent-requests", (0, 0)),
        ];
        write(&mut headers, &quotas);
        let policy = concat!(
            r#""scans";q=1000;w=86400, "bytes";q=999999999999999;qu="content-bytes";w=86400, "#,
            r#""client-jobs";q=1000;qu="concurrent-requests""#
        );
        assert_eq!(headers[POLICY], policy);
        let left = r#""scans";r=12;t=3600, "bytes";r=12;t=3600, "client-jobs";r=12"#;
        assert_eq!(headers[LEFT], left);
    }
}
