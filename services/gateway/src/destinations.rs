use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::rfc3339;
use proto::delivery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::problem::Problem;
use crate::scans::some;
use crate::users::moment;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(change, remove))
}

/// What a destination is: a signed `webhook`; an archive that takes DICOM objects, by STOW-RS (`stow`) or by C-STORE (`cstore`); an
/// information system that takes HL7 v2 by MLLP (`mllp`); or a FHIR R4 server (`fhir`).
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DestinationKind {
    Webhook,
    Stow,
    Cstore,
    Mllp,
    Fhir,
}

/// What is pushed of a result. A webhook takes one of the first two; `stow` and `cstore` any of the five DICOM objects, `*.dcm`; `mllp`
/// takes `report.hl7`, and `fhir` takes `report.fhir.json`, as a transaction.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
enum DestinationFormat {
    #[schema(rename = "cloudevent")]
    CloudEvent,
    #[schema(rename = "result.json")]
    Result,
    #[schema(rename = "seg.dcm")]
    Segmentation,
    #[schema(rename = "sr.dcm")]
    StructuredReport,
    #[schema(rename = "text.dcm")]
    TextReport,
    #[schema(rename = "capture.dcm")]
    Capture,
    #[schema(rename = "report.dcm")]
    Document,
    #[schema(rename = "report.hl7")]
    Hl7,
    #[schema(rename = "report.fhir.json")]
    Fhir,
}

/// A system to be that results are pushed to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDestination {
    /// What people call it.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    kind: DestinationKind,
    /// With `https://`: of a webhook its own address, of `stow` that of the STOW-RS service, which ends in `/studies`, of `fhir` the
    /// server's base. Of `cstore` `dicoms://host:port`, of `mllp` `mllps://host:port`, with TLS; or `dicom://…` and `mllp://…` without,
    /// which go only within networks that this installation names. Nothing goes into a network that it does not allow.
    #[schema(max_length = 1000, format = "uri")]
    url: String,
    #[schema(value_type = Vec<DestinationFormat>, min_items = 1, max_items = 6)]
    formats: Vec<String>,
    /// Of a webhook what its messages are signed with (`whsec_` and base64), made where it is left out; of `stow` and `fhir` the value
    /// of the header `Authorization`, none where it is left out. `cstore` and `mllp` have none. It is never shown again.
    #[serde(default)]
    #[schema(max_length = 1000, write_only)]
    secret: Option<String>,
    /// Of `cstore` alone, and there needed: the AE title that is called.
    #[serde(default)]
    #[schema(max_length = 16)]
    called_ae_title: Option<String>,
    /// Of `cstore` alone: the AE title that calls, `MEDSEG` where it is left out.
    #[serde(default)]
    #[schema(max_length = 16)]
    calling_ae_title: Option<String>,
}

/// A system that results are pushed to.
#[derive(Serialize, ToSchema)]
pub struct Destination {
    #[schema(format = "uuid")]
    id: String,
    name: String,
    kind: DestinationKind,
    url: String,
    #[schema(value_type = Vec<DestinationFormat>)]
    formats: Vec<String>,
    /// `false`: no delivery is made for it, and those that wait are not sent.
    enabled: bool,
    #[schema(format = "date-time")]
    created_at: Option<String>,
    /// Whether it has a secret.
    has_secret: bool,
    /// How many deliveries wait for it.
    waiting: u64,
    /// How many have failed and were not sent again.
    failed: u64,
    /// When it is tried again, after attempts that have failed; `null`: the last one has not.
    #[schema(format = "date-time")]
    resumes_at: Option<String>,
    /// Of `cstore`: the AE title that is called; `null`: there is none.
    called_ae_title: Option<String>,
    /// Of `cstore`: the AE title that calls; `null`: there is none.
    calling_ae_title: Option<String>,
    /// What it has said, when it was last sent something, that it takes and what not, in words; `null`: nothing yet.
    takes: Option<String>,
}

/// A destination, and the secret that was made for it.
#[derive(Serialize, ToSchema)]
pub struct DestinationMade {
    #[serde(flatten)]
    destination: Destination,
    /// Shown this once; `null`: none was made.
    secret: Option<String>,
}

/// The systems that the hospital's results are pushed to.
#[derive(Serialize, ToSchema)]
pub struct Destinations {
    destinations: Vec<Destination>,
}

/// What is to be different about a destination; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DestinationChange {
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// With another address of `stow` or `fhir` the secret has to be said again, for it is sent there.
    #[schema(max_length = 1000, format = "uri")]
    url: Option<String>,
    #[schema(value_type = Option<Vec<DestinationFormat>>, min_items = 1, max_items = 6)]
    formats: Option<Vec<String>>,
    enabled: Option<bool>,
    #[schema(max_length = 1000, write_only)]
    secret: Option<String>,
    #[schema(max_length = 16)]
    called_ae_title: Option<String>,
    #[schema(max_length = 16)]
    calling_ae_title: Option<String>,
}

impl DestinationKind {
    fn wire(self) -> delivery::DestinationKind {
        match self {
            DestinationKind::Webhook => delivery::DestinationKind::Webhook,
            DestinationKind::Stow => delivery::DestinationKind::Stow,
            DestinationKind::Cstore => delivery::DestinationKind::Cstore,
            DestinationKind::Mllp => delivery::DestinationKind::Mllp,
            DestinationKind::Fhir => delivery::DestinationKind::Fhir,
        }
    }
}

impl From<delivery::Destination> for Destination {
    fn from(destination: delivery::Destination) -> Destination {
        let kind = match destination.kind() {
            delivery::DestinationKind::Stow => DestinationKind::Stow,
            delivery::DestinationKind::Cstore => DestinationKind::Cstore,
            delivery::DestinationKind::Mllp => DestinationKind::Mllp,
            delivery::DestinationKind::Fhir => DestinationKind::Fhir,
            _ => DestinationKind::Webhook,
        };
        Destination {
            id: destination.id,
            name: destination.name,
            kind,
            url: destination.url,
            formats: destination.formats,
            enabled: destination.enabled,
            created_at: rfc3339(destination.created_ms),
            has_secret: destination.has_secret,
            waiting: destination.waiting,
            failed: destination.failed,
            resumes_at: moment(destination.resumes_ms),
            called_ae_title: some(destination.called_ae_title),
            calling_ae_title: some(destination.calling_ae_title),
            takes: some(destination.takes),
        }
    }
}

/// Lists the systems that the hospital's results are pushed to
#[utoipa::path(
    operation_id = "list_destinations", get, path = "/v1/destinations", tag = "deliveries",
    responses((status = 200, description = "The destinations, without secrets", body = Destinations)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
) -> Result<Json<Destinations>, Problem> {
    let asked = caller.request(delivery::ListDestinationsRequest {});
    let kept = gateway.delivery.list_destinations(asked).await?.into_inner();
    let destinations = kept.destinations.into_iter().map(Destination::from).collect();
    Ok(Json(Destinations { destinations }))
}

/// Has the hospital's results pushed to a system, from now on
///
/// For the role `admin`, as all that changes destinations; each change is in the audit trail. What is completed from then on is sent to it
/// until it has it, for three days; what was completed before is not.
#[utoipa::path(
    operation_id = "create_destination", post, path = "/v1/destinations", tag = "deliveries", request_body = NewDestination,
    responses(
        (status = 201, description = "The destination, with the secret that was made, if one was: shown this once", body = DestinationMade),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(new): JsonBody<NewDestination>,
) -> Result<(StatusCode, Json<DestinationMade>), Problem> {
    let new = delivery::NewDestination {
        name: new.name,
        kind: new.kind.wire().into(),
        url: new.url,
        formats: new.formats,
        secret: new.secret.unwrap_or_default(),
        called_ae_title: new.called_ae_title.unwrap_or_default(),
        calling_ae_title: new.calling_ae_title.unwrap_or_default(),
    };
    let made = gateway.delivery.create_destination(caller.request(new)).await?.into_inner();
    let destination = made.destination.unwrap_or_default().into();
    let secret = some(made.secret);
    Ok((StatusCode::CREATED, Json(DestinationMade { destination, secret })))
}

/// Changes a destination, disables or enables it
///
/// A destination that was paused, because attempts have failed, is tried at once.
#[utoipa::path(
    operation_id = "change_destination", patch, path = "/v1/destinations/{id}", tag = "deliveries", request_body = DestinationChange,
    params(("id" = String, Path, description = "The destination's id", format = "uuid")),
    responses(
        (status = 200, description = "The destination", body = Destination),
        (status = 404, description = "No such destination", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn change(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(change): JsonBody<DestinationChange>,
) -> Result<Json<Destination>, Problem> {
    let change = delivery::DestinationChange {
        id,
        name: change.name,
        url: change.url,
        enabled: change.enabled,
        secret: change.secret,
        formats: change.formats.map(|formats| delivery::FormatSet { formats }),
        called_ae_title: change.called_ae_title,
        calling_ae_title: change.calling_ae_title,
    };
    let changed = gateway.delivery.change_destination(caller.request(change)).await?;
    Ok(Json(changed.into_inner().into()))
}

/// Removes a destination
///
/// What waits for it has failed then, and stays in the list of deliveries.
#[utoipa::path(
    operation_id = "remove_destination", delete, path = "/v1/destinations/{id}", tag = "deliveries",
    params(("id" = String, Path, description = "The destination's id", format = "uuid")),
    responses(
        (status = 204, description = "There is no such destination any more"),
        (status = 404, description = "No such destination", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn remove(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let asked = caller.request(delivery::DestinationRef { id });
    gateway.delivery.remove_destination(asked).await?;
    Ok(StatusCode::NO_CONTENT)
}
