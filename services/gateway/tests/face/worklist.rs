use proto::storage::{AcceptHeader, Answer};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Gateway, json, problem};

async fn change(gateway: &Gateway, scan: &str, change: &Value) -> reqwest::Response {
    let path = format!("/v1/scans/{scan}");
    gateway.request(Method::PATCH, &path).json(change).send().await.unwrap()
}

#[tokio::test]
async fn a_waiting_scan_is_made_urgent_and_one_in_hand_is_not() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.queued().await;
    for _ in 0..2 {
        let answer = change(&gateway, &scan, &json!({"priority": "stat"})).await;
        let (status, changed) = json(answer).await;
        assert_eq!((status, &changed["priority"]), (200, &json!("stat")));
        assert_eq!((&changed["id"], &changed["state"]), (&json!(scan), &json!("queued")));
    }
    gateway.mesh.claim(&scan).await;
    let answer = change(&gateway, &scan, &json!({"priority": "routine"})).await;
    assert_eq!(problem(answer).await.0, 409);
    for (wrong, status) in [
        (json!({"priority": "now"}), 422),
        (json!({}), 422),
        (json!({"priority": "stat", "state": "done"}), 400),
    ] {
        assert_eq!(problem(change(&gateway, &scan, &wrong).await).await.0, status, "{wrong}");
    }
    let never = "00000000-0000-7000-8000-000000000000";
    let answer = change(&gateway, never, &json!({"priority": "stat"})).await;
    assert_eq!(problem(answer).await.0, 404);
}

#[tokio::test]
async fn what_failed_is_analysed_anew_and_what_has_an_answer_is_not() {
    let gateway = Gateway::start().await;
    let retry = |scan: &str| gateway.post(&format!("/v1/scans/{scan}/retry"));
    let failed = gateway.mesh.failed().await;
    for _ in 0..2 {
        let (status, scan) = json(retry(&failed).send().await.unwrap()).await;
        let said = (&scan["state"], &scan["answer"], &scan["reason"]);
        assert_eq!((status, said), (202, (&json!("queued"), &json!(null), &json!(null))));
    }
    let job = gateway.mesh.claim(&failed).await;
    gateway.mesh.complete(&job, Answer::Found, &[]).await;
    let (status, _, body) = problem(retry(&failed).send().await.unwrap()).await;
    assert!(status == 409 && body["detail"].as_str().unwrap().contains("has an answer"), "{body}");
    assert_eq!(problem(retry("nobody").send().await.unwrap()).await.0, 404);
}

#[tokio::test]
async fn a_deleted_scan_is_gone_and_its_batch_says_so() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let batch = gateway.mesh.batch(&scan).await;
    let path = format!("/v1/scans/{scan}");
    let (_, listed) = json(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!(listed["batch"], batch.id);

    let delete = || gateway.request(Method::DELETE, &path);
    let elsewhere = gateway.client.delete(format!("{}{path}", gateway.url));
    let elsewhere = elsewhere.bearer_auth(gateway.mesh.token_elsewhere());
    assert_eq!(problem(elsewhere.send().await.unwrap()).await.0, 404);
    for _ in 0..2 {
        assert_eq!(delete().send().await.unwrap().status(), 204);
    }
    for part in ["", "/result", "/image.png", "/thumbnail.png", "/identity", "/events"] {
        let answer = gateway.get(&format!("{path}{part}")).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 404, "{part}");
    }
    let batch = format!("/v1/batches/{}", batch.id);
    let (status, shown) = json(gateway.get(&batch).send().await.unwrap()).await;
    let entry = json!({ "name": "", "scan": null, "refusal": null, "series": null });
    assert_eq!((status, &shown["done"], &shown["entries"][0]), (200, &json!(true), &entry));
    assert_eq!(gateway.get(&format!("{batch}/result.zip")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn scans_of_a_study_have_its_name_and_no_number() {
    let gateway = Gateway::start().await;
    let (study_uid, reference) = ("1.2.840.99".into(), "order 7".into());
    let known = AcceptHeader { study_uid, reference, ..AcceptHeader::default() };
    let one = gateway.mesh.accept(known.clone()).await;
    let two = gateway.mesh.accept(known).await;
    gateway.mesh.queued().await;
    let (_, page) = json(gateway.get("/v1/scans").send().await.unwrap()).await;
    let of = |id: &str| {
        let scans = page["scans"].as_array().unwrap();
        scans.iter().find(|scan| scan["id"] == id).unwrap()["study"].clone()
    };
    assert_eq!((of(&one).as_str().unwrap().len(), of(&one)), (32, of(&two)));
    assert_eq!(
        page["scans"].as_array().unwrap().iter().filter(|scan| scan["study"].is_null()).count(),
        1
    );
    assert!(!page.to_string().contains("1.2.840.99"));
}
