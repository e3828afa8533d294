//! A patient who was erased is in no file of the deployment any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use tests::client::{Client, answer, id};
use tests::mesh::OneProcess;
use tests::scans;

const CANARY: &str = "canary-4719";
const PATIENCE: Duration = Duration::from_secs(60);
/// As long as a hospital's id is.
const HOSPITAL_CHARS: usize = 36;

/// A scan that came as DICOM, one with what its sender states, and what readers and others have said of that: then none of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_patient_is_found_nowhere() -> anyhow::Result<()> {
    let mut one = OneProcess::start().await?;
    let client = one.client().await?;
    let dicom = scans::dicom_as(&scans::stack(71), "LPS");
    let (dicom, _) = client.analyse(&dicom).await?;
    let stated = stated(&client).await?;
    spoken_of(&client, &stated).await?;
    let slices = scans::slices_as(&scans::stack(73), "LPS", 79);
    let came = by_stow(&client, &slices).await?;
    let mut needles = told(&client, id(&dicom)?).await?;
    needles.extend(told(&client, &came).await?);
    // Studies are searched for; what says a series is encrypted.
    for needle in needles.iter().map(String::as_str).step_by(2).chain([CANARY]) {
        ensure!(!naming(&one.home(), needle)?.is_empty(), "`{needle}` was never there");
    }
    let secret: Vec<String> = needles.iter().cloned().chain([CANARY.to_owned()]).collect();
    are_encrypted(&one.home().join("objects"), &secret)?;
    asked_about(&client).await?;
    let by_scan = json!({ "scan_id": id(&dicom)?, "reason": "they ask for it" });
    let by_number = json!({ "patient_id": CANARY, "reason": "they ask for it" });
    for erasure in [by_scan, by_number] {
        erase(&client, &erasure).await?;
    }
    let of_stow = erase(&client, &json!({ "scan_id": came, "reason": "they ask for it" })).await?;
    for again in [false, true] {
        if again {
            one.kill();
            one.restart().await?;
            one.client().await?;
        }
        for needle in needles.iter().map(String::as_str).chain([CANARY]) {
            until_gone(&one.home(), needle).await?;
        }
    }
    let log = std::fs::read_to_string(one.home().with_file_name("medseg.log"))?;
    for needle in needles.iter().map(String::as_str).chain([CANARY]) {
        ensure!(!log.contains(needle), "the log tells `{needle}`");
    }
    comes_back_once_it_is_let(&one.client().await?, &of_stow, &slices).await
}

/// What is stored of an erased study is not taken, with the standard's number for it, until an administrator says so.
async fn comes_back_once_it_is_let(
    client: &Client,
    erasure: &str,
    slices: &[Vec<u8>],
) -> anyhow::Result<()> {
    let (status, said) = stored(client, slices).await?;
    let failed = said["00081198"]["Value"].as_array().context("what has failed")?;
    ensure!(status == 409 && failed.len() == slices.len(), "{status} {said}");
    ensure!(failed.iter().all(|one| one["00081197"]["Value"][0] == 0x0124), "{said}");
    // By which erasure, to the end of it.
    let words = |one: &Value| one["00000902"]["Value"][0].as_str().map(str::to_owned);
    let is_whole = |words: String| words.contains("(erasure ") && words.ends_with(").");
    ensure!(failed.iter().all(|one| words(one).is_some_and(is_whole)), "{said}");
    let path = format!("/v1/erasures/{erasure}");
    let (_, receipt) = client.json(&path).await?;
    let refused = receipt["statement"]["refused"].as_array().context("what was refused")?;
    for dropped in [true, false] {
        ensure!(refused.iter().any(|one| one["dropped"] == dropped), "{receipt}");
    }
    let why = json!({ "reason": "it was another's" }).to_string();
    let lifted = client.post(&format!("{path}/lift"), "application/json", why.into_bytes()).await?;
    ensure!(lifted.status() == 204, "{}", lifted.status());
    by_stow(client, slices).await.map(drop)
}

/// The scan that those instances become.
async fn by_stow(client: &Client, slices: &[Vec<u8>]) -> anyhow::Result<String> {
    let (status, said) = stored(client, slices).await?;
    let study = said["00081190"]["Value"][0].as_str().and_then(|url| url.rsplit('/').next());
    let study = study.filter(|_| status == 200).with_context(|| format!("{status} {said}"))?;
    client.post_json(&format!("/v1/studies/{study}/complete"), &json!({})).await?;
    let becomes = async {
        loop {
            let (_, page) = client.json(&format!("/v1/scans?study_uid={study}")).await?;
            if let Some(scan) = page["scans"][0]["id"].as_str() {
                client.until_done(&page["scans"][0]["id"]).await?;
                return Ok(scan.to_owned());
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, becomes).await.context("a series became no scan")?
}

/// Stores them all in one request.
async fn stored(client: &Client, slices: &[Vec<u8>]) -> anyhow::Result<(u16, Value)> {
    let mut body = Vec::new();
    for slice in slices {
        body.extend(b"\r\n--parts\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend(slice);
    }
    body.extend(b"\r\n--parts--\r\n");
    let kind = "multipart/related; type=\"application/dicom\"; boundary=parts";
    answer(client.post("/dicomweb/studies", kind, body).await?).await
}

/// Whatever names the patient on its way in, and is refused or finds nothing, says so to whoever asked alone: not with the name.
async fn asked_about(client: &Client) -> anyhow::Result<()> {
    let named = |path: &str| path.replace("CANARY", CANARY);
    for (path, kind) in [
        ("/v1/scans?patient_id=CANARY", "application/octet-stream"),
        ("/v1/batches?patient_id=CANARY", "application/zip"),
        ("/dicomweb/studies", "application/dicom"),
    ] {
        let body = format!("no image of {CANARY}").into_bytes();
        let refused = client.post(&named(path), kind, body).await?;
        let (status, text) = (refused.status().as_u16(), refused.text().await?);
        ensure!((400..500).contains(&status) && !text.contains(CANARY), "{path}: {status} {text}");
    }
    for path in ["/dicomweb/studies?PatientID=CANARY-3", "/v1/deliveries?scan=CANARY"] {
        let none = client.get(&named(path)).await?;
        let (status, text) = (none.status().as_u16(), none.text().await?);
        ensure!(status != 500 && !text.contains(CANARY), "{path}: {status} {text}");
    }
    let nobody = json!({ "patient_id": format!("{CANARY}-3"), "reason": "so" });
    let named = json!({ "patient_id": CANARY, "reason": format!("{CANARY} asks for it") });
    for (erasure, expected) in [(nobody, 404), (named, 400)] {
        let (status, refused) = client.post_json("/v1/erasures", &erasure).await?;
        let words = refused.to_string();
        ensure!(status == expected && !words.contains(CANARY), "{status} {words}");
    }
    Ok(())
}

async fn stated(client: &Client) -> anyhow::Result<Value> {
    let path =
        format!("/v1/scans?patient_id={CANARY}&accession_number={CANARY}-1&reference={CANARY}-2");
    let (status, scan) =
        answer(client.post(&path, "image/png", scans::png(72, true)).await?).await?;
    ensure!(status == 202, "{status} {scan}");
    client.until_done(&scan["id"]).await
}

/// Words that name the patient, of a reader and of somebody who reports.
async fn spoken_of(client: &Client, scan: &Value) -> anyhow::Result<()> {
    let path = format!("/v1/scans/{}/feedback", id(scan)?);
    let word = json!({ "verdict": "agree", "note": format!("{CANARY} was restless") });
    let (status, given) = client.post_json(&path, &word).await?;
    ensure!(status == 201, "{status} {given}");
    let report = json!({ "words": format!("{CANARY} is mirrored"), "scan_id": scan["id"] });
    let (status, kept) = client.post_json("/v1/incidents", &report).await?;
    ensure!(status == 201, "{status} {kept}");
    Ok(())
}

/// What is told of whose scan it is, as far as nothing else may say it by chance.
pub async fn told(client: &Client, scan: &str) -> anyhow::Result<Vec<String>> {
    let (status, identity) = client.json(&format!("/v1/scans/{scan}/identity")).await?;
    ensure!(status == 200, "{status} {identity}");
    let names = ["study_instance_uid", "series_instance_uid"];
    names.map(|name| identity[name].as_str().map(str::to_owned).context(name)).into_iter().collect()
}

/// The erasure's id, once the receipt says that nothing is left.
async fn erase(client: &Client, erasure: &Value) -> anyhow::Result<String> {
    let (status, made) = client.post_json("/v1/erasures", erasure).await?;
    ensure!(status == 201 && made["scans"] == 1, "{status} {made}");
    let path = format!("/v1/erasures/{}", id(&made)?);
    let gone = async {
        loop {
            let (status, receipt) = client.json(&path).await?;
            ensure!(status == 200, "{status} {receipt}");
            if receipt["statement"]["left"] == json!({}) {
                let keys = &receipt["statement"]["keys"];
                let is_destroyed = keys[0]["destroyed_at"].is_string() && keys[1].is_null();
                ensure!(is_destroyed, "the patient's one data key is not destroyed: {receipt}");
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, gone).await??;
    Ok(id(&made)?.to_owned())
}

/// A reader that is under way keeps a database's log full: it is emptied again a minute later.
async fn until_gone(folder: &Path, text: &str) -> anyhow::Result<()> {
    let gone = async {
        while !naming(folder, text)?.is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
        anyhow::Ok(())
    };
    let ended = timeout(3 * PATIENCE, gone).await;
    ended.with_context(|| format!("`{text}` is in {:?}", naming(folder, text)))?
}

/// Also of those who are not erased no object tells anything: each is in the form of what is encrypted.
pub fn are_encrypted(objects: &Path, needles: &[String]) -> anyhow::Result<()> {
    for needle in needles {
        let named = naming(objects, needle)?;
        ensure!(named.is_empty(), "`{needle}` is in {named:?}");
    }
    let mut checked = 0;
    for path in files(objects)? {
        // Beside hospitals' objects lie what audit trails end in and what says that a scan was deleted. The double of a bucket has one folder.
        let name = path.strip_prefix(objects)?.to_string_lossy().replace("%2F", "/");
        let is_hospitals =
            name.split_once('/').is_some_and(|(hospital, _)| hospital.len() == HOSPITAL_CHARS);
        if is_hospitals {
            let bytes = std::fs::read(&path)?;
            ensure!(bytes.starts_with(b"medseg\x00\x01"), "{} is as it came", path.display());
            checked += 1;
        }
    }
    ensure!(checked >= 12, "{checked} objects of three scans were found");
    Ok(())
}

/// The files below `folder` that have the text in them.
fn naming(folder: &Path, text: &str) -> anyhow::Result<Vec<String>> {
    let mut naming = Vec::new();
    for path in files(folder)? {
        // One of SQLite's may be gone since it was listed.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.windows(text.len()).any(|some| some == text.as_bytes()) {
            naming.push(path.display().to_string());
        }
    }
    Ok(naming)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
