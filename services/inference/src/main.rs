use inference::{Peers, Ports, build};
use secrecy::{ExposeSecret, SecretString};
use service::{Peer, system_clock, system_random};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    inference: inference::Config,

    /// Where work comes from: `amqp://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    queue_url: SecretString,

    /// Where the storage service answers.
    #[arg(long, env)]
    storage_url: String,

    /// Where the auth service answers.
    #[arg(long, env)]
    auth_url: String,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    service::run(async |Settings { inference, queue_url, storage_url, auth_url }| {
        let peers =
            Peers { storage: Peer::connect(&storage_url)?, auth: Peer::connect(&auth_url)? };
        let (clock, random) = (system_clock(), system_random());
        let ports = Ports::open(queue_url.expose_secret(), clock, random).await?;
        build(inference, ports, peers).await
    })
    .await
}
