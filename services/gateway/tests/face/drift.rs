use serde_json::json;

use crate::{Gateway, json};

#[tokio::test]
async fn a_report_is_json_for_programs_and_a_page_for_people() {
    let gateway = Gateway::start().await;
    let answer = gateway.post("/v1/drift/reports").send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/v1/drift/reports/r1");
    assert_eq!(json(answer).await, (201, json!({"from_ms": 0, "to_ms": 0})));

    let answer =
        gateway.post("/v1/drift/reports").json(&json!({"from_ms": 7})).send().await.unwrap();
    assert_eq!(json(answer).await.1, json!({"from_ms": 7, "to_ms": 0}));

    let page =
        gateway.post("/v1/drift/reports").header("accept", "text/html").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert_eq!(page.text().await.unwrap(), "<h1>Drift</h1>");

    assert_eq!(
        json(gateway.get("/v1/drift/reports/r1").send().await.unwrap()).await,
        (200, json!({"id": "r1"}))
    );
    let page = gateway.get("/v1/drift/reports/r1.html").send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
}
