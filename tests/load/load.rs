//! The two ways of sending load: at a fixed rate whatever happens, and each client as soon as it has its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// So much was done in so long.
#[derive(Clone, Copy)]
pub struct Rate {
    pub count: u64,
    pub time: Duration,
}

impl Rate {
    /// From what was counted at two moments.
    pub fn between(begun: (u64, Instant), ended: (u64, Instant)) -> Rate {
        Rate { count: ended.0 - begun.0, time: ended.1 - begun.1 }
    }

    pub fn per_second(self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }
}

/// One piece of work that came to its end.
pub struct Done<T> {
    pub answer: T,
    pub at: Instant,
    pub took: Duration,
}

/// Begins `count` pieces of work, `rate` a second, and waits for all of them.
///
/// Each one's time counts from when it was to begin: work that waits because the sender is late is not forgotten.
pub async fn at_rate<T, F>(
    rate: u32,
    count: u64,
    work: impl Fn(u64) -> F,
) -> anyhow::Result<Vec<Done<T>>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let begin = Instant::now();
    let mut working = JoinSet::new();
    for number in 0..count {
        let planned = begin + Duration::from_secs_f64(number as f64 / f64::from(rate));
        sleep_until(planned.into()).await;
        let work = work(number);
        working.spawn(async move { finish(work, planned).await });
    }
    let mut done = Vec::new();
    while let Some(finished) = working.join_next().await {
        done.push(finished?);
    }
    Ok(done)
}

/// `clients` work side by side, each on the next piece as soon as it is done with its last, as long as `more` says so
/// of the piece's number. The first error ends it.
pub async fn side_by_side<F>(
    clients: usize,
    more: impl Fn(u64) -> bool + Clone + Send + 'static,
    work: impl Fn(u64) -> F + Clone + Send + 'static,
) -> anyhow::Result<Vec<Done<()>>>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let mut working = JoinSet::new();
    for _ in 0..clients {
        let (next, more, work) = (next.clone(), more.clone(), work.clone());
        working.spawn(async move {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if !more(number) {
                    return anyhow::Ok(done);
                }
                let Done { answer, at, took } = finish(work(number), Instant::now()).await;
                answer?;
                done.push(Done { answer: (), at, took });
            }
        });
    }
    let mut done = Vec::new();
    while let Some(client) = working.join_next().await {
        done.extend(client??);
    }
    done.sort_by_key(|done| done.at);
    Ok(done)
}

async fn finish<T>(work: impl Future<Output = T>, begun: Instant) -> Done<T> {
    let answer = work.await;
    let at = Instant::now();
    Done { answer, at, took: at - begun }
}
