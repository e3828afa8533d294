//! What is spoken of FHIR R4, where integrators' programs ask for it.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use domain::artefact::{ALL, FHIR_REPORT};
use report::fhir::{Offered, capability_statement};
use serde_json::Value;
use utoipa::ToSchema;

/// A resource of FHIR R4.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "describes the API")]
pub struct FhirResource(Value);

/// Says what of FHIR R4 is offered here and sent from here
///
/// A CapabilityStatement, of this very version. There is no FHIR server: it names the calls that hand out FHIR resources, and what is sent
/// to a destination of the kind `fhir`. It needs no token.
#[utoipa::path(
    operation_id = "get_fhir_capabilities", get, path = "/fhir/metadata", tag = "results",
    responses((status = 200, description = "The CapabilityStatement", body = FhirResource, content_type = "application/fhir+json")),
)]
pub async fn show() -> Response {
    let statement = capability_statement(env!("CARGO_PKG_VERSION"), &offered());
    ([(header::CONTENT_TYPE, FHIR_REPORT.media_type)], statement).into_response()
}

/// The artefacts that are FHIR resources, and the audit trail.
fn offered() -> Vec<Offered<'static>> {
    let resources = ALL.iter().filter(|artefact| artefact.media_type == FHIR_REPORT.media_type);
    let artefacts = resources.filter_map(|artefact| artefact.published).map(|published| {
        let call = format!("GET /v1/scans/{{id}}/{}", published.path);
        Offered { call, summary: published.summary }
    });
    let trail = Offered {
        call: "GET /v1/audit".to_owned(),
        summary: "Lists who did what, as a bundle of AuditEvents with `Accept: application/fhir+json`",
    };
    artefacts.chain([trail]).collect()
}
