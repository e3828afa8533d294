//! Who waits for a password to be hashed, which costs memory and time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{ErrorKind, Result};

/// Who would wait behind more than these is sent away; the second half is kept for those who are known where they are.
const MOST: usize = 256;
const STRANGERS_MAX: usize = MOST / 2;
/// Of these from one place: a hospital behind one address has as many people signing in at once.
const FROM_ONE_PLACE_MAX: usize = 32;

/// Who asks.
#[derive(Clone, Copy)]
pub enum Asker<'a> {
    /// Somebody who has signed in to the account from there before, or who is signed in.
    Known,
    /// Anybody, at that network address.
    At(&'a str),
}

/// All who wait.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    strangers: usize,
    places: HashMap<String, usize>,
}

/// A place in the queue; left when this is dropped.
pub struct Turn {
    waiting: Waiting,
    place: Option<String>,
}

impl Waiting {
    /// A place in the queue; `Exhausted` where there is none for `asker`.
    pub fn join(&self, asker: Asker) -> Result<Turn> {
        let mut counts = self.counts();
        let place = match asker {
            Asker::Known => None,
            Asker::At(place) => {
                let from_there = counts.places.get(place).copied().unwrap_or(0);
                if counts.strangers >= STRANGERS_MAX || from_there >= FROM_ONE_PLACE_MAX {
                    return Err(full());
                }
                Some(place.to_owned())
            }
        };
        if counts.all >= MOST {
            return Err(full());
        }
        counts.all += 1;
        if let Some(place) = &place {
            counts.strangers += 1;
            *counts.places.entry(place.clone()).or_default() += 1;
        }
        drop(counts);
        Ok(Turn { waiting: self.clone(), place })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are whole whatever panics beside them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.waiting.counts();
        counts.all -= 1;
        let Some(place) = &self.place else { return };
        counts.strangers -= 1;
        if let Some(count) = counts.places.get_mut(place) {
            *count -= 1;
            if *count == 0 {
                counts.places.remove(place);
            }
        }
    }
}

fn full() -> domain::Error {
    ErrorKind::Exhausted.error("too many are signing in at once, try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_keep_out_neither_those_elsewhere_nor_those_who_are_known() {
        let waiting = Waiting::default();
        let flood = |place: &str| -> Vec<Turn> {
            (0..300).filter_map(|_| waiting.join(Asker::At(place)).ok()).collect()
        };
        let first = flood("192.0.2.1");
        assert_eq!(first.len(), FROM_ONE_PLACE_MAX);
        assert!(waiting.join(Asker::At("192.0.2.2")).is_ok());
        let others: Vec<_> = (2..20).flat_map(|last| flood(&format!("192.0.2.{last}"))).collect();
        assert_eq!(first.len() + others.len(), STRANGERS_MAX);
        let known: Vec<_> = (0..300).filter_map(|_| waiting.join(Asker::Known).ok()).collect();
        assert_eq!(known.len(), MOST - STRANGERS_MAX);
        drop((first, others, known));
        let counts = waiting.counts();
        assert_eq!((counts.all, counts.strangers, counts.places.len()), (0, 0, 0));
    }
}
