use inference::{Peers, Ports, build};
use secrecy::{ExposeSecret, SecretString};
use service::{Peer, system_clock};

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
        build(inference, Ports::open(queue_url.expose_secret(), system_clock()).await?, peers).await
    })
    .await
}
