//! Turns at decoding, shared out among hospitals.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::TenantId;
use service::{Share, Shares};
use tokio::sync::oneshot;

/// Whose turn it is: a hospital's, or this service's own, which asks whether a decoder answers.
pub type Party = Option<TenantId>;

/// So many turns at a time. One that becomes free goes to the hospital that has the fewest, and among its uploads to the one
/// that has waited longest: nobody waits behind another hospital's queue.
#[derive(Clone)]
pub struct Turns {
    most: usize,
    held: Shares<Party>,
    waiting: Arc<Mutex<Queue>>,
}

type Queue = VecDeque<(Party, oneshot::Sender<Turn>)>;

/// One turn; somebody else's when this is dropped.
pub struct Turn {
    turns: Turns,
    share: Option<Share<Party>>,
}

impl Turns {
    /// So many turns.
    pub fn of(most: usize) -> Turns {
        Turns { most, held: Shares::default(), waiting: Arc::default() }
    }

    /// A turn for `party`, once there is one. Who stops waiting leaves nothing behind.
    pub async fn take(&self, party: Party) -> Turn {
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

    fn next(&self) -> Option<(oneshot::Sender<Turn>, Turn)> {
        let mut waiting = self.waiting();
        waiting.retain(|(_, sender)| !sender.is_closed());
        // The first of those that are equal. Nobody takes a turn meanwhile: that is done under this lock only.
        let (place, party) = waiting
            .iter()
            .map(|(party, _)| *party)
            .enumerate()
            .min_by_key(|(_, party)| self.held.of(party))?;
        let free =
            self.held.take(party, |held| if held.all() < self.most { Ok(()) } else { Err(()) });
        let share = Some(free.ok()?);
        let (_, sender) = waiting.remove(place)?;
        Some((sender, Turn { turns: self.clone(), share }))
    }

    fn waiting(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole whatever panics beside it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
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
    async fn a_hospital_waits_for_a_turn_and_not_for_anothers_queue() {
        let (turns, [one, other]) = (Turns::of(2), tenants());
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
    async fn turns_that_nobody_else_wants_may_all_be_one_hospitals() {
        let (turns, [one, _]) = (Turns::of(3), tenants());
        let held: Vec<_> = (0..5).filter_map(|_| turns.take(one).now_or_never()).collect();
        assert_eq!(held.len(), 3);
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_no_turn_along() {
        let turns = Turns::of(1);
        let held = turns.take(None).await;
        let mut gone = Box::pin(turns.take(None));
        let mut handed = Box::pin(turns.take(None));
        assert!(gone.as_mut().now_or_never().is_none() && handed.as_mut().now_or_never().is_none());
        drop(gone);
        // From here on the turn is that one's, who has not looked yet.
        drop(held);
        drop(handed);
        assert!(turns.take(None).now_or_never().is_some());
        let nobody = turns.held.take(None, |held| if held.all() == 0 { Ok(()) } else { Err(()) });
        assert!(nobody.is_ok() && turns.waiting().is_empty());
    }

    fn tenants() -> [Party; 2] {
        ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"]
            .map(|id| id.parse().ok())
    }
}
