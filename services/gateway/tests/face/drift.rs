use serde_json::json;
use service::claims::Role;

use crate::mesh::NOW_MS;
use crate::{Gateway, json};

#[tokio::test]
async fn a_report_is_json_for_programs_and_a_page_for_people() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    let answer = gateway.post("/v1/drift/reports").send().await.unwrap();
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    let (status, report) = json(answer).await;
    assert_eq!(place, format!("/v1/drift/reports/{}", report["id"].as_str().unwrap()));
    let window = (&report["from_ms"], &report["to_ms"]);
    assert_eq!((status, window), (201, (&json!(0), &json!(NOW_MS))));

    let window = json!({"from_ms": 7, "to_ms": 9});
    let answer = gateway.post("/v1/drift/reports").json(&window).send().await.unwrap();
    let (_, of_window) = json(answer).await;
    assert_eq!((&of_window["from_ms"], &of_window["to_ms"]), (&json!(7), &json!(9)));
    let window = json!({"from_ms": 7});
    let answer = gateway.post("/v1/drift/reports").json(&window).send().await.unwrap();
    let (_, of_window) = json(answer).await;
    assert_eq!((&of_window["from_ms"], &of_window["to_ms"]), (&json!(7), &json!(NOW_MS)));

    let page =
        gateway.post("/v1/drift/reports").header("accept", "text/html").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(page.text().await.unwrap().contains("<h1>Drift report"));

    assert_eq!(json(gateway.get(&place).send().await.unwrap()).await, (200, report));
    let page = gateway.get(&format!("{place}.html")).send().await.unwrap();
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'")
    );
}
