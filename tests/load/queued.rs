use tests::mesh::Options;

use crate::Args;
use crate::figures::{Times, head};
use crate::load::{Done, Rate, side_by_side};
use crate::machine::{resident_mib, servers};
use crate::rig::Rig;
use crate::uploader::Uploader;

const DEPTHS: [u64; 3] = [1_000, 10_000, 100_000];
/// Uploads before anything is measured.
const WARM: u64 = 200;
/// How many uploads before a depth, and jobs after it, say what one costs there.
const SAMPLE: u64 = 2_000;

/// A queue that grows while no worker runs: what each process takes in memory, and what an upload and a job cost at
/// each depth. The sample of jobs is done by one worker whose model takes no time, and fresh uploads replace it.
pub async fn measure(args: &Args) -> anyhow::Result<()> {
    println!("## A long queue\n");
    let mut rig = Rig::start(1, "stub:?ms=0", Options::default()).await?;
    let mut filling = Filling { uploader: rig.uploader().await?, clients: args.clients, sent: 0 };
    filling.send(WARM).await?;
    rig.start_workers(1)?;
    rig.drain(WARM).await?;
    let mut memory = vec![Memory::now(&rig)?];
    rig.stop_workers()?;

    let mut queued = 0;
    head(&["queued", "uploads/s", "median ms", "p99 ms", "jobs/s"]);
    for depth in depths(args.queued) {
        let sample = SAMPLE.min(depth / 2);
        let done = filling.send(depth - queued).await?;
        let last = &done[done.len() - sample as usize..];
        let times = Times::new(last.iter().map(|done| done.took).collect());
        rig.start_workers(1)?;
        let jobs = rig.drain(sample).await?;
        memory.push(Memory::now(&rig)?);
        rig.stop_workers()?;
        println!(
            "| {depth} | {:.1} | {:.1} | {:.1} | {:.1} |",
            rate(last).per_second(),
            times.median_ms(),
            times.p99_ms(),
            jobs.per_second(),
        );
        // A few more were in hand.
        queued = depth - sample;
    }
    table(&memory, &depths(args.queued));
    Ok(())
}

/// Up to `deepest`, which is one of them.
fn depths(deepest: u64) -> Vec<u64> {
    DEPTHS.into_iter().filter(|depth| *depth < deepest).chain([deepest]).collect()
}

struct Filling {
    uploader: Uploader,
    clients: usize,
    sent: u64,
}

impl Filling {
    async fn send(&mut self, count: u64) -> anyhow::Result<Vec<Done<()>>> {
        let (uploader, begin) = (self.uploader.clone(), self.sent);
        self.sent += count;
        side_by_side(
            self.clients,
            move |number| number < count,
            move |number| {
                let uploader = uploader.clone();
                async move { uploader.queue("filling", begin + number).await.map(drop) }
            },
        )
        .await
    }
}

/// From the first of them to the last.
fn rate(done: &[Done<()>]) -> Rate {
    let (first, last) = (&done[0], &done[done.len() - 1]);
    Rate { count: done.len() as u64 - 1, time: last.at - first.at }
}

/// What each process has in memory at one moment, in MiB.
struct Memory(Vec<(&'static str, f64)>);

impl Memory {
    fn now(rig: &Rig) -> anyhow::Result<Memory> {
        let processes = rig.mesh.processes().into_iter().chain(servers()?);
        let resident = processes.filter_map(|(name, id)| Some((name, resident_mib(id)?)));
        Ok(Memory(resident.collect()))
    }
}

fn table(memory: &[Memory], depths: &[u64]) {
    println!();
    let depths: Vec<_> = depths.iter().map(|depth| format!("{depth} queued")).collect();
    let columns = ["resident, MiB", "empty"].into_iter().chain(depths.iter().map(String::as_str));
    head(&columns.chain(["growth"]).collect::<Vec<_>>());
    for (at, (name, empty)) in memory[0].0.iter().enumerate() {
        let then: Vec<f64> = memory.iter().map(|memory| memory.0[at].1).collect();
        let growth = then.last().copied().unwrap_or_default() - empty;
        let cells: Vec<_> = then.iter().chain([&growth]).map(|mib| format!("{mib:.0}")).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
}
