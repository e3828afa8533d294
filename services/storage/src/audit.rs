//! What storage notes, in chains of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Result, TenantId};
use platform::db::Unit;
use platform::trail::{self, Circumstances};

pub use platform::trail::begin;

/// An entry of the audit trail: who did what to which scan, never what is in it.
pub struct Entry<'a> {
    pub tenant: TenantId,
    pub at_ms: i64,
    /// The user, API client or worker.
    pub subject: &'a str,
    pub action: &'static str,
    pub object: String,
}

/// Appends an entry to the tenant's hash chain, as part of `unit`: a change and its audit entry commit together.
pub async fn append(unit: &mut Unit, entry: Entry<'_>) -> Result<()> {
    let Entry { tenant, at_ms, subject, action, object } = entry;
    trail::append(unit, trail::Entry { tenant, at_ms, subject, action, object, detail: "" }).await
}

/// For how long the same reading by the same person is one entry: whoever looks through a scan asks for its pixels again and again.
const ONE_READING_MS: i64 = 5 * 60_000;
/// Readings that are remembered; with more of them, some are noted twice.
const READINGS_MAX: usize = 20_000;

/// A reading, by what tells it from another: whose, by whom, of what, why.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reading {
    pub tenant: TenantId,
    pub subject: String,
    pub action: &'static str,
    pub object: String,
    pub detail: String,
    reason: String,
}

impl Reading {
    /// That reading, for the reason that whoever asks has named.
    pub fn of(
        tenant: TenantId,
        subject: &str,
        action: &'static str,
        object: String,
        detail: String,
    ) -> Reading {
        let (subject, reason) = (subject.to_owned(), trail::reason());
        Reading { tenant, subject, action, object, detail, reason }
    }
}

/// A reading that has an entry and was done again since.
pub struct Repeated {
    pub reading: Reading,
    pub again: u64,
    /// When for the last time.
    pub last_ms: i64,
    /// The circumstances of the first.
    pub asked: Option<Arc<Circumstances>>,
}

struct Noted {
    at_ms: i64,
    again: u64,
    last_ms: i64,
    asked: Option<Arc<Circumstances>>,
}

/// What this instance has noted lately, and what was done again since; another one notes it anew, so that nothing is missing.
#[derive(Default)]
pub struct Lately(Mutex<Readings>);

#[derive(Default)]
struct Readings {
    noted: HashMap<Reading, Noted>,
    /// What is to be noted of those that are forgotten.
    over: Vec<Repeated>,
}

impl Lately {
    /// Whether it was noted within the last minutes: then it is counted, and needs no entry of its own.
    pub fn again(&self, what: &Reading, now_ms: i64) -> bool {
        let mut readings = self.readings();
        let noted = readings.noted.get_mut(what).filter(|noted| noted.stands_for(now_ms));
        let Some(noted) = noted else { return false };
        noted.again += 1;
        noted.last_ms = now_ms;
        true
    }

    /// Remembers that it is noted by now.
    pub fn noted(&self, what: Reading, now_ms: i64) {
        let mut readings = self.readings();
        if readings.noted.len() >= READINGS_MAX {
            readings.end(|noted| !noted.stands_for(now_ms));
        }
        if readings.noted.len() >= READINGS_MAX {
            readings.end(|_| true);
        }
        let noted = Noted { at_ms: now_ms, again: 0, last_ms: now_ms, asked: trail::current() };
        let before = readings.noted.insert(what.clone(), noted);
        readings.over.extend(before.and_then(|before| before.repeated(what)));
    }

    /// What is to be noted of readings that were done again and are over by then. It is the caller's from now on.
    pub fn over(&self, now_ms: i64) -> Vec<Repeated> {
        let mut readings = self.readings();
        readings.end(|noted| !noted.stands_for(now_ms));
        std::mem::take(&mut readings.over)
    }

    /// Takes back what could not be noted.
    pub fn put_back(&self, over: impl Iterator<Item = Repeated>) {
        self.readings().over.extend(over);
    }

    fn readings(&self) -> MutexGuard<'_, Readings> {
        // Counts are whole whatever panics beside them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readings {
    /// Forgets those, and keeps what is to be noted of them.
    fn end(&mut self, is_over: impl Fn(&Noted) -> bool) {
        let ended = self.noted.extract_if(|_, noted| is_over(noted));
        self.over.extend(ended.filter_map(|(reading, noted)| noted.repeated(reading)));
    }
}

impl Noted {
    /// Whether the same reading at that time is this one; for a clock that was set back it is not.
    fn stands_for(&self, now_ms: i64) -> bool {
        (0..ONE_READING_MS).contains(&now_ms.saturating_sub(self.at_ms))
    }

    fn repeated(self, reading: Reading) -> Option<Repeated> {
        let Noted { again, last_ms, asked, .. } = self;
        (again > 0).then_some(Repeated { reading, again, last_ms, asked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(who: &str) -> Reading {
        let tenant = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        Reading::of(tenant, who, "scan.pixels.read", "s".to_owned(), String::new())
    }

    fn counted(lately: &Lately, now_ms: i64) -> Vec<(String, u64, i64)> {
        let over = lately.over(now_ms).into_iter();
        over.map(|over| (over.reading.subject, over.again, over.last_ms)).collect()
    }

    #[test]
    fn the_same_reading_is_one_for_some_minutes() {
        let lately = Lately::default();
        let [own, other] = ["a", "b"].map(reading);
        assert!(!lately.again(&own, 0));
        lately.noted(own.clone(), 0);
        assert!(lately.again(&own, ONE_READING_MS - 1) && !lately.again(&other, 1));
        // Nor for a clock that was set back.
        assert!(!lately.again(&own, ONE_READING_MS) && !lately.again(&own, -1));
    }

    #[test]
    fn what_was_done_again_is_counted_once_and_is_lost_on_no_way() {
        let lately = Lately::default();
        let [one, other] = ["a", "b"].map(reading);
        for what in [&one, &other] {
            lately.noted(what.clone(), 0);
        }
        assert!((1..=3).all(|now_ms| lately.again(&one, now_ms)));
        assert!(counted(&lately, ONE_READING_MS - 1).is_empty());
        // It begins anew before anybody has looked; what was done once has nothing to be told of.
        lately.noted(one.clone(), ONE_READING_MS);
        assert!(lately.again(&one, ONE_READING_MS + 1));
        let first = lately.over(ONE_READING_MS + 1);
        assert_eq!(first.iter().map(|over| over.again).collect::<Vec<_>>(), [3]);
        lately.put_back(first.into_iter());
        let all = [("a".to_owned(), 3_u64, 3_i64), ("a".to_owned(), 1, ONE_READING_MS + 1)];
        assert_eq!(counted(&lately, i64::MAX), all);
        assert!(counted(&lately, i64::MAX).is_empty());
        // Nor is it lost where others take its place.
        lately.noted(one.clone(), 0);
        assert!(lately.again(&one, 1));
        for number in 0..READINGS_MAX {
            lately.noted(reading(&number.to_string()), 1);
        }
        assert_eq!(counted(&lately, 1), [("a".to_owned(), 1_u64, 1_i64)]);
    }
}
