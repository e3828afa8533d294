//! Connections, from their acceptance to their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::connections::Connections;
use crate::proxies::Proxies;
use crate::tls::Tls;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// For TLS's handshake and the head of the first request together. The server's own limit does not run before it knows which HTTP
/// it is, which the first bytes may leave open, nor while HTTP/2 asks for nothing.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
const STREAMS_MAX: u32 = 200;
const HEADER_LIST_BYTES: u32 = 16 * 1024;
/// The most that is read of an HTTP/1 request's head: several such callers must not fill the memory with heads.
const HEAD_BYTES: usize = 64 * 1024;
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// For a socket that cannot be accepted, such as when no file descriptor is left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How long requests may take to finish once the process is told to stop; workers have their time after that.
const DRAIN_REQUESTS: Duration = Duration::from_secs(6);

/// Accepts connections until `shutdown`, then waits for those that are open. Each request has with it the address of whoever asks,
/// as `ConnectInfo`, also where one of the `proxies` hands it on.
pub async fn accept(
    listener: TcpListener,
    tls: Option<&Tls>,
    proxies: &Proxies,
    router: Router,
    shutdown: &CancellationToken,
) {
    let (server, open) = (server(), GracefulShutdown::new());
    let connections = Connections::limited_by_the_system(proxies);
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let Ok((stream, caller)) = accepted else {
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        let Some(admitted) = connections.admit(caller.ip()) else {
            metrics::counter!("medseg_connections_refused_total").increment(1);
            continue;
        };
        let _ = stream.set_nodelay(true);
        let first = Arc::clone(&admitted.first_request);
        let proxies = proxies.clone();
        let router = router.clone().layer(from_fn(move |mut request: Request, next: Next| {
            first.came();
            let asks = proxies.caller(caller.ip(), request.headers());
            // Of which port of theirs somebody asks whom a proxy speaks for, nobody says.
            let asks = ConnectInfo(SocketAddr::new(asks, caller.port()));
            request.extensions_mut().insert(asks);
            next.run(request)
        }));
        let service = TowerToHyperService::new(router);
        let (server, watcher) = (server.clone(), open.watcher());
        let answered = answer(stream, tls.cloned(), server, service, watcher);
        tokio::spawn(async move {
            tokio::select! {
                () = answered => {}
                () = admitted.first_request.given_up() => {
                    metrics::counter!("medseg_connections_refused_total").increment(1);
                }
                () = admitted.first_request.late(FIRST_REQUEST_TIMEOUT) => {}
            }
        });
    }
    drop(listener);
    if timeout(DRAIN_REQUESTS, open.shutdown()).await.is_err() {
        tracing::warn!("dropped requests that did not finish in time");
    }
}

/// Answers on one connection. That it breaks, says nothing, or that nobody signs for it, is its caller's to notice.
async fn answer(
    stream: TcpStream,
    tls: Option<Tls>,
    server: Builder<TokioExecutor>,
    service: TowerToHyperService<Router>,
    watcher: Watcher,
) {
    let Some(tls) = tls else {
        // The server's own limit begins with the first byte.
        let mut first = [0];
        if let Ok(Ok(1)) = timeout(HEADER_TIMEOUT, stream.peek(&mut first)).await {
            let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let _ = watcher.watch(connection).await;
        }
        return;
    };
    let acceptor = TlsAcceptor::from(tls.server());
    if let Ok(Ok(stream)) = timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let _ = watcher.watch(connection).await;
    }
}

fn server() -> Builder<TokioExecutor> {
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(64)
        .max_buf_size(HEAD_BYTES);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES);
    server
}
