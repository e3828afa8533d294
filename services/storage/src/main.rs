use std::process::ExitCode;

use service::Peer;
use storage::{Peers, Ports, build};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    storage: storage::Config,

    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async |config: Settings| {
        let auth = Peer::connect(&config.auth_url)?;
        let (clock, random) = (service::system_clock(), service::system_random());
        let ports = Ports::open(&config.storage, clock, random).await?;
        Ok(build(config.storage.rules, ports, Peers { auth }))
    })
    .await
}
