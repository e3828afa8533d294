//! `make bench-mesh`: what the mesh bears on this machine, as Markdown tables.
//!
//! Every process and server is on this machine, and so is what sends the load: its share of the processors is the
//! mesh's loss. The private servers come from `scripts/servers.sh`, which is told to flush (`DURABLE=1`).

mod compare;
mod figures;
mod load;
mod machine;
mod overhead;
mod overload;
mod queued;
mod recovery;
mod rig;
mod uploader;
mod uploads;
mod workers;

use clap::{Parser, ValueEnum};

/// Load for the mesh, and what became of it.
#[derive(Parser)]
struct Args {
    /// What to measure; everything, when nothing is said.
    measurements: Vec<Measurement>,

    /// How long each rate and each number of clients is held, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,

    /// Uploads per second to try, one after another until one does not hold.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 75, 100, 125, 150])]
    rates: Vec<u32>,

    /// How long the overload lasts, in seconds; each taken upload is about 350 kB on the disk.
    #[arg(long, default_value_t = 20)]
    overload: u64,

    /// How many jobs are queued at the deepest.
    #[arg(long, default_value_t = 100_000)]
    queued: u64,

    /// How many clients fill the queue side by side.
    #[arg(long, default_value_t = 16)]
    clients: usize,

    /// How many jobs the overhead is measured over.
    #[arg(long, default_value_t = 500)]
    jobs: u64,

    /// What `cargo bench` says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Measurement {
    Uploads,
    Queued,
    Overhead,
    Workers,
    Overload,
    Recovery,
    Compare,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = Args::parse();
    if args.measurements.is_empty() {
        args.measurements = Measurement::value_variants().to_vec();
    }
    service::choose_tls();
    println!("{}\n", machine::facts().await?);
    for measurement in &args.measurements {
        match measurement {
            Measurement::Uploads => uploads::measure(&args).await?,
            Measurement::Queued => queued::measure(&args).await?,
            Measurement::Overhead => overhead::measure(&args).await?,
            Measurement::Workers => workers::measure(&args).await?,
            Measurement::Overload => overload::measure(&args).await?,
            Measurement::Recovery => recovery::measure(&args).await?,
            Measurement::Compare => compare::measure(&args).await?,
        }
        println!();
    }
    Ok(())
}
