use proto::storage::{Answer, Place, Verdict, Word};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use service::claims::Role;

use crate::ingest::ReceivedFeedback;
use crate::{Gateway, json, problem};

/// What a clinician gives, with what the answer is.
async fn give(gateway: &Gateway, scan: &str, word: &Value) -> (u16, Value) {
    let path = format!("/v1/scans/{scan}/feedback");
    json(gateway.post(&path).json(word).send().await.unwrap()).await
}

/// Somebody else of the same hospital.
fn as_reader(gateway: &mut Gateway, name: &str, role: Role) {
    gateway.token = gateway.mesh.token_of(name, role);
}

#[tokio::test]
async fn a_word_is_kept_and_shown_with_the_names_of_the_contract() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let (status, given) = give(&gateway, &scan, &json!({"verdict": "agree"})).await;
    let expected = json!({
        "id": given["id"], "scan_id": scan, "reader": "tester", "given_at": "2023-11-14T22:13:21.000Z",
        "verdict": "agree", "truth": null, "reason": null, "note": "", "findings": [], "missed": [],
        "mask": false, "dice": null, "model": null, "supersedes": null, "adjudicates": [],
    });
    assert_eq!((status, &given), (201, &expected));

    let word = json!({
        "verdict": "reject", "truth": "no_tumour", "reason": "false_finding", "note": "a vessel",
        "findings": [], "missed": [],
    });
    let (status, later) = give(&gateway, &scan, &word).await;
    assert_eq!((status, &later["supersedes"]), (201, &given["id"]));
    for (field, said) in word.as_object().unwrap() {
        assert_eq!(&later[field], said, "{field}");
    }
    let path = format!("/v1/scans/{scan}/feedback");
    let (status, all) = json(gateway.get(&path).send().await.unwrap()).await;
    let expected =
        json!({"feedback": [later, given], "state": "rejected", "hidden": 0, "overlaps": []});
    assert_eq!((status, all), (200, expected));
}

#[tokio::test]
async fn a_reader_is_shown_others_words_after_their_own() {
    let mut gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    give(&gateway, &scan, &json!({"verdict": "agree"})).await;
    as_reader(&mut gateway, "other", Role::Clinician);
    let path = format!("/v1/scans/{scan}/feedback");
    let blind = json!({"feedback": [], "state": null, "hidden": 1, "overlaps": []});
    assert_eq!(json(gateway.get(&path).send().await.unwrap()).await, (200, blind));
    let listed = json(gateway.get("/v1/feedback").send().await.unwrap()).await.1;
    let (listed, one) = (&listed["scans"], &listed["scans"][0]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!((&one["id"], &one["review"]), (&json!(scan), &json!(null)));

    give(&gateway, &scan, &json!({"verdict": "unsure"})).await;
    let (_, seen) = json(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!(
        (&seen["state"], seen["feedback"][0]["reader"].as_str()),
        (&json!("conflict"), Some("other"))
    );
    let conflicts = json(gateway.get("/v1/feedback?state=conflict").send().await.unwrap()).await.1;
    assert_eq!(conflicts["scans"][0]["id"], json!(scan), "{conflicts}");
}

#[tokio::test]
async fn the_same_key_answers_the_same() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let path = format!("/v1/scans/{scan}/feedback");
    let keyed = async |word: Value| {
        let request = gateway.post(&path).header("idempotency-key", "k").json(&word);
        json(request.send().await.unwrap()).await
    };
    let first = keyed(json!({"verdict": "agree"})).await;
    assert_eq!(first.0, 201);
    assert_eq!(keyed(json!({"verdict": "agree"})).await, first);
    assert_eq!(keyed(json!({"verdict": "reject"})).await.0, 409);
}

#[tokio::test]
async fn what_cannot_be_kept_is_told_by_its_kind() {
    let mut gateway = Gateway::start().await;
    let (scan, queued) = (gateway.mesh.done().await, gateway.mesh.queued().await);
    let never = "01890000-0000-7000-8000-000000000000";
    let outside = json!({"slice": 1, "row": 0, "column": 0});
    for (id, word, status, kind) in [
        (
            &*scan,
            json!({"verdict": "reject", "findings": [{"label": 7, "verdict": "reject"}]}),
            422,
            "feedback-misfit",
        ),
        (&*scan, json!({"verdict": "reject", "missed": [outside]}), 422, "feedback-misfit"),
        (&*scan, json!({"verdict": "correct"}), 422, "feedback-misfit"),
        (&*scan, json!({"verdict": "reject", "note": "x".repeat(2001)}), 422, "feedback-misfit"),
        (&*scan, json!({"verdict": "maybe"}), 422, "unprocessable"),
        (&*scan, json!({}), 422, "unprocessable"),
        (&*scan, json!({"verdict": "agree", "reader": "somebody else"}), 400, "invalid"),
        (&*queued, json!({"verdict": "agree"}), 409, "conflict"),
        (never, json!({"verdict": "agree"}), 404, "not-found"),
        ("nobody", json!({"verdict": "agree"}), 404, "not-found"),
    ] {
        let path = format!("/v1/scans/{id}/feedback");
        let refused = gateway.post(&path).json(&word).send().await.unwrap();
        let (answered, name, body) = problem(refused).await;
        assert_eq!((answered, name.as_str()), (status, kind), "{id} {word}: {body}");
    }
    for path in
        [format!("/v1/scans/{never}/feedback"), format!("/v1/scans/{scan}/feedback/{never}/mask")]
    {
        assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 404, "{path}");
    }
    for role in [Role::Integrator, Role::Scientist] {
        as_reader(&mut gateway, "other", role);
        let path = format!("/v1/scans/{scan}/feedback");
        let given = gateway.post(&path).json(&json!({"verdict": "agree"})).send().await.unwrap();
        assert_eq!(problem(given).await.0, 403, "{role:?}");
        for path in [&*path, "/v1/feedback"] {
            assert_eq!(
                problem(gateway.get(path).send().await.unwrap()).await.0,
                403,
                "{role:?} {path}"
            );
        }
    }
}

fn form(word: &Value, mask: &'static [u8]) -> Form {
    let file = Part::bytes(mask).file_name("mask.png");
    Form::new().text("feedback", word.to_string()).part("mask", file)
}

#[tokio::test]
async fn a_form_with_a_mask_goes_to_ingest() {
    let gateway = Gateway::start().await;
    let said = json!({"verdict": "correct", "missed": [{"slice": 1, "row": 2, "column": 3}]});
    let request = gateway.post("/v1/scans/a-scan/feedback").header("idempotency-key", "k");
    let sent = request.multipart(form(&said, b"a mask")).send().await.unwrap();
    let (status, given) = json(sent).await;
    assert_eq!((status, &given["verdict"], &given["mask"]), (201, &json!("correct"), &json!(true)));
    let seen = gateway.ingest.given().pop().unwrap();
    let ReceivedFeedback { headers, mask, whole } = seen;
    assert_eq!((headers.len(), mask.as_slice(), whole), (1, &b"a mask"[..], true));
    assert_eq!((&*headers[0].scan_id, &*headers[0].idempotency_key), ("a-scan", "k"));
    let word = Word {
        verdict: Verdict::Correct.into(),
        missed: vec![Place { slice: 1, row: 2, column: 3 }],
        ..Word::default()
    };
    assert_eq!(headers[0].word, Some(word));

    for (mask, status, kind) in
        [(&b"misfit"[..], 422, "feedback-misfit"), (&b"refuse"[..], 422, "too-small")]
    {
        let request = gateway.post("/v1/scans/a-scan/feedback").multipart(form(&said, mask));
        let (answered, name, body) = problem(request.send().await.unwrap()).await;
        assert_eq!((answered, name.as_str()), (status, kind), "{body}");
    }
}

#[tokio::test]
async fn a_form_says_its_word_before_its_file_and_says_it_right() {
    let gateway = Gateway::start().await;
    let strange = json!({"verdict": "correct", "reader": "somebody else"});
    let request = gateway.post("/v1/scans/a-scan/feedback").multipart(form(&strange, b"a mask"));
    let (status, _, body) = problem(request.send().await.unwrap()).await;
    assert!(status == 400 && body["detail"].as_str().unwrap().contains("`reader`"), "{body}");
    let long = json!({"verdict": "correct", "note": "x".repeat(2 << 20)});
    let request = gateway.post("/v1/scans/a-scan/feedback").multipart(form(&long, b"a mask"));
    let (status, kind, body) = problem(request.send().await.unwrap()).await;
    assert_eq!((status, kind.as_str()), (413, "payload-too-large"), "{body}");

    let file = Part::bytes(&b"a mask"[..]).file_name("mask.png");
    let late = Form::new().part("mask", file).text("feedback", r#"{"verdict":"correct"}"#);
    let request = gateway.post("/v1/scans/a-scan/feedback").multipart(late);
    let _ = request.send().await.unwrap();
    let seen = gateway.ingest.given().pop().unwrap();
    assert_eq!(seen.headers.len(), 1);
    assert_eq!(seen.headers[0].word, None, "the real ingest refuses it");
}

#[tokio::test]
async fn scans_are_listed_by_their_review_page_by_page() {
    let gateway = Gateway::start().await;
    for _ in 0..3 {
        let scan = gateway.mesh.queued().await;
        gateway.mesh.complete(&gateway.mesh.claim(&scan).await, Answer::NoneFound, &[]).await;
        gateway.mesh.clock.advance(1);
    }
    let first = gateway.get("/v1/feedback?state=unreviewed&limit=2").send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let (_, page) = json(first).await;
    assert_eq!(page["scans"].as_array().unwrap().len(), 2, "{page}");
    let one = &page["scans"][0];
    assert_eq!(
        (&one["review"], &one["state"], &one["model_version"]),
        (&json!("unreviewed"), &json!("done"), &json!(null))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        link,
        format!("</v1/feedback?state=unreviewed&limit=2&cursor={cursor}>; rel=\"next\"")
    );
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let (_, page) = json(gateway.get(next).send().await.unwrap()).await;
    assert_eq!((page["scans"].as_array().unwrap().len(), &page["next_cursor"]), (1, &json!(null)));
    for query in ["state=finished", "limit=0", "reader=ada"] {
        let refused = gateway.get(&format!("/v1/feedback?{query}")).send().await.unwrap();
        assert_eq!(problem(refused).await.0, 400, "{query}");
    }
}
