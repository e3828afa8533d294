use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::shares::{Share, Shares};

/// Turns at a limited resource, shared out among parties such as hospitals: so many at a time. One that becomes free goes to
/// the party that has the fewest, and among those that wait for it to the one that has waited longest: nobody waits behind
/// another party's queue.
pub struct Turns<K>
where
    K: Clone + Eq + Hash,
{
    most: usize,
    most_each: usize,
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
}

impl<K> Turns<K>
where
    K: Clone + Eq + Hash,
{
    /// So many turns at a time.
    pub fn of(most: usize) -> Turns<K> {
        Turns { most, most_each: most, held: Shares::default(), waiting: Arc::default() }
    }

    /// The same, of which one party has no more than so many at a time, also while nobody else wants any: where a turn may
    /// last long, others are not to wait for its end.
    pub fn at_most_each(self, most_each: usize) -> Turns<K> {
        Turns { most_each, ..self }
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
            .filter(|(_, party)| self.held.of(party) < self.most_each)
            .min_by_key(|(_, party)| self.held.of(party))?;
        let free =
            self.held.take(party, |held| if held.all() < self.most { Ok(()) } else { Err(()) });
        let share = Some(free.ok()?);
        let (_, sender) = waiting.remove(place)?;
        Some((sender, Turn { turns: self.clone(), share }))
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
        let Turns { most, most_each, held, waiting } = self;
        let (most, most_each) = (*most, *most_each);
        Turns { most, most_each, held: held.clone(), waiting: Arc::clone(waiting) }
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
    async fn a_party_that_has_its_most_leaves_the_others_turns_of_their_own() {
        let turns = Turns::of(3).at_most_each(2);
        let held: Vec<_> = (0..5).filter_map(|_| turns.take("a").now_or_never()).collect();
        assert_eq!(held.len(), 2);
        let mut own = Box::pin(turns.take("a"));
        assert!(own.as_mut().now_or_never().is_none());
        assert!(turns.take("b").now_or_never().is_some());
        drop(held);
        assert!(own.as_mut().now_or_never().is_some());
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
