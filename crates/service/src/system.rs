use std::time::{SystemTime, UNIX_EPOCH};

use domain::{Clock, Random};

/// The machine's clock. Everything below a composition root takes a [`Clock`] instead.
#[expect(clippy::disallowed_methods, reason = "the one place where time comes in")]
pub fn system_clock() -> Clock {
    Clock::new(|| {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The operating system's random number generator.
///
/// # Panics
/// When the operating system has none: nothing may be signed with guessable bytes.
pub fn system_random() -> Random {
    Random::new(|bytes| getrandom::fill(bytes).expect("the operating system gives random bytes"))
}
