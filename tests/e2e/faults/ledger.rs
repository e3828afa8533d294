//! What the client knows, and how a row is judged by it once all is well again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tests::client::{Client, id};
use tests::mesh::Mesh;
use tests::scans;
use tokio::task::{JoinHandle, JoinSet};

/// How many different patients there are; each has a lesion at a place of its own, so that a mask tells whose it is.
pub const PATIENTS: u64 = 12;
/// Uploads that are under way at the same time.
const AT_ONCE: u64 = 6;
const PAUSE: Duration = Duration::from_millis(200);
/// How long news may take to get everywhere once the last scan is done.
const SETTLING: Duration = Duration::from_secs(15);

/// Each key with the scan that it was accepted as.
pub type Ledger = BTreeMap<String, String>;

/// What must become of a row's scans.
#[derive(Clone, Copy)]
pub enum Expected {
    /// The lesion of the patient in the key.
    Found,
    /// An answer and a part of its reason.
    Answer(&'static str, &'static str),
    /// As before for keys that say `poison`, and no finding for the others.
    PoisonFails,
}

/// What a row came to.
#[derive(Default)]
pub struct Judged {
    pub uploads: usize,
    /// Accepted, and not answered or not as expected.
    pub lost: usize,
    /// More scans than keys.
    pub doubled: usize,
    /// Masks of another patient, and originals that are not what was sent.
    pub swapped: usize,
    /// Seen by another hospital.
    pub leaked: usize,
    /// Not in the audit trail or in the news exactly once; messages and jobs that are left over.
    pub unclean: usize,
    /// From the end of the fault until the last scan was done.
    pub recovery: Duration,
}

impl Judged {
    pub fn is_sound(&self) -> bool {
        self.lost + self.doubled + self.swapped + self.leaked + self.unclean == 0
    }
}

/// How a row is played.
#[derive(Clone, Copy)]
pub struct Play {
    pub uploads: u64,
    /// How often the parts are killed, each of them.
    pub rounds: u64,
    /// How long an upload is tried again, and how long there may be nothing new before what is not done is lost.
    pub patience: Duration,
    /// Between the uploads of one sender.
    pub pause: Duration,
}

/// The digest of each patient's mask, seen while nothing fails.
pub async fn masks(mesh: &Mesh) -> anyhow::Result<Vec<String>> {
    let client = mesh.client().await?;
    let mut masks = Vec::new();
    for patient in 0..PATIENTS {
        let (scan, _) = client.analyse(&scans::png(patient, true)).await?;
        masks.push(sha256(&client.bytes(&path(id(&scan)?, "/mask.png")).await?));
    }
    let different: BTreeSet<_> = masks.iter().collect();
    ensure!(different.len() == masks.len(), "two patients have the same mask");
    Ok(masks)
}

/// Sends the row's uploads, each again under its key until it is accepted. Keys say `poison` for each `poisons`-th.
pub fn send_all(
    mesh: &Mesh,
    row: &str,
    play: Play,
    poisons: Option<u64>,
) -> JoinHandle<anyhow::Result<Ledger>> {
    let (url, password, row) = (mesh.url.clone(), mesh.password.clone(), row.to_owned());
    tokio::spawn(async move {
        let mut senders = JoinSet::new();
        for sender in 0..AT_ONCE {
            let (url, password, row) = (url.clone(), password.clone(), row.clone());
            senders.spawn(async move {
                let mut accepted = Vec::new();
                for index in (sender..play.uploads).step_by(AT_ONCE as usize) {
                    let poison = poisons.is_some_and(|every| index % every == every / 2);
                    let kind = if poison { "poison" } else { "patient" };
                    let key = format!("{row}-{index}-{kind}-{}", index % PATIENTS);
                    let scan = send(&url, &password, &key, play.patience);
                    let scan = scan.await.with_context(|| key.clone())?;
                    accepted.push((key, scan));
                    tokio::time::sleep(play.pause).await;
                }
                anyhow::Ok(accepted)
            });
        }
        let mut ledger = Ledger::new();
        while let Some(accepted) = senders.join_next().await {
            ledger.extend(accepted??);
        }
        ensure!(ledger.len() as u64 == play.uploads, "{} of {} keys", ledger.len(), play.uploads);
        Ok(ledger)
    })
}

/// One upload, as a client does it that wants its scan taken: signs in again, waits, repeats.
async fn send(url: &str, password: &str, key: &str, patience: Duration) -> anyhow::Result<String> {
    let png = image(key)?;
    let begun = Instant::now();
    loop {
        let sent = async {
            let client = Client::sign_in(url, "admin", password).await?;
            let (status, scan) = client.upload_once(key, &png).await?;
            ensure!(status == 202, "{status}: {scan}");
            id(&scan).map(str::to_owned)
        };
        match sent.await {
            Ok(scan) => return Ok(scan),
            Err(error) if begun.elapsed() > patience => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Waits for every scan of the ledger, and looks whether all is as it should be.
pub async fn judge(
    mesh: &Mesh,
    ledger: &Ledger,
    before: usize,
    healed: Instant,
    masks: &[String],
    expected: Expected,
    patience: Duration,
) -> anyhow::Result<Judged> {
    let client = mesh.client().await?;
    let stranger = mesh.stranger()?;
    let mut judged = Judged { uploads: ledger.len(), ..Judged::default() };
    let mut last_done = Instant::now();
    for (key, scan) in ledger {
        let Ok(done) = until_done(&client, scan, last_done + patience).await else {
            println!("{key} was accepted as {scan} and never done");
            judged.lost += 1;
            continue;
        };
        last_done = Instant::now();
        if !as_expected(key, &done, expected) {
            println!("{key} is {done}");
            judged.lost += 1;
        }
    }
    judged.recovery = healed.elapsed();
    for (key, scan) in ledger {
        judged.swapped += usize::from(is_swapped(&client, key, scan, masks, expected).await?);
        judged.leaked += usize::from(stranger.get(&path(scan, "")).await?.status() != 404);
    }
    judged.doubled = (client.count_scans().await? - before).saturating_sub(ledger.len());
    judged.unclean = unclean(mesh, ledger).await?;
    Ok(judged)
}

fn as_expected(key: &str, done: &Value, expected: Expected) -> bool {
    let (answer, reason) = match expected {
        Expected::Found => ("found", ""),
        Expected::Answer(answer, reason) => (answer, reason),
        Expected::PoisonFails if key.contains("poison") => ("failed", "never finished"),
        Expected::PoisonFails => ("none_found", ""),
    };
    let said = done["reason"].as_str().unwrap_or_default();
    done["answer"] == answer && said.contains(reason)
}

async fn is_swapped(
    client: &Client,
    key: &str,
    scan: &str,
    masks: &[String],
    expected: Expected,
) -> anyhow::Result<bool> {
    let Expected::Found = expected else { return Ok(false) };
    // Neither is there where the scan is lost, which is counted already.
    let (Ok(mask), Ok(original)) = (
        client.bytes(&path(scan, "/mask.png")).await,
        client.bytes(&path(scan, "/original")).await,
    ) else {
        return Ok(false);
    };
    Ok(sha256(&mask) != masks[patient_of(key)? as usize] || original != image(key)?)
}

/// Looks until all is clean, or long enough.
async fn unclean(mesh: &Mesh, ledger: &Ledger) -> anyhow::Result<usize> {
    let begun = Instant::now();
    loop {
        let left = left_over(mesh, ledger).await?;
        if left.is_empty() || begun.elapsed() > SETTLING {
            for what in &left {
                println!("{what}");
            }
            return Ok(left.len());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn left_over(mesh: &Mesh, ledger: &Ledger) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    let trail =
        "SELECT object_id, COUNT(*) FROM audit WHERE action = 'scan.completed' GROUP BY object_id";
    let news = "SELECT scan_id, COUNT(*) FROM observations GROUP BY scan_id";
    for (what, service, query) in [("the audit trail", "storage", trail), ("news", "drift", news)] {
        let times: BTreeMap<String, i64> = mesh.ask(service, query).await?.into_iter().collect();
        for (key, scan) in ledger {
            match times.get(scan) {
                Some(1) => {}
                times => left.push(format!("{key} is {} times in {what}", times.unwrap_or(&0))),
            }
        }
    }
    for table in ["outbox", "jobs WHERE state IN ('queued', 'leased')"] {
        let query = format!("SELECT '', COUNT(*) FROM {table}");
        for (_, count) in mesh.ask("storage", &query).await? {
            left.extend((count > 0).then(|| format!("{count} rows are left in {table}")));
        }
    }
    Ok(left)
}

/// As [`Client::until_done`], but what cannot be asked now is asked again.
async fn until_done(client: &Client, scan: &str, until: Instant) -> anyhow::Result<Value> {
    loop {
        match client.json(&path(scan, "")).await {
            Ok((200, done)) if done["state"] == "done" => return Ok(done),
            _ => ensure!(Instant::now() < until, "{scan} is not done"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn path(scan: &str, rest: &str) -> String {
    format!("/v1/scans/{scan}{rest}")
}

/// The image that goes under that key.
fn image(key: &str) -> anyhow::Result<Vec<u8>> {
    let patient = patient_of(key)?;
    Ok(if key.contains("poison") { scans::oblong(patient) } else { scans::png(patient, true) })
}

fn patient_of(key: &str) -> anyhow::Result<u64> {
    let (_, patient) = key.rsplit_once('-').context("a patient in the key")?;
    Ok(patient.parse()?)
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
