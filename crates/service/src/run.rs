use std::net::SocketAddr;

use clap::{Args, Parser};
use domain::Result;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::tls::TlsFiles;
use crate::trace::Exporter;
use crate::{Identity, Service, choose_tls, keep_private, logs, serve, serve_mutual};

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

    /// The OpenTelemetry collector that traces go to (OTLP over gRPC): `http://HOST:4317`; none are made without.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,

    #[command(flatten)]
    tls: TlsFiles,

    /// Where probes and metrics are answered, without TLS, where peers must show certificates.
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    probes: SocketAddr,

    /// Only bring what the service keeps up to date: its database, before a new version comes.
    #[arg(long)]
    migrate: bool,

    #[command(flatten)]
    service: C,
}

/// The life of a service's own process: its configuration is what [`live`] builds from.
///
/// Nothing is listened on before the configuration is read and everything is open.
pub async fn run<C: Args>(build: impl AsyncFnOnce(C) -> Result<Service>) -> anyhow::Result<()> {
    let Options { listen, log, otlp_endpoint, tls, probes, migrate, service } =
        Options::<C>::parse();
    keep_private();
    let identity = tls.read()?;
    if let Some(identity) = &identity {
        identity.assume();
    }
    if migrate {
        logs::start(log, None);
        build(service).await?;
        tracing::info!("up to date");
        return Ok(());
    }
    let mutual = identity.map(|identity| (identity, probes));
    let life = Life { listen, log, otlp_endpoint, mutual };
    live(life, async || build(service).await, |_| ()).await
}

/// How a process lives, whatever it does.
pub struct Life {
    /// The address to answer on.
    pub listen: SocketAddr,
    pub log: EnvFilter,
    /// Where traces go, if anywhere.
    pub otlp_endpoint: Option<String>,
    /// Who the process is to its peers, who must show a certificate too; and where probes are answered without.
    pub mutual: Option<(Identity, SocketAddr)>,
}

/// The life of a process: build the service, serve it until told to stop.
///
/// `announce` is told the address once it is listened on (port 0 takes a free one). The first SIGTERM
/// (or Ctrl-C) drains, the second ends the process at once.
pub async fn live(
    life: Life,
    build: impl AsyncFnOnce() -> Result<Service>,
    announce: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let Life { listen, log, otlp_endpoint, mutual } = life;
    // Orchestrators cannot leave a variable out: an empty one says nothing.
    let endpoint = otlp_endpoint.filter(|endpoint| !endpoint.is_empty());
    let traces = endpoint.map(|endpoint| Exporter::to(&endpoint)).transpose()?;
    logs::start(log, traces.as_ref());
    choose_tls();
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
    match mutual {
        Some((identity, probes)) if !service.public => {
            let probes = TcpListener::bind(probes).await?;
            serve_mutual(service, listener, &identity, probes, shutdown).await?;
        }
        _ => serve(service, listener, shutdown).await?,
    }
    tracing::info!("stopped");
    if let Some(traces) = traces {
        traces.end().await;
    }
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
