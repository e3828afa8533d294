use std::process::ExitCode;

use gateway::{Config, PeerUrls, build};
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
        build(config, peers.connect()?, system_clock(), system_random())
    })
    .await
}
