use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use gateway::Config;

use crate::{Gateway, Way};

const PIECE: usize = 64 * 1024;
const UPLOAD: usize = 300 * 1024 * 1024;
const GROWTH: usize = 48 * 1024 * 1024;

/// The resident bytes of this process.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_upload() {
    let gateway = Gateway::with(Config::default(), Way::Network).await;
    let upload = |size: usize| {
        let piece = Bytes::from(vec![7; PIECE]);
        let pieces =
            stream::iter((0..size / PIECE).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
        gateway.post("/v1/scans").body(reqwest::Body::wrap_stream(pieces)).send()
    };
    assert_eq!(upload(1024 * 1024).await.unwrap().status(), 202);

    let before = resident();
    let (peak, over) = (Arc::new(AtomicUsize::new(before)), Arc::new(AtomicBool::new(false)));
    let watch = tokio::spawn({
        let (peak, over) = (peak.clone(), over.clone());
        async move {
            while !over.load(Ordering::SeqCst) {
                peak.fetch_max(resident(), Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    assert_eq!(upload(UPLOAD).await.unwrap().status(), 202);
    over.store(true, Ordering::SeqCst);
    watch.await.unwrap();

    assert_eq!(gateway.ingest.seen()[1].length, UPLOAD);
    let growth = peak.load(Ordering::SeqCst).saturating_sub(before);
    assert!(growth < GROWTH, "{} MB more for an upload of {} MB", growth >> 20, UPLOAD >> 20);
}
