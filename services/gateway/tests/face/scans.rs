use proto::storage::{AcceptHeader, Answer, Identity, ListScans, Priority, ReviewState, State};
use serde_json::{Value, json};

use crate::mesh::sha256;
use crate::{Gateway, json, problem};

#[tokio::test]
async fn a_scan_is_shown_with_the_names_of_the_contract() {
    let gateway = Gateway::start().await;
    let id = gateway.mesh.failed().await;
    let (status, scan) = json(gateway.get(&format!("/v1/scans/{id}")).send().await.unwrap()).await;
    let expected = json!({
        "id": id, "state": "done", "answer": "failed", "reason": "the worker died three times",
        "accepted_ms": 1_700_000_000_000_u64, "completed_ms": 1_700_000_001_000_u64,
        "accepted_at": "2023-11-14T22:13:20.000Z", "completed_at": "2023-11-14T22:13:21.000Z", "format": "png", "modality": null,
        "shape": [1, 64, 64], "original_sha256": sha256(b"<script>"), "volume_sha256": sha256(b"voxels"),
        "priority": "routine", "attempt": 1, "repeated": false, "study": null, "batch": null, "site": null,
        "series": null, "volume_ml": null,
    });
    assert_eq!((status, scan), (200, expected));
}

#[tokio::test]
async fn a_list_leads_to_its_next_page_and_ends() {
    let gateway = Gateway::start().await;
    // Newest first: each is accepted when the one before is done.
    let mut ids = [gateway.mesh.done().await, gateway.mesh.done().await, gateway.mesh.done().await];
    ids.reverse();
    let of = |page: &Value| {
        let scans = page["scans"].as_array().unwrap().clone();
        scans.iter().map(|scan| scan["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = gateway.get("/v1/scans?limit=2").send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(link, format!("</v1/scans?limit=2&cursor={}>; rel=\"next\"", ids[1]));
    let (_, page) = json(first).await;
    assert_eq!((of(&page), page["next_cursor"].as_str()), (ids[..2].to_vec(), Some(&*ids[1])));

    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let last = gateway.get(next).send().await.unwrap();
    assert!(!last.headers().contains_key("link"));
    let (_, page) = json(last).await;
    assert_eq!((of(&page), &page["next_cursor"]), (ids[2..].to_vec(), &json!(null)));

    for limit in ["0", "201", "-1", "many"] {
        let answer = gateway.get(&format!("/v1/scans?limit={limit}")).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 400, "{limit}");
    }
}

#[tokio::test]
async fn a_list_asks_for_what_was_asked_for_and_so_does_its_next_page() {
    let gateway = Gateway::start().await;
    let known = AcceptHeader {
        patient_id: "47/11".into(),
        accession_number: "A1".into(),
        study_uid: "1.2.3".into(),
        reference: "order 7".into(),
        priority: Priority::Stat.into(),
        site: "Kumasi".into(),
        modality: "MR".into(),
        ..AcceptHeader::default()
    };
    for _ in 0..3 {
        let scan = gateway.mesh.accept(known.clone()).await;
        gateway.mesh.complete(&gateway.mesh.claim(&scan).await, Answer::NoneFound, &[]).await;
    }
    gateway.mesh.queued().await;
    let asked = "patient_id=47%2F11&accession_number=A1&study_uid=1.2.3&reference=order+7&answer=none_found\
        &state=done&priority=stat&review=unreviewed&site=Kumasi&modality=MR&from=2023-11-14T22%3A13%3A20Z&to=2023-11-14T23%3A13%3A20.5%2B01%3A00";
    let first = gateway.get(&format!("/v1/scans?limit=2&{asked}")).send().await.unwrap();
    let expected = ListScans {
        limit: 2,
        cursor: String::new(),
        patient_id: "47/11".into(),
        accession_number: "A1".into(),
        study_uid: "1.2.3".into(),
        reference: "order 7".into(),
        answer: Answer::NoneFound.into(),
        state: State::Done.into(),
        priority: Priority::Stat.into(),
        from_ms: Some(1_700_000_000_000),
        to_ms: Some(1_700_000_000_500),
        review: ReviewState::Unreviewed.into(),
        site: "Kumasi".into(),
        modality: "MR".into(),
    };
    assert_eq!(gateway.mesh.between.listed(), expected);
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let (_, page) = json(first).await;
    assert_eq!(page["scans"].as_array().unwrap().len(), 2);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    let (_, page) = json(gateway.get(next).send().await.unwrap()).await;
    assert_eq!(page["scans"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.mesh.between.listed(), ListScans { cursor, ..expected });

    for (query, words) in [
        ("patient=4711", "`patient`"),
        ("patient_id=", "`patient_id`"),
        ("from=2023-11-14", "`from`"),
        ("to=yesterday", "`to`"),
        ("answer=maybe", "`none_found`"),
        ("state=finished", "`done`"),
        ("review=liked", "`conflict`"),
        ("site=", "`site`"),
        ("limit=2&limit=3", "`limit`"),
    ] {
        let answer = gateway.get(&format!("/v1/scans?{query}")).send().await.unwrap();
        let (status, _, body) = problem(answer).await;
        assert_eq!(status, 400, "{query}");
        assert!(body["detail"].as_str().unwrap().contains(words), "{query}: {body}");
    }
}

#[tokio::test]
async fn an_identity_is_shown_and_one_that_cannot_be_read_is_not_quoted() {
    let gateway = Gateway::start().await;
    let accept = async |identity: Option<Identity>, reference: &str| {
        let reference = reference.into();
        let known = AcceptHeader { identity, reference, ..AcceptHeader::default() };
        gateway.mesh.accept(known).await
    };
    let canary = Identity {
        patient_name: Some("Canary^Yellow".into()),
        patient_id: Some("4711".into()),
        ..Identity::default()
    };
    let named = accept(Some(canary.clone()), "order 7").await;
    let nameless = accept(None, "").await;
    let unreadable = accept(Some(canary), "").await;
    gateway.mesh.overwrite_identity(&unreadable, "Canary^Yellow").await;

    let identity = |id: &str| gateway.get(&format!("/v1/scans/{id}/identity"));
    let (status, known) = json(identity(&named).send().await.unwrap()).await;
    let shown = ["scan_id", "reference", "patient_name", "patient_id", "accession_number"];
    let shown = shown.map(|field| known[field].clone());
    let expected =
        [json!(named), json!("order 7"), json!("Canary^Yellow"), json!("4711"), json!(null)];
    assert_eq!((status, shown), (200, expected));

    let (status, unknown) = json(identity(&nameless).send().await.unwrap()).await;
    assert_eq!((status, &unknown["patient_name"]), (200, &json!(null)));
    assert_eq!(problem(identity("nobody").send().await.unwrap()).await.0, 404);
    let (status, _, body) = problem(identity(&unreadable).send().await.unwrap()).await;
    assert!(status == 500 && !body.to_string().contains("Canary"), "{body}");
}
