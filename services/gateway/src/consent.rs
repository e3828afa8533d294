use axum::Json;
use axum::extract::State;
use domain::rfc3339;
use proto::storage::{self, ConsentRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::scans::some;

/// Whether the hospital's confirmed scans may be learned from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentDecision {
    learning: bool,
}

/// What the hospital has decided last.
#[derive(Serialize, ToSchema)]
pub struct Consent {
    /// `false` as long as nobody has decided.
    learning: bool,
    /// The name of the user who decided; `null`: nobody has.
    decided_by: Option<String>,
    #[schema(format = "date-time")]
    decided_at: Option<String>,
}

impl From<storage::Consent> for Consent {
    fn from(storage::Consent { learning, by, at_ms }: storage::Consent) -> Consent {
        let decided_at = rfc3339(at_ms).filter(|_| at_ms > 0);
        Consent { learning, decided_by: some(by), decided_at }
    }
}

/// Shows whether the hospital lets its confirmed scans be learned from
#[utoipa::path(
    operation_id = "get_consent", get, path = "/v1/consent", tag = "dataset",
    responses((status = 200, description = "The last decision", body = Consent)),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Consent>, Problem> {
    let consent = gateway.learning.get_consent(caller.request(ConsentRef {})).await?;
    Ok(Json(consent.into_inner().into()))
}

/// Decides whether the hospital's confirmed scans may be learned from
///
/// For the role `admin`. Each decision is kept with who and when, and is in the audit trail. Where consent is withdrawn, nothing is
/// handed out any more, and the next `medseg dataset export` takes out of a data set what it had; models that have learned from it
/// stay as they are.
#[utoipa::path(
    operation_id = "set_consent", put, path = "/v1/consent", tag = "dataset", request_body = ConsentDecision,
    responses((status = 200, description = "The decision, as it is kept", body = Consent)),
    security(("bearer" = [])),
)]
pub async fn decide(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(ConsentDecision { learning }): JsonBody<ConsentDecision>,
) -> Result<Json<Consent>, Problem> {
    let consent = gateway.learning.decide(caller.request(storage::Decision { learning })).await?;
    Ok(Json(consent.into_inner().into()))
}
