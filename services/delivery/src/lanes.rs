//! Lanes: one for each destination, in which deliveries go one after the other, so that one that is slow or away delays no other.
//!
//! Which lanes go is decided by whose turn it is: of all that wait, that of the hospital which has the fewest under way. What hangs takes
//! its place for minutes, so destinations whose last attempt has failed share a half of the places and have one in each hospital; and
//! the last places are for hospitals that have none.

use std::collections::HashMap;
use std::time::Duration;

use domain::Result;
use metrics::{counter, histogram};
use service::Worker;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Store;
use crate::attempt::{Ways, attempt};
use crate::outbox::{Due, Lane, Waiting};
use crate::outcome::{Attempted, Outcome};

/// Lanes under way at once, of all hospitals and of one: what is in memory is bounded by the first.
const LANES_MAX: usize = 16;
const LANES_EACH_MAX: usize = 4;

/// Of these, lanes to destinations whose last attempt has failed, of all hospitals and of one.
const FAILING_MAX: usize = 8;
const FAILING_EACH_MAX: usize = 1;

/// Places, the last ones, that only a hospital gets which has none under way.
const KEPT: usize = 4;

/// Deliveries of one lane before others have their turn.
const BURST: usize = 16;

/// How long to wait until an end is noted again that could not be.
const NOTED_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// How often to look for what has become due.
const INTERVAL: Duration = Duration::from_millis(500);

/// Sends what is due, and finishes what is under way when it is told to stop.
pub fn send(store: Store, ways: Ways) -> Worker {
    Worker::new("lanes", move |stop| async move {
        let mut lanes = Lanes { under_way: JoinSet::new(), of: HashMap::new() };
        while !stop.is_cancelled() {
            match store.due_lanes().await {
                Ok(due) => {
                    for waiting in chosen(due, lanes.of.values().copied().collect()) {
                        let run = run(store.clone(), ways.clone(), waiting.lane, stop.clone());
                        let task = lanes.under_way.spawn(run);
                        lanes.of.insert(task.id(), waiting);
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
    of: HashMap<Id, Waiting>,
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
fn chosen(mut due: Vec<Waiting>, mut under_way: Vec<Waiting>) -> Vec<Waiting> {
    due.retain(|waiting| !under_way.iter().any(|begun| begun.lane == waiting.lane));
    let mut chosen = Vec::new();
    while under_way.len() < LANES_MAX {
        let fitting = due.iter().enumerate().filter(|(_, waiting)| fits(waiting, &under_way));
        let next = fitting.map(|(at, waiting)| (of_hospital(waiting, &under_way).count(), at));
        // Of those with as few, the one that has waited longest: it comes first.
        let Some((_, at)) = next.min() else { break };
        let waiting = due.remove(at);
        under_way.push(waiting);
        chosen.push(waiting);
    }
    chosen
}

/// Whether a lane may begin beside those under way, of which there are fewer than there may be.
fn fits(waiting: &Waiting, under_way: &[Waiting]) -> bool {
    let own = of_hospital(waiting, under_way).count();
    if own >= LANES_EACH_MAX || (own > 0 && under_way.len() + KEPT >= LANES_MAX) {
        return false;
    }
    if waiting.failures == 0 {
        return true;
    }
    let failing = |other: &&Waiting| other.failures > 0;
    under_way.iter().filter(failing).count() < FAILING_MAX
        && of_hospital(waiting, under_way).filter(failing).count() < FAILING_EACH_MAX
}

fn of_hospital<'a>(
    waiting: &Waiting,
    under_way: &'a [Waiting],
) -> impl Iterator<Item = &'a Waiting> {
    let tenant = waiting.lane.tenant_id;
    under_way.iter().filter(move |other| other.lane.tenant_id == tenant)
}

async fn run(store: Store, ways: Ways, lane: Lane, stop: CancellationToken) {
    for _ in 0..BURST {
        if stop.is_cancelled() {
            return;
        }
        match one(&store, &ways, lane).await {
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
async fn one(store: &Store, ways: &Ways, lane: Lane) -> Result<bool> {
    let Some(due) = store.take(lane).await? else { return Ok(false) };
    let began = Instant::now();
    let attempted = attempt(store, ways, &due).await;
    count(&due, &attempted.outcome, began.elapsed());
    let stops = |outcome: &Outcome| {
        matches!(outcome, Outcome::Later(_) | Outcome::Away(_) | Outcome::Held(_))
    };
    let goes_on = !stops(&attempted.outcome);
    settled(store, due, attempted).await?;
    Ok(goes_on)
}

/// Notes it, and again while the database is busy: what is not noted is sent twice.
async fn settled(store: &Store, due: Due, attempted: Attempted) -> Result<()> {
    for pause in NOTED_AGAIN {
        match store.settle(due.clone(), attempted.clone()).await {
            Err(error) if error.kind().is_transient() => tokio::time::sleep(pause).await,
            noted => return noted,
        }
    }
    store.settle(due, attempted).await
}

fn count(due: &Due, outcome: &Outcome, took: Duration) {
    let (kind, name) = (due.kind.name(), outcome.name());
    counter!("medseg_delivery_attempts_total", "kind" => kind, "outcome" => name).increment(1);
    histogram!("medseg_delivery_seconds", "kind" => kind).record(took);
    tracing::info!(
        tenant.id = %due.tenant,
        scan.id = due.about.scan().map(tracing::field::display),
        delivery.id = due.id,
        destination.id = %due.destination,
        attempts = due.attempts,
        outcome = name,
        "tried to deliver"
    );
}

#[cfg(test)]
mod tests {
    use domain::{Clock, DestinationId, Random, TenantId};
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, proptest};

    use super::*;

    /// A lane for each: its hospital, and how often its destination has failed.
    fn lanes(hospitals: &[(u8, i64)]) -> Vec<Waiting> {
        let clock = Clock::new(|| 0);
        let all = hospitals.iter().enumerate().map(|(at, &(hospital, failures))| {
            let drawn = |byte: u8| Random::new(move |bytes| bytes.fill(byte));
            let tenant_id = TenantId::new(&clock, &drawn(hospital));
            let destination_id = DestinationId::new(&clock, &drawn(at as u8));
            Waiting { lane: Lane { tenant_id, destination_id }, failures }
        });
        all.collect()
    }

    fn well(hospitals: &[u8]) -> Vec<Waiting> {
        lanes(&hospitals.iter().map(|&hospital| (hospital, 0)).collect::<Vec<_>>())
    }

    fn of(waiting: &[Waiting]) -> Vec<Lane> {
        waiting.iter().map(|waiting| waiting.lane).collect()
    }

    #[test]
    fn no_hospital_has_more_lanes_than_its_share_however_many_wait() {
        let due = well(&[1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
        let begun = chosen(due.clone(), Vec::new());
        assert_eq!(of(&begun), of(&[due[0], due[9], due[1], due[2], due[3]]));
        // The one that comes later finds a place, too: three hospitals cannot fill the last ones.
        let all = well(&[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5]);
        assert_eq!(of(&chosen(all.clone(), all[..12].to_vec())), of(&[all[12], all[14]]));
    }

    #[test]
    fn destinations_that_fail_leave_places_to_those_that_do_not() {
        // Nine hospitals, in each of which two destinations hang, and one in which one is well.
        let hanging: Vec<(u8, i64)> = (0..18).map(|at| (at / 2, 3)).chain([(9, 0)]).collect();
        let due = lanes(&hanging);
        let begun = chosen(due.clone(), Vec::new());
        assert_eq!(begun.iter().filter(|waiting| waiting.failures > 0).count(), FAILING_MAX);
        assert!(of(&begun).contains(&due[18].lane));
    }

    #[test]
    fn a_destination_has_one_lane() {
        let due = well(&[1, 2]);
        assert_eq!(of(&chosen(due.clone(), vec![due[0]])), of(&[due[1]]));
    }

    fn some() -> impl Strategy<Value = Vec<(u8, i64)>> {
        vec((0..12_u8, any::<bool>().prop_map(i64::from)), 0..60)
    }

    proptest! {
        #[test]
        fn no_destination_and_no_hospital_takes_the_place_of_others(due in some(), before in some()) {
            let all = lanes(&[before.clone(), due].concat());
            // What is under way was chosen, too.
            let under_way = chosen(all[..before.len()].to_vec(), Vec::new());
            let due = all[before.len()..].to_vec();
            let begun = chosen(due.clone(), under_way.clone());
            let now: Vec<Waiting> = under_way.iter().chain(&begun).copied().collect();
            let count = |wish: &dyn Fn(&Waiting) -> bool| now.iter().filter(|one| wish(one)).count();
            assert!(now.len() <= LANES_MAX);
            assert!(count(&|one| one.failures > 0) <= FAILING_MAX);
            for waiting in &all {
                let tenant = waiting.lane.tenant_id;
                assert!(count(&|one| one.lane.tenant_id == tenant) <= LANES_EACH_MAX);
                let failing = count(&|one| one.lane.tenant_id == tenant && one.failures > 0);
                assert!(failing <= FAILING_EACH_MAX);
                assert!(count(&|one| one.lane == waiting.lane) <= 1, "one lane each");
            }
            for waiting in &due {
                let tenant = waiting.lane.tenant_id;
                let own = count(&|one| one.lane.tenant_id == tenant);
                // Who has none waits only while others, as many as there may be, have one: whatever fails elsewhere.
                if own == 0 && waiting.failures == 0 {
                    assert_eq!(now.len(), LANES_MAX);
                    let hospitals: std::collections::HashSet<_> =
                        now.iter().map(|one| one.lane.tenant_id).collect();
                    assert!(hospitals.len() > LANES_MAX.div_ceil(LANES_EACH_MAX));
                }
            }
        }
    }
}
