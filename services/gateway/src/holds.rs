use axum::Json;
use axum::extract::State;
use domain::rfc3339;
use proto::storage::{self, HoldsRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::erasures::whose;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::scans::some;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list, set))
}

/// What may not be deleted, or may again: a scan, or all that there is and will be of a patient.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldChange {
    #[serde(default)]
    #[schema(min_length = 1)]
    patient_id: Option<String>,
    /// Who gave the number, where the files say so.
    #[serde(default)]
    #[schema(min_length = 1)]
    issuer_of_patient_id: Option<String>,
    /// A scan, in place of both: it alone is held.
    #[serde(default)]
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    held: bool,
    /// Why; needed to place a hold. It may not name the patient.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1000, pattern = r"\S")]
    reason: Option<String>,
}

/// A legal hold.
#[derive(Serialize, ToSchema)]
pub struct Hold {
    #[schema(format = "uuid")]
    id: String,
    /// `null`: it is of a patient, whom nobody is told here.
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// Whether it holds; only what has just been taken back does not.
    held: bool,
    /// `null`: there was none to take back.
    reason: Option<String>,
    /// The name of the user who placed it, or asked to take back what was not there.
    placed_by: String,
    #[schema(format = "date-time")]
    placed_at: Option<String>,
}

/// All holds of a hospital, oldest first.
#[derive(Serialize, ToSchema)]
pub struct Holds {
    holds: Vec<Hold>,
}

impl From<storage::Hold> for Hold {
    fn from(hold: storage::Hold) -> Hold {
        Hold {
            id: hold.id,
            scan_id: some(hold.scan_id),
            held: hold.held,
            reason: some(hold.reason),
            placed_by: hold.placed_by,
            placed_at: rfc3339(hold.placed_ms),
        }
    }
}

/// Lists what is under a legal hold; for the role `admin`
#[utoipa::path(
    operation_id = "list_holds", get, path = "/v1/holds", tag = "erasures",
    responses((status = 200, description = "All of them, oldest first", body = Holds)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Holds>, Problem> {
    let holds = gateway.erasures.list_holds(caller.request(HoldsRef {})).await?.into_inner().holds;
    Ok(Json(Holds { holds: holds.into_iter().map(Hold::from).collect() }))
}

/// Puts a scan or a patient under a legal hold, or takes it back; for the role `admin`
///
/// What is held is deleted by nobody: not by hand, not with its patient, and not because of its age. Both are in the audit trail.
/// One that is placed again is of whoever did so last, and for their reason; the former one is in the audit trail, too.
#[utoipa::path(
    operation_id = "set_hold", put, path = "/v1/holds", tag = "erasures", request_body = HoldChange,
    responses(
        (status = 200, description = "The hold", body = Hold),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn set(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(change): JsonBody<HoldChange>,
) -> Result<Json<Hold>, Problem> {
    let whose = whose(change.patient_id, change.issuer_of_patient_id, change.scan_id)?;
    let reason = change.reason.unwrap_or_default();
    let change = storage::HoldChange { whose: Some(whose), held: change.held, reason };
    let hold = gateway.erasures.set_hold(caller.request(change)).await?.into_inner();
    Ok(Json(hold.into()))
}
