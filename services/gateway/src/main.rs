use std::process::ExitCode;

use gateway::{Config, PeerUrls, Ports, build};
use service::{system_clock, system_random};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    config: Config,

    #[command(flatten)]
    peers: PeerUrls,
}

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async |Settings { config, peers }| {
        let ports = Ports { clock: system_clock(), random: system_random() };
        build(config, ports, peers.connect()?)
    })
    .await
}
