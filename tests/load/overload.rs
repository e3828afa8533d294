use std::time::{Duration, Instant};

use tests::mesh::Options;

use crate::Args;
use crate::figures::{Times, head};
use crate::load::{Done, at_rate, side_by_side};
use crate::rig::Rig;
use crate::uploader::{Answered, Uploader};

/// How much more comes than can be taken.
const TIMES: u32 = 5;
/// What is little, before and after.
const LITTLE: u32 = 10;
const REST: Duration = Duration::from_secs(10);

/// More uploads than can be taken: what is taken all the same, how soon the others are told to come again, and how it is
/// ten seconds after. No worker runs.
pub async fn measure(args: &Args) -> anyhow::Result<()> {
    println!("## Overload\n");
    let rig = Rig::start(1, "stub:?ms=0", Options::default()).await?;
    let uploader = rig.uploader().await?;
    uploader.queue("first", 0).await?;
    let peak = peak(&uploader, args).await?;
    head(&[
        "uploads/s",
        "sent",
        "202/s",
        "of the peak",
        "202: p99 ms",
        "refused",
        "told when",
        "refused: p99 ms",
        "broken off",
    ]);
    row(&uploader, LITTLE, args.seconds, peak).await?;
    row(&uploader, TIMES * peak as u32, args.overload, peak).await?;
    tokio::time::sleep(REST).await;
    row(&uploader, LITTLE, args.seconds, peak).await
}

/// Uploads per second with as many clients as the gateway lets in.
async fn peak(uploader: &Uploader, args: &Args) -> anyhow::Result<f64> {
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let uploader = uploader.clone();
    let done = side_by_side(
        args.clients,
        move |_| Instant::now() < end,
        move |number| {
            let uploader = uploader.clone();
            async move { uploader.queue("peak", number).await.map(drop) }
        },
    )
    .await?;
    Ok(done.len() as f64 / args.seconds as f64)
}

async fn row(uploader: &Uploader, rate: u32, seconds: u64, peak: f64) -> anyhow::Result<()> {
    let run = format!("overload-{rate}-{}", std::process::id());
    let begun = Instant::now();
    let done = at_rate(rate, u64::from(rate) * seconds, |number| {
        let (uploader, run) = (uploader.clone(), run.clone());
        async move { uploader.answered(&run, number).await }
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    let of = |kind: fn(&Answered) -> bool| -> Vec<&Done<anyhow::Result<Answered>>> {
        done.iter().filter(|done| done.answer.as_ref().is_ok_and(kind)).collect()
    };
    let (taken, refused) = (of(|answer| answer.status == 202), of(|answer| answer.status != 202));
    let told = of(|answer| answer.status != 202 && answer.told_when).len();
    let times = |done: &[&Done<_>]| Times::new(done.iter().map(|done| done.took).collect());
    let goodput = taken.len() as f64 / took;
    println!(
        "| {rate} | {} | {goodput:.1} | {:.2} | {:.0} | {} | {told} | {:.0} | {} |",
        done.len(),
        goodput / peak,
        times(&taken).p99_ms(),
        refused.len(),
        times(&refused).p99_ms(),
        done.len() - taken.len() - refused.len(),
    );
    Ok(())
}
