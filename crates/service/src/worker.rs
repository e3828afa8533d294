use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use platform::queue::{Deliveries, Delivery, Event, Queue, Work};
use tokio_util::sync::CancellationToken;

/// How long to wait before subscribing again after the queue was lost.
const RESUBSCRIBE_DELAY: Duration = Duration::from_secs(1);

type Loop = Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, Result<()>> + Send>;

/// A background task that runs as long as its service does.
pub struct Worker {
    name: &'static str,
    run: Loop,
}

impl Worker {
    /// Runs `run` until the token that it is given is cancelled; it should then finish what it has in
    /// hand and return. Returning an error before stops the whole process.
    pub fn new<F>(
        name: &'static str,
        run: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Worker
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Worker { name, run: Box::new(move |stop| run(stop).boxed()) }
    }

    /// Runs the task until it returns; a panic is an error.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<()> {
        let run = AssertUnwindSafe((self.run)(stop)).catch_unwind();
        let panicked =
            |_| ErrorKind::Internal.error(format!("the worker `{}` panicked", self.name));
        run.await.map_err(panicked)?
    }
}

/// Feeds every message of `topic` to `handle`, up to `window` at a time.
///
/// A message is acknowledged when it is handled, and also when it never will be (any error that is
/// not transient, and a panic); a transient error brings it back after a pause. A lost queue is
/// subscribed to again. Once told to stop, takes no more messages and finishes those in hand.
pub fn work<H, F>(queue: Queue, topic: Work<'static>, window: u16, handle: H) -> Worker
where
    H: Fn(Vec<u8>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    feed(queue, Source::Work(topic), window, handle)
}

/// As [`work`], for a member of `group` that listens to `event`.
pub fn listen<H, F>(
    queue: Queue,
    event: Event<'static>,
    group: &'static str,
    window: u16,
    handle: H,
) -> Worker
where
    H: Fn(Vec<u8>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    feed(queue, Source::Group(event, group), window, handle)
}

/// Where a worker's messages come from.
#[derive(Clone, Copy)]
enum Source {
    Work(Work<'static>),
    Group(Event<'static>, &'static str),
}

impl Source {
    /// The topic's name in logs and metrics.
    fn topic(self) -> &'static str {
        match self {
            Source::Work(Work(name)) | Source::Group(Event(name), _) => name,
        }
    }

    async fn subscribe(self, queue: &Queue, window: u16) -> Result<Deliveries> {
        match self {
            Source::Work(work) => queue.subscribe_work(work, window).await,
            Source::Group(event, group) => queue.subscribe_event(event, group, window).await,
        }
    }
}

fn feed<H, F>(queue: Queue, source: Source, window: u16, handle: H) -> Worker
where
    H: Fn(Vec<u8>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let topic = source.topic();
    Worker::new(topic, move |stop| async move {
        while !stop.is_cancelled() {
            if let Err(error) = consume(&queue, source, window, handle.clone(), &stop).await {
                if !error.kind().is_transient() {
                    return Err(error);
                }
                tracing::warn!(topic, error = &error as &dyn std::error::Error, "lost the queue");
            }
            stop.run_until_cancelled(tokio::time::sleep(RESUBSCRIBE_DELAY)).await;
        }
        Ok(())
    })
}

async fn consume<H, F>(
    queue: &Queue,
    source: Source,
    window: u16,
    handle: H,
    stop: &CancellationToken,
) -> Result<()>
where
    H: Fn(Vec<u8>) -> F + Clone,
    F: Future<Output = Result<()>>,
{
    let deliveries = source.subscribe(queue, window).await?;
    deliveries
        .take_until(stop.cancelled())
        .try_for_each_concurrent(usize::from(window), |delivery| {
            settle(source.topic(), delivery, handle.clone())
        })
        .await
}

async fn settle<H, F>(topic: &'static str, delivery: Delivery, handle: H) -> Result<()>
where
    H: Fn(Vec<u8>) -> F,
    F: Future<Output = Result<()>>,
{
    let handled = AssertUnwindSafe(handle(delivery.body.clone())).catch_unwind().await;
    let handled = handled.unwrap_or_else(|_| Err(ErrorKind::Internal.error("a handler panicked")));
    let outcome = match &handled {
        Ok(()) => "done",
        Err(error) if error.kind().is_transient() => "retried",
        Err(_) => "given_up",
    };
    metrics::counter!("medseg_messages_total", "topic" => topic, "outcome" => outcome).increment(1);
    match handled {
        Ok(()) => delivery.ack().await,
        Err(error) if error.kind().is_transient() => {
            tracing::warn!(topic, %error, "will retry a message");
            delivery.retry().await
        }
        Err(error) => {
            report(topic, &error);
            delivery.ack().await
        }
    }
}

fn report(topic: &str, error: &Error) {
    tracing::error!(topic, error = error as &dyn std::error::Error, "gave up on a message");
}
