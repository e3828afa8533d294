//! Who waits for a password to be hashed, which costs memory and time.

use std::net::IpAddr;

use domain::{ErrorKind, Result, neighbourhood};
use service::{Share, Shares};

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

/// All who wait, by where they are; who is known there waits nowhere.
#[derive(Clone, Default)]
pub struct Waiting(Shares<Option<String>>);

impl Waiting {
    /// A place in the queue, left when it is dropped; `Exhausted` where there is none for `asker`.
    pub fn join(&self, asker: Asker) -> Result<Share<Option<String>>> {
        let place = match asker {
            Asker::Known => None,
            Asker::At(place) => Some(counted(place)),
        };
        self.0.take(place.clone(), |taken| {
            let strangers = taken.all() - taken.of(&None);
            let is_crowded = strangers >= STRANGERS_MAX || taken.of(&place) >= FROM_ONE_PLACE_MAX;
            if taken.all() >= MOST || (place.is_some() && is_crowded) {
                Err(full())
            } else {
                Ok(())
            }
        })
    }
}

/// What a network address counts as, together with others.
pub fn counted(place: &str) -> String {
    let address = place.parse::<IpAddr>();
    address.map_or_else(|_| place.to_owned(), |address| neighbourhood(address).to_string())
}

fn full() -> domain::Error {
    ErrorKind::Exhausted.error("too many are signing in at once, try again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_place_whichever_of_its_addresses_it_takes() {
        for (place, counts_as) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::"),
            ("2001:db8::ffff", "2001:db8::"),
            ("PACS (10.0.0.7)", "PACS (10.0.0.7)"),
            ("", ""),
        ] {
            assert_eq!(counted(place), counts_as);
        }
    }

    #[test]
    fn strangers_keep_out_neither_those_elsewhere_nor_those_who_are_known() {
        let waiting = Waiting::default();
        let flood = |place: &str| -> Vec<_> {
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
        let last = waiting.0.take(None, |taken| {
            assert_eq!((taken.all(), taken.of(&None)), (0, 0));
            Ok::<(), ()>(())
        });
        assert!(last.is_ok());
    }
}
