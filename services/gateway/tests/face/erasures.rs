use proto::storage::AcceptHeader;
use reqwest::Method;
use serde_json::{Value, json};
use service::claims::{ERASURE_PURPOSE, PublicKeys, Role};

use crate::{Gateway, json, problem};

const CANARY: &str = "canary-4711";

fn of_canary() -> AcceptHeader {
    AcceptHeader { patient: CANARY.into(), patient_id: CANARY.into(), ..AcceptHeader::default() }
}

async fn put(gateway: &Gateway, path: &str, body: &Value) -> reqwest::Response {
    gateway.request(Method::PUT, path).json(body).send().await.unwrap()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[tokio::test]
async fn a_patient_is_erased_and_the_receipt_is_signed() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let scan = gateway.mesh.accept(of_canary()).await;
    let other = gateway.mesh.queued().await;
    let new = json!({ "patient_id": CANARY, "reason": "they ask for it" });
    let made = gateway.post("/v1/erasures").json(&new).send().await.unwrap();
    let (status, made) = json(made).await;
    assert_eq!((status, &made["scans"]), (201, &json!(1)), "{made}");
    let path = format!("/v1/erasures/{}", made["id"].as_str().unwrap());
    let (status, receipt) = json(gateway.get(&path).send().await.unwrap()).await;
    let statement = &receipt["statement"];
    assert_eq!((status, &statement["left"]), (200, &json!({})), "{receipt}");
    assert_eq!(
        (&statement["id"], &statement["reason"], &statement["erased_by"]),
        (&made["id"], &new["reason"], &json!("tester"))
    );
    let erased = statement["scans"].as_array().unwrap();
    assert_eq!((erased.len(), &erased[0]["scan_id"]), (1, &json!(scan)));
    let objects = erased[0]["objects"].as_array().unwrap();
    assert!(objects.len() == 3 && objects.iter().all(|object| object["gone"] == true), "{receipt}");
    assert_eq!((&statement["copies"], &statement["learned"]), (&json!([]), &json!([])));
    assert!(!statement["kept"].as_array().unwrap().is_empty());
    assert!(!receipt.to_string().contains("canary"), "{receipt}");

    let keys = gateway.get("/.well-known/result-keys.json").send().await.unwrap();
    let keys = PublicKeys::from_jwks(&keys.text().await.unwrap()).unwrap();
    let signature = &receipt["signature"];
    let value: [u8; 64] = bytes_of(signature["value"].as_str().unwrap()).try_into().unwrap();
    let said = serde_json::to_vec(statement).unwrap();
    let key_id = signature["key_id"].as_str().unwrap();
    assert!(keys.have_signed(key_id, ERASURE_PURPOSE, &said, &value), "{receipt}");

    let gone = gateway.get(&format!("/v1/scans/{scan}")).send().await.unwrap();
    assert_eq!(problem(gone).await.0, 404);
    assert_eq!(gateway.get(&format!("/v1/scans/{other}")).send().await.unwrap().status(), 200);
    let again = gateway.post("/v1/erasures").json(&new).send().await.unwrap();
    assert_eq!(problem(again).await.0, 404);
    let lift = json!({ "reason": "it was another's" });
    let lifted = gateway.post(&format!("{path}/lift")).json(&lift).send().await.unwrap();
    assert_eq!(lifted.status(), 204);
    let (_, receipt) = json(gateway.get(&path).send().await.unwrap()).await;
    let lifted = &receipt["statement"]["lifted"];
    assert_eq!((&lifted["by"], &lifted["reason"]), (&json!("tester"), &lift["reason"]));
    let elsewhere = gateway.client.get(format!("{}{path}", gateway.url));
    let elsewhere = elsewhere.bearer_auth(gateway.mesh.admin_elsewhere()).send().await.unwrap();
    assert_eq!(problem(elsewhere).await.0, 404);
}

#[tokio::test]
async fn what_is_held_is_deleted_and_erased_by_nobody() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let scan = gateway.mesh.accept(of_canary()).await;
    let unreasoned = put(&gateway, "/v1/holds", &json!({ "scan_id": scan, "held": true })).await;
    assert_eq!(problem(unreasoned).await.0, 400);
    let hold = json!({ "patient_id": CANARY, "held": true, "reason": "a court asks" });
    let (status, held) = json(put(&gateway, "/v1/holds", &hold).await).await;
    assert_eq!((status, &held["held"], &held["scan_id"]), (200, &json!(true), &json!(null)));
    let (_, holds) = json(gateway.get("/v1/holds").send().await.unwrap()).await;
    assert_eq!(holds["holds"], json!([held]));
    assert!(!holds.to_string().contains("canary"), "{holds}");

    let path = format!("/v1/scans/{scan}");
    let deleted = gateway.request(Method::DELETE, &path).send().await.unwrap();
    let (status, _, body) = problem(deleted).await;
    assert!(status == 409 && body["detail"].as_str().unwrap().contains("legal hold"), "{body}");
    let new = json!({ "scan_id": scan, "reason": "they ask for it" });
    let erased = gateway.post("/v1/erasures").json(&new).send().await.unwrap();
    assert_eq!(problem(erased).await.0, 409);
    let freed = put(&gateway, "/v1/holds", &json!({ "patient_id": CANARY, "held": false })).await;
    assert_eq!(json(freed).await.1["held"], json!(false));
    let erased = gateway.post("/v1/erasures").json(&new).send().await.unwrap();
    assert_eq!(erased.status(), 201);
}

#[tokio::test]
async fn a_hospital_says_for_how_long_it_keeps_what() {
    let gateway = Gateway::start().await.signed_in_as(Role::Admin);
    let (status, kept) = json(gateway.get("/v1/retention").send().await.unwrap()).await;
    let rule =
        |kind: &str| json!({ "kind": kind, "days": 0, "decided_by": null, "decided_at": null });
    let all = json!([rule("scans"), rule("originals"), rule("incidents")]);
    assert_eq!((status, &kept["rules"]), (200, &all));
    let set = json!({ "kind": "originals", "days": 90 });
    let (status, kept) = json(put(&gateway, "/v1/retention", &set).await).await;
    let own = &kept["rules"][1];
    assert_eq!((status, &own["days"], &own["decided_by"]), (200, &json!(90), &json!("tester")));
    for (wrong, status) in [
        (json!({ "kind": "pixels", "days": 1 }), 422),
        (json!({ "kind": "scans", "days": 40_000 }), 400),
        (json!({ "kind": "scans" }), 422),
    ] {
        assert_eq!(
            problem(put(&gateway, "/v1/retention", &wrong).await).await.0,
            status,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn only_admins_erase_hold_and_set_rules() {
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let gateway = Gateway::start().await.signed_in_as(role);
        let scan = gateway.mesh.queued().await;
        let new = json!({ "scan_id": scan, "reason": "so" });
        let hold = json!({ "scan_id": scan, "held": true, "reason": "so" });
        for refused in [
            gateway.post("/v1/erasures").json(&new).send().await.unwrap(),
            gateway.get(&format!("/v1/erasures/{scan}")).send().await.unwrap(),
            gateway
                .post(&format!("/v1/erasures/{scan}/lift"))
                .json(&json!({ "reason": "so" }))
                .send()
                .await
                .unwrap(),
            put(&gateway, "/v1/holds", &hold).await,
            gateway.get("/v1/holds").send().await.unwrap(),
            put(&gateway, "/v1/retention", &json!({ "kind": "scans", "days": 1 })).await,
            gateway.get("/v1/retention").send().await.unwrap(),
        ] {
            assert_eq!(problem(refused).await.0, 403, "{role:?}");
        }
    }
}
