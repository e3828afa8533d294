use domain::Answer;
use serde_json::Value;
use service::claims::Role;

use crate::Gateway;
use crate::dicom::{accepted, answered, refused};

/// What says whose scan it is; `contours.geojson` does not.
const NAMED: [(&str, &str); 2] =
    [("report.fhir.json", "application/fhir+json"), ("report.hl7", "application/hl7-v2+er7")];
const CONTOURS: (&str, &str) = ("contours.geojson", "application/geo+json");

async fn got(gateway: &Gateway, scan: &str, name: &str) -> (u16, String) {
    let answer = gateway.get(&format!("/v1/scans/{scan}/{name}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn each_form_is_there_of_scans_from_everywhere_and_no_cache_keeps_it() {
    let gateway = Gateway::start().await;
    for as_dicom in [true, false] {
        let scan = answered(&gateway, Answer::Found, as_dicom).await;
        for (name, media_type) in NAMED.into_iter().chain([CONTOURS]) {
            let path = format!("/v1/scans/{scan}/{name}");
            let answer = gateway.get(&path).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{name}");
            let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
            let named = format!("attachment; filename=\"{scan}-{name}\"");
            let shown = ["content-type", "cache-control", "content-disposition"].map(header);
            assert_eq!(shown, [media_type, "no-store", named.as_str()]);
            let file = answer.text().await.unwrap();
            assert!(file.contains(&scan), "{name}");
            let is_named = file.contains("\"4711\"") || file.contains("|4711|");
            assert_eq!(is_named, name != CONTOURS.0, "{name}");
            assert_eq!(got(&gateway, &scan, name).await.1, file, "{name}: it is another one");
        }
    }
    let scan = accepted(&gateway, true).await;
    assert_eq!(got(&gateway, &scan, CONTOURS.0).await.0, 409);
}

#[tokio::test]
async fn what_is_spoken_of_fhir_is_told_to_whoever_asks() {
    let gateway = Gateway::start().await;
    let url = format!("{}/fhir/metadata", gateway.url);
    let answer = gateway.client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/fhir+json");
    let statement: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    assert_eq!(statement["software"]["version"], env!("CARGO_PKG_VERSION"));
    let about = statement["rest"][0]["documentation"].as_str().unwrap();
    for call in ["`GET /v1/scans/{id}/report.fhir.json`", "`GET /v1/audit`"] {
        assert!(about.contains(call), "{about}");
    }
}

#[tokio::test]
async fn outlines_are_for_whoever_may_see_the_mask_and_the_rest_for_who_may_know_the_patient() {
    let mut gateway = Gateway::start().await;
    let scan = answered(&gateway, Answer::Found, true).await;
    for (role, status) in [(Role::Integrator, 200), (Role::Admin, 403), (Role::Scientist, 403)] {
        gateway.token = gateway.mesh.token(role);
        for (name, _) in NAMED {
            assert_eq!(got(&gateway, &scan, name).await.0, status, "{role:?}: {name}");
        }
        let mask = got(&gateway, &scan, "overlay.png").await.0;
        assert_eq!(got(&gateway, &scan, CONTOURS.0).await.0, mask, "{role:?}");
    }
    gateway.token = gateway.mesh.token_elsewhere();
    for (name, _) in NAMED.into_iter().chain([CONTOURS]) {
        assert_eq!(refused(&gateway, &format!("/v1/scans/{scan}/{name}")).await.0, 404, "{name}");
    }
}

#[tokio::test]
async fn a_bundle_has_the_printed_report_if_that_is_asked_for() {
    let gateway = Gateway::start().await;
    let scan = answered(&gateway, Answer::NoneFound, true).await;
    let form = async |query: &str| {
        let (status, file) = got(&gateway, &scan, &format!("report.fhir.json{query}")).await;
        assert_eq!(status, 200, "{file}");
        let bundle: Value = serde_json::from_str(&file).unwrap();
        bundle["entry"][0]["resource"]["presentedForm"][0].clone()
    };
    assert!(form("").await.is_null());
    assert_eq!(form("?pdf=true&lang=fr").await["language"], "fr");
    for bad in ["report.fhir.json?pdf=maybe", "report.hl7?pdf=true", "contours.geojson?lang=fr"] {
        assert_eq!(refused(&gateway, &format!("/v1/scans/{scan}/{bad}")).await.0, 400, "{bad}");
    }
}
