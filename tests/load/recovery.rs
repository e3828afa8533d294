use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::client::ready;
use tests::mesh::Options;
use tokio::time::sleep;

use crate::Args;
use crate::figures::{Times, head};
use crate::rig::Rig;

const TIMES: u64 = 5;
const LOOK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon the gateway is back, and how soon the job of a dead worker is another's, with the rules that services come with.
pub async fn measure(_: &Args) -> anyhow::Result<()> {
    println!("## Recovery\n");
    head(&["recovery", "times", "median s", "longest s"]);
    let mut rig = Rig::start(2, "stub:?slice_ms=40000", Options::default()).await?;
    let gateway = rig.mesh.parts_of("gateway")[0];
    let mut starts = Vec::new();
    for _ in 0..TIMES {
        rig.mesh.kill(gateway);
        let begun = Instant::now();
        rig.mesh.restart(gateway)?;
        ready(&rig.mesh.probes(gateway)?).await?;
        starts.push(begun.elapsed());
    }
    row("the gateway, from start to ready", starts);

    let uploader = rig.uploader().await?;
    // The uploader's own would keep a worker busy that is to take the dead one's job.
    park(&rig).await?;
    rig.start_workers(2)?;
    let mut deaths = Vec::new();
    for number in 0..TIMES {
        let scan = uploader.queue("recovery", number).await?;
        let query = format!(
            "SELECT worker, attempt FROM jobs WHERE scan_id = '{}'",
            scan["id"].as_str().unwrap_or_default()
        );
        let (worker, _) = attempt(&rig, &query, 1).await?;
        let parts = rig.mesh.parts_of("inference").into_iter();
        for part in parts.filter(|part| rig.mesh.worker(*part) == worker).collect::<Vec<_>>() {
            // Later in the lease each time.
            sleep(Duration::from_millis(700 * number)).await;
            rig.mesh.kill(part);
            let begun = Instant::now();
            attempt(&rig, &query, 2).await?;
            deaths.push(begun.elapsed());
            rig.mesh.restart(part)?;
        }
        // The stub takes its time: nobody waits for it.
        for part in rig.mesh.parts_of("inference") {
            rig.mesh.kill(part);
            rig.mesh.restart(part)?;
        }
        park(&rig).await?;
    }
    row("a dead worker's job, to its next worker", deaths);
    Ok(())
}

async fn park(rig: &Rig) -> anyhow::Result<()> {
    rig.mesh.execute("storage", "UPDATE jobs SET state = 'parked'").await
}

/// Waits for that attempt; who makes it.
async fn attempt(rig: &Rig, query: &str, wanted: i64) -> anyhow::Result<(String, i64)> {
    let begun = Instant::now();
    loop {
        let job = rig.mesh.ask("storage", query).await?;
        if let Some(job) = job.into_iter().find(|(_, attempt)| *attempt >= wanted) {
            return Ok(job);
        }
        ensure!(begun.elapsed() < PATIENCE, "no attempt {wanted}");
        sleep(LOOK).await;
    }
}

fn row(what: &str, times: Vec<Duration>) {
    let longest = times.iter().max().copied().unwrap_or_default().as_secs_f64();
    let times = Times::new(times);
    println!("| {what} | {} | {:.1} | {longest:.1} |", times.len(), times.median_ms() / 1000.0);
}
