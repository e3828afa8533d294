//! Accounts, API clients and hospitals, after they were made.

use reqwest::Method;
use serde_json::{Value, json};
use service::claims::Role;

use crate::mesh::{PASSWORD, USER};
use crate::{Gateway, json, problem};

const OTHER: &str = "another long and right one";

/// Signs in; the status, and what was answered.
async fn sign_in(gateway: &Gateway, user: &str, password: &str) -> (u16, Value) {
    let fields = json!({"grant_type": "password", "username": user, "password": password});
    let request = gateway.client.post(format!("{}/v1/token", gateway.url)).json(&fields);
    json(request.send().await.unwrap()).await
}

async fn use_link(gateway: &Gateway, token: &Value, password: &str) -> (u16, Value) {
    let wish = json!({"token": token, "password": password});
    let url = format!("{}/v1/password-links/use", gateway.url);
    json(gateway.client.post(url).json(&wish).send().await.unwrap()).await
}

#[tokio::test]
async fn somebody_is_invited_changed_disabled_and_deleted() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let bob = json!({"user_name": "bob", "roles": ["clinician"]});
    let made = gateway.post("/v1/invitations").json(&bob).send().await.unwrap();
    assert_eq!(made.headers()["cache-control"], "no-store");
    let (status, link) = json(made).await;
    assert_eq!((status, &link["user"]["state"]), (201, &json!("invited")));
    assert_eq!(link["expires_at"], "2023-11-17T22:13:20.000Z", "in three days");
    let (status, used) = use_link(&gateway, &link["token"], PASSWORD).await;
    assert_eq!((status, used), (200, json!({"user_name": "bob"})));
    assert_eq!(use_link(&gateway, &link["token"], OTHER).await.0, 404);
    assert_eq!(sign_in(&gateway, "bob", PASSWORD).await.0, 200);

    let path = format!("/v1/users/{}", link["user"]["id"].as_str().unwrap());
    let change = async |wish: Value| {
        json(gateway.request(Method::PATCH, &path).json(&wish).send().await.unwrap()).await
    };
    let (status, changed) = change(json!({"roles": ["scientist"]})).await;
    assert_eq!((status, &changed["roles"]), (200, &json!(["scientist"])));
    assert_eq!(change(json!({"roles": []})).await.0, 400);
    let (_, sessions) = json(gateway.get(&format!("{path}/sessions")).send().await.unwrap()).await;
    let session = sessions["sessions"][0]["id"].as_str().unwrap();
    let session = format!("{path}/sessions/{session}");
    let end = async || gateway.request(Method::DELETE, &session).send().await.unwrap().status();
    assert_eq!((end().await.as_u16(), end().await.as_u16()), (204, 404));
    let (_, link) =
        json(gateway.post(&format!("{path}/password-link")).send().await.unwrap()).await;
    assert_eq!(use_link(&gateway, &link["token"], OTHER).await.0, 200);
    let (_, disabled) = change(json!({"disabled": true})).await;
    assert_eq!(disabled["state"], "disabled");
    assert_eq!(sign_in(&gateway, "bob", OTHER).await.0, 401);
    let delete = async || gateway.request(Method::DELETE, &path).send().await.unwrap().status();
    assert_eq!((delete().await.as_u16(), delete().await.as_u16()), (204, 404));
}

#[tokio::test]
async fn somebody_sees_their_own_account_and_changes_their_password() {
    let mut gateway = Gateway::start().await;
    let (_, tokens) = sign_in(&gateway, USER, PASSWORD).await;
    gateway.token = tokens["access_token"].as_str().unwrap().to_owned();
    let (status, account) = json(gateway.get("/v1/account").send().await.unwrap()).await;
    assert_eq!((status, &account["user"]["user_name"]), (200, &json!(USER)));
    assert_eq!(
        (&account["tenant"], &account["languages"]),
        (&json!("the hospital"), &json!(["en"]))
    );
    let (_, sessions) = json(gateway.get("/v1/account/sessions").send().await.unwrap()).await;
    assert_eq!(sessions["sessions"][0]["place"], "127.0.0.1");

    let wish = json!({"password": "a guess", "new_password": OTHER});
    let guess = gateway.post("/v1/account/password").json(&wish).send().await.unwrap();
    assert_eq!(problem(guess).await.0, 403);
    let wish = json!({"password": PASSWORD, "new_password": OTHER});
    let changed = gateway.post("/v1/account/password").json(&wish).send().await.unwrap();
    let (status, tokens) = json(changed).await;
    assert!(status == 200 && tokens["refresh_token"].is_string(), "{tokens}");
    // At auth the token of before is worth nothing any more.
    let (status, _, _) = problem(gateway.get("/v1/account").send().await.unwrap()).await;
    assert_eq!(status, 401);
    assert_eq!(sign_in(&gateway, USER, PASSWORD).await.0, 401);
    assert_eq!(sign_in(&gateway, USER, OTHER).await.0, 200);
    // And by the same request that signs in.
    let fields = json!({
        "grant_type": "password", "username": USER, "password": OTHER, "new_password": PASSWORD,
    });
    let request = gateway.client.post(format!("{}/v1/token", gateway.url)).json(&fields);
    assert_eq!(json(request.send().await.unwrap()).await.0, 200);
    assert_eq!(sign_in(&gateway, USER, PASSWORD).await.0, 200);
}

#[tokio::test]
async fn a_client_is_confined_to_its_sections_rotated_and_deleted() {
    let mut gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let scan = gateway.mesh.done().await;
    let pacs = json!({"name": "pacs", "roles": ["integrator"], "scopes": ["results"]});
    let (status, made) = json(gateway.post("/v1/clients").json(&pacs).send().await.unwrap()).await;
    assert_eq!(status, 201, "{made}");
    for (wrong, status) in [
        (json!({"name": "pacs", "roles": ["integrator"], "scopes": ["users"]}), 400),
        (json!({"name": "pacs", "roles": ["integrator"], "expires_at": "tomorrow"}), 400),
        (
            json!({"name": "pacs", "roles": ["integrator"], "expires_at": "1970-01-01T00:00:00Z"}),
            400,
        ),
    ] {
        let refused = gateway.post("/v1/clients").json(&wrong).send().await.unwrap();
        assert_eq!(problem(refused).await.0, status, "{wrong}");
    }
    let id = made["client_id"].as_str().unwrap();
    let token = async |secret: &Value| {
        let fields = json!({
            "grant_type": "client_credentials", "client_id": id, "client_secret": secret,
        });
        let request = gateway.client.post(format!("{}/v1/token", gateway.url)).json(&fields);
        json(request.send().await.unwrap()).await
    };
    let (_, confined) = token(&made["client_secret"]).await;
    let path = format!("/v1/clients/{id}");
    let rotation = format!("{path}/rotation");
    let (status, second) = json(gateway.post(&rotation).send().await.unwrap()).await;
    assert_eq!(status, 201, "{second}");
    assert_eq!(token(&made["client_secret"]).await.0, 200);
    assert_eq!(token(&second["client_secret"]).await.0, 200);
    let ended = gateway.request(Method::DELETE, &rotation).send().await.unwrap();
    let (status, ended) = json(ended).await;
    assert_eq!(
        (status, &ended["rotating"], &ended["scopes"]),
        (200, &json!(false), &json!(["results"]))
    );
    assert_eq!(token(&made["client_secret"]).await.0, 401);
    let disabled = gateway.request(Method::PATCH, &path).json(&json!({"disabled": true}));
    assert_eq!(json(disabled.send().await.unwrap()).await.1["disabled"], true);
    assert_eq!(token(&second["client_secret"]).await.0, 401);
    let deleted = gateway.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let (_, listed) = json(gateway.get("/v1/clients").send().await.unwrap()).await;
    assert_eq!(listed, json!({"clients": []}));

    // Storage has not heard of it yet; where it may go, the gateway says.
    gateway.token = confined["access_token"].as_str().unwrap().to_owned();
    let result = gateway.get(&format!("/v1/scans/{scan}/result")).send().await.unwrap();
    assert_eq!(result.status(), 200);
    for path in ["/v1/scans", "/v1/clients", "/v1/account"] {
        let (status, name, _) = problem(gateway.get(path).send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (403, "forbidden"), "{path}");
    }
}

#[tokio::test]
async fn an_operator_makes_a_hospital_and_sees_nothing_of_it() {
    let mut gateway = Gateway::start().await;
    gateway.token = gateway.mesh.operator_token();
    let new = json!({"name": "Charité", "admin_user_name": "rudolf", "languages": ["fr"], "users_max": 7});
    let (status, made) = json(gateway.post("/v1/tenants").json(&new).send().await.unwrap()).await;
    assert_eq!((status, &made["tenant"]["state"]), (201, &json!("active")), "{made}");
    assert_eq!(made["tenant"]["users_max"], 7);
    assert_eq!(use_link(&gateway, &made["invitation"]["token"], PASSWORD).await.0, 200);
    let again = gateway.post("/v1/tenants").json(&new).send().await.unwrap();
    assert_eq!(problem(again).await.0, 409);

    let path = format!("/v1/tenants/{}", made["tenant"]["id"].as_str().unwrap());
    let (_, shown) = json(gateway.get(&path).send().await.unwrap()).await;
    assert_eq!(shown, made["tenant"]);
    let renamed = gateway.request(Method::PATCH, &path).json(&json!({"name": "Hôpital"}));
    assert_eq!(json(renamed.send().await.unwrap()).await.1["name"], "Hôpital");
    let (_, export) = json(gateway.get(&format!("{path}/export")).send().await.unwrap()).await;
    assert_eq!(export["users"][0]["user_name"], "rudolf");
    let set = async |state: &str| {
        let request = gateway.request(Method::PUT, &format!("{path}/state"));
        json(request.json(&json!({"state": state})).send().await.unwrap()).await
    };
    assert_eq!(set("suspended").await.1["state"], "suspended");
    assert_eq!(sign_in(&gateway, "rudolf", PASSWORD).await.0, 401);
    assert_eq!(set("active").await.0, 200);
    assert_eq!(sign_in(&gateway, "rudolf", PASSWORD).await.0, 200);
    assert_eq!(set("closed").await.0, 200);
    assert_eq!(set("active").await.0, 409);

    for path in
        ["/v1/scans", "/v1/users", "/v1/clients", "/v1/models", "/v1/quality", "/v1/incidents"]
    {
        let (status, name, _) = problem(gateway.get(path).send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (403, "forbidden"), "{path}");
    }
}

fn provider() -> Value {
    json!({"name": "st-marys", "issuer": "https://idp.example", "client_id": "medseg"})
}

#[tokio::test]
async fn a_sign_in_needs_a_code_once_a_second_factor_is_asked_for() {
    let mut gateway = Gateway::start().await;
    let (_, tokens) = sign_in(&gateway, USER, PASSWORD).await;
    gateway.token = gateway.mesh.token(Role::Admin);
    let rule = json!({"second_factor_required": true});
    let put = gateway.request(Method::PUT, "/v1/sign-in-rules").json(&rule).send().await.unwrap();
    assert_eq!(json(put).await, (200, rule));
    let (status, told) = sign_in(&gateway, USER, PASSWORD).await;
    assert_eq!((status, &told["type"]), (403, &json!("/problems/second-factor")));
    assert_eq!(told["error"], "invalid_grant");
    let address = told["second_factor"].as_str().unwrap();
    assert!(address.starts_with("otpauth://totp/medseg:"), "{address}");
    let wrong = json!({
        "grant_type": "password", "username": USER, "password": PASSWORD, "one_time_code": "abcdef",
    });
    let request = gateway.client.post(format!("{}/v1/token", gateway.url)).json(&wrong);
    assert_eq!(problem(request.send().await.unwrap()).await.0, 401);

    // Whoever is signed in stays so, and sees what is asked for.
    gateway.token = tokens["access_token"].as_str().unwrap().to_owned();
    let (_, account) = json(gateway.get("/v1/account").send().await.unwrap()).await;
    let said = (&account["has_second_factor"], &account["second_factor_required"]);
    assert_eq!(said, (&json!(false), &json!(true)));
    let begin = json!({"password": PASSWORD});
    let begun = gateway.post("/v1/account/second-factor").json(&begin).send().await.unwrap();
    let (status, begun) = json(begun).await;
    let another = begun["address"].as_str().unwrap();
    assert!(status == 200 && another.starts_with("otpauth://totp/medseg:"), "{begun}");
    assert_ne!(another, address, "what somebody else may have been shown makes no codes");
    // Where browsers reach this installation nobody has said: keys would be of no name.
    let (_, keys) = json(gateway.get("/v1/account/security-keys").send().await.unwrap()).await;
    assert_eq!(keys, json!({"keys": [], "offered": false}));
    let options = gateway.post("/v1/account/security-keys/options").json(&begin);
    let (status, _, said) = problem(options.send().await.unwrap()).await;
    assert!(status == 409 && said.to_string().contains("PUBLIC_URL"), "{said:?}");
    let none = gateway.post("/v1/account/security-keys/challenge").send().await.unwrap();
    assert_eq!(problem(none).await.0, 404);
    let code = json!({"one_time_code": "abcdef"});
    let confirm = gateway.post("/v1/account/second-factor/codes").json(&code).send().await.unwrap();
    assert_eq!(problem(confirm).await.0, 403);
}

#[tokio::test]
async fn nobody_is_sent_to_a_provider_that_is_not_there() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let nowhere = gateway.client.get(format!("{}/v1/sign-in/st-marys", gateway.url));
    assert_eq!(problem(nowhere.send().await.unwrap()).await.0, 404);
    let answer = json!({"state": "x", "code": "y"});
    let back = gateway.client.post(format!("{}/v1/sign-in/st-marys", gateway.url)).json(&answer);
    assert_eq!(problem(back.send().await.unwrap()).await.0, 404);
    assert_eq!(problem(gateway.get("/v1/provider").send().await.unwrap()).await.0, 404);
    // Where browsers reach this installation nobody has said.
    let put = gateway.request(Method::PUT, "/v1/provider").json(&provider()).send().await.unwrap();
    let (status, _, said) = problem(put).await;
    assert_eq!(status, 409);
    assert!(said.to_string().contains("PUBLIC_URL"), "{said:?}");
}

/// Each route of accounts, with an id of whatever it is about.
fn routes(user: &str, client: &str, tenant: &str) -> Vec<(Method, String, Value)> {
    let nothing = Value::Null;
    vec![
        (Method::GET, "/v1/users".into(), nothing.clone()),
        (Method::GET, "/v1/clients".into(), nothing.clone()),
        (Method::GET, "/v1/tenants".into(), nothing.clone()),
        (Method::POST, "/v1/invitations".into(), json!({"user_name": "eve", "roles": ["admin"]})),
        (Method::PATCH, format!("/v1/users/{user}"), json!({"disabled": true})),
        (Method::DELETE, format!("/v1/users/{user}"), nothing.clone()),
        (Method::POST, format!("/v1/users/{user}/password-link"), nothing.clone()),
        (Method::GET, format!("/v1/users/{user}/sessions"), nothing.clone()),
        (Method::DELETE, format!("/v1/users/{user}/sessions/{user}"), nothing.clone()),
        (Method::PATCH, format!("/v1/clients/{client}"), json!({"disabled": true})),
        (Method::DELETE, format!("/v1/clients/{client}"), nothing.clone()),
        (Method::POST, format!("/v1/clients/{client}/rotation"), nothing.clone()),
        (Method::DELETE, format!("/v1/clients/{client}/rotation"), nothing.clone()),
        (Method::DELETE, format!("/v1/users/{user}/second-factor"), nothing.clone()),
        (Method::GET, format!("/v1/users/{user}/security-keys"), nothing.clone()),
        (Method::DELETE, format!("/v1/users/{user}/security-keys/{client}"), nothing.clone()),
        (Method::GET, "/v1/provider".into(), nothing.clone()),
        (Method::PUT, "/v1/provider".into(), provider()),
        (Method::DELETE, "/v1/provider".into(), nothing.clone()),
        (Method::GET, "/v1/sign-in-rules".into(), nothing.clone()),
        (Method::PUT, "/v1/sign-in-rules".into(), json!({"second_factor_required": true})),
        (Method::GET, format!("/v1/tenants/{tenant}"), nothing.clone()),
        (Method::GET, format!("/v1/tenants/{tenant}/export"), nothing.clone()),
        (Method::PATCH, format!("/v1/tenants/{tenant}"), json!({"users_max": 1})),
        (Method::PUT, format!("/v1/tenants/{tenant}/state"), json!({"state": "closed"})),
    ]
}

async fn answers(gateway: &Gateway, routes: Vec<(Method, String, Value)>) -> Vec<(u16, Value)> {
    let mut answers = Vec::new();
    for (method, path, body) in routes {
        let mut request = gateway.request(method, &path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let (status, mut said) = json(request.send().await.unwrap()).await;
        // The request's own.
        said["instance"] = Value::Null;
        answers.push((status, said));
    }
    answers
}

#[tokio::test]
async fn every_route_of_accounts_is_checked_and_what_is_anothers_is_as_if_it_were_not() {
    let mut gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let (_, users) = json(gateway.get("/v1/users").send().await.unwrap()).await;
    let user = users["users"][0]["id"].as_str().unwrap().to_owned();
    let pacs = json!({"name": "pacs", "roles": ["integrator"]});
    let (_, pacs) = json(gateway.post("/v1/clients").json(&pacs).send().await.unwrap()).await;
    let client = pacs["client_id"].as_str().unwrap().to_owned();
    let all = || routes(&user, &client, &user);

    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        gateway.token = gateway.mesh.token(role);
        let statuses = answers(&gateway, all()).await.into_iter().map(|(status, _)| status);
        assert!(statuses.into_iter().all(|status| status == 403), "{role:?}");
    }
    gateway.token = "none".into();
    assert!(answers(&gateway, all()).await.iter().all(|(status, _)| *status == 401));
    // An administrator manages no hospital, an operator nobody in one.
    gateway.token = gateway.mesh.token(Role::Admin);
    let tenants = || all().into_iter().filter(|(_, path, _)| path.starts_with("/v1/tenants"));
    assert!(answers(&gateway, tenants().collect()).await.iter().all(|(status, _)| *status == 403));
    gateway.token = gateway.mesh.operator_token();
    let others = all().into_iter().filter(|(_, path, _)| !path.starts_with("/v1/tenants"));
    let others: Vec<_> = others.collect();
    assert!(answers(&gateway, others).await.iter().all(|(status, _)| *status == 403));

    // Of another hospital.
    gateway.token = gateway.mesh.admin_elsewhere();
    let with_id = |user: &str, client: &str| {
        let all = routes(user, client, user).into_iter();
        all.filter(|(_, path, _)| path.matches('/').count() > 2 && !path.starts_with("/v1/tenants"))
            .collect()
    };
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8058";
    let foreign = answers(&gateway, with_id(&user, &client)).await;
    assert_eq!(foreign, answers(&gateway, with_id(unknown, unknown)).await);
    assert!(foreign.iter().all(|(status, _)| *status == 404), "{foreign:?}");
    assert_eq!(sign_in(&gateway, USER, PASSWORD).await.0, 200, "nothing has happened to them");
}
