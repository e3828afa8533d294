//! Faults between the services of the mesh, and the ledger by which each run is judged: everything that was accepted ends
//! in one result, none is doubled, and no result is another patient's.
//!
//! `FAULT_UPLOADS` says how many uploads a row takes; `make faults` runs more than the suite does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::BoxFuture;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use tests::client::{Client, id};
use tests::mesh::Mesh;
use tests::scans;

/// How many different patients there are; each has a lesion at a place of its own, so that a mask tells whose it is.
const PATIENTS: u64 = 12;
const UPLOADS: u64 = 24;
/// Uploads that are under way at the same time.
const AT_ONCE: u64 = 6;
/// How long an upload is tried again, and how long a scan may take once all is well.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(200);

/// What the client knows: each key with the scan that it was accepted as.
type Ledger = BTreeMap<String, String>;

/// What a row came to.
struct Judged {
    uploads: usize,
    lost: usize,
    duplicates: usize,
    swaps: usize,
    recovery: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_swapped_whatever_fails() -> anyhow::Result<()> {
    let Ok(queue) = std::env::var("TEST_AMQP_URL") else {
        println!("skipped: TEST_AMQP_URL names no broker");
        return Ok(());
    };
    let mut mesh = Mesh::through_proxies(&queue).await?;
    let masks = Arc::new(masks(&mesh).await?);
    let mut table = vec![format!(
        "{:<50} {:>7} {:>5} {:>6} {:>5} {:>11}",
        "fault", "uploads", "lost", "double", "swap", "recovery s"
    )];
    let mut unsound = Vec::new();
    for (name, fault) in rows() {
        let judged = row(&mut mesh, name, fault, &masks).await.with_context(|| name.to_owned())?;
        let Judged { uploads, lost, duplicates, swaps, recovery } = judged;
        let seconds = recovery.as_secs_f64();
        table.push(format!(
            "{name:<50} {uploads:>7} {lost:>5} {duplicates:>6} {swaps:>5} {seconds:>11.1}"
        ));
        if lost + duplicates + swaps > 0 {
            unsound.push(name);
        }
    }
    println!("{}", table.join("\n"));
    ensure!(unsound.is_empty(), "not sound: {unsound:?}");
    mesh.terminate()
}

type Fault = for<'m> fn(&'m mut Mesh) -> BoxFuture<'m, anyhow::Result<()>>;

/// The rows of the fault matrix that are played here; each fault ends as it should end in the world.
fn rows() -> Vec<(&'static str, Fault)> {
    vec![
        ("P1 every service killed, one after another", |mesh| {
            Box::pin(async {
                for index in 0..mesh.parts() {
                    wait(300).await;
                    mesh.kill(index);
                    wait(200).await;
                    mesh.restart(index)?;
                }
                Ok(())
            })
        }),
        ("P3 every service told to stop, one after another", |mesh| {
            Box::pin(async {
                for index in 0..mesh.parts() {
                    wait(300).await;
                    mesh.stop(index)?;
                    mesh.restart(index)?;
                }
                Ok(())
            })
        }),
        ("P5 a worker frozen for longer than its lease", |mesh| {
            Box::pin(async {
                let worker = mesh.parts_of("inference")[0];
                mesh.freeze(worker, true)?;
                wait(5_000).await;
                mesh.freeze(worker, false)
            })
        }),
        ("B2 the queue of waiting scans emptied", |mesh| {
            Box::pin(async {
                let workers = mesh.parts_of("inference");
                workers.iter().for_each(|worker| mesh.kill(*worker));
                wait(4_000).await;
                let emptied = mesh.purge("scan.ready").await?;
                ensure!(emptied > 0, "nothing waited: the row shows nothing");
                workers.iter().try_for_each(|worker| mesh.restart(*worker))
            })
        }),
        ("B1 the broker gone for five seconds", |mesh| {
            Box::pin(async {
                mesh.broker()?.gone_for(ms(5_000)).await;
                Ok(())
            })
        }),
        ("B5 the broker's confirms lost", |mesh| {
            Box::pin(async {
                mesh.broker()?.lose_replies(3, ms(700), ms(300)).await;
                Ok(())
            })
        }),
        ("N2 the broker's network gone dark", |mesh| {
            Box::pin(async {
                mesh.broker()?.dark_for(ms(12_000)).await;
                Ok(())
            })
        }),
        ("D1 the database gone for five seconds", |mesh| {
            Box::pin(async {
                mesh.database()?.gone_for(ms(5_000)).await;
                Ok(())
            })
        }),
        ("D2 the answers of commits lost", |mesh| {
            Box::pin(async {
                mesh.database()?.lose_replies(5, ms(200), ms(400)).await;
                Ok(())
            })
        }),
        ("N2 the database's network gone dark", |mesh| {
            Box::pin(async {
                mesh.database()?.dark_for(ms(3_000)).await;
                Ok(())
            })
        }),
        ("D6 every answer of the database 100 ms late", |mesh| {
            Box::pin(async {
                mesh.database()?.delay(ms(100));
                wait(4_000).await;
                mesh.database()?.delay(Duration::ZERO);
                Ok(())
            })
        }),
        ("S1 half of the object store's answers 503", |mesh| {
            Box::pin(async {
                let faults = gcs::Faults { unavailable_percent: 50, ..Default::default() };
                mesh.objects()?.fail(faults);
                wait(4_000).await;
                mesh.objects()?.fail(gcs::Faults::default());
                Ok(())
            })
        }),
        ("S2 transfers to and from the store cut", |mesh| {
            Box::pin(async {
                let faults = gcs::Faults {
                    uploads_cut: 20,
                    reads_cut: 20,
                    answers_lost: 20,
                    ..Default::default()
                };
                mesh.objects()?.fail(faults);
                wait(3_000).await;
                mesh.objects()?.fail(gcs::Faults::default());
                Ok(())
            })
        }),
    ]
}

async fn wait(milliseconds: u64) {
    tokio::time::sleep(ms(milliseconds)).await;
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The digest of each patient's mask, seen while nothing fails.
async fn masks(mesh: &Mesh) -> anyhow::Result<Vec<String>> {
    let client = mesh.client().await?;
    let mut masks = Vec::new();
    for patient in 0..PATIENTS {
        let (scan, _) = client.analyse(&scans::png(patient, true)).await?;
        masks.push(mask(&client, id(&scan)?).await?);
    }
    let different: std::collections::BTreeSet<_> = masks.iter().collect();
    ensure!(different.len() == masks.len(), "two patients have the same mask");
    Ok(masks)
}

async fn mask(client: &Client, scan: &str) -> anyhow::Result<String> {
    let mask = client.bytes(&format!("/v1/scans/{scan}/mask.png")).await?;
    Ok(Sha256::digest(mask).iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn row(
    mesh: &mut Mesh,
    name: &str,
    fault: Fault,
    masks: &Arc<Vec<String>>,
) -> anyhow::Result<Judged> {
    let uploads =
        std::env::var("FAULT_UPLOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(UPLOADS);
    let client = mesh.client().await?;
    let before = client.count_scans().await?;
    let row = name.split(' ').next().unwrap_or(name).to_owned();
    let sending = send_all(mesh, row, uploads);
    fault(mesh).await?;
    let healed = Instant::now();
    let ledger = sending.await.context("the uploads")??;
    let client = mesh.client().await?;

    let (mut lost, mut swaps) = (0, 0);
    for (key, scan) in &ledger {
        let Ok(done) = until_done(&client, scan).await else {
            println!("{name}: {key} was accepted as {scan} and never done");
            lost += 1;
            continue;
        };
        if done["answer"] != "found" {
            println!("{name}: {key} is {done}");
            lost += 1;
            continue;
        }
        let patient = patient_of(key)?;
        swaps += usize::from(mask(&client, scan).await? != masks[patient as usize]);
    }
    let recovery = healed.elapsed();
    let there = client.count_scans().await? - before;
    Ok(Judged {
        uploads: ledger.len(),
        lost,
        duplicates: there.saturating_sub(ledger.len()),
        swaps,
        recovery,
    })
}

/// Sends that many uploads, each again under its key until it is accepted.
fn send_all(
    mesh: &Mesh,
    row: String,
    uploads: u64,
) -> tokio::task::JoinHandle<anyhow::Result<Ledger>> {
    let (url, password) = (mesh.url.clone(), mesh.password.clone());
    tokio::spawn(async move {
        let mut senders = JoinSet::new();
        for sender in 0..AT_ONCE {
            let (url, password, row) = (url.clone(), password.clone(), row.clone());
            senders.spawn(async move {
                let mut accepted = Vec::new();
                for index in (sender..uploads).step_by(AT_ONCE as usize) {
                    let key = format!("{row}-{index}-patient-{}", index % PATIENTS);
                    let scan = send(&url, &password, &key).await.with_context(|| key.clone())?;
                    accepted.push((key, scan));
                }
                anyhow::Ok(accepted)
            });
        }
        let mut ledger = Ledger::new();
        while let Some(accepted) = senders.join_next().await {
            ledger.extend(accepted??);
        }
        ensure!(ledger.len() as u64 == uploads, "{} of {uploads} keys", ledger.len());
        Ok(ledger)
    })
}

/// One upload, as a client does it that wants its scan taken: signs in again, waits, repeats.
async fn send(url: &str, password: &str, key: &str) -> anyhow::Result<String> {
    let png = scans::png(patient_of(key)?, true);
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
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn patient_of(key: &str) -> anyhow::Result<u64> {
    let (_, patient) = key.rsplit_once('-').context("a patient in the key")?;
    Ok(patient.parse()?)
}

/// As [`Client::until_done`], but what cannot be asked now is asked again.
async fn until_done(client: &Client, scan: &str) -> anyhow::Result<Value> {
    let begun = Instant::now();
    loop {
        match client.json(&format!("/v1/scans/{scan}")).await {
            Ok((200, done)) if done["state"] == "done" => return Ok(done),
            _ => ensure!(begun.elapsed() < PATIENCE, "{scan} is not done"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
