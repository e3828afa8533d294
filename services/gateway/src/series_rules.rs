use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::rfc3339;
use imaging::picker::Preference;
use proto::storage::{self, SeriesRuleRef, SeriesRulesRef};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::{INTERNAL, Problem};
use crate::said;
use crate::scans::some;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(remove))
}

/// What becomes of series whose description contains a text, where a study of several series comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSeriesRule {
    /// Compared without regard to capitals.
    #[schema(min_length = 1, max_length = 64, pattern = r"\S")]
    contains: String,
    preference: Preference,
    /// Only series that were made there: what the upload states, else the institution that the file names. Left out: those of every site.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    site: Option<String>,
}

/// A hospital's own word about series.
#[derive(Serialize, ToSchema)]
pub struct SeriesRule {
    #[schema(format = "uuid")]
    id: String,
    contains: String,
    preference: Preference,
    /// `null`: those of every site.
    site: Option<String>,
    /// The name of the user who set it.
    decided_by: String,
    #[schema(format = "date-time")]
    decided_at: Option<String>,
}

/// All of a hospital's rules, oldest first.
#[derive(Serialize, ToSchema)]
pub struct SeriesRules {
    rules: Vec<SeriesRule>,
}

impl TryFrom<storage::SeriesRule> for SeriesRule {
    type Error = Problem;

    fn try_from(rule: storage::SeriesRule) -> Result<SeriesRule, Problem> {
        let storage::SeriesRule { id, site, contains, preference, decided_by, decided_ms } = rule;
        let preference = preference.parse::<Preference>().map_err(|_| {
            tracing::error!(rule.id = id, "storage tells of a series rule that cannot be");
            INTERNAL.problem("internal error")
        })?;
        let (site, decided_at) = (some(site), rfc3339(decided_ms));
        Ok(SeriesRule { id, contains, preference, site, decided_by, decided_at })
    }
}

/// Lists the hospital's rules about which series of a study are analysed
#[utoipa::path(
    operation_id = "list_series_rules", get, path = "/v1/series-rules", tag = "batches",
    responses((status = 200, description = "All of them, oldest first", body = SeriesRules)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<SeriesRules>, Problem> {
    let asked = caller.request(SeriesRulesRef {});
    let rules = gateway.series_rules.list(asked).await?.into_inner().rules;
    let rules = rules.into_iter().map(SeriesRule::try_from).collect::<Result<_, Problem>>()?;
    Ok(Json(SeriesRules { rules }))
}

/// Adds a rule about which series of a study are analysed; for the role `admin`
///
/// It holds for uploads from then on. `prefer`: such a series is analysed, whatever else speaks against it but its modality. `never`: it
/// is kept, and not analysed before somebody asks for it; this is the stronger one.
#[utoipa::path(
    operation_id = "add_series_rule", post, path = "/v1/series-rules", tag = "batches", request_body = NewSeriesRule,
    responses((status = 201, description = "It is kept", body = SeriesRule)),
    security(("bearer" = [])),
)]
pub async fn add(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewSeriesRule { contains, preference, site }): JsonBody<NewSeriesRule>,
) -> Result<(StatusCode, Json<SeriesRule>), Problem> {
    let site = said::something("site", site)?;
    let preference = preference.name().to_owned();
    let new = storage::NewSeriesRule { site, contains, preference };
    let kept = gateway.series_rules.add(caller.request(new)).await?.into_inner();
    Ok((StatusCode::CREATED, Json(kept.try_into()?)))
}

/// Takes a rule back; for the role `admin`
#[utoipa::path(
    operation_id = "remove_series_rule", delete, path = "/v1/series-rules/{id}", tag = "batches",
    params(("id" = String, Path, description = "The rule's id", format = "uuid")),
    responses(
        (status = 204, description = "It does not hold any more"),
        (status = 404, description = "No such rule", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.series_rules.remove(caller.request(SeriesRuleRef { id })).await?;
    Ok(StatusCode::NO_CONTENT)
}
