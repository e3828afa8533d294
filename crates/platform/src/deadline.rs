//! Deadlines: set at the edge, propagated from service to service and from task to task, enforced wherever something waits.
//!
//! Nothing is begun for somebody who has gone, and nothing waits longer than its caller.

use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static UNTIL: Instant;
}

/// Runs `work` with a deadline that everything in it sees. An earlier deadline that is set already stays.
pub async fn with_deadline<T>(timeout: Duration, work: impl Future<Output = T>) -> T {
    let until = Instant::now() + timeout;
    let until = current().map_or(until, |sooner| sooner.min(until));
    UNTIL.scope(until, work).await
}

/// The time left until the deadline; `None` without one.
pub fn left() -> Option<Duration> {
    current().map(|until| until.saturating_duration_since(Instant::now()))
}

/// `Unavailable` once the deadline has passed: to be called before work begins.
pub fn check() -> Result<()> {
    match left() {
        Some(Duration::ZERO) => Err(late()),
        _ => Ok(()),
    }
}

/// Runs `work` until the deadline, if there is one; then drops it and answers `Unavailable`.
pub async fn enforce<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(until) = current() else { return work.await };
    timeout_at(until, work).await.map_err(|_| late())?
}

fn late() -> Error {
    ErrorKind::Unavailable.error("the deadline has passed")
}

/// Runs `work` with the deadline of another task, as [`current`] gave it there.
pub async fn propagate<T>(until: Option<Instant>, work: impl Future<Output = T>) -> T {
    match until {
        Some(until) => UNTIL.scope(until, work).await,
        None => work.await,
    }
}

/// The deadline, for [`propagate`].
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
        with_deadline(2 * SECOND, async {
            assert_eq!(left(), Some(2 * SECOND));
            with_deadline(SECOND, async { assert_eq!(left(), Some(SECOND)) }).await;
            with_deadline(5 * SECOND, async { assert_eq!(left(), Some(2 * SECOND)) }).await;
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_late_is_unavailable() {
        let slow = async {
            tokio::time::sleep(2 * SECOND).await;
            Ok(())
        };
        let late = with_deadline(SECOND, enforce(slow)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Unavailable);
        assert_eq!(with_deadline(SECOND, enforce(async { Ok(1) })).await.unwrap(), 1);
        assert_eq!(enforce(async { Ok(2) }).await.unwrap(), 2);
        assert!(check().is_ok() && with_deadline(Duration::ZERO, async { check() }).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_of_its_own_keeps_the_deadline_that_it_is_given() {
        let seen = with_deadline(SECOND, async {
            let until = current();
            tokio::spawn(propagate(until, async { left() })).await
        });
        assert_eq!(seen.await.unwrap(), Some(SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_deadline_nothing_is_left_and_nothing_begins() {
        with_deadline(SECOND, async {
            tokio::time::sleep(3 * SECOND).await;
            assert_eq!(left(), Some(Duration::ZERO));
            assert_eq!(check().unwrap_err().kind(), ErrorKind::Unavailable);
            // Nor does who comes later with more patience of their own.
            with_deadline(5 * SECOND, async { assert!(check().is_err()) }).await;
        })
        .await;
        assert!(check().is_ok(), "it was that task's alone");
        assert_eq!(propagate(None, async { left() }).await, None);
    }
}
