use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::shares::{Share, Shares, Taken};

/// Turns at a limited resource, shared out among parties such as hospitals: so many at a time. One that becomes free goes to
/// the party that has the fewest, and of those to the one that was given its last the longest ago: nobody waits behind another
/// party's queue.
pub struct Turns<K>
where
    K: Clone + Eq + Hash,
{
    most: usize,
    most_each: usize,
    /// So many more, for parties that have none.
    beyond: usize,
    held: Shares<K>,
    line: Arc<Mutex<Line<K>>>,
}

struct Line<K>
where
    K: Clone + Eq + Hash,
{
    waiting: VecDeque<Waiting<K>>,
    /// Which turn each party was given last, counted in turns; of those that wait or have one, and of whoever else must not
    /// pass one that waits.
    last: HashMap<K, u64>,
    given: u64,
}

struct Waiting<K>
where
    K: Clone + Eq + Hash,
{
    party: K,
    count: usize,
    sender: oneshot::Sender<Turn<K>>,
}

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
        let line = Line { waiting: VecDeque::new(), last: HashMap::new(), given: 0 };
        let line = Arc::new(Mutex::new(line));
        Turns { most, most_each: most, beyond: 0, held: Shares::default(), line }
    }

    /// The same, of which one party has no more than so many at a time, also while nobody else wants any: where a turn may
    /// last long, others are not to wait for its end.
    pub fn at_most_each(self, most_each: usize) -> Turns<K> {
        Turns { most_each, ..self }
    }

    /// The same with so many turns beyond those, each for a party that has none: so many parties do not even wait until a turn
    /// of another one ends.
    pub fn with_beyond(self, beyond: usize) -> Turns<K> {
        Turns { beyond, ..self }
    }

    /// A turn for `party`, once there is one. Who stops waiting leaves nothing behind.
    pub async fn take(&self, party: K) -> Turn<K> {
        self.take_many(party, 1).await
    }

    /// So many turns for `party` as one, once that many are free; all of them where it wants more than there are. They are kept
    /// free for it when it is next.
    pub async fn take_many(&self, party: K, count: usize) -> Turn<K> {
        let (sender, turn) = oneshot::channel();
        self.line().waiting.push_back(Waiting { party, count: count.min(self.most), sender });
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
        let mut line = self.line();
        let Line { waiting, last, given } = &mut *line;
        waiting.retain(|one| !one.sender.is_closed());
        // Who is forgotten comes back as somebody who never had one: two that come again and again would keep back a third.
        let oldest = waiting.iter().filter_map(|one| last.get(&one.party)).min().copied();
        last.retain(|party, turn| {
            self.held.of(party) > 0
                || oldest.is_some_and(|oldest| oldest < *turn)
                || waiting.iter().any(|one| one.party == *party)
        });
        // The first of those that are equal. Nobody takes a turn meanwhile: that is done under this lock only.
        let may = |place: &usize| self.held.of(&waiting[*place].party) < self.most_each;
        let place = (0..waiting.len()).filter(may).min_by_key(|place| {
            let party = &waiting[*place].party;
            (self.held.of(party), last.get(party).copied())
        })?;
        let (party, count) = (waiting[place].party.clone(), waiting[place].count);
        let admit = |held: &Taken<K>| self.admit(held, &party, count);
        let share = Some(self.held.take_many(party.clone(), count, admit).ok()?);
        let Waiting { sender, .. } = waiting.remove(place)?;
        *given += 1;
        last.insert(party.clone(), *given);
        let behind = waiting.iter().filter(|one| one.party == party).count();
        Some((sender, Turn { turns: self.clone(), share, behind }))
    }

    fn admit(&self, held: &Taken<K>, party: &K, count: usize) -> Result<(), ()> {
        let beyond = if held.of(party) == 0 { self.beyond } else { 0 };
        if held.all() + count <= self.most + beyond { Ok(()) } else { Err(()) }
    }

    fn line(&self) -> MutexGuard<'_, Line<K>> {
        // The line is whole whatever panics beside it.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Clone for Turns<K>
where
    K: Clone + Eq + Hash,
{
    fn clone(&self) -> Turns<K> {
        let Turns { most, most_each, beyond, .. } = *self;
        let (held, line) = (self.held.clone(), Arc::clone(&self.line));
        Turns { most, most_each, beyond, held, line }
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
    async fn parties_alternate_where_there_is_one_turn() {
        let turns = Turns::of(1);
        let mut held = turns.take("a").await;
        let wait = |party| (party, Box::pin(turns.take(party)));
        let mut queue: Vec<_> = ["a", "a", "a", "b", "b", "c"].into_iter().map(wait).collect();
        assert!(queue.iter_mut().all(|(_, next)| next.as_mut().now_or_never().is_none()));
        let mut order = Vec::new();
        while !queue.is_empty() {
            drop(held);
            let mut each = queue.iter_mut().enumerate();
            let ready = each.find_map(|(place, (_, next))| {
                next.as_mut().now_or_never().map(|turn| (place, turn))
            });
            let (place, turn) = ready.unwrap();
            order.push(queue.remove(place).0);
            held = turn;
        }
        assert_eq!(order, ["b", "c", "a", "b", "a", "a"]);
    }

    #[tokio::test]
    async fn two_that_come_again_and_again_keep_no_third_back() {
        let turns = Turns::of(1);
        let held = turns.take("a").await;
        let mut third = Box::pin(turns.take("a"));
        assert!(third.as_mut().now_or_never().is_none());
        let mut one = Box::pin(turns.take("b"));
        assert!(one.as_mut().now_or_never().is_none());
        drop(held);
        let held = one.as_mut().now_or_never().unwrap();
        let mut other = Box::pin(turns.take("c"));
        assert!(other.as_mut().now_or_never().is_none());
        drop(held);
        let held = other.as_mut().now_or_never().unwrap();
        // It had a turn since, and none now.
        let mut again = Box::pin(turns.take("b"));
        assert!(again.as_mut().now_or_never().is_none());
        drop(held);
        let held = third.as_mut().now_or_never();
        assert!(held.is_some() && again.as_mut().now_or_never().is_none());
        drop(held);
        assert!(again.as_mut().now_or_never().is_some());
        assert!(turns.line().last.is_empty(), "there is nobody left to pass");
    }

    #[tokio::test]
    async fn what_is_large_waits_for_room_and_is_not_overtaken_again() {
        let turns = Turns::of(4);
        let large = turns.take_many("a", 4).await;
        let mut next = Box::pin(turns.take_many("a", 9));
        let mut small = Box::pin(turns.take("b"));
        assert!(next.as_mut().now_or_never().is_none() && small.as_mut().now_or_never().is_none());
        drop(large);
        let small = small.as_mut().now_or_never().unwrap();
        let mut again = Box::pin(turns.take("b"));
        assert!(next.as_mut().now_or_never().is_none() && again.as_mut().now_or_never().is_none());
        drop(small);
        assert!(again.as_mut().now_or_never().is_none());
        let all = next.as_mut().now_or_never().unwrap();
        assert!(turns.take("c").now_or_never().is_none());
        drop(all);
        assert!(again.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_turn_tells_how_many_more_of_its_party_waited() {
        let turns = Turns::of(1);
        let mut held = turns.take("a").await;
        let mut queue = ["b", "a", "a"].map(|party| Box::pin(turns.take(party)));
        assert!(queue.iter_mut().all(|next| next.as_mut().now_or_never().is_none()));
        let mut behind = vec![held.behind()];
        for next in &mut queue {
            drop(held);
            held = next.as_mut().now_or_never().unwrap();
            behind.push(held.behind());
        }
        assert_eq!(behind, [0, 0, 1, 0]);
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
        assert!(nobody.is_ok() && turns.line().waiting.is_empty());
    }
}
