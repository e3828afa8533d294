use proto::registry::{Evaluation, KindFigures};
use proto::storage::Answer;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use service::claims::Role;

use crate::mesh::sha256;
use crate::{Gateway, json, problem};

const WEIGHTS: &[u8] = b"weights, as far as anybody looks here";

/// A form as `medseg model import` sends it.
fn form(version: &str, weights: &'static [u8]) -> Form {
    let manifest = json!({
        "file": "weights.safetensors", "bytes": WEIGHTS.len(), "sha256": sha256(WEIGHTS),
        "name": "medseg-mr", "version": version, "preprocessing": "head-square-2", "modalities": ["MR"],
    });
    let file = |name: &'static str, bytes: Vec<u8>| Part::bytes(bytes).file_name(name);
    Form::new()
        .part("manifest", file("model.json", manifest.to_string().into_bytes()))
        .part("weights", file("weights.safetensors", weights.to_vec()))
}

async fn register(gateway: &Gateway, version: &str) -> Value {
    gateway.mesh.clock.advance(1);
    let request = gateway.post("/v1/models?source=mlflow%3Amedseg%2F7&git_commit=abc");
    let (status, registered) =
        json(request.multipart(form(version, WEIGHTS)).send().await.unwrap()).await;
    assert_eq!(status, 201, "{registered}");
    registered
}

fn evaluation(version: &str, dice: f64) -> Evaluation {
    Evaluation {
        name: "medseg-mr".into(),
        version: version.into(),
        gate_set: "phantoms-1".into(),
        dice_mean: dice,
        dice_low: dice - 0.01,
        dice_high: dice + 0.01,
        ms_per_slice: 40.0,
        golden_dice: Some(1.0),
        kinds: ["flair", "t1_contrast"].map(|kind| of_kind(kind, dice)).into(),
        ..Evaluation::default()
    }
}

fn of_kind(kind: &str, dice: f64) -> KindFigures {
    KindFigures {
        image_kind: kind.into(),
        scans_with_tumour: 40,
        dice_mean: dice,
        dice_low: dice - 0.01,
        dice_high: dice + 0.01,
        ..KindFigures::default()
    }
}

#[tokio::test]
async fn a_version_is_registered_shown_and_given_back() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    let registered = register(&gateway, "1.0").await;
    assert_eq!(registered["state"], "registered");
    assert_eq!(
        (&registered["source"], &registered["git_commit"], &registered["data_version"]),
        (&json!("mlflow:medseg/7"), &json!("abc"), &Value::Null)
    );
    let (_, listed) = json(gateway.get("/v1/models").send().await.unwrap()).await;
    assert_eq!(listed, json!({ "versions": [registered] }));
    let (_, none) = json(gateway.get("/v1/models?name=other").send().await.unwrap()).await;
    assert_eq!(none, json!({ "versions": [] }));
    let of = "/v1/models/medseg-mr/1.0";
    assert_eq!(json(gateway.get(of).send().await.unwrap()).await, (200, registered));
    let file = gateway.get(&format!("{of}/files/weights.safetensors")).send().await.unwrap();
    assert_eq!(file.headers()["content-length"], WEIGHTS.len().to_string());
    assert!(file.bytes().await.unwrap() == WEIGHTS);
    for missing in [format!("{of}/files/golden.pbm"), "/v1/models/medseg-mr/2.0".into()] {
        let (status, name, _) = problem(gateway.get(&missing).send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (404, "not-found"), "{missing}");
    }
}

#[tokio::test]
async fn a_kind_of_image_is_given_to_a_version_and_taken_from_it() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    for version in ["1.0", "2.0"] {
        register(&gateway, version).await;
        gateway.mesh.evaluated(evaluation(version, 0.9)).await;
    }
    let act = async |version: &str, what: &str, body: Value| {
        gateway.mesh.clock.advance(1);
        let path = format!("/v1/models/medseg-mr/{version}/{what}");
        gateway.post(&path).json(&body).send().await.unwrap()
    };
    let flair = || json!({ "image_kind": "flair" });
    let (status, name, why) = problem(act("2.0", "promote", flair()).await).await;
    assert_eq!((status, name.as_str()), (409, "conflict"), "nothing serves MR: {why}");
    act("1.0", "promote", json!({})).await;
    let (status, decision) = json(act("2.0", "promote", flair()).await).await;
    let serves = json!([{ "modality": "MR", "image_kind": "flair" }]);
    assert_eq!((status, &decision["version"]["serves"]), (200, &serves), "{decision}");
    let unheard = json!({ "image_kind": "flare" });
    assert_eq!(problem(act("2.0", "promote", unheard).await).await.0, 400);
    let (_, now) = json(act("2.0", "retire", flair()).await).await;
    assert_eq!((&now["state"], &now["serves"]), (&json!("registered"), &json!([])));
    let (_, events) = json(gateway.get("/v1/model-events").send().await.unwrap()).await;
    let newest = &events["events"][0];
    assert_eq!((&newest["action"], &newest["image_kind"]), (&json!("withdrawn"), &json!("flair")));
}

#[tokio::test]
async fn files_that_do_not_fit_are_refused_in_words() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    let swapped =
        gateway.post("/v1/models").multipart(form("1.0", b"others")).send().await.unwrap();
    let (status, name, why) = problem(swapped).await;
    assert_eq!((status, name.as_str()), (400, "invalid"));
    assert!(why["detail"].as_str().unwrap().contains("weights.safetensors"), "{why}");
    let none = gateway.post("/v1/models").body("a file alone").send().await.unwrap();
    assert_eq!(problem(none).await.0, 400);
    let (_, listed) = json(gateway.get("/v1/models").send().await.unwrap()).await;
    assert_eq!(listed, json!({ "versions": [] }));
}

#[tokio::test]
async fn a_file_that_was_swapped_is_not_handed_out_and_its_version_is_refused_in_words() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    register(&gateway, "1.0").await;
    gateway.mesh.evaluated(evaluation("1.0", 0.9)).await;
    let mut same_length = WEIGHTS.to_vec();
    same_length[0] ^= 1;
    // Longer than a piece, so that a first one could be on its way.
    let longer = [WEIGHTS, &[7u8; 1 << 20]].concat();
    for swapped in [&same_length[..], &WEIGHTS[1..], &longer[..]] {
        gateway.mesh.swap_in_registry(WEIGHTS, swapped);
        let file = "/v1/models/medseg-mr/1.0/files/weights.safetensors";
        let (status, name, _) = problem(gateway.get(file).send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (500, "internal"), "{}", swapped.len());
        let promote = gateway.post("/v1/models/medseg-mr/1.0/promote");
        let forced = json!({ "force": true, "reason": "a try" });
        let (status, name, why) = problem(promote.json(&forced).send().await.unwrap()).await;
        assert_eq!((status, name.as_str()), (409, "conflict"), "{why}");
        assert!(why["detail"].as_str().unwrap().contains("cannot serve"), "{why}");
        register(&gateway, "1.0").await;
        let mended = gateway.get(file).send().await.unwrap();
        assert!(mended.bytes().await.unwrap() == WEIGHTS);
    }
}

#[tokio::test]
async fn the_gate_shows_the_figures_of_both_and_an_admin_may_force_it_for_a_reason() {
    let mut gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    for (version, dice) in [("1.0", 0.9), ("2.0", 0.8)] {
        register(&gateway, version).await;
        gateway.mesh.evaluated(evaluation(version, dice)).await;
    }
    let promote = |gateway: &Gateway, version: &str, body: Value| {
        // So that what happens has an order.
        gateway.mesh.clock.advance(1);
        gateway.post(&format!("/v1/models/medseg-mr/{version}/promote")).json(&body).send()
    };
    let (status, name, _) = problem(promote(&gateway, "1.0", json!({})).await.unwrap()).await;
    assert_eq!((status, name.as_str()), (403, "forbidden"), "a scientist promotes nothing");

    gateway = gateway.signed_in_as(Role::Admin);
    let (status, decision) = json(promote(&gateway, "1.0", json!({})).await.unwrap()).await;
    assert_eq!((status, &decision["version"]["state"]), (200, &json!("serving")), "{decision}");
    let (status, name, refused) = problem(promote(&gateway, "2.0", json!({})).await.unwrap()).await;
    assert_eq!((status, name.as_str()), (409, "gate-refused"));
    let checks = refused["checks"].as_array().unwrap();
    let dice = checks.iter().find(|check| check["name"] == "dice").unwrap();
    assert_eq!(
        (&dice["passed"], &dice["candidate"], &dice["serving"]),
        (&json!(false), &json!(0.8), &json!(0.9))
    );
    let of_kinds: Vec<_> =
        checks.iter().filter(|it| it["name"] == "dice").map(|it| &it["image_kind"]).collect();
    assert_eq!(of_kinds, [&Value::Null, &json!("flair"), &json!("t1_contrast")]);
    let why = refused["detail"].as_str().unwrap();
    assert!(why.contains("dice: worse") && why.contains("dice (flair): worse"), "{why}");
    let shown = gateway.get("/v1/models/medseg-mr/2.0").send().await.unwrap();
    let (_, shown) = json(shown).await;
    let of_flair = &shown["evaluation"]["kinds"][0];
    assert_eq!(
        (&of_flair["image_kind"], &of_flair["scans_with_tumour"], &of_flair["dice"]["value"]),
        (&json!("flair"), &json!(40), &json!(0.8))
    );
    let forced = json!({ "force": true, "reason": "a new scanner" });
    let (_, decision) = json(promote(&gateway, "2.0", forced).await.unwrap()).await;
    assert_eq!(decision["version"]["forced_because"], "a new scanner");
    gateway.mesh.clock.advance(1);
    let back = gateway.post("/v1/models/medseg-mr/2.0/roll-back").json(&json!({})).send();
    let (_, back) = json(back.await.unwrap()).await;
    assert_eq!((&back["version"], &back["state"]), (&json!("1.0"), &json!("serving")));

    let (_, events) = json(gateway.get("/v1/model-events").send().await.unwrap()).await;
    let actions: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            format!("{} {}", event["action"].as_str().unwrap(), event["version"].as_str().unwrap())
        })
        .collect();
    let expected = [
        "rolled_back 2.0",
        "forced 2.0",
        "refused 2.0",
        "promoted 1.0",
        "registered 2.0",
        "registered 1.0",
    ];
    assert_eq!(actions, expected);
}

#[tokio::test]
async fn confirmed_scans_of_ones_own_stand_beside_the_gates_figures_and_refuse_nothing() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let mesh = &gateway.mesh;
    for version in ["1.0", "2.0"] {
        register(&gateway, version).await;
        mesh.evaluated(evaluation(version, 0.9)).await;
    }
    let promote = async |version: &str| {
        mesh.clock.advance(1);
        let path = format!("/v1/models/medseg-mr/{version}/promote");
        json(gateway.post(&path).json(&json!({})).send().await.unwrap()).await
    };
    promote("1.0").await;
    // Readers agree with what served, and so say whether there is a tumour.
    for (scan, served, other) in [
        ("missed", Answer::Found, false),
        ("marked", Answer::NoneFound, false),
        ("elsewhere", Answer::Found, true),
    ] {
        let answers = match served {
            Answer::Found => ["none_found", "found"],
            _ => ["found", "none_found"],
        };
        mesh.reviewed(scan, "agree", served, other).await;
        mesh.looked_on(scan, answers, other).await;
    }
    mesh.looked_on("unread", ["found", "found"], false).await;

    let path = "/v1/models/medseg-mr/2.0/shadow";
    let (_, report) = json(gateway.get(path).send().await.unwrap()).await;
    let confirmed = &report["confirmed"];
    assert_eq!(
        (&confirmed["compared"], &confirmed["confirmed"], &confirmed["scans_min"]),
        (&json!(3), &json!(2), &json!(30)),
        "{report}"
    );
    let all = &confirmed["figures"][0];
    assert_eq!(
        (&all["serving_version"], &all["image_kind"], &all["scans"], &all["enough"]),
        (&json!("1.0"), &Value::Null, &json!(2), &json!(false))
    );
    let counted = |of: &Value| (of["count"].as_u64(), of["of"].as_u64());
    for rate in ["far", "frr"] {
        let [candidate, serving] = ["candidate", "serving"].map(|of| counted(&all[rate][of]));
        assert_eq!((candidate, serving), ((Some(1), Some(1)), (Some(0), Some(1))), "{rate}");
    }
    assert_eq!(confirmed["figures"][1]["image_kind"], "flair");

    let (status, decision) = promote("2.0").await;
    assert_eq!((status, &decision["promoted"]), (200, &json!(true)), "{decision}");
    let checks = decision["checks"].as_array().unwrap();
    let noted: Vec<_> = checks.iter().filter(|it| it["advisory"] == true).collect();
    let names: Vec<_> = noted.iter().map(|it| &it["name"]).collect();
    assert_eq!(names, [&json!("confirmed_far"), &json!("confirmed_frr")]);
    let frr = noted[1];
    assert_eq!(
        (&frr["candidate"], &frr["serving"], &frr["passed"]),
        (&json!(1.0), &json!(0.0), &json!(false))
    );
    assert!(frr["words"].as_str().unwrap().contains("fewer than 30"), "{frr}");
}

#[tokio::test]
async fn each_version_brings_what_drift_compares_its_scans_with() {
    let gateway = Gateway::start().await.signed_in_as(Role::Scientist);
    register(&gateway, "1.0").await;
    gateway.mesh.clock.advance(1);
    let reference = r#"{"features":{"mean":{"edges":[0,1,2],"counts":[3,4],"sample":[0.25]}}}"#;
    let reference = Part::bytes(reference.as_bytes()).file_name("reference.json");
    let form = form("2.0", WEIGHTS).part("reference", reference);
    let sent = gateway.post("/v1/models").multipart(form).send().await.unwrap();
    assert_eq!(sent.status(), 201);

    let mean = async || {
        let (_, report) = json(gateway.post("/v1/drift/reports").send().await.unwrap()).await;
        let features = report["features"].as_array().unwrap();
        let mean = features.iter().find(|feature| feature["name"] == "mean").unwrap();
        (mean["verdict"].clone(), mean["reference_median"].clone())
    };
    gateway.mesh.observed("1.0", "first").await;
    assert_eq!(mean().await, (json!("no_reference"), Value::Null));
    // Now the other version has judged most.
    for scan in ["second", "third"] {
        gateway.mesh.observed("2.0", scan).await;
    }
    assert_eq!(mean().await, (json!("too_few_scans"), json!(0.25)));
}

#[tokio::test]
async fn clinicians_have_no_say_in_models() {
    let gateway = Gateway::start().await;
    for path in ["/v1/models", "/v1/model-events", "/v1/models/medseg-mr/1.0"] {
        assert_eq!(problem(gateway.get(path).send().await.unwrap()).await.0, 403, "{path}");
    }
    let sent = gateway.post("/v1/models").multipart(form("1.0", WEIGHTS)).send().await.unwrap();
    assert_eq!(problem(sent).await.0, 403);
}
