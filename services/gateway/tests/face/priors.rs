use proto::storage::{AcceptHeader, Answer, Identity};
use serde_json::{Value, json};
use service::claims::Role;

use crate::{Gateway, json, problem};

/// A scan of patient 4711 of that day, analysed.
async fn taken(gateway: &Gateway, date: &str) -> String {
    let known = AcceptHeader {
        patient: "4711".into(),
        patient_id: "4711".into(),
        identity: Some(Identity {
            patient_id: Some("4711".into()),
            study_date: Some(date.into()),
            ..Identity::default()
        }),
        ..AcceptHeader::default()
    };
    gateway.mesh.clock.advance(10);
    // Each image is another one.
    let voxels = format!("voxels of {date}");
    let scan = gateway.mesh.pictured(known, voxels.as_bytes(), [1, 64, 64], b"picture").await;
    let job = gateway.mesh.claim(&scan).await;
    let document = r#"{"answer":"found","findings":[],"image":{"kind":{"kind":"flair"}}}"#;
    let pieces = vec![("result.json", document.as_bytes().to_vec())];
    gateway.mesh.hand_in(&job, Answer::Found, pieces).await;
    scan
}

fn ids(page: &Value) -> Vec<&str> {
    let priors = page["priors"].as_array().unwrap();
    priors.iter().map(|prior| prior["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_priors_of_a_scan_are_listed_page_by_page_with_their_kind() {
    let gateway = Gateway::start().await;
    let first = taken(&gateway, "20240101").await;
    let second = taken(&gateway, "20250101").await;
    let now = taken(&gateway, "20260101").await;
    let path = format!("/v1/scans/{now}/priors");
    let (status, page) = json(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!((status, ids(&page)), (200, vec![&*second, &*first]), "{page}");
    assert_eq!((&page["priors"][0]["kind"], &page["next_cursor"]), (&json!("flair"), &json!(null)));
    assert_eq!(page["priors"][0]["answer"], "found");

    // The patient's latest scan is the one that is asked about: it takes a place, and is left out.
    let answer = gateway.get(&format!("{path}?limit=2")).send().await.unwrap();
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    let (_, page) = json(answer).await;
    assert_eq!(ids(&page), [&*second]);
    let next = link.split_once('>').unwrap().0.trim_start_matches('<').to_owned();
    let (_, page) = json(gateway.get(&next).send().await.unwrap()).await;
    assert_eq!((ids(&page), &page["next_cursor"]), (vec![&*first], &json!(null)));
}

#[tokio::test]
async fn whoever_may_not_know_whose_scans_are_is_told_of_no_prior() {
    let mut gateway = Gateway::start().await;
    taken(&gateway, "20250101").await;
    let path = format!("/v1/scans/{}/priors", taken(&gateway, "20260101").await);
    for (role, status) in [
        (Role::Clinician, 200),
        (Role::Integrator, 200),
        (Role::Admin, 403),
        (Role::Scientist, 403),
    ] {
        gateway.token = gateway.mesh.token(role);
        assert_eq!(gateway.get(&path).send().await.unwrap().status(), status, "{role:?}");
    }
    gateway.token = gateway.mesh.token_elsewhere();
    let (status, kind, _) = problem(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (404, "not-found"));
    gateway.token = gateway.mesh.token(Role::Clinician);
    for none in ["limit=0", "limit=201", "cursor=x", "patient=4711"] {
        let refused = gateway.get(&format!("{path}?{none}")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{none}");
    }
}

#[tokio::test]
async fn a_scan_of_nobody_has_no_priors() {
    let gateway = Gateway::start().await;
    gateway.mesh.done().await;
    let path = format!("/v1/scans/{}/priors", gateway.mesh.done().await);
    let (status, page) = json(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!((status, page), (200, json!({ "priors": [], "next_cursor": null })));
}
