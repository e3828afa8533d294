use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::shares::{Share, Shares, Taken};

/// Turns at a limited resource, shared out among parties such as hospitals: so many at a time. One that becomes free goes to
/// the party that has the fewest, and among those that wait for it to the one that has waited longest: nobody waits behind
/// another party's queue.
pub struct Turns<K>
where
    K: Clone + Eq + Hash,
{
    most: usize,
    /// So many more, for parties that have none.
    beyond: usize,
    held: Shares<K>,
    waiting: Arc<Mutex<Queue<K>>>,
}

type Queue<K> = VecDeque<(K, oneshot::Sender<Turn<K>>)>;

/// One turn; somebody else's when this is dropped.
pub struct Turn<K>
where
    K: Clone + Eq + Hash,
{
    turns: Turns<K>,
    share: Option<Share<K>>,
    behind: usize,
}

impl<K> Turns<K>
where
    K: Clone + Eq + Hash,
{
    /// So many turns at a time.
    pub fn of(most: usize) -> Turns<K> {
        Turns { most, beyond: 0, held: Shares::default(), waiting: Arc::default() }
    }

    /// The same with so many turns beyond those, each for a party that has none: so many parties do not even wait until a turn
    /// of another one ends.
    pub fn with_beyond(self, beyond: usize) -> Turns<K> {
        Turns { beyond, ..self }
    }

    /// A turn for `party`, once there is one. Who stops waiting leaves nothing behind.
    pub async fn take(&self, party: K) -> Turn<K> {
        let (sender, turn) = oneshot::channel();
        self.waiting().push_back((party, sender));
        self.share_out();
        turn.await.expect("whoever waits is passed over only once they have gone")
    }

    fn share_out(&self) {
        while let Some((sender, turn)) = self.next() {
            // Outside of the lock: who has gone just now gives the turn back.
            drop(sender.send(turn));
        }
    }

    fn next(&self) -> Option<(oneshot::Sender<Turn<K>>, Turn<K>)> {
        let mut waiting = self.waiting();
        waiting.retain(|(_, sender)| !sender.is_closed());
        // The first of those that are equal. Nobody takes a turn meanwhile: that is done under this lock only.
        let (place, party) = waiting
            .iter()
            .map(|(party, _)| party.clone())
            .enumerate()
            .min_by_key(|(_, party)| self.held.of(party))?;
        let share = Some(self.held.take(party.clone(), |held| self.admit(held, &party)).ok()?);
        let (_, sender) = waiting.remove(place)?;
        let behind = waiting.iter().filter(|(other, _)| *other == party).count();
        Some((sender, Turn { turns: self.clone(), share, behind }))
    }

    /// Where it refuses the party that has the fewest, it would refuse any other.
    fn admit(&self, held: &Taken<K>, party: &K) -> Result<(), ()> {
        let beyond = if held.of(party) == 0 { self.beyond } else { 0 };
        if held.all() < self.most + beyond { Ok(()) } else { Err(()) }
    }

    fn waiting(&self) -> MutexGuard<'_, Queue<K>> {
        // The queue is whole whatever panics beside it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Clone for Turns<K>
where
    K: Clone + Eq + Hash,
{
    fn clone(&self) -> Turns<K> {
        let Turns { most, beyond, .. } = *self;
        Turns { most, beyond, held: self.held.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

impl<K> Turn<K>
where
    K: Clone + Eq + Hash,
{
    /// How many more of its party waited when it was given.
    pub fn behind(&self) -> usize {
        self.behind
    }
}

impl<K> Drop for Turn<K>
where
    K: Clone + Eq + Hash,
{
    fn drop(&mut self) {
        // First free, then somebody else's.
        drop(self.share.take());
        self.turns.share_out();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_party_waits_for_a_turn_and_not_for_anothers_queue() {
        let (turns, [one, other]) = (Turns::of(2), ["a", "b"]);
        let held = [turns.take(one).await, turns.take(one).await];
        let mut queue: Vec<_> = (0..50).map(|_| Box::pin(turns.take(one))).collect();
        assert!(queue.iter_mut().all(|next| next.as_mut().now_or_never().is_none()));
        let mut others = Box::pin(turns.take(other));
        assert!(others.as_mut().now_or_never().is_none());

        let [first, second] = held;
        drop(first);
        let others = others.as_mut().now_or_never();
        assert!(others.is_some() && queue[0].as_mut().now_or_never().is_none());
        drop(second);
        assert!(queue[0].as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn turns_that_nobody_else_wants_may_all_be_one_partys() {
        let turns = Turns::of(3);
        let held: Vec<_> = (0..5).filter_map(|_| turns.take("a").now_or_never()).collect();
        assert_eq!(held.len(), 3);
    }

    #[tokio::test]
    async fn who_has_none_does_not_wait_for_another_partys_turn_to_end() {
        let turns = Turns::of(2).with_beyond(2);
        let _flood = [turns.take("a").await, turns.take("a").await];
        let mut more = Box::pin(turns.take("a"));
        assert!(more.as_mut().now_or_never().is_none());
        let beyond = ["b", "c"].map(|party| turns.take(party).now_or_never());
        assert!(beyond.iter().all(Option::is_some));
        // One for each, and so many in all.
        assert!(
            ["b", "d"].map(|party| turns.take(party).now_or_never()).iter().all(Option::is_none)
        );
        drop(beyond);
        assert!(more.as_mut().now_or_never().is_none(), "they are for who has none");
    }

    #[tokio::test]
    async fn a_turn_tells_how_many_more_of_its_party_waited() {
        let turns = Turns::of(1);
        let mut held = turns.take("a").await;
        let mut queue = ["a", "a", "b"].map(|party| Box::pin(turns.take(party)));
        assert!(queue.iter_mut().all(|next| next.as_mut().now_or_never().is_none()));
        let mut behind = vec![held.behind()];
        for next in &mut queue {
            drop(held);
            held = next.as_mut().now_or_never().unwrap();
            behind.push(held.behind());
        }
        assert_eq!(behind, [0, 1, 0, 0]);
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_turn_along() {
        let turns = Turns::of(1);
        let held = turns.take("a").await;
        let mut gone = Box::pin(turns.take("a"));
        let mut handed = Box::pin(turns.take("a"));
        assert!(gone.as_mut().now_or_never().is_none() && handed.as_mut().now_or_never().is_none());
        drop(gone);
        // From here on the turn is that one's, who has not looked yet.
        drop(held);
        drop(handed);
        assert!(turns.take("a").now_or_never().is_some());
        let nobody = turns.held.take("a", |held| if held.all() == 0 { Ok(()) } else { Err(()) });
        assert!(nobody.is_ok() && turns.waiting().is_empty());
    }
}
