//! What several rows do.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::StreamExt;
use service::topics::{SCAN_COMPLETED, SCAN_READY};
use tests::mesh::Mesh;

use super::rows::Stage;

const DONE: &str = "scans WHERE state = 'done'";

/// Stops each service as an orchestrator would and starts it anew, one after another.
pub async fn roll_out(mesh: &mut Mesh) -> anyhow::Result<()> {
    for index in 0..mesh.parts() {
        wait(300).await;
        mesh.renew(index)?;
    }
    Ok(())
}

/// Lets another model look at the row's scans; a worker that ends is started anew.
pub async fn with_model(mesh: &mut Mesh, stage: Stage, url: &str) -> anyhow::Result<()> {
    use_model(mesh, url)?;
    let (begun, patience) = (Instant::now(), 2 * stage.play.patience);
    while !are_there(mesh, stage, DONE).await? && begun.elapsed() < patience {
        mesh.revive()?;
        wait(200).await;
    }
    use_model(mesh, "threshold:")
}

fn use_model(mesh: &mut Mesh, url: &str) -> anyhow::Result<()> {
    mesh.set("inference", "model-url", url);
    for worker in mesh.parts_of("inference") {
        mesh.kill(worker);
        mesh.restart(worker)?;
    }
    Ok(())
}

/// Whether so many more rows are in that table as there are uploads.
async fn are_there(mesh: &Mesh, stage: Stage, table: &str) -> anyhow::Result<bool> {
    let wanted = stage.before as u64 + stage.play.uploads;
    let there = mesh.ask("storage", &format!("SELECT '', COUNT(*) FROM {table}")).await?;
    Ok(there.first().is_some_and(|(_, count)| *count as u64 >= wanted))
}

/// Waits until a worker has so many jobs in hand; answers which.
pub async fn until_one_works(mesh: &Mesh, jobs: i64) -> anyhow::Result<usize> {
    let begun = Instant::now();
    loop {
        let busy = "SELECT worker, COUNT(*) FROM jobs WHERE state = 'leased' GROUP BY worker";
        let busy = mesh.ask("storage", busy).await?;
        let busy = busy.into_iter().find(|(_, count)| *count >= jobs);
        let place = |name: &String| {
            mesh.parts_of("inference").into_iter().find(|part| mesh.worker(*part) == *name)
        };
        if let Some(worker) = busy.and_then(|(name, _)| place(&name)) {
            return Ok(worker);
        }
        ensure!(begun.elapsed() < ms(20_000), "no worker has {jobs} jobs in hand");
        wait(5).await;
    }
}

/// Waits until so many more rows are in that table as there are uploads.
pub async fn until(mesh: &Mesh, stage: Stage, table: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !are_there(mesh, stage, table).await? {
        ensure!(begun.elapsed() < 2 * stage.play.patience, "not all are in {table}");
        wait(200).await;
    }
    Ok(())
}

/// The jobs of the row and the news of their ends, each three times and backwards.
pub async fn repeat_messages(mesh: &mut Mesh, stage: Stage) -> anyhow::Result<()> {
    let queue = mesh.queue().await?;
    let (workers, drift) = (mesh.parts_of("inference"), mesh.parts_of("drift")[0]);
    workers.iter().for_each(|worker| mesh.kill(*worker));
    mesh.kill(drift);
    wait(3_000).await;
    for (job, _) in mesh
        .ask("storage", "SELECT id, 0 FROM jobs WHERE state = 'queued' ORDER BY id DESC")
        .await?
    {
        for _ in 0..2 {
            queue.publish(SCAN_READY, job.as_bytes()).await?;
        }
    }
    workers.iter().try_for_each(|worker| mesh.restart(*worker))?;
    until(mesh, stage, DONE).await?;
    let mut news = queue.subscribe_event(SCAN_COMPLETED, "drift", 64).await?;
    let mut events = Vec::new();
    // Until it is quiet; some may have been taken before drift was ended.
    while let Ok(Some(event)) = tokio::time::timeout(ms(3_000), news.next()).await {
        let event = event?;
        events.push(event.body.clone());
        event.ack().await?;
    }
    ensure!(!events.is_empty(), "there was no news: the row shows nothing");
    drop(news);
    for event in events.iter().rev().flat_map(|event| [event; 3]) {
        queue.emit(SCAN_COMPLETED, event).await?;
    }
    mesh.restart(drift)
}

pub async fn wait(milliseconds: u64) {
    tokio::time::sleep(ms(milliseconds)).await;
}

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
