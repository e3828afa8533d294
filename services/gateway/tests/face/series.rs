use serde_json::json;
use service::claims::Role;

use crate::{Gateway, json, problem};

#[tokio::test]
async fn a_rule_about_series_is_set_listed_and_taken_back_by_an_admin() {
    let mut gateway = Gateway::start().await;
    let rule = json!({ "contains": "FLAIR", "preference": "never", "site": "North" });
    let refused = gateway.post("/v1/series-rules").json(&rule).send().await.unwrap();
    assert_eq!(problem(refused).await.0, 403);

    gateway.token = gateway.mesh.token(Role::Admin);
    let kept = json(gateway.post("/v1/series-rules").json(&rule).send().await.unwrap()).await;
    let expected = json!({
        "id": kept.1["id"], "contains": "FLAIR", "preference": "never", "site": "North",
        "decided_by": "tester", "decided_at": kept.1["decided_at"],
    });
    assert_eq!(kept, (201, expected.clone()));
    for (body, status) in [
        (json!({ "contains": " ", "preference": "never" }), 400),
        (json!({ "contains": "x".repeat(65), "preference": "never" }), 400),
        (json!({ "contains": "x", "preference": "never", "site": "" }), 400),
        (json!({ "contains": "x", "preference": "sometimes" }), 422),
        (json!({ "contains": "x" }), 422),
    ] {
        let refused = gateway.post("/v1/series-rules").json(&body).send().await.unwrap();
        assert_eq!(problem(refused).await.0, status, "{body}");
    }
    let listed = json(gateway.get("/v1/series-rules").send().await.unwrap()).await;
    assert_eq!(listed, (200, json!({ "rules": [expected] })));

    let path = format!("/v1/series-rules/{}", kept.1["id"].as_str().unwrap());
    for status in [204, 404] {
        let removed = gateway.request(reqwest::Method::DELETE, &path).send().await.unwrap();
        assert_eq!(removed.status(), status);
    }
}
