//! How long whoever asked still waits: set at the edge, carried from service to service, kept by everything that waits.
//!
//! Nothing is begun for somebody who has gone, and nothing waits longer than its caller.

use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static UNTIL: Instant;
}

/// Does `work` for somebody who waits that long: everything in it sees the deadline. One that is there already and comes
/// sooner stays.
pub async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> T {
    let until = Instant::now() + patience;
    let until = current().map_or(until, |sooner| sooner.min(until));
    UNTIL.scope(until, work).await
}

/// How long is left; none where nobody waits.
pub fn left() -> Option<Duration> {
    current().map(|until| until.saturating_duration_since(Instant::now()))
}

/// Refuses to begin what nobody waits for any more.
pub fn check() -> Result<()> {
    match left() {
        Some(Duration::ZERO) => Err(late()),
        _ => Ok(()),
    }
}

/// Does `work` until the deadline, if there is one; then it is dropped, and `Unavailable` says so.
pub async fn keep<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(until) = current() else { return work.await };
    timeout_at(until, work).await.map_err(|_| late())?
}

fn late() -> Error {
    ErrorKind::Unavailable.error("the deadline has passed")
}

/// The same deadline in a task of its own.
pub async fn carried<T>(until: Option<Instant>, work: impl Future<Output = T>) -> T {
    match until {
        Some(until) => UNTIL.scope(until, work).await,
        None => work.await,
    }
}

/// When the deadline is, for [`carried`].
pub fn current() -> Option<Instant> {
    UNTIL.try_with(|until| *until).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_nearer_of_two_deadlines_counts() {
        assert_eq!(left(), None);
        within(2 * SECOND, async {
            assert_eq!(left(), Some(2 * SECOND));
            within(SECOND, async { assert_eq!(left(), Some(SECOND)) }).await;
            within(5 * SECOND, async { assert_eq!(left(), Some(2 * SECOND)) }).await;
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_late_is_unavailable() {
        let slow = async {
            tokio::time::sleep(2 * SECOND).await;
            Ok(())
        };
        let late = within(SECOND, keep(slow)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Unavailable);
        assert_eq!(within(SECOND, keep(async { Ok(1) })).await.unwrap(), 1);
        assert_eq!(keep(async { Ok(2) }).await.unwrap(), 2);
        assert!(check().is_ok() && within(Duration::ZERO, async { check() }).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_of_its_own_keeps_the_deadline_that_it_is_given() {
        let seen = within(SECOND, async {
            let until = current();
            tokio::spawn(carried(until, async { left() })).await
        });
        assert_eq!(seen.await.unwrap(), Some(SECOND));
    }
}
