//! How much may be sent: who says so, and who is told.

use reqwest::Method;
use serde_json::{Value, json};
use service::claims::Role;

use crate::{Gateway, json, problem};

async fn put(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    json(gateway.request(Method::PUT, path).json(body).send().await.unwrap()).await
}

#[tokio::test]
async fn limits_are_set_by_operators_and_admins_and_what_is_left_is_told_with_each_upload() {
    let mut gateway = Gateway::start().await;
    gateway.token = gateway.mesh.operator_token();
    let (_, listed) = json(gateway.get("/v1/tenants").send().await.unwrap()).await;
    let path = format!("/v1/tenants/{}/limits", listed["tenants"][0]["id"].as_str().unwrap());
    let new = json!({"scans_per_day": 1000, "jobs": 7, "stored_bytes": 900});
    let (status, set) = put(&gateway, &path, &new).await;
    let hospital = json!({
        "scans_per_day": 1000, "bytes_per_day": null, "jobs": 7, "stored_bytes": 900,
        "used": {"scans": 0, "bytes": 0, "jobs": 0, "stored_bytes": 0},
        "decided_by": "tester", "decided_at": "2023-11-14T22:13:20.000Z",
    });
    assert_eq!((status, &set), (200, &hospital));
    assert_eq!(json(gateway.get(&path).send().await.unwrap()).await, (200, hospital.clone()));
    let nowhere = "/v1/tenants/01890a5d-ac96-774b-bcce-b302099a8057/limits";
    for (path, body, status) in [
        (path.as_str(), json!({"jobs": 0}), 400),
        (path.as_str(), json!({"stored_bytes": 0}), 400),
        (path.as_str(), json!({"bytes": 1}), 400),
        (path.as_str(), json!({"jobs": "many"}), 422),
        (nowhere, json!({"jobs": 1}), 404),
    ] {
        let refused = gateway.request(Method::PUT, path).json(&body).send().await.unwrap();
        assert_eq!(problem(refused).await.0, status, "{body}");
    }

    gateway.token = gateway.mesh.token(Role::Admin);
    let refused = gateway.request(Method::PUT, &path).json(&json!({})).send().await.unwrap();
    assert_eq!(problem(refused).await.0, 403);
    let pacs = json!({"name": "pacs", "roles": ["integrator"]});
    let (_, made) = json(gateway.post("/v1/clients").json(&pacs).send().await.unwrap()).await;
    let of_client = format!("/v1/clients/{}/limits", made["client_id"].as_str().unwrap());
    assert_eq!(put(&gateway, &of_client, &json!({"jobs": 8})).await.0, 400);
    assert_eq!(put(&gateway, &of_client, &json!({"stored_bytes": 8})).await.0, 400);
    let (status, set) = put(&gateway, &of_client, &json!({"jobs": 3})).await;
    assert_eq!((status, &set["jobs"], &set["scans_per_day"]), (200, &json!(3), &json!(null)));
    assert_eq!(set["used"]["stored_bytes"], json!(null));
    let nobody = "/v1/clients/01890a5d-ac96-774b-bcce-b302099a8057/limits";
    assert_eq!(put(&gateway, nobody, &json!({"jobs": 1})).await.0, 404);
    let all = json(gateway.get("/v1/limits").send().await.unwrap()).await;
    let clients = json!([{"client_id": made["client_id"], "limits": set}]);
    assert_eq!(all, (200, json!({"hospital": hospital, "clients": clients})));

    let id = made["client_id"].as_str().unwrap();
    gateway.token = gateway.mesh.token_of(id, Role::Integrator);
    for path in ["/v1/scans", "/v1/batches"] {
        let sent = gateway.post(path).body("pixels").send().await.unwrap();
        assert_eq!(sent.status(), 202, "{path}");
        let policy = concat!(
            r#""scans";q=1000;w=86400, "jobs";q=7;qu="concurrent-requests", "#,
            r#""stored";q=900;qu="content-bytes", "client-jobs";q=3;qu="concurrent-requests""#
        );
        assert_eq!(sent.headers()["ratelimit-policy"], policy, "{path}");
        let left = r#""scans";r=1000;t=6400, "jobs";r=7, "stored";r=900, "client-jobs";r=3"#;
        assert_eq!(sent.headers()["ratelimit"], left, "{path}");
    }
    // As storage refuses what finds no room.
    let refused = gateway.post("/v1/scans").body("no room").send().await.unwrap();
    let told = ["retry-after", "ratelimit"].map(|name| refused.headers()[name].clone());
    assert!(told[0] == "600" && told[1].to_str().unwrap().contains(r#""stored";r=900"#));
    let (status, kind, body) = problem(refused).await;
    assert_eq!((status, kind.as_str()), (429, "too-many-requests"));
    assert!(body["detail"].as_str().unwrap().contains("delete scans"), "{body}");
    let looked = gateway.get("/v1/scans").send().await.unwrap();
    assert!(looked.status() == 200 && !looked.headers().contains_key("ratelimit"));
    assert_eq!(problem(gateway.get("/v1/limits").send().await.unwrap()).await.0, 403);
}
