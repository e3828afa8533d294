//! Who connects is served, so many at a time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorKind, Result, neighbourhood};
use service::{Share, Shares, Worker};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Door;
use super::association::serve;
use super::pending::Pending;
use super::senders::Origin;
use super::telling::{Ended, count_association};
use super::tls::Shown;

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

/// Serves whoever connects until it is told to stop; then instances that are under way are given up, and their senders told. `left`:
/// what was asked of an earlier process, which has not told it.
pub fn listen(door: Arc<Door>, listener: std::net::TcpListener, left: Vec<Pending>) -> Worker {
    Worker::new("DICOM door", move |stop: CancellationToken| async move {
        for pending in left {
            let to = door.senders.report_to(pending.titles(), pending.folder());
            door.tell_later(pending, to, &stop);
        }
        let unusable = |error| ErrorKind::Internal.error("DICOM_LISTEN is lost").because(error);
        let listener = TcpListener::from_std(listener).map_err(unusable)?;
        let places = Shares::default();
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
                    let most = CONNECTIONS_TIMES * door.associations;
                    let Some(place) = place(&places, address.ip(), most) else { continue };
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
        let _ = timeout(GOODBYES, goodbyes).await;
        Ok(())
    })
}

/// A place for a connection from there; None where there is none. One address has half of them at most: it keeps nobody out who
/// is known.
fn place(places: &Shares<IpAddr>, address: IpAddr, most: usize) -> Option<Share<IpAddr>> {
    let address = neighbourhood(address);
    let admitted = places.take(address, |taken| {
        let fits = taken.all() < most && taken.of(&address) < most.div_ceil(2);
        if fits { Ok(()) } else { Err(()) }
    });
    admitted.ok()
}

async fn served(
    door: Arc<Door>,
    stream: TcpStream,
    address: SocketAddr,
    stop: CancellationToken,
    _place: Share<IpAddr>,
) {
    // Responses are short, and each is waited for.
    let _ = stream.set_nodelay(true);
    let from = |certificate| Origin { address: address.ip(), certificate };
    let ended = match &door.tls {
        None => serve(&door, stream, from(None), &stop).await,
        Some(tls) => {
            let shaking = timeout(door.idle, TlsAcceptor::from(tls.clone()).accept(stream));
            match stop.run_until_cancelled(shaking).await {
                Some(Ok(Ok(stream))) => {
                    let origin = from(Shown::over(&stream));
                    serve(&door, stream, origin, &stop).await
                }
                Some(Ok(Err(error))) => {
                    tracing::info!(%error, address = %address.ip(), "a connection was not secured");
                    Ended::Cut
                }
                Some(Err(_)) => Ended::Cut,
                None => Ended::Stopped,
            }
        }
    };
    count_association(ended);
    tracing::debug!(?ended, "a DICOM association ended");
}

fn unusable(address: SocketAddr, error: std::io::Error) -> Error {
    ErrorKind::Invalid
        .error(format!("nobody can be listened to at {address}, which DICOM_LISTEN names"))
        .because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_to_the_others() {
        let places = Shares::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let held: Vec<_> = (0..4).filter_map(|_| place(&places, one, 4)).collect();
        assert_eq!(held.len(), 2);
        let others: Vec<_> = (0..4).filter_map(|_| place(&places, other, 4)).collect();
        assert_eq!(others.len(), 2);
        drop(held);
        assert!(place(&places, one, 4).is_some());
    }
}
