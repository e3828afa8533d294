use serde_json::{Value, json};
use service::claims::{LIFETIME_S, Role};

use crate::mesh::{PASSWORD, USER};
use crate::{Gateway, json, problem};

#[tokio::test]
async fn a_user_signs_in_by_form_or_by_json_and_goes_on_with_the_refresh_token() {
    let gateway = Gateway::start().await;
    let fields = json!({"grant_type": "password", "username": USER, "password": PASSWORD});
    let url = format!("{}/v1/token", gateway.url);
    let by_json = gateway.client.post(&url).json(&fields).send().await.unwrap();
    assert_eq!(by_json.headers()["cache-control"], "no-store");
    let (status, by_json) = json(by_json).await;
    let (access, refresh) = (&by_json["access_token"], &by_json["refresh_token"]);
    let expected = json!({"access_token": access, "token_type": "Bearer", "expires_in": LIFETIME_S, "refresh_token": refresh});
    assert_eq!((status, &by_json), (200, &expected));
    let scans = gateway.client.get(format!("{}/v1/scans", gateway.url));
    let scans = scans.bearer_auth(access.as_str().unwrap()).send().await.unwrap();
    assert_eq!(scans.status(), 200);

    let password = PASSWORD.replace(' ', "+");
    let form = format!("grant_type=password&username={USER}&password={password}&scope=all");
    let by_form = gateway
        .client
        .post(&url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let (status, by_form) = json(by_form.send().await.unwrap()).await;
    let names = |token: &Value| token.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((status, names(&by_form)), (200, names(&expected)));

    let renewed = gateway
        .client
        .post(&url)
        .json(&json!({"grant_type": "refresh_token", "refresh_token": refresh}));
    let (status, renewed) = json(renewed.send().await.unwrap()).await;
    assert_eq!((status, names(&renewed)), (200, names(&expected)));
    assert_ne!(&renewed["refresh_token"], refresh);
}

#[tokio::test]
async fn an_api_client_signs_in_with_basic_and_has_no_refresh_token() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let pacs = json!({"name": "pacs", "roles": ["integrator"]});
    let (_, pacs) = json(gateway.post("/v1/clients").json(&pacs).send().await.unwrap()).await;
    let (id, secret) = (pacs["client_id"].as_str().unwrap(), pacs["client_secret"].as_str());
    let request = gateway.client.post(format!("{}/v1/token", gateway.url)).basic_auth(id, secret);
    let request = request.json(&json!({"grant_type": "client_credentials"}));
    let (status, token) = json(request.send().await.unwrap()).await;
    assert_eq!((status, token.get("refresh_token")), (200, None));
    assert!(token["access_token"].is_string(), "{token}");
}

#[tokio::test]
async fn what_is_wrong_with_a_sign_in_has_oauths_name() {
    let gateway = Gateway::start().await;
    for (fields, status, error) in [
        (
            json!({"grant_type": "password", "username": USER, "password": "wrong"}),
            401,
            "invalid_grant",
        ),
        (json!({"grant_type": "password", "username": USER}), 400, "invalid_request"),
        (
            json!({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}),
            401,
            "invalid_client",
        ),
        (json!({"grant_type": "refresh_token", "refresh_token": "used"}), 401, "invalid_grant"),
        (json!({"grant_type": "magic"}), 400, "unsupported_grant_type"),
        (json!({"username": "ada"}), 422, "invalid_request"),
    ] {
        let answer = gateway
            .client
            .post(format!("{}/v1/token", gateway.url))
            .json(&fields)
            .send()
            .await
            .unwrap();
        let challenged = answer.headers().contains_key("www-authenticate");
        let (said, _, body) = problem(answer).await;
        assert_eq!(
            (said, body["error"].as_str(), challenged),
            (status, Some(error), status == 401),
            "{fields}"
        );
    }
}

#[tokio::test]
async fn signing_out_needs_no_access_token() {
    let gateway = Gateway::start().await;
    let url = format!("{}/v1/token", gateway.url);
    let fields = json!({"grant_type": "password", "username": USER, "password": PASSWORD});
    let (_, token) = json(gateway.client.post(&url).json(&fields).send().await.unwrap()).await;
    let refresh = &token["refresh_token"];
    let request = gateway.client.post(format!("{url}/revoke")).json(&json!({"token": refresh}));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let again = json!({"grant_type": "refresh_token", "refresh_token": refresh});
    let again = gateway.client.post(&url).json(&again).send().await.unwrap();
    assert_eq!(again.status(), 401);
}

#[tokio::test]
async fn json_has_no_other_fields_than_the_form() {
    let gateway = Gateway::start().await;
    for path in ["/v1/token", "/v1/token/revoke"] {
        let request = gateway.client.post(format!("{}{path}", gateway.url));
        let fields = json!({"grant_type": "password", "token": "once", "surely_unknown": 1});
        let (status, name, body) = problem(request.json(&fields).send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (400, "invalid"), "{path}");
        assert!(body["detail"].as_str().unwrap().starts_with("unknown field"), "{body}");
    }
}

#[tokio::test]
async fn the_key_set_is_public() {
    let gateway = Gateway::start().await;
    let answer =
        gateway.client.get(format!("{}/.well-known/jwks.json", gateway.url)).send().await.unwrap();
    let (status, keys) = json(answer).await;
    assert_eq!((status, keys["keys"][0]["crv"].as_str()), (200, Some("Ed25519")));
}

#[tokio::test]
async fn the_keys_of_results_are_public_and_others_than_those_of_tokens() {
    let gateway = Gateway::start().await;
    let set = async |name: &str| {
        let address = format!("{}/.well-known/{name}", gateway.url);
        json(gateway.client.get(address).send().await.unwrap()).await
    };
    let ((status, results), (_, tokens)) = (set("result-keys.json").await, set("jwks.json").await);
    assert_eq!((status, results["keys"][0]["crv"].as_str()), (200, Some("Ed25519")));
    assert_ne!(results["keys"][0]["kid"], tokens["keys"][0]["kid"]);
}

#[tokio::test]
async fn users_are_managed_through_auth() {
    let gateway = Gateway::start().await;
    let (status, name, _) = problem(gateway.get("/v1/users").send().await.unwrap()).await;
    assert_eq!((status, name.as_str()), (403, "forbidden"));

    let gateway = gateway.signed_in_as(Role::Admin);
    let password = "a rather long one";
    let grace = json!({"user_name": "grace", "password": password, "roles": ["clinician"]});
    let (status, user) = json(gateway.post("/v1/users").json(&grace).send().await.unwrap()).await;
    let expected = json!({
        "id": user["id"], "user_name": "grace", "roles": ["clinician"], "state": "active", "signed_in_at": null,
    });
    assert_eq!((status, &user), (201, &expected));

    let ada = json!({"user_name": USER, "password": password, "roles": ["clinician"]});
    let (status, name, _) =
        problem(gateway.post("/v1/users").json(&ada).send().await.unwrap()).await;
    assert_eq!((status, name.as_str()), (409, "conflict"));

    let (status, all) = json(gateway.get("/v1/users").send().await.unwrap()).await;
    let users = all["users"].as_array().unwrap();
    let names: Vec<_> = users.iter().map(|user| user["user_name"].as_str().unwrap()).collect();
    assert_eq!((status, names), (200, vec![USER, "grace"]));
    assert_eq!(users[1], user);

    let pacs = json!({"name": "pacs", "roles": ["integrator"]});
    let (status, client) =
        json(gateway.post("/v1/clients").json(&pacs).send().await.unwrap()).await;
    assert_eq!((status, &client["name"]), (201, &json!("pacs")));
    assert!(client["client_secret"].as_str().is_some_and(|secret| !secret.is_empty()));
}
