use proto::storage::Answer;
use serde_json::{Value, json};
use service::claims::Role;

use crate::{Gateway, json, problem};

async fn figures(gateway: &Gateway, query: &str) -> Value {
    let answer = gateway.get(&format!("/v1/quality{query}")).send().await.unwrap();
    let (status, figures) = json(answer).await;
    assert_eq!(status, 200, "{query}: {figures}");
    figures
}

#[tokio::test]
async fn what_readers_say_is_told_in_figures_with_their_counts() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    let mesh = &gateway.mesh;
    for (scan, verdict, answer) in [
        ("a", "agree", Answer::Found),
        ("b", "correct", Answer::NoneFound),
        ("c", "agree", Answer::NoneFound),
    ] {
        mesh.reviewed(scan, verdict, answer, false).await;
    }
    // Another hospital's are in no figure of one's own.
    mesh.reviewed("d", "reject", Answer::Found, true).await;

    let by_model = figures(&gateway, "").await;
    assert_eq!(
        (&by_model["from"], &by_model["to"]),
        (&json!(null), &json!("2023-11-14T22:13:20.000Z"))
    );
    assert!(by_model["remarks"][0].as_str().unwrap().contains("not drawn by chance"));
    let kinds = by_model["remark_kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), by_model["remarks"].as_array().unwrap().len());
    assert_eq!(kinds[0], json!({ "name": "not_by_chance", "scans": null }));
    assert!(kinds.contains(&json!({ "name": "few_reviewed", "scans": 30 })), "{kinds:?}");
    let why = (&by_model["reasons"], &by_model["finding_reasons"]);
    assert_eq!(why, (&json!({ "outline": 1 }), &json!({ "quality": 2 })));
    let [group] = &by_model["groups"].as_array().unwrap()[..] else { panic!("{by_model}") };
    let named = (&group["by"], &group["name"], &group["scans"], &group["reviewed"]);
    assert_eq!(named, (&json!("model"), &json!("medseg-mr/1"), &json!(3), &json!(3)));
    // Of two scans with a tumour one was missed.
    let frr = &group["frr"];
    assert_eq!((&frr["rate"], &frr["count"], &frr["of"]), (&json!(0.5), &json!(1), &json!(2)));
    let (low, high) = (frr["low"].as_f64().unwrap(), frr["high"].as_f64().unwrap());
    assert!((low - 0.0945).abs() < 1e-4 && (high - 0.9055).abs() < 1e-4, "{low} {high}");
    assert_eq!((&group["far"]["count"], &group["far"]["of"]), (&json!(0), &json!(1)));
    assert_eq!((&group["agree"]["count"], &group["agree"]["of"]), (&json!(2), &json!(3)));
    // Of the scan that was missed, and of the one that is empty; nobody has outlined what was found.
    assert_eq!((&group["dice"]["mean"], &group["dice"]["count"]), (&json!(0.5), &json!(2)));

    for (by, name) in [("week", "2023-W46"), ("kind", "flair"), ("size", "nothing marked")] {
        let figures = figures(&gateway, &format!("?by={by}")).await;
        let group = &figures["groups"][0];
        assert_eq!((&group["by"], &group["name"]), (&json!(by), &json!(name)));
    }
}

#[tokio::test]
async fn a_period_is_asked_for_as_times_are_written() {
    let gateway = Gateway::start().await;
    gateway.mesh.reviewed("a", "agree", Answer::Found, false).await;
    for (query, groups) in [
        ("?from=2023-11-14T22:00:00Z", 1),
        ("?to=2023-11-14T22:00:00Z", 0),
        ("?from=2023-11-14T22:00:00Z&to=2023-11-14T23:00:00Z&by=week", 1),
    ] {
        let figures = figures(&gateway, query).await;
        assert_eq!(figures["groups"].as_array().unwrap().len(), groups, "{query}");
    }
    let from = figures(&gateway, "?from=2023-11-14T22:00:00Z").await["from"].clone();
    assert_eq!(from, "2023-11-14T22:00:00.000Z");
    for query in
        ["?from=yesterday", "?by=reader", "?from=2023-11-14T22:00:00Z&to=2023-11-13T22:00:00Z"]
    {
        let refused = gateway.get(&format!("/v1/quality{query}")).send().await.unwrap();
        let (status, name, _) = problem(refused).await;
        assert_eq!((status, name.as_str()), (400, "invalid"), "{query}");
    }
}

#[tokio::test]
async fn figures_are_for_those_who_judge_and_those_who_answer_for_models() {
    let mut gateway = Gateway::start().await;
    for (role, status) in [
        (Role::Clinician, 200),
        (Role::Scientist, 200),
        (Role::Admin, 200),
        (Role::Integrator, 403),
    ] {
        gateway = gateway.signed_in_as(role);
        let answer = gateway.get("/v1/quality").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{role:?}");
    }
}

#[tokio::test]
async fn figures_say_where_they_are_from_and_what_they_are_worth() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    gateway.mesh.reviewed("a", "agree", Answer::Found, false).await;
    gateway.mesh.reviewed("b", "agree", Answer::NoneFound, false).await;
    let group = figures(&gateway, "").await["groups"][0].clone();
    let weighted = &group["weighted"];
    assert_eq!((&weighted["agree"]["rate"], &weighted["covered"]), (&json!(1.0), &json!(1.0)));
    let alarm = &group["alarm"];
    assert_eq!(
        (&alarm["of"], &alarm["errors"], &alarm["stands"]),
        (&json!(2), &json!(0), &json!(false))
    );
    assert_eq!((&alarm["error_max"], &alarm["budget_scans"]), (&json!(0.2), &json!(1000)));
    for by in ["site", "scanner"] {
        let figures = figures(&gateway, &format!("?by={by}")).await;
        let group = &figures["groups"][0];
        assert_eq!((&group["by"], &group["name"]), (&json!(by), &json!("unknown")));
        assert!(group["alarm"].is_null() && group["refusals"] == json!({}), "{group}");
    }
}

async fn set_rule(gateway: &Gateway, rule: Value) -> (u16, Value) {
    let request = gateway.client.put(format!("{}/v1/stops", gateway.url));
    json(request.bearer_auth(&gateway.token).json(&rule).send().await.unwrap()).await
}

#[tokio::test]
async fn an_admin_decides_when_a_model_answers_no_more() {
    let mut gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let (status, nobody) = json(gateway.get("/v1/stops").send().await.unwrap()).await;
    assert_eq!((status, nobody), (200, json!({ "rule": null, "stops": [] })));
    let (status, state) = set_rule(&gateway, json!({ "error_max": 0.25 })).await;
    let expected = json!({
        "error_max": 0.25, "budget_scans": 1000, "decided_by": "tester",
        "decided_at": state["rule"]["decided_at"],
    });
    assert_eq!((status, &state["rule"], &state["stops"]), (200, &expected, &json!([])));
    for strange in [json!({ "error_max": 1.0 }), json!({ "error_max": 0.1, "budget_scans": 9 })] {
        assert_eq!(set_rule(&gateway, strange).await.0, 400);
    }
    let lift = json!({ "name": "m", "version": "1", "reason": "it was repaired" });
    let absent = gateway.post("/v1/stops/lift").json(&lift).send().await.unwrap();
    assert_eq!(problem(absent).await.0, 404);
    // What stops nothing is told as no rule.
    let (_, state) = set_rule(&gateway, json!({ "error_max": 0.0 })).await;
    assert!(state["rule"].is_null(), "{state}");
    for role in [Role::Clinician, Role::Scientist, Role::Integrator] {
        gateway = gateway.signed_in_as(role);
        assert_eq!(set_rule(&gateway, json!({ "error_max": 0.1 })).await.0, 403, "{role:?}");
        let lifted = gateway.post("/v1/stops/lift").json(&lift).send().await.unwrap();
        assert_eq!(lifted.status(), 403, "{role:?}");
        let seen = gateway.get("/v1/stops").send().await.unwrap().status().as_u16();
        assert_eq!(seen, if role == Role::Integrator { 403 } else { 200 }, "{role:?}");
    }
}
