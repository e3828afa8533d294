//! PDUs over a connection (PS3.8, 9.3), each within a time and a size.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use dicom_ul::pdu::{Pdu, read_pdu, write_pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Room that is made for what comes next.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection is of no use any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// The other side has closed it.
    Gone,
    /// Nothing has come, or gone, for too long.
    Idle,
    /// What came is no PDU, or a larger one than is taken.
    Garbled,
}

/// A connection to another application entity.
pub struct Line<S> {
    stream: S,
    received: BytesMut,
    idle: Duration,
}

impl<S> Line<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// One on which a PDU may take so long.
    pub fn over(stream: S, idle: Duration) -> Line<S> {
        Line { stream, received: BytesMut::new(), idle }
    }

    /// The next PDU, of at most that many bytes behind its head. Who stops waiting loses nothing of it.
    pub async fn receive(&mut self, bytes_max: u32) -> Result<Pdu, Cut> {
        let Line { stream, received, idle } = self;
        timeout(*idle, read(stream, received, bytes_max)).await.unwrap_or(Err(Cut::Idle))
    }

    pub async fn send(&mut self, pdu: &Pdu) -> Result<(), Cut> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|_| Cut::Garbled)?;
        let sending = async {
            self.stream.write_all(&bytes).await?;
            // By TLS, what was written may still wait here for room on the wire.
            self.stream.flush().await
        };
        let sent = timeout(self.idle, sending).await;
        sent.map_err(|_| Cut::Idle)?.map_err(|_| Cut::Gone)
    }

    /// Says that nothing more is sent, and waits a moment for the other side to close: what is not read by then would take our
    /// last words away (RFC 1122, 4.2.2.13).
    pub async fn close(mut self, moment: Duration) {
        let closing = async {
            let _ = self.stream.shutdown().await;
            loop {
                self.received.clear();
                self.received.reserve(READ_BYTES);
                if !matches!(self.stream.read_buf(&mut self.received).await, Ok(1..)) {
                    return;
                }
            }
        };
        let _ = timeout(moment, closing).await;
    }
}

async fn read<S>(stream: &mut S, received: &mut BytesMut, bytes_max: u32) -> Result<Pdu, Cut>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(pdu) = next(received, bytes_max)? {
            return Ok(pdu);
        }
        received.reserve(READ_BYTES);
        match stream.read_buf(received).await {
            Ok(0) | Err(_) => return Err(Cut::Gone),
            Ok(_) => {}
        }
    }
}

/// The PDU that has come whole, taken out of what was received.
fn next(received: &mut BytesMut, bytes_max: u32) -> Result<Option<Pdu>, Cut> {
    let mut unread = &received[..];
    // What is wrong in it is not logged: it may quote what was sent.
    let pdu = read_pdu(&mut unread, bytes_max, true).map_err(|_| Cut::Garbled)?;
    let read = received.len() - unread.len();
    if pdu.is_some() {
        received.advance(read);
    }
    Ok(pdu)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn pdus_are_told_apart_however_they_are_cut() {
        let (ours, mut theirs) = tokio::io::duplex(3);
        let sending = tokio::spawn(async move {
            let mut bytes = Vec::new();
            for pdu in [Pdu::ReleaseRQ, Pdu::ReleaseRP] {
                write_pdu(&mut bytes, &pdu).unwrap();
            }
            theirs.write_all(&bytes).await.unwrap();
        });
        let mut line = Line::over(ours, PATIENCE);
        assert_eq!(line.receive(4096).await, Ok(Pdu::ReleaseRQ));
        assert_eq!(line.receive(4096).await, Ok(Pdu::ReleaseRP));
        sending.await.unwrap();
        assert_eq!(line.receive(4096).await, Err(Cut::Gone));
    }

    #[tokio::test]
    async fn what_is_sent_is_not_left_waiting_for_more() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        // As TLS may do it.
        let mut line = Line::over(tokio::io::BufStream::new(ours), PATIENCE);
        line.send(&Pdu::ReleaseRP).await.unwrap();
        let mut whole = Vec::new();
        write_pdu(&mut whole, &Pdu::ReleaseRP).unwrap();
        let mut received = vec![0; whole.len()];
        timeout(PATIENCE, theirs.read_exact(&mut received)).await.unwrap().unwrap();
        assert_eq!(received, whole);
    }

    #[tokio::test]
    async fn what_is_too_large_is_not_waited_for() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        // P-DATA of 16 MiB, of which there is nothing.
        theirs.write_all(&[4, 0, 1, 0, 0, 0]).await.unwrap();
        let mut line = Line::over(ours, PATIENCE);
        assert_eq!(line.receive(4096).await, Err(Cut::Garbled));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_has_an_end() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut line = Line::over(ours, PATIENCE);
        assert_eq!(line.receive(4096).await, Err(Cut::Idle));
    }
}
