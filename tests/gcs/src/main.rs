//! `gcs --listen 127.0.0.1:4443 --bucket medseg --folder DIR`: the double as a process of its own.

use std::path::PathBuf;

use clap::Parser;
use gcs::Double;
use tokio::net::TcpListener;

/// A double of Google Cloud Storage, for trying things out. No credentials are asked for: never give it real scans.
#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:4443")]
    listen: String,
    /// The one bucket.
    #[arg(long, default_value = "medseg")]
    bucket: String,
    /// Where its objects are kept.
    #[arg(long)]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(&args.listen).await?;
    let double = Double::on(listener, &args.bucket, &args.folder)?;
    println!("{}", double.url());
    double.forever().await;
    Ok(())
}
