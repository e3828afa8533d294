use serde_json::{Value, json};
use service::claims::Role;

use crate::{Gateway, json, problem};

fn measured(version: &str) -> Value {
    json!({
        "model": { "name": "medseg-mr", "version": version, "sha256": "ab" },
        "data_version": "cd", "patients": 4, "slices": 40,
        "dice": { "mean": 0.5, "low": 0.25, "high": 0.75, "count": 4, "empty": 1, "mean_not_empty": 0.375 },
        "far": { "count": 1, "of": 10 }, "frr": { "count": 0, "of": 30 },
    })
}

async fn report(gateway: &Gateway, evaluation: &Value) -> (u16, Value) {
    json(gateway.post("/v1/evaluations").json(evaluation).send().await.unwrap()).await
}

async fn listed(gateway: &Gateway, query: &str) -> Value {
    let answer = gateway.get(&format!("/v1/evaluations{query}")).send().await.unwrap();
    let (status, page) = json(answer).await;
    assert_eq!(status, 200, "{query}: {page}");
    page
}

#[tokio::test]
async fn what_was_measured_offline_is_kept_with_its_intervals_and_listed() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    let (status, kept) = report(&gateway, &measured("1")).await;
    assert_eq!(status, 201, "{kept}");
    assert_eq!(kept["evaluated_at"], "2023-11-14T22:13:20.000Z");
    for field in ["model", "data_version", "patients", "slices", "dice"] {
        assert_eq!(kept[field], measured("1")[field], "{field}");
    }
    let far = &kept["far"];
    assert_eq!((&far["rate"], &far["count"], &far["of"]), (&json!(0.1), &json!(1), &json!(10)));
    let (low, high) = (far["low"].as_f64().unwrap(), far["high"].as_f64().unwrap());
    assert!((low - 0.0179).abs() < 1e-4 && (high - 0.4042).abs() < 1e-4, "{low} {high}");
    assert_eq!(kept["frr"]["rate"], 0.0);

    report(&gateway, &measured("2")).await;
    let page = listed(&gateway, "?model_version=1").await;
    assert_eq!(page, json!({ "evaluations": [kept], "next_cursor": null }));
    let first = listed(&gateway, "?limit=1&model_name=medseg-mr").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = listed(&gateway, &format!("?limit=1&cursor={cursor}")).await;
    let mut versions = [&first, &second]
        .map(|page| page["evaluations"][0]["model"]["version"].as_str().unwrap().to_owned());
    versions.sort();
    assert_eq!((versions, &second["next_cursor"]), (["1", "2"].map(str::to_owned), &json!(null)));
}

#[tokio::test]
async fn figures_that_cannot_be_are_refused() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    for (path, value) in [
        ("/far/count", json!(11)),
        ("/frr/of", json!(41)),
        ("/dice/mean", json!(1.5)),
        ("/model/name", json!("")),
        ("/data_version", json!("x".repeat(191))),
    ] {
        let mut strange = measured("1");
        *strange.pointer_mut(path).unwrap() = value;
        let refused = gateway.post("/v1/evaluations").json(&strange).send().await.unwrap();
        let (status, name, _) = problem(refused).await;
        assert_eq!((status, name.as_str()), (400, "invalid"), "{path}");
    }
    assert_eq!(listed(&gateway, "").await["evaluations"], json!([]));
}

#[tokio::test]
async fn who_answers_for_models_reports_and_who_judges_reads() {
    let mut gateway = Gateway::start().await;
    for (role, reports, reads) in [
        (Role::Clinician, 403, 200),
        (Role::Scientist, 201, 200),
        (Role::Admin, 201, 200),
        (Role::Integrator, 403, 403),
    ] {
        gateway = gateway.signed_in_as(role);
        assert_eq!(report(&gateway, &measured("1")).await.0, reports, "{role:?}");
        let read = gateway.get("/v1/evaluations").send().await.unwrap();
        assert_eq!(read.status().as_u16(), reads, "{role:?}");
    }
}
