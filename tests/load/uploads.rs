use std::time::Duration;

use tests::mesh::Options;

use crate::Args;
use crate::figures::{Times, head};
use crate::load::at_rate;
use crate::machine::Busy;
use crate::rig::Rig;
use crate::uploader::Uploader;

/// What is asked of each rate.
const P99_MS: f64 = 100.0;
/// Uploads before the first rate: connections, pools and caches.
const WARM: u64 = 50;

/// Small uploads at fixed rates, with the analysis standing still and with it going on beside them.
pub async fn measure(args: &Args) -> anyhow::Result<()> {
    println!("## Uploads\n");
    head(&["worker", "uploads/s", "sent", "202", "other", "median ms", "p99 ms", "CPU %", "holds"]);
    let mut ended = Vec::new();
    for workers in [0, 1] {
        let mut rig = Rig::start(1, "stub:?ms=0", Options::default()).await?;
        let uploader = rig.uploader().await?;
        rig.start_workers(workers)?;
        row(&uploader, "warm", 25, WARM).await?;
        for rate in &args.rates {
            let busy = Busy::start()?;
            let run = format!("rate-{rate}");
            let row = row(&uploader, &run, *rate, u64::from(*rate) * args.seconds).await?;
            let worker = if workers == 0 { "stopped" } else { "stub, 0 ms" };
            println!(
                "| {worker} | {rate} | {} | {} | {} | {:.1} | {:.1} | {:.0} | {} |",
                row.sent,
                row.accepted.len(),
                row.sent - row.accepted.len(),
                row.accepted.median_ms(),
                row.accepted.p99_ms(),
                busy.percent()?,
                if row.holds() { "yes" } else { "no" },
            );
            if !row.holds() {
                break;
            }
            // What is still under way is not the next rate's.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        ended.push(rig.end());
    }
    Ok(())
}

struct Row {
    sent: usize,
    /// Of those that were accepted, from the moment when the upload was to begin to its 202.
    accepted: Times,
}

impl Row {
    fn holds(&self) -> bool {
        self.accepted.len() == self.sent && self.accepted.p99_ms() <= P99_MS
    }
}

async fn row(uploader: &Uploader, run: &str, rate: u32, count: u64) -> anyhow::Result<Row> {
    let done = at_rate(rate, count, |number| {
        let (uploader, run) = (uploader.clone(), run.to_owned());
        async move { uploader.upload(&run, number).await }
    })
    .await?;
    let sent = done.len();
    let accepted = done.into_iter().filter(|done| matches!(done.answer, Ok(202)));
    Ok(Row { sent, accepted: Times::new(accepted.map(|done| done.took).collect()) })
}
