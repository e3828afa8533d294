use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use domain::rfc3339;
use proto::storage::{self, ListReported};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Query};
use crate::paging::{WantedPage, next_page};
use crate::problem::Problem;
use crate::said;
use crate::scans::some;

/// Something that went wrong, as somebody tells it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIncident {
    /// In their own words. They are never logged.
    #[schema(min_length = 1, max_length = 4000, pattern = r"\S")]
    words: String,
    /// The scan that it is about; without one, it is about the system.
    #[serde(default)]
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// Whether it is a patient's word, passed on. Patients have no accounts: whoever they tell reports it, or makes a link for them
    /// (`/v1/incident-links`).
    #[serde(default)]
    from_patient: bool,
}

/// Something that somebody has reported.
#[derive(Serialize, ToSchema)]
pub struct Incident {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "date-time")]
    reported_at: Option<String>,
    /// The user's name when they reported it, or made the link that it was written through.
    reporter: String,
    words: String,
    /// `null`: it is about the system.
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// Whether it is a patient's word.
    from_patient: bool,
    /// Whether the patient wrote it, through a link that the reporter had made for them; else the reporter has passed it on.
    by_link: bool,
}

/// What was reported, newest first.
#[derive(Serialize, ToSchema)]
pub struct Incidents {
    incidents: Vec<Incident>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

impl From<storage::Incident> for Incident {
    fn from(incident: storage::Incident) -> Incident {
        Incident {
            id: incident.id,
            reported_at: rfc3339(incident.reported_ms),
            reporter: incident.reporter,
            words: incident.words,
            scan_id: some(incident.scan_id),
            from_patient: incident.from_patient,
            by_link: incident.by_link,
        }
    }
}

/// Reports that something went wrong, about a scan or about the system
///
/// For everybody who has signed in; those who run the system are told that there is a report, and the hospital's admins read it. One
/// person may report 20 times within an hour.
#[utoipa::path(
    operation_id = "report_incident", post, path = "/v1/incidents", tag = "incidents", request_body = NewIncident,
    responses(
        (status = 201, description = "Kept", body = Incident),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn report(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewIncident { words, scan_id, from_patient }): JsonBody<NewIncident>,
) -> Result<(StatusCode, Json<Incident>), Problem> {
    let scan_id = said::something("scan_id", scan_id)?;
    let new = storage::NewIncident { words, scan_id, from_patient };
    let kept = gateway.incidents.report(caller.request(new)).await?.into_inner();
    Ok((StatusCode::CREATED, Json(kept.into())))
}

/// Lists what was reported, newest first; for the role `admin`
#[utoipa::path(
    operation_id = "list_incidents", get, path = "/v1/incidents", tag = "incidents", params(WantedPage),
    responses((status = 200, description = "One page", body = Incidents,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedPage>,
) -> Result<(HeaderMap, Json<Incidents>), Problem> {
    let (limit, cursor) = wanted.checked()?;
    let asked = caller.request(ListReported { limit, cursor });
    let page = gateway.incidents.list_incidents(asked).await?.into_inner();
    let incidents = page.incidents.into_iter().map(Incident::from).collect();
    let (link, next_cursor) = next_page("/v1/incidents", query, page.next_cursor);
    Ok((link, Json(Incidents { incidents, next_cursor })))
}
