use tests::mesh::Options;

use crate::Args;
use crate::figures::head;
use crate::load::side_by_side;
use crate::machine::Busy;
use crate::rig::Rig;

const COUNTS: [usize; 4] = [1, 2, 4, 8];
/// What the stub takes for a batch; a batch is one slice.
const STUB_MS: u64 = 50;

/// How fast so many workers empty the queue, beside what their models alone could do.
pub async fn measure(args: &Args) -> anyhow::Result<()> {
    println!("## Workers\n");
    head(&["workers (stub, 50 ms)", "jobs", "jobs/s", "ideal", "ratio", "CPU %"]);
    let options = Options::default().tell("inference", "batch", "1");
    let most = COUNTS[COUNTS.len() - 1];
    let mut rig = Rig::start(most, &format!("stub:?ms={STUB_MS}"), options).await?;
    let uploader = rig.uploader().await?;
    for workers in COUNTS {
        let ideal = workers as f64 * 1000.0 / STUB_MS as f64;
        let jobs = (ideal * args.seconds as f64) as u64;
        let (uploader, run) = (uploader.clone(), format!("{workers}-workers"));
        side_by_side(
            args.clients,
            move |number| number < jobs,
            move |number| {
                let (uploader, run) = (uploader.clone(), run.clone());
                async move { uploader.queue(&run, number).await.map(drop) }
            },
        )
        .await?;
        rig.start_workers(workers)?;
        let busy = Busy::start()?;
        let rate = rig.drain(jobs).await?.per_second();
        let percent = busy.percent()?;
        rig.stop_workers()?;
        println!(
            "| {workers} | {jobs} | {rate:.1} | {ideal:.0} | {:.2} | {percent:.0} |",
            rate / ideal
        );
    }
    Ok(())
}
