//! Offline evaluations: what was measured of models on data whose truth is known, beside the live figures.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use domain::rfc3339;
use proto::drift;
use proto::events::ModelIdentity;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Query};
use crate::paging::{limit_of, next_page};
use crate::problem::Problem;
use crate::said;

/// What `medseg evaluate --report-to` says of a model.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvaluation {
    model: EvaluatedModel,
    /// Of the set that it was measured on: a digest of its files.
    #[schema(min_length = 1, max_length = 190)]
    data_version: String,
    #[schema(maximum = 1000000000)]
    patients: u64,
    #[schema(maximum = 1000000000)]
    slices: u64,
    /// `null`: of no patient known.
    dice: Option<EvaluatedDice>,
    /// Slices without a tumour in which one was found.
    far: EvaluatedCount,
    /// Slices with a tumour in which none was found.
    frr: EvaluatedCount,
}

/// Which model was measured.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvaluatedModel {
    #[schema(min_length = 1, max_length = 190)]
    name: String,
    #[schema(min_length = 1, max_length = 190)]
    version: String,
    /// Of its weights, in hexadecimal.
    #[schema(min_length = 1, max_length = 64)]
    sha256: String,
}

/// The mean over patients, each of all slices together, with a 95 % interval (bootstrap over patients).
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvaluatedDice {
    #[schema(minimum = 0, maximum = 1)]
    mean: f64,
    #[schema(minimum = 0, maximum = 1)]
    low: f64,
    #[schema(minimum = 0, maximum = 1)]
    high: f64,
    /// Patients of whom it is the mean.
    count: u64,
    /// Of them, those without a tumour in the truth and in the mask: they count 1.
    empty: u64,
    /// Of all others; `null` where there are none.
    #[schema(minimum = 0, maximum = 1)]
    mean_not_empty: Option<f64>,
}

/// How often something happened, of how often it could have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EvaluatedCount {
    count: u64,
    of: u64,
}

/// The same with the rate, and Wilson's 95 % interval, which takes each slice for a case of its own: slices of one patient are alike, so
/// that it is narrower than what is known.
#[derive(Serialize, ToSchema)]
struct EvaluatedRate {
    /// `null` where it never could have.
    rate: Option<f64>,
    low: f64,
    high: f64,
    count: u64,
    of: u64,
}

/// What was measured of a model on data whose truth is known throughout.
#[derive(Serialize, ToSchema)]
pub struct OfflineEvaluation {
    #[schema(format = "uuid")]
    id: String,
    /// When it was reported.
    #[schema(format = "date-time")]
    evaluated_at: Option<String>,
    model: EvaluatedModel,
    /// Of the set that it was measured on: the same digest is the same set.
    data_version: String,
    patients: u64,
    slices: u64,
    /// `null`: of no patient known.
    dice: Option<EvaluatedDice>,
    /// False acceptance rate, by slice.
    far: EvaluatedRate,
    /// False rejection rate, by slice.
    frr: EvaluatedRate,
}

/// Evaluations, newest first.
#[derive(Serialize, ToSchema)]
pub struct OfflineEvaluations {
    evaluations: Vec<OfflineEvaluation>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Which evaluations, and which part of the list of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedEvaluations {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
    /// Only models of that name.
    #[param(max_length = 190)]
    model_name: Option<String>,
    /// Only models of that version.
    #[param(max_length = 190)]
    model_version: Option<String>,
}

impl WantedEvaluations {
    /// In the words of drift.
    fn message(self) -> Result<drift::ListEvaluationsRequest, Problem> {
        Ok(drift::ListEvaluationsRequest {
            model_name: said::at_most(190, "model_name", self.model_name)?,
            model_version: said::at_most(190, "model_version", self.model_version)?,
            limit: limit_of(self.limit)?,
            cursor: self.cursor.unwrap_or_default(),
        })
    }
}

/// Keeps what was measured of a model offline, for the roles `scientist` and `admin`
///
/// `medseg evaluate --report-to URL` says it. Rates and their intervals are computed here, of the counts. Of each hospital the newest 1000
/// evaluations are kept.
#[utoipa::path(
    operation_id = "report_evaluation", post, path = "/v1/evaluations", tag = "quality", request_body = NewEvaluation,
    responses((status = 201, description = "Kept", body = OfflineEvaluation)),
    security(("bearer" = [])),
)]
pub async fn report(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(new): JsonBody<NewEvaluation>,
) -> Result<(StatusCode, Json<OfflineEvaluation>), Problem> {
    let asked = caller.request(drift::OfflineEvaluation::from(new));
    let kept = gateway.drift.record_evaluation(asked).await?.into_inner();
    Ok((StatusCode::CREATED, Json(kept.into())))
}

/// Lists what was measured of models offline, newest first; for the roles `clinician`, `scientist` and `admin`
#[utoipa::path(
    operation_id = "list_evaluations", get, path = "/v1/evaluations", tag = "quality", params(WantedEvaluations),
    responses((status = 200, description = "One page", body = OfflineEvaluations,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedEvaluations>,
) -> Result<(HeaderMap, Json<OfflineEvaluations>), Problem> {
    let asked = caller.request(wanted.message()?);
    let page = gateway.drift.list_evaluations(asked).await?.into_inner();
    let (link, next_cursor) = next_page("/v1/evaluations", query, page.next_cursor);
    let evaluations = page.evaluations.into_iter().map(OfflineEvaluation::from).collect();
    Ok((link, Json(OfflineEvaluations { evaluations, next_cursor })))
}

impl From<NewEvaluation> for drift::OfflineEvaluation {
    fn from(new: NewEvaluation) -> drift::OfflineEvaluation {
        let NewEvaluation { model, data_version, patients, slices, dice, far, frr } = new;
        let EvaluatedModel { name, version, sha256 } = model;
        let counted = |EvaluatedCount { count, of }| {
            Some(drift::Share { count, of, ..drift::Share::default() })
        };
        drift::OfflineEvaluation {
            model: Some(ModelIdentity { name, version, sha256 }),
            data_version,
            patients,
            slices,
            dice: dice.map(drift::MeanDice::from),
            far: counted(far),
            frr: counted(frr),
            ..drift::OfflineEvaluation::default()
        }
    }
}

impl From<EvaluatedDice> for drift::MeanDice {
    fn from(dice: EvaluatedDice) -> drift::MeanDice {
        let EvaluatedDice { mean, low, high, count, empty, mean_not_empty } = dice;
        drift::MeanDice { mean, low, high, count, empty, mean_not_empty }
    }
}

impl From<drift::MeanDice> for EvaluatedDice {
    fn from(dice: drift::MeanDice) -> EvaluatedDice {
        let drift::MeanDice { mean, low, high, count, empty, mean_not_empty } = dice;
        EvaluatedDice { mean, low, high, count, empty, mean_not_empty }
    }
}

impl From<drift::Share> for EvaluatedRate {
    fn from(drift::Share { rate, low, high, count, of }: drift::Share) -> EvaluatedRate {
        EvaluatedRate { rate, low, high, count, of }
    }
}

impl From<drift::OfflineEvaluation> for OfflineEvaluation {
    fn from(told: drift::OfflineEvaluation) -> OfflineEvaluation {
        let ModelIdentity { name, version, sha256 } = told.model.unwrap_or_default();
        OfflineEvaluation {
            id: told.id,
            evaluated_at: rfc3339(told.evaluated_ms),
            model: EvaluatedModel { name, version, sha256 },
            data_version: told.data_version,
            patients: told.patients,
            slices: told.slices,
            dice: told.dice.map(EvaluatedDice::from),
            far: told.far.unwrap_or_default().into(),
            frr: told.frr.unwrap_or_default().into(),
        }
    }
}
