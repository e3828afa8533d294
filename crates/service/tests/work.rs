//! What becomes of messages.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::{ErrorKind, Result};
use platform::queue::{self, Event, Queue, Work};
use service::{Service, Worker, listen, run_workers, serve, work};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const TOPIC: Work<'static> = Work("topic");

async fn queue() -> (TempDir, Queue) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/queue.db", dir.path().display());
    let queue = queue::connect(&url).await.unwrap();
    (dir, queue)
}

/// Handles messages as `outcome` says of each try, and counts the tries.
async fn working(queue: &Queue, outcome: fn(u32) -> Result<()>) -> (Arc<AtomicU32>, DropGuard) {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = tries.clone();
    let worker = work(queue.clone(), TOPIC, 4, move |_| {
        let tries = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { outcome(tries) }
    });
    (tries, serving(worker).await)
}

/// Runs the worker until the guard is dropped.
async fn serving(worker: Worker) -> DropGuard {
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = Service { workers: vec![worker], ..Default::default() };
    tokio::spawn(serve(service, listener, stop.clone()));
    stop.drop_guard()
}

async fn tried(tries: &AtomicU32, times: u32) {
    let reached = async {
        while tries.load(Ordering::SeqCst) < times {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), reached).await.expect("enough tries in time");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(tries.load(Ordering::SeqCst), times);
}

#[tokio::test]
async fn a_message_that_is_handled_is_gone() {
    let (_dir, queue) = queue().await;
    let (tries, _stop) = working(&queue, |_| Ok(())).await;
    queue.publish(TOPIC, b"1").await.unwrap();
    queue.publish(TOPIC, b"2").await.unwrap();
    tried(&tries, 2).await;
}

#[tokio::test]
async fn a_failure_that_may_pass_brings_the_message_back() {
    let (_dir, queue) = queue().await;
    let outcome = |tries| match tries {
        1 | 2 => Err(ErrorKind::Unavailable.error("not now")),
        _ => Ok(()),
    };
    let (tries, _stop) = working(&queue, outcome).await;
    queue.publish(TOPIC, b"1").await.unwrap();
    tried(&tries, 3).await;
}

#[tokio::test]
async fn a_failure_for_good_and_a_panic_stop_neither_worker_nor_others() {
    let (_dir, queue) = queue().await;
    let outcome = |tries| match tries {
        1 => Err(ErrorKind::Invalid.error("never")),
        2 => panic!("on purpose"),
        _ => Ok(()),
    };
    let (tries, _stop) = working(&queue, outcome).await;
    for body in [b"1", b"2", b"3"] {
        queue.publish(TOPIC, body).await.unwrap();
    }
    tried(&tries, 3).await;
}

#[tokio::test]
async fn a_listener_handles_the_events_of_its_group() {
    let (_dir, queue) = queue().await;
    let event = Event("event");
    queue.create_group(event, "group").await.unwrap();
    let heard = Arc::new(AtomicU32::new(0));
    let counted = heard.clone();
    let worker = listen(queue.clone(), event, "group", 4, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    let _stop = serving(worker).await;
    queue.emit(event, b"1").await.unwrap();
    queue.emit(event, b"2").await.unwrap();
    tried(&heard, 2).await;
}

#[tokio::test]
async fn workers_need_no_socket_and_the_failure_of_one_ends_them_all() {
    let shutdown = CancellationToken::new();
    let waits = Worker::new("waits", |stop| async move {
        stop.cancelled().await;
        Ok(())
    });
    let fails = Worker::new("fails", |_| async { Err(ErrorKind::Internal.error("broken")) });
    let ended = run_workers(vec![waits, fails], Duration::ZERO, shutdown.clone()).await;
    assert_eq!(ended.unwrap_err().to_string(), "broken");
    assert!(shutdown.is_cancelled());
}
