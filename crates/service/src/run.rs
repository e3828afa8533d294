use std::net::SocketAddr;

use clap::{Args, Parser};
use domain::Result;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{Service, logs, serve};

/// What a shell reports for a program that SIGTERM has ended.
const TERMINATED: i32 = 128 + 15;

/// What every process is told, whichever service it is.
#[derive(Parser)]
#[command(about = None, long_about = None)]
struct Options<C: Args> {
    /// The address to answer on.
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// What to log, as `RUST_LOG` would have it.
    #[arg(long, env, default_value = "info")]
    log: EnvFilter,

    #[command(flatten)]
    service: C,
}

/// The life of a service's own process: its configuration is what [`live`] builds from.
///
/// Nothing is listened on before the configuration is read and everything is open.
pub async fn run<C: Args>(build: impl AsyncFnOnce(C) -> Result<Service>) -> anyhow::Result<()> {
    let Options { listen, log, service } = Options::<C>::parse();
    live(listen, log, async || build(service).await, |_| ()).await
}

/// The life of a process: build the service, serve it on `listen` until told to stop.
///
/// `announce` is told the address once it is listened on (port 0 takes a free one). The first SIGTERM
/// (or Ctrl-C) drains, the second ends the process at once.
pub async fn live(
    listen: SocketAddr,
    log: EnvFilter,
    build: impl AsyncFnOnce() -> Result<Service>,
    announce: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    logs::start(log);
    let shutdown = CancellationToken::new();
    tokio::spawn(obey(
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        shutdown.clone(),
    ));

    let service = build().await?;
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(service = service.name, listen = %address, "ready");
    announce(address);
    serve(service, listener, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn obey(mut terminate: Signal, mut interrupt: Signal, shutdown: CancellationToken) {
    for first in [true, false] {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        if first {
            tracing::info!("stopping");
            shutdown.cancel();
        }
    }
    std::process::exit(TERMINATED);
}
