use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser};
use domain::Result;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::tls::TlsFiles;
use crate::trace::Exporter;
use crate::{
    Identity, Listeners, LogSettings, Service, choose_tls, cli, keep_private, logs, memory,
    serve_at, telemetry,
};

/// What a shell reports for a program that SIGTERM has ended.
const TERMINATED: i32 = 128 + 15;

/// The options that every service has.
#[derive(Parser)]
#[command(about = None, long_about = None)]
struct Options<C: Args> {
    /// The address to answer on.
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where probes and metrics are answered, and nothing else is: `/healthz`, `/readyz`, `/peers`, `/metrics`. Without TLS:
    /// for the network of who runs it.
    #[arg(long, env, default_value = "127.0.0.1:8081")]
    probes: SocketAddr,

    #[command(flatten)]
    logs: LogSettings,

    /// The OpenTelemetry collector that traces go to (OTLP over gRPC): `http://HOST:4317`; none are made without.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    otlp_endpoint: Option<String>,

    #[command(flatten)]
    tls: TlsFiles,

    /// Only bring what the service keeps up to date: its database, before a new version comes.
    #[arg(long)]
    migrate: bool,

    #[command(flatten)]
    service: C,
}

/// Runs a service in a process of its own: reads the configuration, builds the service from it and serves it.
///
/// Nothing is listened on before the configuration is read and everything is open. What keeps it from starting is told in
/// one line on standard error.
pub async fn run<C: Args>(build: impl AsyncFnOnce(C) -> Result<Service>) -> ExitCode {
    // Before anything connects: each client of TLS asks the process which implementation it has.
    choose_tls();
    cli::end(started(cli::parse(), build).await)
}

async fn started<C: Args>(
    options: Options<C>,
    build: impl AsyncFnOnce(C) -> Result<Service>,
) -> anyhow::Result<()> {
    keep_private();
    let Options { listen, probes, logs, otlp_endpoint, tls, migrate, service } = options;
    let identity = tls.read()?;
    if let Some(identity) = &identity {
        identity.install();
    }
    if migrate {
        logs::start(logs, &Exporter::nowhere());
        build(service).await?;
        tracing::info!("up to date");
        return Ok(());
    }
    let process = Process { listen, probes: Some(probes), logs, otlp_endpoint, identity };
    process.run(async || build(service).await, |_| ()).await
}

/// A process that serves one service: where it listens, what it logs, and its identity.
pub struct Process {
    /// The address to answer on.
    pub listen: SocketAddr,
    /// Where probes and metrics are answered apart from it.
    pub probes: Option<SocketAddr>,
    /// What is logged, and in which form.
    pub logs: LogSettings,
    /// Where traces go, if anywhere.
    pub otlp_endpoint: Option<String>,
    /// Who the process is to its peers, who must show a certificate too.
    pub identity: Option<Identity>,
}

impl Process {
    /// Builds the service and serves it until the process is told to stop.
    ///
    /// `on_listening` gets the address once it is listened on (port 0 takes a free one). The first SIGTERM
    /// (or Ctrl-C) drains, the second ends the process at once.
    pub async fn run(
        self,
        build: impl AsyncFnOnce() -> Result<Service>,
        on_listening: impl FnOnce(SocketAddr),
    ) -> anyhow::Result<()> {
        let Process { listen, probes, logs, otlp_endpoint, identity } = self;
        // Orchestrators cannot leave a variable out: an empty one says nothing.
        let endpoint = otlp_endpoint.filter(|endpoint| !endpoint.is_empty());
        let traces = endpoint.map_or_else(|| Ok(Exporter::nowhere()), |to| Exporter::to(&to))?;
        logs::start(logs, &traces);
        choose_tls();
        memory::share_heaps();
        tokio::spawn(memory::give_back());
        let shutdown = shutdown_on_signals()?;

        // First: what is counted or described before it is lost.
        telemetry::prometheus();
        let service = build().await?;
        if let Some(public) = &service.public {
            public.check(listen)?;
        }
        let calls = bind(listen).await?;
        let probes = match probes {
            Some(probes) => Some(bind(probes).await?),
            None => None,
        };
        let address = calls.local_addr()?;
        tracing::info!(service = service.name, listen = %address, "ready");
        on_listening(address);
        serve_at(service, Listeners { calls, probes, identity }, shutdown).await?;
        tracing::info!("stopped");
        traces.end().await;
        Ok(())
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// A token that the first SIGTERM (or Ctrl-C) cancels; the second ends the process at once.
pub fn shutdown_on_signals() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (terminate, interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(handle_signals(terminate, interrupt, shutdown.clone()));
    Ok(shutdown)
}

async fn handle_signals(mut terminate: Signal, mut interrupt: Signal, shutdown: CancellationToken) {
    for first in [true, false] {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        if first {
            tracing::info!("stopping");
            shutdown.cancel();
        }
    }
    std::process::exit(TERMINATED);
}
