use imaging::Limits;
use imaging::encode::nifti_gz;
use imaging::phantom::{Phantom, Settings};
use imaging::{Shape, Volume};
use proto::storage::Answer;
use reqwest::Method;
use serde_json::json;
use service::claims::Role;

use crate::{Gateway, json, problem};

/// A head in three slices, as a scanner's file of that order would be decoded.
fn head(storage: &str) -> Volume {
    let shape = Shape { slices: 3, rows: 80, columns: 64 };
    let settings = Settings { shape, tumour: false, ..Settings::slice(3) };
    let volume = Phantom::new(&settings).unwrap().volume;
    volume.stored_as(storage).unwrap().radiological()
}

/// A scan of it whose reader agrees that there is no tumour.
async fn agreed(gateway: &mut Gateway, volume: &Volume) -> String {
    let shape = volume.shape.lengths().map(|length| length as u32);
    let scan = gateway.mesh.stored(&volume.to_bytes(), shape).await;
    let job = gateway.mesh.claim(&scan).await;
    gateway.mesh.complete(&job, Answer::NoneFound, &[]).await;
    gateway.token = gateway.mesh.token(Role::Clinician);
    let path = format!("/v1/scans/{scan}/feedback");
    let given = gateway.post(&path).json(&json!({ "verdict": "agree" })).send().await.unwrap();
    assert_eq!(given.status(), 201);
    scan
}

async fn consent(gateway: &mut Gateway, learning: bool) -> (u16, serde_json::Value) {
    gateway.token = gateway.mesh.token(Role::Admin);
    let request = gateway.client.put(format!("{}/v1/consent", gateway.url));
    let request = request.bearer_auth(&gateway.token).json(&json!({ "learning": learning }));
    json(request.send().await.unwrap()).await
}

async fn bytes(gateway: &Gateway, path: &str) -> (u16, Vec<u8>) {
    let answer = gateway.get(path).send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_confirmed_scan_is_handed_out_as_nifti_on_one_grid() {
    for storage in ["LPS", "LIA"] {
        let mut gateway = Gateway::start().await;
        let volume = head(storage);
        let scan = agreed(&mut gateway, &volume).await;
        let (status, decided) = consent(&mut gateway, true).await;
        assert_eq!((status, &decided["learning"]), (200, &json!(true)), "{decided}");
        gateway.token = gateway.mesh.token(Role::Scientist);
        let (status, page) = json(gateway.get("/v1/dataset").send().await.unwrap()).await;
        let one = &page["scans"][0];
        let expected = json!({
            "scan_id": scan, "id": one["id"], "patient": one["patient"], "patient_known": false,
            "kind": "unknown", "verdict": "agree", "truth": "no_tumour", "mask_source": "empty",
            "mask_sha256": "", "volume_sha256": one["volume_sha256"], "shape": volume.shape.lengths(),
            "findings": [],
            "image": format!("/v1/scans/{scan}/dataset-image"),
            "mask": format!("/v1/scans/{scan}/dataset-mask"),
        });
        assert_eq!((status, one), (200, &expected), "{page}");
        assert_eq!((&page["left_out"], &page["next_cursor"]), (&json!([]), &json!(null)));

        let (status, image) = bytes(&gateway, one["image"].as_str().unwrap()).await;
        let decoded = imaging::decode(&image, &Limits::default()).unwrap().volume;
        assert_eq!((status, decoded.shape), (200, volume.shape), "{storage}");
        assert!(decoded.voxels == volume.voxels, "{storage}");
        let (status, mask) = bytes(&gateway, one["mask"].as_str().unwrap()).await;
        let none = vec![0_u8; volume.shape.len()];
        let expected = nifti_gz(&none, volume.shape, volume.geometry.as_ref()).unwrap();
        assert!(status == 200 && mask == expected, "{storage}");
    }
}

#[tokio::test]
async fn without_consent_there_is_a_problem_of_its_own() {
    let mut gateway = Gateway::start().await;
    let scan = agreed(&mut gateway, &head("LPS")).await;
    let (_, nobody) = json(gateway.get("/v1/consent").send().await.unwrap()).await;
    assert_eq!(nobody, json!({ "learning": false, "decided_by": null, "decided_at": null }));
    for role in [Role::Clinician, Role::Integrator] {
        gateway.token = gateway.mesh.token(role);
        let refused = gateway.get("/v1/dataset").send().await.unwrap();
        assert_eq!(problem(refused).await.1, "forbidden", "{role:?}");
    }
    gateway.token = gateway.mesh.token(Role::Scientist);
    let refused = problem(gateway.get("/v1/dataset").send().await.unwrap()).await;
    assert_eq!((refused.0, &*refused.1), (403, "no-consent"));
    for what in ["dataset-image", "dataset-mask"] {
        let path = format!("/v1/scans/{scan}/{what}");
        assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 403);
    }
    consent(&mut gateway, true).await;
    let other = gateway.mesh.queued().await;
    for path in [
        format!("/v1/scans/{other}/dataset-image"),
        format!("/v1/scans/{other}/dataset-mask"),
        "/v1/scans/nobody/dataset-image".to_owned(),
    ] {
        assert_eq!(problem(gateway.get(&path).send().await.unwrap()).await.0, 404, "{path}");
    }
    let (_, withdrawn) = consent(&mut gateway, false).await;
    assert_eq!(
        (&withdrawn["learning"], withdrawn["decided_by"].as_str()),
        (&json!(false), Some("tester"))
    );
    assert_eq!(problem(gateway.get("/v1/dataset").send().await.unwrap()).await.1, "no-consent");
}

#[tokio::test]
async fn images_that_name_nobody_come_as_ingest_makes_them_or_it_is_said_why_there_are_none() {
    let mut gateway = Gateway::start().await;
    gateway.token = gateway.mesh.token(Role::Scientist);
    let zip = gateway.get("/v1/scans/zip/dataset-dicom").send().await.unwrap();
    let header = |name: &str| zip.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((&*header("content-type"), &*header("content-length")), ("application/zip", "5"));
    assert_eq!(zip.bytes().await.unwrap(), "PKzip");
    let refused = gateway.get("/v1/scans/other/dataset-dicom").send().await.unwrap();
    assert_eq!(problem(refused).await.0, 422);
}

#[tokio::test]
async fn a_report_is_kept_and_shown_to_admins() {
    let mut gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let new = json!({ "words": "the outline is mirrored", "scan_id": scan });
    let kept = json(gateway.post("/v1/incidents").json(&new).send().await.unwrap()).await;
    let expected = json!({
        "id": kept.1["id"], "reported_at": "2023-11-14T22:13:21.000Z", "reporter": "tester",
        "words": "the outline is mirrored", "scan_id": scan, "from_patient": false, "by_link": false,
    });
    assert_eq!(kept, (201, expected));
    let refused = problem(gateway.get("/v1/incidents").send().await.unwrap()).await;
    assert_eq!(refused.0, 403);
    for (body, status) in [
        (json!({ "words": " " }), 400),
        (json!({ "words": "x".repeat(4001) }), 400),
        (json!({}), 422),
        (json!({ "words": "w", "scan_id": "01890000-0000-7000-8000-000000000000" }), 404),
    ] {
        let refused = gateway.post("/v1/incidents").json(&body).send().await.unwrap();
        assert_eq!(problem(refused).await.0, status, "{body}");
    }
    let about_system = json!({ "words": "nobody told me why", "from_patient": true });
    gateway.mesh.clock.advance(1);
    gateway.post("/v1/incidents").json(&about_system).send().await.unwrap();
    gateway.token = gateway.mesh.token(Role::Admin);
    let first = gateway.get("/v1/incidents?limit=1").send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let (_, page) = json(first).await;
    let newest = &page["incidents"][0];
    assert_eq!((&newest["scan_id"], &newest["from_patient"]), (&json!(null), &json!(true)));
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let (_, page) = json(gateway.get(next).send().await.unwrap()).await;
    assert_eq!(
        (&page["incidents"][0]["scan_id"], &page["next_cursor"]),
        (&json!(scan), &json!(null))
    );
}

#[tokio::test]
async fn a_patient_with_a_link_writes_without_an_account_and_reads_nothing() {
    let mut gateway = Gateway::start().await;
    let scan = gateway.mesh.done().await;
    let new = json!({ "scan_id": scan, "days": 7 });
    let made = json(gateway.post("/v1/incident-links").json(&new).send().await.unwrap()).await;
    assert_eq!((made.0, &made.1["expires_at"]), (201, &json!("2023-11-21T22:13:21.000Z")));
    let link = format!("{}{}", gateway.url, made.1["path"].as_str().unwrap());
    let never = format!("{}/tell/{}", gateway.url, "0".repeat(64));

    // Nothing tells a link that is valid from one that is not, until words are sent; and nothing of the scan is shown.
    for (language, send) in [("en", "Send"), ("fr", "Envoyer")] {
        let [shown, strange] = [&link, &never].map(|link| format!("{link}?lang={language}"));
        let page = gateway.client.get(shown).send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"));
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        assert_eq!(page.headers()["cache-control"], "no-store");
        assert!(!page.headers().contains_key("set-cookie"));
        let page = page.text().await.unwrap();
        assert!(page.contains(send) && !page.contains("<script") && !page.contains(&scan));
        let strange = gateway.client.get(strange).send().await.unwrap().text().await.unwrap();
        assert_eq!(page, strange);
    }
    let send = async |link: &str, words: &str| {
        let answer = gateway.client.post(link).form(&[("words", words)]).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = send(&link, "<b>not my head</b>\r\nat all").await;
    assert!(status == 200 && page.contains("Thank you"), "{page}");
    for (link, words, status, said) in [
        (&never, "<b>lost?</b>", 404, "&lt;b&gt;lost?&lt;/b&gt;"),
        (&link, "  ", 400, "at least one word"),
        (&link, &*"x".repeat(4001), 400, "4,000 characters"),
    ] {
        let (answered, page) = send(link, words).await;
        assert_eq!(answered, status);
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(said), "{page}");
    }
    for days in [0, 91] {
        let refused = gateway.post("/v1/incident-links").json(&json!({ "days": days }));
        assert_eq!(problem(refused.send().await.unwrap()).await.0, 400, "{days}");
    }

    let listed = async |gateway: &Gateway| {
        json(gateway.get("/v1/incident-links").send().await.unwrap()).await.1
    };
    let page = listed(&gateway).await;
    let kept = &page["links"][0];
    assert_eq!([&kept["id"], &kept["scan_id"]], [&made.1["id"], &json!(scan)]);
    assert_eq!((&kept["expires_at"], &page["next_cursor"]), (&made.1["expires_at"], &json!(null)));
    assert!(!page.to_string().contains(made.1["path"].as_str().unwrap()), "told once");
    let revoke = format!("/v1/incident-links/{}", made.1["id"].as_str().unwrap());
    for status in [204, 404] {
        let answer = gateway.request(Method::DELETE, &revoke).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    assert_eq!(listed(&gateway).await["links"], json!([]));
    let [(revoked, page), (unknown, never)] =
        [send(&link, "too late").await, send(&never, "too late").await];
    assert_eq!((revoked, page), (unknown, never));

    gateway.token = gateway.mesh.token(Role::Admin);
    let (_, page) = json(gateway.get("/v1/incidents").send().await.unwrap()).await;
    let told = &page["incidents"][0];
    assert_eq!(told["words"], "<b>not my head</b>\nat all");
    let marked = [&told["scan_id"], &told["from_patient"], &told["by_link"]];
    assert_eq!(marked, [&json!(scan), &json!(true), &json!(true)]);
}
