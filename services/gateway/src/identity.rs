use axum::Json;
use axum::extract::State;
use domain::Identity;
use proto::storage::{self, ScanRef};
use serde::Serialize;
use service::wire;
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::Problem;
use crate::scans::some;

/// Whose scan it is: what its file says of the patient and the examination, apart from the pixels.
#[derive(Serialize, ToSchema)]
pub struct ScanIdentity {
    #[schema(format = "uuid")]
    scan_id: String,
    /// What its sender calls the scan.
    reference: Option<String>,
    #[serde(flatten)]
    identity: Identity,
}

/// Shows whose scan it is
///
/// Kept apart from the pixels and from everything else here. For the roles `clinician` and `integrator`; each reading
/// is noted in the audit trail before it is answered, with the reason that the header `Medseg-Reason` gives (percent-encoded UTF-8); an
/// operator may ask for one. Fields that the file does not have are `null`.
#[utoipa::path(
    operation_id = "get_identity", get, path = "/v1/scans/{id}/identity", tag = "scans", params(
        ("id" = String, Path, description = "The scan's id", format = "uuid"),
        ("Medseg-Reason" = Option<String>, Header, description = "Why you ask, in your own words; it stands in the audit trail")),
    responses(
        (status = 200, description = "Whose it is", body = ScanIdentity),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ScanIdentity>, Problem> {
    let kept = gateway.scans.get_identity(caller.request(ScanRef { id })).await?.into_inner();
    let scan_id = kept.scan_id.clone();
    let (identity, reference) = said(kept);
    Ok(Json(ScanIdentity { scan_id, reference, identity }))
}

/// Whose scan it is, and what its sender calls it.
pub fn said(kept: storage::ScanIdentity) -> (Identity, Option<String>) {
    let identity = kept.identity.map(wire::identity_of);
    (identity.unwrap_or_default(), some(kept.reference))
}
