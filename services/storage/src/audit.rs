//! What storage notes, in chains of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{Result, TenantId};
use platform::db::Unit;
use platform::trail;

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

/// What this instance has noted lately; another one notes it anew, so that nothing is missing.
#[derive(Default)]
pub struct Lately(Mutex<HashMap<[String; 4], i64>>);

impl Lately {
    /// Whether it was noted within the last minutes: of which hospital, who, what, to what.
    pub fn has(&self, what: &[String; 4], now_ms: i64) -> bool {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(what).is_some_and(|at_ms| (0..ONE_READING_MS).contains(&(now_ms - at_ms)))
    }

    /// Remembers that it is noted by now.
    pub fn noted(&self, what: [String; 4], now_ms: i64) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= READINGS_MAX {
            noted.retain(|_, at_ms| (0..ONE_READING_MS).contains(&(now_ms - *at_ms)));
        }
        if noted.len() >= READINGS_MAX {
            noted.clear();
        }
        noted.insert(what, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_reading_is_one_for_some_minutes() {
        let lately = Lately::default();
        let [own, other] = ["a", "b"].map(|who| ["t", who, "read", "s"].map(str::to_owned));
        assert!(!lately.has(&own, 0));
        lately.noted(own.clone(), 0);
        assert!(lately.has(&own, ONE_READING_MS - 1) && !lately.has(&other, 1));
        // Nor for a clock that was set back.
        assert!(!lately.has(&own, ONE_READING_MS) && !lately.has(&own, -1));
    }
}
