use std::path::Path;

use serde_json::{Value, json};

use crate::{Gateway, json};

async fn served() -> Value {
    let gateway = Gateway::start().await;
    let (status, document) =
        json(gateway.client.get(format!("{}/openapi.json", gateway.url)).send().await.unwrap())
            .await;
    assert_eq!(status, 200);
    document
}

/// `UPDATE_OPENAPI=1 cargo test -p gateway` writes the snapshot anew; a change of the face shows in review.
#[tokio::test]
async fn the_description_of_the_face_is_the_one_in_the_repository() {
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let served = serde_json::to_string_pretty(&served().await).unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&snapshot, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&snapshot).unwrap();
    assert!(
        served == kept,
        "the REST face has changed: run UPDATE_OPENAPI=1 cargo test -p gateway"
    );
}

#[tokio::test]
async fn every_answer_is_described_and_every_failure_is_a_problem() {
    let document = served().await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let described =
                    response["description"].as_str().is_some_and(|words| !words.is_empty());
                assert!(described, "{method} {path} {status}");
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                let failure = status.starts_with(['4', '5']);
                assert_eq!(
                    failure,
                    problem == &json!("#/components/schemas/Problem"),
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_operation_has_its_own_id() {
    let document = served().await;
    let text = document.to_string();
    for reference in
        text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap())
    {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
    let paths = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<_> =
        paths.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
}
