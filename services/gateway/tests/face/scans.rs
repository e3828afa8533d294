use serde_json::json;

use crate::{Gateway, json, problem};

#[tokio::test]
async fn a_scan_is_shown_with_the_names_of_the_contract() {
    let gateway = Gateway::start().await;
    let (status, scan) = json(gateway.get("/v1/scans/failed").send().await.unwrap()).await;
    let expected = json!({
        "id": "failed", "state": "done", "answer": "failed", "reason": "the worker died three times",
        "accepted_ms": 1_700_000_000_000_u64, "completed_ms": 1_700_000_001_000_u64, "format": "png", "modality": null,
        "shape": [1, 64, 64], "original_sha256": "0a".repeat(32), "volume_sha256": "0b".repeat(32),
        "priority": "routine", "attempt": 1, "repeated": false,
    });
    assert_eq!((status, scan), (200, expected));
}

#[tokio::test]
async fn a_list_leads_to_its_next_page_and_ends() {
    let gateway = Gateway::start().await;
    let first = gateway.get("/v1/scans?limit=2").send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(link, r#"</v1/scans?limit=2&cursor=a%2Bb%2Fc%3D>; rel="next""#);
    let (_, page) = json(first).await;
    assert_eq!(
        (page["scans"].as_array().unwrap().len(), page["next_cursor"].as_str()),
        (2, Some("a+b/c="))
    );

    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let last = gateway.get(next).send().await.unwrap();
    assert!(!last.headers().contains_key("link"));
    assert_eq!(json(last).await.1["next_cursor"], json!(null));

    for limit in ["0", "201", "-1", "many"] {
        let answer = gateway.get(&format!("/v1/scans?limit={limit}")).send().await.unwrap();
        assert_eq!(problem(answer).await.0, 400, "{limit}");
    }
}
