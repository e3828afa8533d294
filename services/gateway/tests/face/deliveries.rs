use reqwest::Method;
use serde_json::json;
use service::claims::Role;

use crate::{Gateway, json, problem};

fn webhook() -> serde_json::Value {
    json!({ "name": "reports", "kind": "webhook", "url": "https://ris.example/hook", "formats": ["cloudevent"] })
}

#[tokio::test]
async fn an_admin_says_where_results_go_and_the_secret_is_shown_once() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let made = gateway.post("/v1/destinations").json(&webhook()).send().await.unwrap();
    let (status, made) = json(made).await;
    assert_eq!((status, &made["kind"], &made["enabled"]), (201, &json!("webhook"), &json!(true)));
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    let listed = gateway.get("/v1/destinations").send().await.unwrap();
    let (_, listed) = json(listed).await;
    let own = &listed["destinations"][0];
    assert_eq!((&own["id"], &own["has_secret"]), (&made["id"], &json!(true)));
    assert!(own.get("secret").is_none() && !listed.to_string().contains("whsec_"), "{listed}");

    let path = format!("/v1/destinations/{}", made["id"].as_str().unwrap());
    let change = json!({ "enabled": false, "name": "the reporting system" });
    let changed = gateway.request(Method::PATCH, &path).json(&change).send().await.unwrap();
    let (status, changed) = json(changed).await;
    assert_eq!((status, &changed["enabled"]), (200, &json!(false)));
    assert_eq!((&changed["name"], &changed["url"]), (&change["name"], &made["url"]));
    for status in [204, 404] {
        let removed = gateway.request(Method::DELETE, &path).send().await.unwrap();
        assert_eq!(removed.status().as_u16(), status);
    }
}

#[tokio::test]
async fn results_are_pushed_to_no_address_that_only_this_service_reaches() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    for url in ["http://ris.example/", "https://169.254.169.254/", "https://10.0.0.1/", "no URL"] {
        let mut webhook = webhook();
        webhook["url"] = url.into();
        let refused = gateway.post("/v1/destinations").json(&webhook).send().await.unwrap();
        assert_eq!(problem(refused).await.0, 400, "{url}");
    }
}

#[tokio::test]
async fn only_admins_decide_and_only_they_and_integrators_look() {
    for (role, decides, looks) in [
        (Role::Clinician, 403, 403),
        (Role::Scientist, 403, 403),
        (Role::Integrator, 403, 200),
        (Role::Admin, 201, 200),
    ] {
        let gateway = Gateway::start().await.signed_in_as(role);
        let decided = gateway.post("/v1/destinations").json(&webhook()).send().await.unwrap();
        assert_eq!(decided.status().as_u16(), decides, "{role:?}");
        let seen = gateway.get("/v1/deliveries?state=failed&limit=5").send().await.unwrap();
        assert_eq!(seen.status().as_u16(), looks, "{role:?}");
    }
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let none = "/v1/deliveries/01890a5d-ac96-774b-bcce-b302099a8057/again";
    assert_eq!(problem(gateway.post(none).send().await.unwrap()).await.0, 404);
    let strange = gateway.get("/v1/deliveries?state=lost").send().await.unwrap();
    assert_eq!(problem(strange).await.0, 400);
}
