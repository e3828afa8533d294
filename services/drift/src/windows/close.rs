//! Closes windows when they are due, and tells what has changed with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, Random, Result, WindowId};
use platform::queue::Queue;
use proto::events::ModelIdentity;
use service::Worker;
use service::claims::ServiceToken;

use super::alarm::Standing;
use super::news::{Told, tell};
use super::{Group, Member, SCANS_MAX, Seen, Window, gauges};
use crate::quality::apart;
use crate::reference::Reference;
use crate::references::References;
use crate::report::SCANS_MIN;
use crate::store::Store;

/// How often is looked whether a window is due, at least and at most.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(60);

/// How far back a group's last window counts in metrics: a scanner that is gone raises nobody for ever.
const SHOWN_MS: i64 = 28 * 24 * 3600 * 1000;

/// When windows are closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::Args)]
pub struct Schedule {
    /// A window of scans is closed at most every so many seconds, and not before it has thirty.
    #[arg(long = "drift-window-s", env = "DRIFT_WINDOW_S", default_value_t = 3600)]
    pub window_s: u32,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule { window_s: 3600 }
    }
}

impl Schedule {
    fn look(self) -> Duration {
        Duration::from_secs(self.window_s.into()).clamp(LOOK_MIN, LOOK_MAX)
    }

    fn is_due(self, last_ms: i64, now_ms: i64) -> bool {
        now_ms - last_ms >= i64::from(self.window_s) * 1000
    }
}

/// What closing a window takes.
pub struct Closer {
    pub store: Store,
    pub queue: Queue,
    pub references: References,
    /// In whose name references are fetched. Without one, only those at hand are compared with.
    pub token: Option<ServiceToken>,
    pub schedule: Schedule,
    pub clock: Clock,
    pub random: Random,
}

/// Closes what is due, again and again.
pub fn watch(closer: Closer) -> Worker {
    Worker::new("windows", move |stop| async move {
        let mut shown = BTreeSet::new();
        while !stop.is_cancelled() {
            if let Err(error) = closer.round(&mut shown).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not close windows of drift"
                );
            }
            stop.run_until_cancelled(tokio::time::sleep(closer.schedule.look())).await;
        }
        Ok(())
    })
}

impl Closer {
    async fn round(&self, shown: &mut BTreeSet<String>) -> Result<()> {
        for group in self.store.waiting(SCANS_MIN).await? {
            // One hospital's trouble is not another's.
            if let Err(error) = self.close_due(&group).await {
                tracing::warn!(
                    tenant.id = %group.tenant,
                    error = &error as &dyn std::error::Error,
                    "could not close a window of drift"
                );
            }
        }
        tell(&self.store, &self.queue).await?;
        let counts = self.store.standings(self.clock.now_ms() - SHOWN_MS).await?;
        gauges::show(&counts, shown);
        Ok(())
    }

    /// Closes the group's window, if it is due; and more of them, where more scans have come than one holds.
    async fn close_due(&self, group: &Group) -> Result<()> {
        let mut last = self.store.last_window(group).await?;
        let now_ms = self.clock.now_ms();
        if last.as_ref().is_some_and(|last| !self.schedule.is_due(last.created_ms, now_ms)) {
            return Ok(());
        }
        loop {
            let members = self.store.next_members(group, SCANS_MAX).await?;
            if members.len() < SCANS_MIN {
                return Ok(());
            }
            last = Some(self.close(group, last.as_ref(), members).await?);
        }
    }

    async fn close(
        &self,
        group: &Group,
        last: Option<&Window>,
        members: Vec<Member>,
    ) -> Result<Window> {
        let model = model(&members);
        let reference = self.reference(&model).await?;
        let (members, seen) = apart(move || {
            let seen = Seen::new(&members, model, &reference);
            (members, seen)
        })
        .await?;
        let before = last.map_or_else(Standing::default, |last| last.standing);
        let (standing, change) = before.after(&seen.features, seen.thresholds);
        let ends = members.iter().map(|member| member.completed_ms);
        let window = Window {
            id: WindowId::new(&self.clock, &self.random).to_string(),
            group: group.clone(),
            number: last.map_or(0, |last| last.number) + 1,
            from_ms: ends.clone().min().unwrap_or_default(),
            to_ms: ends.max().unwrap_or_default(),
            created_ms: self.clock.now_ms(),
            scans: members.len(),
            standing,
            seen,
        };
        let told = change.map(|change| Told::new(&window, change)).transpose()?;
        self.store.close(window.clone(), &members, told).await?;
        if let Some(change) = change {
            tracing::info!(tenant.id = %group.tenant, window.id = %window.id, ?change, "drift has changed");
        }
        Ok(window)
    }

    async fn reference(&self, model: &ModelIdentity) -> Result<Arc<Reference>> {
        match &self.token {
            Some(token) => self.references.of_model(Some(model), &token.get().await?).await,
            None => Ok(self.references.at_hand(model)),
        }
    }
}

/// The model of the group, with the digest of its weights.
fn model(members: &[Member]) -> ModelIdentity {
    let seen = members.iter().rev().find_map(|member| member.observation.as_ref()?.model.clone());
    seen.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_due_when_its_time_has_passed() {
        let schedule = Schedule { window_s: 60 };
        assert_eq!([59_999, 60_000].map(|now_ms| schedule.is_due(0, now_ms)), [false, true]);
        assert!(Schedule { window_s: 0 }.is_due(7, 7));
    }

    #[test]
    fn whoever_waits_for_a_window_looks_once_a_minute_at_least() {
        let looks = [0, 10, 3600].map(|window_s| Schedule { window_s }.look());
        assert_eq!(looks, [LOOK_MIN, Duration::from_secs(10), LOOK_MAX]);
    }

    #[test]
    fn the_default_is_that_of_the_command_line() {
        #[derive(clap::Parser)]
        struct Options {
            #[command(flatten)]
            schedule: Schedule,
        }
        let parsed = <Options as clap::Parser>::parse_from(["drift"]).schedule;
        assert_eq!(parsed, Schedule::default());
    }
}
