use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use gateway::Config;
use reqwest::Body;
use tokio::time::sleep;

use crate::{Gateway, Way};

const PIECE: usize = 64 * 1024;
const UPLOAD: usize = 300 * 1024 * 1024;
const GROWTH: usize = 48 * 1024 * 1024;

const FORM: &str = "multipart/form-data; boundary=b";
const BEGIN: &[u8] = b"--b\r\ncontent-disposition: form-data; name=f; filename=f\r\n\r\n";
const END: &[u8] = b"\r\n--b--\r\n";

/// The resident bytes of this process.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn pieces(size: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let piece = Bytes::from(vec![7; PIECE]);
    stream::iter((0..size / PIECE).map(move |_| Ok(piece.clone())))
}

fn one(bytes: &'static [u8]) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::iter([Ok(Bytes::from_static(bytes))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_upload() {
    let gateway = Gateway::with(Config::default(), Way::Network).await;
    let upload = async |kind: &str, body: Body| {
        let request = gateway.post("/v1/scans").header("content-type", kind).body(body);
        assert_eq!(request.send().await.unwrap().status(), 202);
    };
    upload("image/png", Body::wrap_stream(pieces(1024 * 1024))).await;

    let before = resident();
    let peak = Arc::new(AtomicUsize::new(before));
    let watch = tokio::spawn({
        let peak = peak.clone();
        async move {
            loop {
                peak.fetch_max(resident(), Ordering::SeqCst);
                sleep(Duration::from_millis(5)).await;
            }
        }
    });
    upload("image/png", Body::wrap_stream(pieces(UPLOAD))).await;
    upload(FORM, Body::wrap_stream(one(BEGIN).chain(pieces(UPLOAD)).chain(one(END)))).await;
    watch.abort();

    let lengths: Vec<_> = gateway.ingest.seen().iter().map(|seen| seen.length).collect();
    assert_eq!(lengths, [1024 * 1024, UPLOAD, UPLOAD]);
    let growth = peak.load(Ordering::SeqCst).saturating_sub(before);
    assert!(growth < GROWTH, "{} MB more for an upload of {} MB", growth >> 20, UPLOAD >> 20);
}
