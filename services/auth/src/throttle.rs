use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use domain::{ErrorKind, Result, try_again_in};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::waiting::Asker;

/// Failures from one place that cost nothing: fingers slip.
const FREE: u32 = 5;
/// The same for an account as a whole, for places from which nobody has ever signed in to it.
const FREE_FROM_ANYWHERE: u32 = 50;
const MAX_DELAY_MS: i64 = 15 * 60 * 1000;
const FORGOTTEN_AFTER_MS: i64 = 24 * 60 * 60 * 1000;
const MAX_ACCOUNTS: usize = 10_000;
const MAX_PLACES: usize = 64;

/// Slows down who guesses passwords.
///
/// After five failures every further attempt from the same place at the same account waits, twice as
/// long each time and at most a quarter of an hour. The owner of the account, at a place from which they
/// have signed in before, does not wait for what strangers do. Names that nobody has wait alike.
///
/// Kept in memory: a restart forgets it, and several instances each count for themselves.
#[derive(Default)]
pub struct Throttle(StdMutex<HashMap<String, Arc<Mutex<Account>>>>);

/// What has happened at one account.
#[derive(Default)]
pub struct Account {
    anywhere: Tally,
    places: HashMap<String, Tally>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    failures: u32,
    last_ms: i64,
    /// Its owner has signed in from there.
    trusted: bool,
}

impl Throttle {
    /// The account called `user_name`, for one attempt at a time: parallel guesses queue.
    pub async fn account(&self, user_name: &str) -> OwnedMutexGuard<Account> {
        let account = self.entry(user_name);
        account.lock_owned().await
    }

    fn entry(&self, user_name: &str) -> Arc<Mutex<Account>> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(user_name) {
            // One that is locked is being tried just now.
            let least = accounts
                .iter()
                .filter_map(|(name, account)| Some((account.try_lock().ok()?.worth(), name)))
                .min();
            if let Some(name) = least.map(|(_, name)| name.clone()) {
                accounts.remove(&name);
            }
        }
        accounts.entry(user_name.to_owned()).or_default().clone()
    }
}

impl Account {
    /// Refuses an attempt from `place` that comes too early.
    pub fn admit(&self, place: &str, now_ms: i64) -> Result<()> {
        let here = self.places.get(place).copied().unwrap_or_default();
        let mut wait_ms = here.wait_ms(FREE, now_ms);
        if !here.trusted {
            wait_ms = wait_ms.max(self.anywhere.wait_ms(FREE_FROM_ANYWHERE, now_ms));
        }
        if wait_ms > 0 {
            let seconds = wait_ms.div_euclid(1000) + 1;
            let again = try_again_in(seconds);
            return Err(ErrorKind::Exhausted.error(format!("too many failed attempts, {again}")));
        }
        Ok(())
    }

    /// How much would be lost with it, the least first: the places of an owner before all, then failures, the newest last.
    fn worth(&self) -> (bool, u32, i64) {
        let is_trusted = self.places.values().any(|place| place.trusted);
        (is_trusted, self.anywhere.failures, self.anywhere.last_ms)
    }

    /// Who asks from there.
    pub fn asker<'a>(&self, place: &'a str) -> Asker<'a> {
        match self.places.get(place) {
            Some(Tally { trusted: true, .. }) => Asker::Known,
            _ => Asker::At(place),
        }
    }

    pub fn record_failure(&mut self, place: &str, now_ms: i64) {
        self.anywhere.record_failure(now_ms);
        self.at(place).record_failure(now_ms);
    }

    pub fn record_success(&mut self, place: &str) {
        *self.at(place) = Tally { trusted: true, ..Tally::default() };
    }

    fn at(&mut self, place: &str) -> &mut Tally {
        if self.places.len() >= MAX_PLACES && !self.places.contains_key(place) {
            let least = self.places.iter().min_by_key(|(_, tally)| (tally.trusted, tally.failures));
            if let Some(place) = least.map(|(place, _)| place.clone()) {
                self.places.remove(&place);
            }
        }
        self.places.entry(place.to_owned()).or_default()
    }
}

impl Tally {
    fn record_failure(&mut self, now_ms: i64) {
        if now_ms - self.last_ms > FORGOTTEN_AFTER_MS {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_ms = now_ms;
    }

    fn wait_ms(&self, free: u32, now_ms: i64) -> i64 {
        let Some(doublings) = self.failures.checked_sub(free) else { return 0 };
        let delay_ms = (1000_i64 << doublings.min(20)).min(MAX_DELAY_MS);
        // A clock that was set back must not lock anybody out.
        (self.last_ms + delay_ms - now_ms).clamp(0, delay_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.0.2.1";
    const AWAY: &str = "198.51.100.7";

    /// How many guesses `place` gets in a day of trying without pause.
    fn guesses_in_a_day(account: &mut Account, place: &str) -> u32 {
        let mut guesses = 0;
        for second in 0..24 * 60 * 60 {
            if account.admit(place, second * 1000).is_ok() {
                account.record_failure(place, second * 1000);
                guesses += 1;
            }
        }
        guesses
    }

    #[test]
    fn five_slips_are_free_and_a_day_of_guessing_is_about_a_hundred() {
        let mut account = Account::default();
        for _ in 0..FREE {
            account.admit(HOME, 0).unwrap();
            account.record_failure(HOME, 0);
        }
        assert_eq!(account.admit(HOME, 999).unwrap_err().kind(), ErrorKind::Exhausted);
        account.admit(HOME, 1000).unwrap();
        let guesses = guesses_in_a_day(&mut Account::default(), AWAY);
        assert!((90..=115).contains(&guesses), "{guesses}");
    }

    #[test]
    fn strangers_cannot_lock_the_owner_out() {
        let mut account = Account::default();
        account.record_success(HOME);
        for stranger in 0..1000 {
            account.record_failure(&format!("203.0.113.{stranger}"), 0);
        }
        account.admit(HOME, 0).unwrap();
        assert!(account.admit("a new stranger", 0).is_err());
        assert!(account.places.len() <= MAX_PLACES);
    }

    #[test]
    fn success_forgives() {
        let mut account = Account::default();
        (0..FREE).for_each(|_| account.record_failure(HOME, 0));
        account.record_success(HOME);
        account.admit(HOME, 0).unwrap();
    }

    #[test]
    fn a_clock_set_back_delays_no_longer_than_the_delay() {
        let mut account = Account::default();
        (0..FREE).for_each(|_| account.record_failure(HOME, 1_000_000_000));
        assert!(account.admit(HOME, 0).is_err());
        account.record_failure(HOME, 0);
        account.admit(HOME, 2000).unwrap();
    }

    #[tokio::test]
    async fn a_flood_of_names_forgets_no_owners_place() {
        let throttle = Throttle::default();
        throttle.account("ada").await.record_success(HOME);
        for name in 0..MAX_ACCOUNTS + 10 {
            throttle.account(&format!("name {name}")).await.record_failure(AWAY, 0);
        }
        (0..2 * FREE_FROM_ANYWHERE)
            .for_each(|_| throttle.entry("ada").try_lock().unwrap().record_failure(AWAY, 0));
        throttle.account("ada").await.admit(HOME, 0).unwrap();
    }

    #[tokio::test]
    async fn a_flood_of_names_forgets_the_least_first() {
        let throttle = Throttle::default();
        (0..FREE).for_each(|_| throttle.entry("ada").try_lock().unwrap().record_failure(HOME, 0));
        for name in 0..MAX_ACCOUNTS + 10 {
            throttle.account(&format!("name {name}")).await.record_failure(AWAY, 0);
        }
        assert!(throttle.account("ada").await.admit(HOME, 0).is_err());
        assert_eq!(throttle.0.lock().unwrap().len(), MAX_ACCOUNTS);
    }

    /// What is said to an attempt at that time; None: it is admitted.
    fn said(account: &Account, place: &str, now_ms: i64) -> Option<String> {
        account.admit(place, now_ms).err().map(|error| error.to_string())
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_quarter_of_an_hour() {
        const LAST_MS: i64 = 1_000_000;
        let mut account = Account::default();
        for failures in 1..=40 {
            account.record_failure(HOME, LAST_MS);
            let wait_s = match failures {
                ..5 => 0,
                5..15 => 1 << (failures - 5),
                _ => 15 * 60,
            };
            assert_eq!(said(&account, HOME, LAST_MS + 1000 * wait_s), None, "{failures} failures");
            let early = said(&account, HOME, LAST_MS + 1000 * wait_s - 1);
            assert_eq!(early.is_some(), wait_s > 0, "{failures} failures");
        }
        let words = "too many failed attempts, try again in 901 s";
        assert_eq!(said(&account, HOME, LAST_MS).as_deref(), Some(words));
    }

    #[test]
    fn a_day_without_a_failure_is_forgiven_and_a_moment_less_is_not() {
        for (pause_ms, is_forgiven) in [(FORGOTTEN_AFTER_MS, false), (FORGOTTEN_AFTER_MS + 1, true)]
        {
            let mut account = Account::default();
            (0..20).for_each(|_| account.record_failure(HOME, 1000));
            account.record_failure(HOME, 1000 + pause_ms);
            assert_eq!(said(&account, HOME, 1000 + pause_ms).is_none(), is_forgiven);
        }
    }

    #[test]
    fn failures_elsewhere_count_from_the_fiftieth_on_and_never_where_the_owner_is_known() {
        let mut account = Account::default();
        account.record_success(HOME);
        for place in 1..FREE_FROM_ANYWHERE {
            account.record_failure(&format!("203.0.113.{place}"), 0);
        }
        assert_eq!(said(&account, AWAY, 0), None);
        account.record_failure("203.0.113.250", 0);
        assert!(said(&account, AWAY, 0).is_some() && said(&account, HOME, 0).is_none());
        assert!(matches!(account.asker(HOME), Asker::Known));
        assert!(matches!(account.asker(AWAY), Asker::At(AWAY)));
        // What fails at the owner's own place is waited for there, too.
        (0..FREE).for_each(|_| account.record_failure(HOME, 0));
        assert!(said(&account, HOME, 0).is_some());
    }
}
