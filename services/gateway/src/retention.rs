use axum::Json;
use axum::extract::State;
use proto::storage::{self, RetentionRef};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::JsonBody;
use crate::problem::{INTERNAL, Problem};
use crate::scans::some;
use crate::users::moment;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(show, set))
}

/// What is kept for so long.
#[derive(Clone, Copy, Deserialize, EnumString, IntoStaticStr, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
enum Kept {
    /// Scans with all that belongs to them, as if they were deleted.
    Scans,
    /// The files as they were sent; what was made of them stays.
    Originals,
    /// The words of reports about incidents; that there were so many stays.
    Incidents,
}

/// For how long something is to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRetentionRule {
    kind: Kept,
    /// From when it came; 0: for good.
    #[schema(maximum = 36500)]
    days: u32,
}

/// For how long something is kept.
#[derive(Serialize, ToSchema)]
pub struct RetentionRule {
    kind: Kept,
    /// 0: for good.
    days: u32,
    /// The name of the user who decided; `null`: nobody has.
    decided_by: Option<String>,
    #[schema(format = "date-time")]
    decided_at: Option<String>,
}

/// A rule for each kind.
#[derive(Serialize, ToSchema)]
pub struct Retention {
    rules: Vec<RetentionRule>,
}

impl TryFrom<storage::Retention> for Retention {
    type Error = Problem;

    fn try_from(kept: storage::Retention) -> Result<Retention, Problem> {
        let rule = |rule: storage::RetentionRule| -> Result<RetentionRule, Problem> {
            let kind = rule.kind.parse::<Kept>().map_err(|_| {
                tracing::error!(kind = rule.kind, "storage tells of a kind that cannot be");
                INTERNAL.problem("internal error")
            })?;
            let (decided_by, decided_at) = (some(rule.decided_by), moment(rule.decided_ms));
            Ok(RetentionRule { kind, days: rule.days, decided_by, decided_at })
        };
        Ok(Retention { rules: kept.rules.into_iter().map(rule).collect::<Result<_, Problem>>()? })
    }
}

/// Shows for how long the hospital keeps what; for the role `admin`
#[utoipa::path(
    operation_id = "get_retention", get, path = "/v1/retention", tag = "erasures",
    responses((status = 200, description = "A rule for each kind", body = Retention)),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Retention>, Problem> {
    let kept = gateway.erasures.get_retention(caller.request(RetentionRef {})).await?.into_inner();
    Ok(Json(kept.try_into()?))
}

/// Sets for how long the hospital keeps something; for the role `admin`
///
/// What is older goes within the hour, but for what is under a legal hold. It is in the audit trail, as the rule is.
#[utoipa::path(
    operation_id = "set_retention", put, path = "/v1/retention", tag = "erasures", request_body = NewRetentionRule,
    responses((status = 200, description = "All rules, as they are now", body = Retention)),
    security(("bearer" = [])),
)]
pub async fn set(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewRetentionRule { kind, days }): JsonBody<NewRetentionRule>,
) -> Result<Json<Retention>, Problem> {
    let name: &'static str = kind.into();
    let rule = storage::RetentionRule { kind: name.to_owned(), days, ..Default::default() };
    let kept = gateway.erasures.set_retention(caller.request(rule)).await?.into_inner();
    Ok(Json(kept.try_into()?))
}
