//! Who connects is served, so many at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use service::Worker;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Door;
use super::association::serve;
use super::telling::count_association;

/// So many connections for each association that may be under way: those beyond are told so, which takes a moment.
const CONNECTIONS_TIMES: usize = 2;
/// What accepting a connection fails for, such as too many open files, mostly passes.
const PAUSE: Duration = Duration::from_millis(100);
/// How long associations may take to hear that this process stops.
const GOODBYES: Duration = Duration::from_secs(2);

/// The port, taken at once: one that cannot be had is told at start.
pub fn bound(address: SocketAddr) -> Result<std::net::TcpListener> {
    let unusable = |error| unusable(address, error);
    let listener = std::net::TcpListener::bind(address).map_err(unusable)?;
    listener.set_nonblocking(true).map_err(unusable)?;
    Ok(listener)
}

/// Serves whoever connects until it is told to stop; then instances that are under way are given up, and their senders told.
pub fn listen(door: Arc<Door>, listener: std::net::TcpListener) -> Worker {
    Worker::new("DICOM door", move |stop| async move {
        let unusable = |error| ErrorKind::Internal.error("DICOM_LISTEN is lost").because(error);
        let listener = TcpListener::from_std(listener).map_err(unusable)?;
        let places = Arc::new(Semaphore::new(CONNECTIONS_TIMES * door.associations));
        let mut serving = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = serving.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    // Where there is no place, not even for words, the connection is closed.
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    serving.spawn(served(door.clone(), stream, address, stop.clone(), place));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for DICOM was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(listener);
        let goodbyes = async { while serving.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYES, goodbyes).await;
        Ok(())
    })
}

async fn served(
    door: Arc<Door>,
    stream: TcpStream,
    address: SocketAddr,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Responses are short, and each is waited for.
    let _ = stream.set_nodelay(true);
    let ended = serve(&door, stream, address.ip(), &stop).await;
    count_association(ended);
    tracing::debug!(?ended, "a DICOM association ended");
}

fn unusable(address: SocketAddr, error: std::io::Error) -> Error {
    ErrorKind::Invalid
        .error(format!("nobody can be listened to at {address}, which DICOM_LISTEN names"))
        .because(error)
}
