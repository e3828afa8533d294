use gateway::{Config, Peers, build};
use service::{Peer, system_clock, system_random};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    config: Config,
    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,
    /// Where the ingest service answers.
    #[arg(long, env)]
    ingest_url: String,
    /// Where the storage service answers.
    #[arg(long, env)]
    storage_url: String,
    /// Where the drift service answers.
    #[arg(long, env)]
    drift_url: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    service::run(async |options: Settings| {
        let (auth, ingest) =
            (Peer::connect(&options.auth_url)?, Peer::connect(&options.ingest_url)?);
        let (storage, drift) =
            (Peer::connect(&options.storage_url)?, Peer::connect(&options.drift_url)?);
        build(
            options.config,
            Peers { auth, ingest, storage, drift },
            system_clock(),
            system_random(),
        )
    })
    .await
}
