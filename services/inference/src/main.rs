use inference::{PeerUrls, Ports, build};
use secrecy::SecretString;
use service::{system_clock, system_random};

#[derive(clap::Args)]
struct Settings {
    #[command(flatten)]
    inference: inference::Config,

    /// Where work comes from: `amqp://…` or `sqlite://…`.
    #[arg(long, env, hide_env_values = true)]
    queue_url: SecretString,

    #[command(flatten)]
    peers: PeerUrls,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    service::run(async |Settings { inference, queue_url, peers }| {
        let ports = Ports::open(&queue_url, system_clock(), system_random()).await?;
        build(inference, ports, peers.connect()?).await
    })
    .await
}
