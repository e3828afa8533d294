use axum::Json;
use axum::extract::State;
use domain::rfc3339;
use proto::storage::{self, StopsRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::JsonBody;
use crate::problem::Problem;
use crate::scans::some;

/// When a model is stopped.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRuleDecision {
    /// The part of confirmed answers that may be wrong; 0: no model is stopped.
    #[schema(minimum = 0, maximum = 0.99)]
    error_max: f64,
    /// The false-alarm budget: of a model that is no worse, one stop in so many confirmed scans at most, on average.
    #[serde(default = "budget")]
    #[schema(minimum = 10, maximum = 1000000, default = 1000)]
    budget_scans: u32,
}

fn budget() -> u32 {
    1000
}

/// Which stopped model may answer again, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopLift {
    name: String,
    version: String,
    /// In the administrator's words; it is kept.
    #[schema(min_length = 1, max_length = 900)]
    reason: String,
}

/// When a hospital takes no more answers of a model, and what came of it.
#[derive(Serialize, ToSchema)]
pub struct StopState {
    /// `null`: nobody has set one, or the last one stops no model.
    rule: Option<StopRule>,
    /// The last of each model; those that stand first.
    stops: Vec<ModelStop>,
}

#[derive(Serialize, ToSchema)]
struct StopRule {
    error_max: f64,
    budget_scans: u32,
    /// The name of the user who set it.
    decided_by: Option<String>,
    #[schema(format = "date-time")]
    decided_at: Option<String>,
}

/// A model that was stopped.
#[derive(Serialize, ToSchema)]
struct ModelStop {
    name: String,
    version: String,
    /// `true`: its scans are answered with `not_analysable`; `false`: it was lifted.
    stands: bool,
    /// What speaks against the model where it stands; else why it may answer again.
    reason: String,
    /// The name of the user who lifted it; `null`: it stands.
    lifted_by: Option<String>,
    /// When it was stopped, or lifted.
    #[schema(format = "date-time")]
    at: Option<String>,
}

impl From<storage::StopState> for StopState {
    fn from(storage::StopState { rule, stops }: storage::StopState) -> StopState {
        let rule = rule.filter(|rule| rule.error_max > 0.0).map(StopRule::from);
        let mut stops: Vec<ModelStop> = stops.into_iter().map(ModelStop::from).collect();
        stops.sort_by_key(|stop| !stop.stands);
        StopState { rule, stops }
    }
}

impl From<storage::StopRule> for StopRule {
    fn from(rule: storage::StopRule) -> StopRule {
        let storage::StopRule { error_max, budget_scans, by, at_ms } = rule;
        StopRule { error_max, budget_scans, decided_by: some(by), decided_at: rfc3339(at_ms) }
    }
}

impl From<storage::ModelStop> for ModelStop {
    fn from(stop: storage::ModelStop) -> ModelStop {
        let storage::ModelStop { model, stands, reason, by, at_ms } = stop;
        let storage::StoppedModel { name, version } = model.unwrap_or_default();
        ModelStop { name, version, stands, reason, lifted_by: some(by), at: rfc3339(at_ms) }
    }
}

/// Shows when the hospital takes no more answers of a model, and which models are stopped
///
/// For the roles `clinician`, `scientist` and `admin`; who is only a `clinician` is not told how many answers were found wrong.
#[utoipa::path(
    operation_id = "get_stops", get, path = "/v1/stops", tag = "quality",
    responses((status = 200, description = "The rule, and what it has stopped", body = StopState)),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<StopState>, Problem> {
    let state = gateway.stops.get_stops(caller.request(StopsRef {})).await?;
    Ok(Json(state.into_inner().into()))
}

/// Decides when the hospital takes no more answers of a model
///
/// For the role `admin`. A model whose confirmed answers speak against the bound is stopped at once: from then on its scans here are
/// answered with `not_analysable` and the reason, until an administrator lifts the stop. What was confirmed before the rule was set
/// counts. A rule of 0 stops no model any more; what is stopped stays so until it is lifted. Each decision is kept with who and when,
/// and is in the audit trail.
#[utoipa::path(
    operation_id = "set_stop_rule", put, path = "/v1/stops", tag = "quality", request_body = StopRuleDecision,
    responses((status = 200, description = "The rule, as it is kept, and what it has stopped", body = StopState)),
    security(("bearer" = [])),
)]
pub async fn decide(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(StopRuleDecision { error_max, budget_scans }): JsonBody<StopRuleDecision>,
) -> Result<Json<StopState>, Problem> {
    let rule = storage::StopRule { error_max, budget_scans, ..storage::StopRule::default() };
    let state = gateway.stops.set_rule(caller.request(rule)).await?;
    Ok(Json(state.into_inner().into()))
}

/// Lets a stopped model answer again
///
/// For the role `admin`, with a reason. What was confirmed before counts no more against the model. Scans that were answered with
/// `not_analysable` meanwhile stay so.
#[utoipa::path(
    operation_id = "lift_stop", post, path = "/v1/stops/lift", tag = "quality", request_body = StopLift,
    responses(
        (status = 200, description = "The rule, and what it has stopped", body = StopState),
        (status = 404, description = "No such model is stopped", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn lift(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(StopLift { name, version, reason }): JsonBody<StopLift>,
) -> Result<Json<StopState>, Problem> {
    let model = Some(storage::StoppedModel { name, version });
    let state = gateway.stops.lift(caller.request(storage::LiftStop { model, reason })).await?;
    Ok(Json(state.into_inner().into()))
}
