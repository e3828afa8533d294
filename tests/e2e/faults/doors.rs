//! Instances that were acknowledged one by one, and the service that has them killed before their study is a scan.

use std::time::Instant;

use anyhow::{Context, ensure};
use imaging::encode::{Series, dicom};
use imaging::phantom::{Phantom, Settings};
use serde_json::{Value, json};
use tests::client::{Client, answer};
use tests::mesh::Mesh;
use tests::scans;

use super::archives::{Archives, Sent};
use super::ledger::{Judged, Play, sha256};
use super::scanner::{Scanner, study_of};
use super::steps::wait;

/// How many different heads there are.
const HEADS: u64 = 4;
/// Studies are named by these numbers and those that follow; no other test's are.
const FIRST_STUDY: u64 = 71_000;

/// What must become of a head's images, as seen while nothing fails.
struct Expected {
    volume_sha256: Value,
    mask_sha256: String,
}

/// Stores one study after another by STOW-RS, kills ingest as soon as each is acknowledged, and looks what has become of it.
pub async fn stored_and_killed(mesh: &mut Mesh, play: Play) -> anyhow::Result<Judged> {
    let client = mesh.client().await?;
    let mut expected = Vec::new();
    for head in 0..HEADS {
        expected.push(analysed(&client, &image(head, FIRST_STUDY - 1 - head)?).await?);
    }
    let first = first_study(&client).await?;
    let studies = play.uploads / HEADS;
    let mut judged = Judged { uploads: studies as usize, ..Judged::default() };
    for number in 0..studies {
        let head = number % HEADS;
        let study = stored(mesh, &image(head, first + number)?, play).await?;
        let ingest = mesh.parts_of("ingest")[0];
        mesh.kill(ingest);
        mesh.restart(ingest)?;
        let healed = Instant::now();
        look(mesh, (study.as_str(), 1), &expected[head as usize], play, &mut judged).await?;
        judged.recovery = judged.recovery.max(healed.elapsed());
    }
    Ok(judged)
}

/// Sends one study after another by C-STORE, in two halves, kills ingest as soon as each of them is acknowledged, and looks what has
/// become of the study.
pub async fn sent_and_killed(mesh: &mut Mesh, play: Play) -> anyhow::Result<Judged> {
    let Scanning { scanner, expected, first, .. } = Scanning::begin(mesh).await?;
    // Each is killed for twice.
    let studies = (play.uploads / HEADS / 2).max(1);
    let mut judged = Judged { uploads: studies as usize, ..Judged::default() };
    for number in 0..studies {
        let head = number % HEADS;
        let files = slices(head, first + number);
        for half in files.chunks(files.len().div_ceil(2)) {
            scanner.send(half, play.patience).await?;
            let ingest = mesh.parts_of("ingest")[0];
            mesh.kill(ingest);
            mesh.restart(ingest)?;
        }
        let healed = Instant::now();
        let study = study_of(&files[0])?;
        look(mesh, (study.as_str(), files.len()), &expected[head as usize], play, &mut judged)
            .await?;
        judged.recovery = judged.recovery.max(healed.elapsed());
    }
    Ok(judged)
}

/// Sends studies by C-STORE, has their results sent to archives of which each has a fault of its own, kills delivery meanwhile, and
/// looks what has become of both.
pub async fn sent_and_archived(mesh: &mut Mesh, play: Play) -> anyhow::Result<Judged> {
    let Scanning { scanner, expected, first, before } = Scanning::begin(mesh).await?;
    let archives = Archives::start(mesh).await?;
    let studies = (play.uploads / HEADS).max(1);
    let mut judged = Judged { uploads: studies as usize, ..Judged::default() };
    let (mut sent, mut instances) = (Vec::new(), 0);
    for number in 0..studies {
        let files = slices(number % HEADS, first + number);
        scanner.send(&files, play.patience).await?;
        let patient_id = format!("PHANTOM-{}", first + number);
        sent.push(Sent { uid: study_of(&files[0])?, patient_id });
        instances = files.len();
    }
    let delivery = mesh.parts_of("delivery")[0];
    for (number, study) in sent.iter().enumerate() {
        let expected = &expected[number % HEADS as usize];
        look(mesh, (study.uid.as_str(), instances), expected, play, &mut judged).await?;
        mesh.kill(delivery);
        mesh.restart(delivery)?;
    }
    let healed = Instant::now();
    // As if the leases of the attempts that were killed had passed: they are longer than anybody waits here.
    wait(2_000).await;
    mesh.execute("delivery", "UPDATE deliveries SET leased_until_ms = 0").await?;
    archives.judge(mesh, (sent.as_slice(), before.as_slice()), play.patience, &mut judged).await?;
    judged.recovery = healed.elapsed();
    Ok(judged)
}

/// A scanner at the open door.
struct Scanning {
    scanner: Scanner,
    /// What must become of each head's slices.
    expected: Vec<Expected>,
    /// The number of the first study.
    first: u64,
    /// The studies by which that was seen.
    before: Vec<String>,
}

impl Scanning {
    async fn begin(mesh: &mut Mesh) -> anyhow::Result<Scanning> {
        let client = mesh.client().await?;
        let (mut expected, mut before) = (Vec::new(), Vec::new());
        for head in 0..HEADS {
            let files = slices(head, FIRST_STUDY - 1 - HEADS - head);
            before.push(study_of(&files[0])?);
            expected.push(analysed(&client, &scans::zip_of(files)).await?);
        }
        let first = first_study(&client).await?;
        // Last: ingest is started anew for it.
        let scanner = Scanner::start(mesh).await?;
        Ok(Scanning { scanner, expected, first, before })
    }
}

/// The slices of a head as the only series of a study.
fn slices(head: u64, study: u64) -> Vec<Vec<u8>> {
    scans::slices_as(&scans::stack(head), "LPS", study)
}

/// Rows may be played more than once on one mesh.
async fn first_study(client: &Client) -> anyhow::Result<u64> {
    Ok(FIRST_STUDY + 100 * client.count_scans().await? as u64)
}

async fn analysed(client: &Client, upload: &[u8]) -> anyhow::Result<Expected> {
    let (scan, _) = client.analyse(upload).await?;
    ensure!(scan["answer"] == "found", "{scan}");
    let volume_sha256 = scan["volume_sha256"].clone();
    Ok(Expected { volume_sha256, mask_sha256: mask_of(client, &scan).await? })
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
    (study, instances): (&str, usize),
    expected: &Expected,
    play: Play,
    judged: &mut Judged,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let scans = loop {
        let found = scans_of(mesh, study, instances).await.unwrap_or_default();
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
async fn scans_of(mesh: &Mesh, study: &str, instances: usize) -> anyhow::Result<Vec<Value>> {
    let client = mesh.client().await?;
    let (_, page) = client.json(&format!("/v1/scans?study_uid={study}")).await?;
    let scans = page["scans"].as_array().context("a list of scans")?.clone();
    if scans.is_empty() {
        let complete = format!("/v1/studies/{study}/complete");
        client.post_json(&complete, &json!({ "instances": instances })).await?;
    }
    Ok(scans)
}

async fn mask_of(client: &Client, scan: &Value) -> anyhow::Result<String> {
    let id = scan["id"].as_str().context("an id")?;
    Ok(sha256(&client.bytes(&format!("/v1/scans/{id}/mask.png")).await?))
}
