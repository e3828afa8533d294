use std::time::Duration;

use tests::collector::Span;
use tests::mesh::Options;

use crate::Args;
use crate::figures::{Times, head};
use crate::load::side_by_side;
use crate::rig::Rig;

/// What one job costs beside the model, which takes no time here: one worker that has one job in hand.
///
/// The times are those of the worker's own spans. `job` begins when the claim is answered; what comes before it is in
/// the time from one job's end to the next one's, with the broker's part: that bounds the whole from above.
pub async fn measure(args: &Args) -> anyhow::Result<()> {
    println!("## What a job costs beside the model\n");
    let options =
        Options::default().tell("inference", "window", "1").tell("inference", "batch", "1");
    let mut rig = Rig::traced(1, "stub:?ms=0", options).await?;
    let (uploader, jobs) = (rig.uploader().await?, args.jobs);
    side_by_side(
        args.clients,
        move |number| number < jobs,
        move |number| {
            let uploader = uploader.clone();
            async move { uploader.queue("overhead", number).await.map(drop) }
        },
    )
    .await?;
    rig.start_workers(1)?;
    rig.drain(jobs).await?;
    // A worker that ends sends its last spans.
    rig.stop_workers()?;

    head(&["from one worker's spans", "jobs", "median ms", "p99 ms"]);
    let spans = |name| rig.mesh.collector.spans("inference", name);
    row("acknowledgement, delivery, claim and all below", Times::new(periods(spans("job"))));
    row("claimed to completed", took(spans("job")));
    row("of it: reading the volume", took(spans("read the volume")));
    row("preparing, measuring, drawing", took(spans("analyse")));
    row("handing in the result", took(spans("deliver")));
    Ok(())
}

fn row(what: &str, times: Times) {
    println!("| {what} | {} | {:.1} | {:.1} |", times.len(), times.median_ms(), times.p99_ms());
}

fn took(spans: Vec<Span>) -> Times {
    Times::new(spans.iter().map(|span| Duration::from_nanos(span.end_ns - span.start_ns)).collect())
}

/// From each end to the next.
fn periods(spans: Vec<Span>) -> Vec<Duration> {
    let mut ends: Vec<_> = spans.iter().map(|span| span.end_ns).collect();
    ends.sort_unstable();
    ends.windows(2).map(|ends| Duration::from_nanos(ends[1] - ends[0])).collect()
}
