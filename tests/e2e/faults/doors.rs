//! Instances that were acknowledged one by one, and the service that has them killed before their study is a scan.

use std::time::Instant;

use anyhow::{Context, ensure};
use imaging::encode::{Series, dicom};
use imaging::phantom::{Phantom, Settings};
use serde_json::{Value, json};
use tests::client::{Client, answer};
use tests::mesh::Mesh;

use super::ledger::{Judged, Play, sha256};
use super::steps::wait;

/// How many different heads there are.
const HEADS: u64 = 4;
/// Studies are named by these numbers and those that follow; no other test's are.
const FIRST_STUDY: u64 = 71_000;

/// What must become of a head's image, as seen while nothing fails.
struct Expected {
    volume_sha256: Value,
    mask_sha256: String,
}

/// Stores one study after another by STOW-RS, kills ingest as soon as each is acknowledged, and looks what has become of it.
pub async fn stored_and_killed(mesh: &mut Mesh, play: Play) -> anyhow::Result<Judged> {
    let client = mesh.client().await?;
    let mut expected = Vec::new();
    for head in 0..HEADS {
        let (scan, _) = client.analyse(&image(head, FIRST_STUDY - 1 - head)?).await?;
        expected.push(Expected {
            volume_sha256: scan["volume_sha256"].clone(),
            mask_sha256: mask_of(&client, &scan).await?,
        });
    }
    // Rows may be played more than once on one mesh.
    let first = FIRST_STUDY + 100 * client.count_scans().await? as u64;
    let studies = play.uploads / HEADS;
    let mut judged = Judged { uploads: studies as usize, ..Judged::default() };
    for number in 0..studies {
        let head = number % HEADS;
        let study = stored(mesh, &image(head, first + number)?, play).await?;
        let ingest = mesh.parts_of("ingest")[0];
        mesh.kill(ingest);
        mesh.restart(ingest)?;
        let healed = Instant::now();
        look(mesh, &study, &expected[head as usize], play, &mut judged).await?;
        judged.recovery = judged.recovery.max(healed.elapsed());
    }
    Ok(judged)
}

/// One slice of a head as the only instance of a study.
fn image(head: u64, study: u64) -> anyhow::Result<Vec<u8>> {
    let phantom = Phantom::new(&Settings::slice(head))?;
    Ok(dicom(&phantom.volume, &Series::of_seed(study), 0)?)
}

/// Stores the instance, again until it is acknowledged; its study.
async fn stored(mesh: &Mesh, instance: &[u8], play: Play) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        match store(mesh, instance).await {
            Err(error) if begun.elapsed() > play.patience => return Err(error),
            Err(_) => wait(200).await,
            stored => return stored,
        }
    }
}

async fn store(mesh: &Mesh, instance: &[u8]) -> anyhow::Result<String> {
    let client = mesh.client().await?;
    let mut body = b"\r\n--parts\r\nContent-Type: application/dicom\r\n\r\n".to_vec();
    body.extend(instance);
    body.extend(b"\r\n--parts--\r\n");
    let kind = "multipart/related; type=\"application/dicom\"; boundary=parts";
    let (status, said) = answer(client.post("/dicomweb/studies", kind, body).await?).await?;
    ensure!(status == 200, "{status}: {said}");
    let study = said["00081190"]["Value"][0].as_str().and_then(|url| url.rsplit('/').next());
    Ok(study.context("the study's address")?.to_owned())
}

/// Waits for the study's scan, and counts what is wrong with it.
async fn look(
    mesh: &Mesh,
    study: &str,
    expected: &Expected,
    play: Play,
    judged: &mut Judged,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let scans = loop {
        let found = scans_of(mesh, study).await.unwrap_or_default();
        let is_done = !found.is_empty() && found.iter().all(|scan| scan["state"] == "done");
        if is_done || begun.elapsed() > play.patience {
            break found;
        }
        wait(200).await;
    };
    judged.doubled += scans.len().saturating_sub(1);
    let Some(scan) = scans.first().filter(|scan| scan["answer"] == "found") else {
        println!("the study {study} was stored, and became {scans:?}");
        judged.lost += 1;
        return Ok(());
    };
    let client = mesh.client().await?;
    let is_same = scan["volume_sha256"] == expected.volume_sha256
        && mask_of(&client, scan).await? == expected.mask_sha256;
    judged.swapped += usize::from(!is_same);
    let id = scan["id"].as_str().context("an id")?;
    let seen = mesh.stranger()?.get(&format!("/v1/scans/{id}")).await?.status();
    judged.leaked += usize::from(seen != 404);
    Ok(())
}

/// The study's scans. That it is whole is said until there is one: before that, its instances may not have been looked at.
async fn scans_of(mesh: &Mesh, study: &str) -> anyhow::Result<Vec<Value>> {
    let client = mesh.client().await?;
    let (_, page) = client.json(&format!("/v1/scans?study_uid={study}")).await?;
    let scans = page["scans"].as_array().context("a list of scans")?.clone();
    if scans.is_empty() {
        let complete = format!("/v1/studies/{study}/complete");
        client.post_json(&complete, &json!({ "instances": 1 })).await?;
    }
    Ok(scans)
}

async fn mask_of(client: &Client, scan: &Value) -> anyhow::Result<String> {
    let id = scan["id"].as_str().context("an id")?;
    Ok(sha256(&client.bytes(&format!("/v1/scans/{id}/mask.png")).await?))
}
