use std::io::{Cursor, Read};

use serde_json::{Value, json};

use crate::{Gateway, json, problem};

#[tokio::test]
async fn a_batch_is_accepted_and_shows_each_entry() {
    let gateway = Gateway::start().await;
    let scan = gateway.mesh.queued().await;
    let batch = gateway.mesh.batch(&scan).await;
    gateway.ingest.makes(batch.clone());
    let answer = gateway.post("/v1/batches").body("a zip").send().await.unwrap();
    let place = format!("/v1/batches/{}", batch.id);
    assert_eq!(answer.headers()["location"], place);
    assert_eq!(answer.status(), 202);
    assert_eq!(gateway.ingest.seen()[0].length, 5);

    let (status, batch) = json(gateway.get(&place).send().await.unwrap()).await;
    let entries = &batch["entries"];
    assert_eq!(
        (status, &batch["done"], &entries[0]["scan"]["state"]),
        (200, &json!(false), &json!("queued"))
    );
    assert_eq!(
        (&entries[2]["scan"], &entries[2]["refusal"]["type"]),
        (&json!(null), &json!("/problems/too-small"))
    );
    assert_eq!(
        problem(gateway.post("/v1/batches").body("refuse").send().await.unwrap()).await.1,
        "too-small"
    );
}

#[tokio::test]
async fn the_archive_waits_for_the_last_scan() {
    let gateway = Gateway::start().await;
    let batch = gateway.mesh.batch(&gateway.mesh.queued().await).await;
    let archive = format!("/v1/batches/{}/result.zip", batch.id);
    let (status, name, _) = problem(gateway.get(&archive).send().await.unwrap()).await;
    assert_eq!((status, name.as_str()), (409, "not-ready"));
    assert_eq!(
        problem(gateway.get("/v1/batches/nobody/result.zip").send().await.unwrap()).await.0,
        404
    );
}

#[tokio::test]
async fn the_archive_holds_overlays_masks_and_one_document() {
    let gateway = Gateway::start().await;
    let batch = gateway.mesh.batch(&gateway.mesh.done().await).await;
    let archive = format!("/v1/batches/{}/result.zip", batch.id);
    let answer = gateway.get(&archive).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/zip");
    let mut zip = zip::ZipArchive::new(Cursor::new(answer.bytes().await.unwrap())).unwrap();
    let mut names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["batch.json", "masks/0001-a.png", "overlays/0001-a.png"]);

    let mut mask = String::new();
    zip.by_name("masks/0001-a.png").unwrap().read_to_string(&mut mask).unwrap();
    assert_eq!(mask, "bytes of mask.png");

    let document: Value = serde_json::from_reader(zip.by_name("batch.json").unwrap()).unwrap();
    let [found, failed, refused] = document["entries"].as_array().unwrap().as_slice() else {
        panic!("{document}")
    };
    assert_eq!(
        (&found["mask"], &found["result"]["answer"]),
        (&json!("masks/0001-a.png"), &json!("found"))
    );
    assert_eq!((&failed["scan"]["answer"], &failed["mask"]), (&json!("failed"), &json!(null)));
    assert_eq!(
        (&refused["scan"], &refused["refusal"]["type"]),
        (&json!(null), &json!("/problems/too-small"))
    );
}
