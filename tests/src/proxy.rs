use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PIECE: usize = 16 * 1024;
/// How often a direction that stands still looks whether it may go on.
const LOOK: Duration = Duration::from_millis(10);

/// A network between two processes that fails as it is told to.
pub struct Proxy {
    pub address: SocketAddr,
    rules: Arc<Rules>,
    /// Counts how often all connections were cut: each ends when it changes.
    cuts: watch::Sender<u64>,
    running: JoinHandle<()>,
}

#[derive(Default)]
struct Rules {
    /// Connections are taken and closed at once.
    refused: AtomicBool,
    /// Nothing is passed on in either direction, and nobody is told: a network that has gone dark.
    dark: AtomicBool,
    /// Requests pass, replies do not.
    replies_held: AtomicBool,
    latency_ms: AtomicU64,
    /// Of each connection, so many bytes of requests pass and then it is reset; 0 for all.
    reset_after: AtomicU64,
    /// This byte of each connection's requests has a bit flipped; 0 for none.
    corrupt_at: AtomicU64,
}

impl Proxy {
    /// A way to `target` (`HOST:PORT`).
    pub async fn start(target: &str) -> anyhow::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (rules, (cuts, cut)) = (Arc::<Rules>::default(), watch::channel(0));
        let running = tokio::spawn(accept(listener, target.to_owned(), rules.clone(), cut));
        Ok(Proxy { address, rules, cuts, running })
    }

    /// The same server through a proxy: the proxy, and the URL with its address in place of the server's.
    pub async fn before(url: &str, default_port: u16) -> anyhow::Result<(Proxy, String)> {
        let (scheme, rest) = url.split_once("://").context("a URL")?;
        let (user, rest) = rest.split_once('@').context("a user in the URL")?;
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        let target = match server.contains(':') {
            true => server.to_owned(),
            false => format!("{server}:{default_port}"),
        };
        let proxy = Proxy::start(&target).await?;
        let url = format!("{scheme}://{user}@{}/{path}", proxy.address);
        Ok((proxy, url))
    }

    /// Ends every connection now.
    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// The server is gone: connections end, and none is made.
    fn refuse(&self, refused: bool) {
        self.rules.refused.store(refused, Ordering::SeqCst);
        self.cut();
    }

    fn darken(&self, dark: bool) {
        self.rules.dark.store(dark, Ordering::SeqCst);
    }

    /// Requests pass, replies do not; [`cut`](Proxy::cut) then ends the connections whose answers nobody heard.
    fn hold_replies(&self, held: bool) {
        self.rules.replies_held.store(held, Ordering::SeqCst);
    }

    /// The server is gone for that long.
    pub async fn gone_for(&self, time: Duration) {
        self.refuse(true);
        tokio::time::sleep(time).await;
        self.refuse(false);
    }

    /// The network is dark for that long. As one comes back: what was under way is gone.
    pub async fn dark_for(&self, time: Duration) {
        self.darken(true);
        tokio::time::sleep(time).await;
        self.darken(false);
        self.cut();
    }

    /// So many times, nobody hears the answers to what is asked in `time`; with pauses between.
    pub async fn lose_replies(&self, times: u32, time: Duration, pause: Duration) {
        for _ in 0..times {
            self.hold_replies(true);
            tokio::time::sleep(time).await;
            self.cut();
            self.hold_replies(false);
            tokio::time::sleep(pause).await;
        }
    }

    pub fn delay(&self, latency: Duration) {
        let ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.rules.latency_ms.store(ms, Ordering::SeqCst);
    }

    pub fn reset_after(&self, bytes: u64) {
        self.rules.reset_after.store(bytes, Ordering::SeqCst);
    }

    pub fn corrupt(&self, byte: u64) {
        self.rules.corrupt_at.store(byte, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.running.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    rules: Arc<Rules>,
    cut: watch::Receiver<u64>,
) {
    while let Ok((near, _)) = listener.accept().await {
        let (target, rules, mut cut) = (target.clone(), rules.clone(), cut.clone());
        cut.mark_unchanged();
        tokio::spawn(async move {
            if rules.refused.load(Ordering::SeqCst) {
                return;
            }
            let Ok(far) = TcpStream::connect(target).await else { return };
            // What is small is sent at once, as without a proxy.
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::select! {
                () = requests(near_in, far_out, &rules) => (),
                () = replies(far_in, near_out, &rules) => (),
                _ = cut.changed() => (),
            }
        });
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, rules: &Rules) {
    let (mut piece, mut passed) = (vec![0; PIECE], 0_u64);
    while let Some(count) = next(&mut from, &mut piece, rules).await {
        let count = count as u64;
        let corrupt = rules.corrupt_at.load(Ordering::SeqCst);
        if corrupt > 0 && (passed..passed + count).contains(&corrupt) {
            piece[(corrupt - passed) as usize] ^= 1;
        }
        let limit = rules.reset_after.load(Ordering::SeqCst);
        let allowed = if limit == 0 { count } else { limit.saturating_sub(passed).min(count) };
        if to.write_all(&piece[..allowed as usize]).await.is_err() || allowed < count {
            return;
        }
        passed += count;
    }
    // The other direction may still have something to say.
    let _ = to.shutdown().await;
    std::future::pending().await
}

async fn replies(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, rules: &Rules) {
    let mut piece = vec![0; PIECE];
    while let Some(count) = next(&mut from, &mut piece, rules).await {
        while rules.replies_held.load(Ordering::SeqCst) {
            tokio::time::sleep(LOOK).await;
        }
        if to.write_all(&piece[..count]).await.is_err() {
            return;
        }
    }
}

/// The next bytes, after the delay that is asked for; none at the end.
async fn next(from: &mut OwnedReadHalf, piece: &mut [u8], rules: &Rules) -> Option<usize> {
    let count = from.read(piece).await.ok().filter(|count| *count > 0)?;
    let latency = rules.latency_ms.load(Ordering::SeqCst);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    while rules.dark.load(Ordering::SeqCst) {
        tokio::time::sleep(LOOK).await;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each piece with itself, through a proxy.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let target = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::start(&target).await.expect("a proxy");
        let stream = TcpStream::connect(proxy.address).await.expect("a way through");
        (proxy, stream)
    }

    async fn ask(stream: &mut TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(words).await?;
        let mut answer = vec![0; words.len()];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    async fn silent(stream: &mut TcpStream, words: &[u8]) -> bool {
        tokio::time::timeout(Duration::from_millis(100), ask(stream, words)).await.is_err()
    }

    #[tokio::test]
    async fn it_passes_everything_until_it_is_told_otherwise() {
        let (proxy, mut stream) = echo().await;
        assert_eq!(ask(&mut stream, b"words").await.expect("an answer"), b"words");
        proxy.corrupt(6);
        assert_eq!(ask(&mut stream, b"words").await.expect("an answer"), b"wnrds");
        proxy.cut();
        assert!(ask(&mut stream, b"words").await.is_err());
    }

    #[tokio::test]
    async fn a_dark_network_says_nothing_and_comes_back() {
        let (proxy, mut stream) = echo().await;
        proxy.darken(true);
        assert!(silent(&mut stream, b"a").await);
        proxy.darken(false);
        let mut late = [0];
        stream.read_exact(&mut late).await.expect("what was held");
        assert_eq!(&late, b"a");
    }

    #[tokio::test]
    async fn replies_are_held_until_the_connection_is_cut() {
        let (proxy, mut stream) = echo().await;
        proxy.hold_replies(true);
        assert!(silent(&mut stream, b"a").await);
        proxy.cut();
        assert!(ask(&mut stream, b"b").await.is_err());
    }

    #[tokio::test]
    async fn a_connection_is_reset_after_so_many_bytes_and_refused_when_told() {
        let (proxy, mut stream) = echo().await;
        proxy.reset_after(3);
        assert!(ask(&mut stream, b"words").await.is_err());
        proxy.reset_after(0);
        proxy.refuse(true);
        let mut refused = TcpStream::connect(proxy.address).await.expect("a socket");
        assert!(ask(&mut refused, b"words").await.is_err());
    }
}
