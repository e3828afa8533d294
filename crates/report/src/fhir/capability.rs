//! What is spoken of FHIR R4, as a CapabilityStatement (<https://hl7.org/fhir/R4/capabilitystatement.html>).
//!
//! It claims no more than there is: no resource is read or searched here by FHIR's addresses. Results are handed out as files, and sent to
//! servers that keep them.

use serde_json::{Value, json};

/// When what it says was last changed.
const DATE: &str = "2026-11-28";

/// The types of what a transaction makes.
const SENT: [&str; 4] = ["DiagnosticReport", "Observation", "ImagingStudy", "Device"];

/// A file of FHIR resources that is handed out at an address of ours.
pub struct Offered<'a> {
    /// What is asked, such as `GET /v1/scans/{id}/report.fhir.json`.
    pub call: String,
    /// What it does, in words.
    pub summary: &'a str,
}

/// The statement of this version, as JSON: what is offered, and what is sent to destinations that are FHIR servers.
pub fn capability_statement(version: &str, offered: &[Offered<'_>]) -> Vec<u8> {
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "id": "medseg",
        "name": "Medseg",
        "title": "What medseg speaks of FHIR R4",
        "status": "active",
        // It is research software.
        "experimental": true,
        "date": DATE,
        "kind": "instance",
        "software": { "name": "medseg", "version": version },
        "implementation": { "description": "A deployment of medseg, which finds brain tumours in head scans. For research; not a medical device." },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [serving(offered), sending()],
    });
    statement.to_string().into_bytes()
}

fn serving(offered: &[Offered<'_>]) -> Value {
    let calls: Vec<String> = offered
        .iter()
        .map(|offered| format!("- `{}`: {}", offered.call, offered.summary))
        .collect();
    let about = format!(
        "There is no FHIR server: below this base there is this statement alone. What is handed out as FHIR resources:\n\n{}",
        calls.join("\n")
    );
    let oauth = json!({
        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
        "code": "OAuth",
        "display": "OAuth",
    });
    let security = json!({
        "service": [{ "coding": [oauth] }],
        "description": "A bearer token (RFC 6750) from `/v1/token`, for the roles that may know whose a scan is. This statement needs none.",
    });
    json!({ "mode": "server", "documentation": about, "security": security })
}

fn sending() -> Value {
    let resources: Vec<Value> = SENT.into_iter().map(made).collect();
    json!({
        "mode": "client",
        "documentation": "Each result is sent to the destinations of the kind `fhir` that a hospital names, as one transaction to the server's base.",
        "security": { "description": "The header `Authorization` has the value that the destination was given." },
        "resource": resources,
        "interaction": [{
            "code": "transaction",
            "documentation": "A resource is made only where there is none of its identifier (`ifNoneExist`). No Patient is made: the patient is referred to by identifier.",
        }],
    })
}

fn made(kind: &str) -> Value {
    json!({
        "type": kind,
        "interaction": [{ "code": "create" }],
        "conditionalCreate": true,
        "searchParam": [{ "name": "identifier", "type": "token" }],
    })
}
