use gateway::Config;
use reqwest::Method;
use serde_json::json;

use crate::between::Fault;
use crate::{Gateway, Way, json, problem};

#[tokio::test]
async fn whatever_goes_wrong_is_told_as_a_problem() {
    let gateway = Gateway::start().await;
    let at = |method: Method, path: &str| {
        gateway.client.request(method, format!("{}{path}", gateway.url)).bearer_auth(&gateway.token)
    };
    for (request, status, name) in [
        (at(Method::GET, "/v1/nothing"), 404, "not-found"),
        (at(Method::GET, "/v1/scans/nobody"), 404, "not-found"),
        (at(Method::GET, "/v1/scans/%ff"), 400, "invalid"),
        (at(Method::GET, "/docs/nothing.js"), 404, "not-found"),
        (at(Method::DELETE, "/v1/scans"), 405, "method-not-allowed"),
        (at(Method::POST, "/"), 405, "method-not-allowed"),
        (at(Method::TRACE, "/v1/scans"), 405, "method-not-allowed"),
        (at(Method::POST, "/v1/users").body("{}"), 415, "unsupported-media-type"),
        (
            at(Method::POST, "/v1/users").header("content-type", "application/json").body("{"),
            400,
            "invalid",
        ),
        (
            at(Method::POST, "/v1/users").header("content-type", "application/json").body("{}"),
            422,
            "unprocessable",
        ),
        (
            at(Method::POST, "/v1/users")
                .header("content-type", "application/json")
                .body(vec![b'x'; 2 << 20]),
            413,
            "payload-too-large",
        ),
        (at(Method::POST, "/v1/drift/reports").body("all"), 400, "invalid"),
        (at(Method::GET, &format!("/v1/scans/{}", gateway.mesh.unclear().await)), 500, "internal"),
    ] {
        let request = request.build().unwrap();
        let said = format!("{} {}", request.method(), request.url());
        let (answered, kind, body) = problem(gateway.client.execute(request).await.unwrap()).await;
        assert_eq!((answered, kind.as_str()), (status, name), "{said}: {body}");
    }
}

#[tokio::test]
async fn what_goes_wrong_behind_it_is_told_without_its_cause() {
    let gateway = Gateway::start().await;
    let path = format!("/v1/scans/{}", gateway.mesh.done().await);
    assert_eq!(gateway.get(&path).send().await.unwrap().status(), 200);
    for (fault, status, name) in [
        (Fault::Broken, 500, "internal"),
        (Fault::Panics, 500, "internal"),
        (Fault::Late, 504, "timeout"),
    ] {
        gateway.mesh.between.fails(fault);
        let (answered, kind, body) = problem(gateway.get(&path).send().await.unwrap()).await;
        assert_eq!((answered, kind.as_str()), (status, name), "{fault:?}: {body}");
        assert!(!body.to_string().contains("1234"), "{body}");
    }
}

#[tokio::test]
async fn who_has_no_token_is_told_how_to_get_one() {
    let gateway = Gateway::start().await;
    let url = format!("{}/v1/scans", gateway.url);
    let none = gateway.client.get(&url).send().await.unwrap();
    assert_eq!(none.headers()["www-authenticate"], "Bearer");
    assert_eq!(problem(none).await.1, "unauthenticated");
    let bad = gateway.client.get(&url).bearer_auth("made.up.token").send().await.unwrap();
    assert_eq!(bad.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    assert_eq!(problem(bad).await.0, 401);
}

#[tokio::test]
async fn a_request_keeps_the_id_that_it_came_with_if_a_log_can_hold_it() {
    let gateway = Gateway::start().await;
    for (offered, kept) in [("id-7", true), ("two words", false), (&"x".repeat(200), false)] {
        let answer =
            gateway.get("/v1/scans/nobody").header("x-request-id", offered).send().await.unwrap();
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!((id == offered, id.is_empty()), (kept, false), "{offered}");
        assert_eq!(gateway.mesh.between.request_id(), id, "the peers are told the same");
    }
}

#[tokio::test]
async fn each_problem_has_a_page_for_people_and_for_programs() {
    let gateway = Gateway::start().await;
    let (status, all) = json(gateway.get("/problems").send().await.unwrap()).await;
    assert_eq!(status, 200);
    for known in all.as_array().unwrap() {
        let path = format!("/problems/{}", known["name"].as_str().unwrap());
        assert_eq!(json(gateway.get(&path).send().await.unwrap()).await, (200, known.clone()));
        let page = gateway.get(&path).header("accept", "text/html").send().await.unwrap();
        assert!(page.text().await.unwrap().contains(known["title"].as_str().unwrap()));
    }
    assert_eq!(problem(gateway.get("/problems/nothing").send().await.unwrap()).await.0, 404);
}

#[tokio::test]
async fn it_tells_which_of_its_peers_answer() {
    let gateway = Gateway::with(Config::default(), Way::Network).await;
    let (status, peers) = json(gateway.get("/peers").send().await.unwrap()).await;
    let there = json!({ "auth": "ok", "delivery": "ok", "drift": "ok", "ingest": "ok", "registry": "ok", "storage": "ok" });
    assert_eq!((status, peers), (200, there));
}

/// Out of service it could not say so.
#[tokio::test]
async fn while_peers_are_away_it_is_ready_and_tells_callers_to_come_back() {
    let gateway = Gateway::alone().await;
    let (status, ready) = json(gateway.get("/readyz").send().await.unwrap()).await;
    assert_eq!((status, ready), (200, json!({ "ready": true, "checks": {} })));
    let (status, peers) = json(gateway.get("/peers").send().await.unwrap()).await;
    assert_eq!((status, &peers["storage"]), (200, &json!("it does not answer")));

    let sign_in =
        [("grant_type", "client_credentials"), ("client_id", "a"), ("client_secret", "b")];
    let requests = [
        gateway.get("/v1/scans"),
        gateway.post("/v1/scans").body("bytes"),
        gateway.client.post(format!("{}/v1/token", gateway.url)).form(&sign_in),
    ];
    for request in requests {
        let answer = request.send().await.unwrap();
        assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
        let (status, name, _) = problem(answer).await;
        assert_eq!((status, name.as_str()), (503, "unavailable"));
    }
}
