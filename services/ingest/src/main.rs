use std::process::ExitCode;

use ingest::{Peers, Ports, build};
use service::{Peer, system_clock, system_random};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    ingest: ingest::Config,

    /// Where the storage service answers.
    #[arg(long, env)]
    storage_url: String,

    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async |config: Settings| {
        let storage = Peer::connect(&config.storage_url)?;
        let auth = Peer::connect(&config.auth_url)?;
        let ports = Ports { clock: system_clock(), random: system_random() };
        build(config.ingest, ports, Peers { storage, auth })
    })
    .await
}
