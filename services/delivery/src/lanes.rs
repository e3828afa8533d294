//! Lanes: one for each destination, in which deliveries go one after the other, so that one that is slow or away delays no other.
//!
//! Which lanes go is decided by whose turn it is: of all that wait, that of the hospital which has the fewest under way.

use std::collections::HashMap;
use std::time::Duration;

use domain::{Result, TenantId};
use metrics::{counter, histogram};
use service::Worker;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Store;
use crate::attempt::{Outcome, attempt};
use crate::handed::Handed;
use crate::outbox::{Due, Lane};
use crate::post::Post;

/// Lanes under way at once, of all hospitals and of one: what is in memory is bounded by the first.
const LANES_MAX: usize = 16;
const LANES_EACH_MAX: usize = 4;

/// Deliveries of one lane before others have their turn.
const BURST: usize = 16;

/// How long to wait until an end is noted again that could not be.
const NOTED_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// How often to look for what has become due.
const INTERVAL: Duration = Duration::from_millis(500);

/// Sends what is due, and finishes what is under way when it is told to stop.
pub fn send(store: Store, handed: Handed, post: Post) -> Worker {
    Worker::new("lanes", move |stop| async move {
        let mut lanes = Lanes { under_way: JoinSet::new(), of: HashMap::new() };
        while !stop.is_cancelled() {
            match store.due_lanes().await {
                Ok(due) => {
                    for lane in chosen(due, lanes.of.values().copied().collect()) {
                        let (store, handed) = (store.clone(), handed.clone());
                        let run = run(store, handed, post.clone(), lane, stop.clone());
                        let task = lanes.under_way.spawn(run);
                        lanes.of.insert(task.id(), lane);
                    }
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not look for what is to be delivered"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => (),
                () = store.due.notified() => (),
                () = lanes.ended() => (),
                () = tokio::time::sleep(INTERVAL) => (),
            }
        }
        while let Some(ended) = lanes.under_way.join_next().await {
            panicked(ended.err());
        }
        Ok(())
    })
}

/// The lanes that are under way.
struct Lanes {
    under_way: JoinSet<()>,
    of: HashMap<Id, Lane>,
}

impl Lanes {
    /// Returns when one has ended; never while there is none.
    async fn ended(&mut self) {
        let id = match self.under_way.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => {
                let id = error.id();
                panicked(Some(error));
                id
            }
            None => return std::future::pending().await,
        };
        self.of.remove(&id);
    }
}

fn panicked(error: Option<tokio::task::JoinError>) {
    if let Some(error) = error {
        // Its lease ends, and the delivery is tried again.
        tracing::error!(error = &error as &dyn std::error::Error, "an attempt to deliver panicked");
    }
}

/// Which of those that are due begin now, beside those under way.
fn chosen(mut due: Vec<Lane>, mut under_way: Vec<Lane>) -> Vec<Lane> {
    due.retain(|lane| !under_way.contains(lane));
    let mut chosen = Vec::new();
    while under_way.len() < LANES_MAX {
        let of =
            |tenant: TenantId| under_way.iter().filter(|lane| lane.tenant_id == tenant).count();
        let next = due.iter().enumerate().map(|(at, lane)| (of(lane.tenant_id), at));
        // Of those with as few, the one that has waited longest: it comes first.
        let Some((_, at)) = next.filter(|(count, _)| *count < LANES_EACH_MAX).min() else { break };
        let lane = due.remove(at);
        under_way.push(lane);
        chosen.push(lane);
    }
    chosen
}

async fn run(store: Store, handed: Handed, post: Post, lane: Lane, stop: CancellationToken) {
    for _ in 0..BURST {
        if stop.is_cancelled() {
            return;
        }
        match one(&store, &handed, &post, lane).await {
            Ok(true) => (),
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(
                    tenant.id = %lane.tenant_id,
                    destination.id = %lane.destination_id,
                    error = &error as &dyn std::error::Error,
                    "a delivery is not noted yet"
                );
                return;
            }
        }
    }
}

/// Sends what is due first; whether the lane goes on.
async fn one(store: &Store, handed: &Handed, post: &Post, lane: Lane) -> Result<bool> {
    let Some(due) = store.take(lane).await? else { return Ok(false) };
    let began = Instant::now();
    let outcome = attempt(store, handed, post, &due).await;
    count(&due, &outcome, began.elapsed());
    let goes_on = !matches!(outcome, Outcome::Later(_) | Outcome::Away(_));
    settled(store, due, outcome).await?;
    Ok(goes_on)
}

/// Notes it, and again while the database is busy: what is not noted is sent twice.
async fn settled(store: &Store, due: Due, outcome: Outcome) -> Result<()> {
    for pause in NOTED_AGAIN {
        match store.settle(due.clone(), outcome.clone()).await {
            Err(error) if error.kind().is_transient() => tokio::time::sleep(pause).await,
            noted => return noted,
        }
    }
    store.settle(due, outcome).await
}

fn count(due: &Due, outcome: &Outcome, took: Duration) {
    let (kind, name) = (due.kind.name(), outcome.name());
    counter!("medseg_delivery_attempts_total", "kind" => kind, "outcome" => name).increment(1);
    histogram!("medseg_delivery_seconds", "kind" => kind).record(took);
    tracing::info!(
        tenant.id = %due.tenant,
        scan.id = %due.scan,
        delivery.id = due.id,
        destination.id = %due.destination,
        attempts = due.attempts,
        outcome = name,
        "tried to deliver"
    );
}

#[cfg(test)]
mod tests {
    use domain::{Clock, DestinationId, Random};

    use super::*;

    fn lanes(hospitals: &[u8]) -> Vec<Lane> {
        let clock = Clock::new(|| 0);
        let all = hospitals.iter().enumerate().map(|(at, &hospital)| Lane {
            tenant_id: TenantId::new(&clock, &Random::new(move |bytes| bytes.fill(hospital))),
            destination_id: DestinationId::new(
                &clock,
                &Random::new(move |bytes| bytes.fill(at as u8)),
            ),
        });
        all.collect()
    }

    #[test]
    fn no_hospital_has_more_lanes_than_its_share_however_many_wait() {
        let due = lanes(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
        let begun = chosen(due.clone(), Vec::new());
        assert_eq!(begun, [due[0], due[9], due[1], due[2], due[3]]);
        // The one that comes later finds a place, too.
        let all = lanes(&[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5]);
        assert!(chosen(all.clone(), all[..16].to_vec()).is_empty());
        assert_eq!(chosen(vec![all[15], all[16]], all[..15].to_vec()), [all[16]]);
    }

    #[test]
    fn a_destination_has_one_lane() {
        let due = lanes(&[1, 2]);
        assert_eq!(chosen(due.clone(), vec![due[0]]), [due[1]]);
    }
}
