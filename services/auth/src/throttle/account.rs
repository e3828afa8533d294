use domain::{ErrorKind, Result, try_again_in};

/// Failures from one place that cost nothing: fingers slip.
const FREE: i64 = 5;
/// The same for an account as a whole, for places from which nobody has ever signed in to it.
const FREE_FROM_ANYWHERE: i64 = 50;
const MAX_DELAY_MS: i64 = 15 * 60 * 1000;
pub const FORGOTTEN_AFTER_MS: i64 = 24 * 60 * 60 * 1000;
/// How often it is written down anew that an owner has signed in from some place.
const KNOWN_ANEW_MS: i64 = 24 * 60 * 60 * 1000;

/// What has happened at one account: from anywhere, and from the place that is asked from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Account {
    pub anywhere: Tally,
    pub here: Tally,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    pub failures: i64,
    pub last_ms: i64,
    /// Its owner has signed in from there.
    pub trusted: bool,
}

impl Account {
    /// Refuses an attempt that comes too early.
    pub fn admit(&self, now_ms: i64) -> Result<()> {
        let mut wait_ms = self.here.wait_ms(FREE, now_ms);
        if !self.here.trusted {
            wait_ms = wait_ms.max(self.anywhere.wait_ms(FREE_FROM_ANYWHERE, now_ms));
        }
        if wait_ms > 0 {
            let seconds = wait_ms.div_euclid(1000) + 1;
            let again = try_again_in(seconds);
            return Err(ErrorKind::Exhausted.error(format!("too many failed attempts, {again}")));
        }
        Ok(())
    }

    /// Whether the next attempt may be one of those that have to wait: then each is counted before it is looked at.
    pub fn is_suspect(&self) -> bool {
        self.here.failures > 0
            || (!self.here.trusted && self.anywhere.failures >= FREE_FROM_ANYWHERE)
    }

    /// Whether it is known already, and was written down lately, that its owner signs in from here.
    pub fn is_known(&self, now_ms: i64) -> bool {
        self.here.trusted && (0..KNOWN_ANEW_MS).contains(&(now_ms - self.here.last_ms))
    }

    pub fn record_failure(&mut self, now_ms: i64) {
        self.anywhere.record_failure(now_ms);
        self.here.record_failure(now_ms);
    }

    pub fn record_success(&mut self, now_ms: i64) {
        self.here = Tally { failures: 0, last_ms: now_ms, trusted: true };
    }

    /// What was counted then, when it was as `seen`, was no failure.
    pub fn take_back(&mut self, seen: &Account, counted_ms: i64) {
        self.anywhere.take_back(&seen.anywhere, counted_ms);
        self.here.take_back(&seen.here, counted_ms);
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

    fn take_back(&mut self, seen: &Tally, counted_ms: i64) {
        self.failures = (self.failures - 1).max(0);
        // Unless another has failed since.
        if self.last_ms == counted_ms {
            self.last_ms = seen.last_ms;
        }
    }

    fn wait_ms(&self, free: i64, now_ms: i64) -> i64 {
        if self.failures < free {
            return 0;
        }
        let doublings = (self.failures - free).min(20);
        let delay_ms = (1000_i64 << doublings).min(MAX_DELAY_MS);
        // A clock that was set back must not lock anybody out.
        (self.last_ms + delay_ms - now_ms).clamp(0, delay_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(failures: i64, now_ms: i64) -> Account {
        let mut account = Account::default();
        (0..failures).for_each(|_| account.record_failure(now_ms));
        account
    }

    /// What is said to an attempt at that time; None: it is admitted.
    fn said(account: &Account, now_ms: i64) -> Option<String> {
        account.admit(now_ms).err().map(|error| error.to_string())
    }

    #[test]
    fn five_slips_are_free_and_a_day_of_guessing_is_about_a_hundred() {
        assert_eq!(said(&failed(FREE - 1, 0), 0), None);
        assert_eq!(failed(FREE, 0).admit(999).unwrap_err().kind(), ErrorKind::Exhausted);
        assert_eq!(said(&failed(FREE, 0), 1000), None);
        let (mut account, mut guesses) = (Account::default(), 0);
        for second in 0..24 * 60 * 60 {
            if account.admit(second * 1000).is_ok() {
                account.record_failure(second * 1000);
                guesses += 1;
            }
        }
        assert!((90..=115).contains(&guesses), "{guesses}");
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_quarter_of_an_hour() {
        const LAST_MS: i64 = 1_000_000;
        for failures in 1..=40 {
            let account = failed(failures, LAST_MS);
            let wait_s = match failures {
                ..5 => 0,
                5..15 => 1 << (failures - 5),
                _ => 15 * 60,
            };
            assert_eq!(said(&account, LAST_MS + 1000 * wait_s), None, "{failures} failures");
            let early = said(&account, LAST_MS + 1000 * wait_s - 1);
            assert_eq!(early.is_some(), wait_s > 0, "{failures} failures");
        }
        let words = "too many failed attempts, try again in 901 s";
        assert_eq!(said(&failed(40, LAST_MS), LAST_MS).as_deref(), Some(words));
    }

    #[test]
    fn a_day_without_a_failure_is_forgiven_and_a_moment_less_is_not() {
        for (pause_ms, is_forgiven) in [(FORGOTTEN_AFTER_MS, false), (FORGOTTEN_AFTER_MS + 1, true)]
        {
            let mut account = failed(20, 1000);
            account.record_failure(1000 + pause_ms);
            assert_eq!(said(&account, 1000 + pause_ms).is_none(), is_forgiven);
        }
    }

    #[test]
    fn failures_elsewhere_count_from_the_fiftieth_on_and_never_where_the_owner_is_known() {
        let elsewhere = |failures| Account { here: Tally::default(), ..failed(failures, 0) };
        assert_eq!(said(&elsewhere(FREE_FROM_ANYWHERE - 1), 0), None);
        let mut account = elsewhere(FREE_FROM_ANYWHERE);
        assert!(said(&account, 0).is_some() && account.is_suspect());
        account.record_success(0);
        assert!(said(&account, 0).is_none() && !account.is_suspect());
        // What fails at the owner's own place is waited for there, too.
        (0..FREE).for_each(|_| account.record_failure(0));
        assert!(said(&account, 0).is_some());
    }

    #[test]
    fn a_clock_set_back_delays_no_longer_than_the_delay() {
        let mut account = failed(FREE, 1_000_000_000);
        assert!(account.admit(0).is_err());
        account.record_failure(0);
        account.admit(2000).unwrap();
    }

    #[test]
    fn what_is_taken_back_was_never_counted_unless_another_has_failed_since() {
        let seen = failed(7, 1000);
        let mut account = seen;
        account.record_failure(90_000);
        account.take_back(&seen, 90_000);
        assert_eq!(account, seen);
        account.record_failure(90_000);
        account.record_failure(90_500);
        account.take_back(&seen, 90_000);
        assert_eq!((account.here.failures, account.here.last_ms), (8, 90_500));
        // And what was swept away meanwhile is not counted below nothing.
        let mut none = Account::default();
        none.take_back(&seen, 90_000);
        assert_eq!(none, Account::default());
    }

    #[test]
    fn where_an_owner_signs_in_is_written_down_once_a_day() {
        let mut account = Account::default();
        account.record_success(1000);
        assert!(account.is_known(1000) && account.is_known(999 + KNOWN_ANEW_MS));
        assert!(!account.is_known(1000 + KNOWN_ANEW_MS) && !account.is_known(999));
        assert!(!Account::default().is_known(0));
    }
}
