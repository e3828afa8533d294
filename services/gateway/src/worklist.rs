//! What is done with scans of a list: sooner, anew, away.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::Priority;
use proto::storage::{NewPriority, ScanRef};
use serde::Deserialize;
use service::wire;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::Problem;
use crate::scans::Scan;

/// What is to be otherwise of a scan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanChange {
    /// How urgent its analysis is.
    priority: Priority,
}

/// Lets a waiting scan be analysed before all that is routine, or in its turn
///
/// Only a scan that waits (`queued`) can come sooner or later; one that has that priority stays as it is. Each change is in the audit
/// trail.
#[utoipa::path(
    operation_id = "change_scan", patch, path = "/v1/scans/{id}", tag = "scans", request_body = ScanChange,
    params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The scan", body = Scan),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Its analysis has begun, or is over", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn change(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(ScanChange { priority }): JsonBody<ScanChange>,
) -> Result<Json<Scan>, Problem> {
    let wanted = NewPriority { id, priority: wire::priority(priority).into() };
    let scan = gateway.scans.prioritise(caller.request(wanted)).await?.into_inner();
    Ok(Json(scan.try_into()?))
}

/// Has a scan analysed anew that failed or could not be analysed
///
/// What was said of it before is kept, and the scan waits again. A scan that waits, or is being analysed, stays as it is: to ask twice
/// changes nothing. Once readers have judged that there is no answer, it is refused: their words would be about another result.
#[utoipa::path(
    operation_id = "retry_scan", post, path = "/v1/scans/{id}/retry", tag = "scans",
    params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 202, description = "The scan will be analysed", body = Scan),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has an answer, or readers have judged it", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn retry(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Scan>), Problem> {
    let scan = gateway.scans.retry(caller.request(ScanRef { id })).await?.into_inner();
    Ok((StatusCode::ACCEPTED, Json(scan.try_into()?)))
}

/// Deletes a scan with its files, its result, whose it is and what readers have said of it
///
/// For good. The audit trail stays, and so do figures that were made of it, without a name: `docs/security.md` says which. Once readers
/// have judged a scan, the role `admin` alone may delete it, and nobody while it is under a legal hold. A second time it changes nothing.
#[utoipa::path(
    operation_id = "delete_scan", delete, path = "/v1/scans/{id}", tag = "scans",
    params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 204, description = "There is no such scan any more"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is under a legal hold", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn delete(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.scans.delete(caller.request(ScanRef { id })).await?;
    Ok(StatusCode::NO_CONTENT)
}
