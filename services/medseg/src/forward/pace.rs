use std::collections::HashMap;
use std::time::Duration;

use super::outbox::Waiting;
use super::send::Later;

/// How often the record is looked at while all is well.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a failure; after the next one in a row twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// No longer than this, whatever the other end asks for.
const ASKED_MAX: Duration = Duration::from_secs(60 * 60);

/// What came of one go through what waits.
#[derive(Debug, Default)]
pub struct Round {
    /// How many there were, and how many are left.
    pub waited: usize,
    pub left: usize,
    /// How many the other end will not have.
    pub refused: usize,
    /// Why it ended early.
    pub later: Option<Later>,
}

impl Round {
    pub fn of(waited: usize) -> Round {
        Round { waited, left: waited, ..Round::default() }
    }

    pub fn done(&mut self) {
        self.left -= 1;
    }

    pub fn refused(&mut self) {
        self.refused += 1;
        self.done();
    }
}

/// How long to wait, and with what to begin.
pub struct Pace {
    pause: Duration,
    /// How often each has failed, by its note's name.
    failures: HashMap<String, u32>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { pause: FIRST_PAUSE, failures: HashMap::new() }
    }
}

impl Pace {
    /// So that one that fails again and again keeps back no other.
    pub fn least_failed_first(&self, waiting: &mut [Waiting]) {
        waiting.sort_by_key(|one| self.failures.get(&one.note).copied().unwrap_or_default());
    }

    pub fn failed(&mut self, waiting: &Waiting) {
        *self.failures.entry(waiting.note.clone()).or_default() += 1;
    }

    /// How long to wait after that.
    pub fn after(&mut self, round: &Round) -> Duration {
        let Some(later) = &round.later else {
            *self = Pace::default();
            return LOOK_EVERY;
        };
        if round.left < round.waited {
            self.pause = FIRST_PAUSE;
        }
        let pause = self.pause;
        self.pause = (2 * pause).min(PAUSE_MAX);
        pause.max(later.wait.unwrap_or_default().min(ASKED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(done: usize, wait: Option<u64>) -> Round {
        let later = Later { why: anyhow::anyhow!("away"), wait: wait.map(Duration::from_secs) };
        Round { left: 3 - done, later: Some(later), ..Round::of(3) }
    }

    #[test]
    fn pauses_grow_while_nothing_gets_through_and_begin_anew_when_something_does() {
        let mut pace = Pace::default();
        let mut after = |round: Round| pace.after(&round).as_secs();
        assert_eq!([1, 2, 4].map(|_| after(failed(0, None))), [1, 2, 4]);
        assert_eq!(after(failed(1, None)), 1);
        assert_eq!(after(failed(0, None)), 2);
        for _ in 0..20 {
            after(failed(0, None));
        }
        assert_eq!(after(failed(0, None)), PAUSE_MAX.as_secs());
        assert_eq!(after(Round::of(0)), LOOK_EVERY.as_secs());
        assert_eq!(after(failed(0, None)), 1);
    }

    #[test]
    fn the_other_end_may_ask_for_longer_but_not_for_ever() {
        let mut pace = Pace::default();
        assert_eq!(pace.after(&failed(0, Some(30))).as_secs(), 30);
        assert_eq!(pace.after(&failed(0, Some(0))).as_secs(), 2);
        assert_eq!(pace.after(&failed(0, Some(u64::MAX))), ASKED_MAX);
    }
}
