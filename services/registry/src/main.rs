use std::process::ExitCode;

use registry::{Peers, Ports, build};
use service::Peer;

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    registry: registry::Config,

    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async |config: Settings| {
        let auth = Peer::connect(&config.auth_url)?;
        let (clock, random) = (service::system_clock(), service::system_random());
        let ports = Ports::open(&config.registry, clock, random).await?;
        Ok(build(config.registry.rules, ports, Peers { auth }))
    })
    .await
}
