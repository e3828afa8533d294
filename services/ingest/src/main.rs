use std::process::ExitCode;

use ingest::{PeerUrls, Ports, build};
use service::{system_clock, system_random};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    ingest: ingest::Config,

    #[command(flatten)]
    peers: PeerUrls,
}

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async |Settings { ingest, peers }| {
        let ports = Ports { clock: system_clock(), random: system_random() };
        build(ingest, ports, peers.connect()?)
    })
    .await
}
