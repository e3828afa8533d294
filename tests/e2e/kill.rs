//! kill -9 in the middle of uploads: everything that was accepted ends in one result, and none is doubled.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;
use tokio::task::JoinSet;

use tests::client::{Client, id};
use tests::mesh::OneProcess;
use tests::scans;

const UPLOADS: u64 = 50;
/// Unless `FAULT_KILLS` says how often.
const KILLS: u64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn every_202_ends_in_one_result_however_often_the_process_is_killed() -> anyhow::Result<()> {
    let kills = std::env::var("FAULT_KILLS").map_or(Ok(KILLS), |times| times.parse())?;
    let mut mesh = OneProcess::start().await?;
    let mut accepted: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..kills {
        let client = mesh.client().await?;
        let mut uploads = upload_all(&client, round);
        // The moment of the kill moves from before the first answer to after the last.
        let answers_before_the_kill = (round * UPLOADS / kills) as usize;
        for _ in 0..answers_before_the_kill {
            note(&mut accepted, uploads.join_next().await.context("an upload")??);
        }
        mesh.kill();
        while let Some(answer) = uploads.join_next().await {
            note(&mut accepted, answer?);
        }
        mesh.restart().await?;
    }

    let client = mesh.client().await?;
    // Each client tries again what it has no answer for, as the README tells it to.
    for round in 0..kills {
        let mut uploads = upload_all(&client, round);
        while let Some(answer) = uploads.join_next().await {
            let (key, scan) = answer?;
            let scan =
                scan.map_err(|answer| anyhow!("{key} is refused after the crashes: {answer}"))?;
            let first = accepted.entry(key.clone()).or_insert_with(|| scan.clone());
            ensure!(*first == scan, "{key} was accepted as {first} and again as {scan}");
        }
    }
    ensure!(accepted.len() as u64 == kills * UPLOADS, "{} keys", accepted.len());

    for (key, scan) in &accepted {
        let done = client.until_done(&Value::from(scan.as_str())).await?;
        ensure!(done["answer"] == "found" || done["answer"] == "none_found", "{key}: {done}");
    }
    ensure!(client.count_scans().await? == accepted.len(), "there are scans that nobody uploaded");
    Ok(())
}

/// Its key, and the scan that it was accepted as or what came instead.
type UploadOutcome = (String, Result<String, String>);

/// Sends the round's uploads side by side, each under its own key; no answer is a fact, not a failure.
fn upload_all(client: &Client, round: u64) -> JoinSet<UploadOutcome> {
    let mut uploads = JoinSet::new();
    for index in 0..UPLOADS {
        let client = client.clone();
        uploads.spawn(async move {
            let key = format!("round-{round}-upload-{index}");
            let png = scans::png(index, index % 2 == 0);
            let scan = match client.upload_once(&key, &png).await {
                Ok((202, scan)) => id(&scan).map(str::to_owned).map_err(|error| error.to_string()),
                Ok((status, problem)) => Err(format!("{status} {problem}")),
                Err(error) => Err(format!("{error:#}")),
            };
            (key, scan)
        });
    }
    uploads
}

fn note(accepted: &mut BTreeMap<String, String>, (key, scan): UploadOutcome) {
    if let Ok(scan) = scan {
        accepted.insert(key, scan);
    }
}
