//! The state machine of a job: its states, the events that happen to it, and the transitions.
//!
//! ```text
//!              claim                    complete
//!   queued ------------> leased ------------------------> done
//!     ^                  |    |
//!     +------------------+    +-------------------------> parked
//!      fails, and may pass;    fails for good;
//!      its worker is silent    has had all its attempts
//! ```
//!
//! A job that is over without an answer may be renewed: it ends there, and another one takes its place, queued.
//!
//! There is neither SQL here nor a clock. [`Store::advance`](crate::store::Store::advance) reads the row, asks [`decide`] and
//! keeps what it says. Done and parked are the end of a job. The number of the attempt is the worker's token: only the last one counts.

use domain::{Answer, Error, ErrorKind, JobId, Priority, Result, ScanId, TenantId, Unanswered};
use platform::queue::Work;
use proto::events::Observation;
use service::topics::{SCAN_RETRY, scan_ready};

use crate::Rules;

/// How long after a job was announced it is announced again, if nobody has claimed it.
pub const ANNOUNCE_MS: i64 = 30_000;

/// The state of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    Queued,
    Leased,
    Done,
    /// Given up.
    Parked,
}

/// A job: its row, joined with that of its scan.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Job {
    #[sqlx(rename = "tenant_id", try_from = "String")]
    pub tenant: TenantId,
    #[sqlx(try_from = "String")]
    pub id: JobId,
    #[sqlx(rename = "scan_id", try_from = "String")]
    pub scan: ScanId,
    #[sqlx(try_from = "String")]
    pub state: State,
    #[sqlx(try_from = "i64")]
    pub attempt: u32,
    pub due_ms: i64,
    pub binding: String,
    /// Of its scan: when it was accepted, and the digest of the voxels that are to be analysed.
    pub accepted_ms: i64,
    pub volume_sha256: String,
    /// The trace of its upload; empty: none.
    pub traceparent: String,
    #[sqlx(try_from = "String")]
    pub priority: Priority,
    /// Of its scan: where and with what it was made; empty: nobody says.
    pub site: String,
    pub scanner: String,
    /// When it took the place of another; 0: it is its scan's first.
    pub renewed_ms: i64,
}

/// What happens to a job.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker asks for it; `alone`: it has no other job in hand.
    Claim { worker: String, alone: bool },
    /// Its worker is alive.
    Heartbeat { attempt: u32 },
    /// Its worker has a result; binding and digest are those of what was really analysed.
    Complete { attempt: u32, binding: String, volume_sha256: String, outcome: Outcome },
    /// Its worker has none; `retry`: the next attempt may have one.
    Fail { attempt: u32, reason: String, retry: bool },
    /// The sweeper has seen that its time has come.
    Due,
    /// Somebody wants it sooner, or in its turn.
    Prioritise { priority: Priority },
    /// Somebody wants the scan analysed anew, which has that answer; None: it has none yet.
    Renew { answer: Option<Answer>, subject: String },
}

/// How a job ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub answer: Answer,
    pub reason: String,
    /// None where there is an answer.
    pub unanswered: Option<Unanswered>,
    /// None when nothing was observed.
    pub observation: Option<Box<Observation>>,
    /// Of its main findings together; None: nobody has said so yet.
    pub volume_ml: Option<f64>,
    /// Who says so.
    pub subject: String,
}

/// The transition that an event causes.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// Nothing: it has happened before, or somebody else was quicker.
    Stays,
    /// A worker has it, with this attempt.
    Leased { worker: String, attempt: u32, until_ms: i64 },
    /// The worker that has it keeps it.
    Kept { attempt: u32, until_ms: i64 },
    /// It waits for a worker. It is announced on `topic` now, and by the sweeper at `due_ms`.
    Queued { attempt: u32, due_ms: i64, topic: Option<Work<'static>> },
    /// It is done or parked, for ever.
    Ended { state: State, at_ms: i64, outcome: Outcome },
    /// It waits as before, with another priority; announced on `topic` now, unless it was tried before.
    Prioritised { priority: Priority, due_ms: i64, topic: Option<Work<'static>> },
    /// Another takes its place, and waits for its first attempt. It is announced on `topic` now.
    Renewed { at_ms: i64, due_ms: i64, topic: Work<'static>, subject: String },
}

/// The columns of the job's row that a transition sets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Step {
    pub state: State,
    pub attempt: u32,
    /// Queued: when it is announced (again); leased: when the lease ends.
    pub due_ms: i64,
}

/// What becomes of `job` when `event` happens to it; an error where that may not happen, and then nothing changes.
pub fn decide(job: &Job, event: Event, now_ms: i64, rules: &Rules) -> Result<Transition> {
    match event {
        Event::Claim { worker, alone } => claim(job, worker, alone, now_ms, rules),
        Event::Heartbeat { attempt } => heartbeat(job, attempt, now_ms, rules),
        Event::Complete { attempt, binding, volume_sha256, outcome } => {
            if job.is_done_by(attempt) {
                return Ok(Transition::Stays);
            }
            job.require(attempt)?;
            job.require_same(&binding, &volume_sha256)?;
            Ok(Transition::Ended { state: State::Done, at_ms: now_ms, outcome })
        }
        Event::Fail { attempt, reason, retry } => fail(job, attempt, reason, retry, now_ms, rules),
        Event::Due => due(job, now_ms, rules),
        Event::Prioritise { priority } => prioritise(job, priority, now_ms),
        Event::Renew { answer, subject } => renew(job, answer, subject, now_ms),
    }
}

/// The attempt is raised before any work begins, so that work that ends the process counts as an attempt too.
fn claim(job: &Job, worker: String, alone: bool, now_ms: i64, rules: &Rules) -> Result<Transition> {
    if job.is_over() {
        return Err(ErrorKind::Conflict.error("the job is over"));
    }
    if job.state == State::Leased && job.due_ms > now_ms {
        return Err(ErrorKind::Conflict.error("the job is leased to another worker"));
    }
    if job.attempt >= rules.attempts_max {
        return Ok(given_up(job, now_ms));
    }
    // What ended one worker may end another: no other job is to be in hand with it.
    if job.attempt > 0 && !alone {
        return Err(ErrorKind::Conflict.error("the job was tried before: it is done alone"));
    }
    Ok(Transition::Leased { worker, attempt: job.attempt + 1, until_ms: now_ms + rules.lease_ms() })
}

fn heartbeat(job: &Job, attempt: u32, now_ms: i64, rules: &Rules) -> Result<Transition> {
    job.require(attempt)?;
    let until_ms = now_ms + rules.lease_ms();
    // Also with a clock that was set back, or with shorter leases from now on.
    let held_ms = if job.state == State::Leased { job.due_ms } else { until_ms };
    Ok(Transition::Kept { attempt, until_ms: until_ms.max(held_ms) })
}

fn fail(
    job: &Job,
    attempt: u32,
    reason: String,
    retry: bool,
    now_ms: i64,
    rules: &Rules,
) -> Result<Transition> {
    if job.is_over() && job.attempt == attempt {
        return Ok(Transition::Stays);
    }
    job.require(attempt)?;
    if retry && attempt < rules.attempts_max {
        // Longer each time; the sweeper announces it.
        let due_ms = now_ms + (1000 << attempt.min(8));
        return Ok(Transition::Queued { attempt, due_ms, topic: None });
    }
    Ok(parked(reason, "worker", now_ms))
}

/// A job that nobody has claimed is announced again; one whose worker has fallen silent is taken from it.
fn due(job: &Job, now_ms: i64, rules: &Rules) -> Result<Transition> {
    if job.is_over() || job.due_ms > now_ms {
        return Ok(Transition::Stays);
    }
    if job.attempt >= rules.attempts_max {
        return Ok(given_up(job, now_ms));
    }
    // A long backlog is announced ever less often, so that repeats never outgrow it.
    let pause_ms = (now_ms - job.asked_ms()).clamp(ANNOUNCE_MS, 10 * ANNOUNCE_MS);
    let topic = if job.attempt == 0 { scan_ready(job.priority) } else { SCAN_RETRY };
    let (attempt, due_ms) = (job.attempt, now_ms + pause_ms);
    Ok(Transition::Queued { attempt, due_ms, topic: Some(topic) })
}

fn prioritise(job: &Job, priority: Priority, now_ms: i64) -> Result<Transition> {
    if job.priority == priority {
        return Ok(Transition::Stays);
    }
    if job.state != State::Queued {
        return Err(ErrorKind::Conflict
            .error("the scan does not wait any more: its analysis has begun, or is over"));
    }
    if job.attempt == 0 {
        let (due_ms, topic) = (now_ms + ANNOUNCE_MS, Some(scan_ready(priority)));
        return Ok(Transition::Prioritised { priority, due_ms, topic });
    }
    // Those that were tried before share a queue, whatever their priority.
    Ok(Transition::Prioritised { priority, due_ms: job.due_ms, topic: None })
}

fn renew(job: &Job, answer: Option<Answer>, subject: String, now_ms: i64) -> Result<Transition> {
    if !job.is_over() {
        return Ok(Transition::Stays);
    }
    match answer {
        Some(Answer::Failed | Answer::NotAnalysable) => {
            let (due_ms, topic) = (now_ms + ANNOUNCE_MS, scan_ready(job.priority));
            Ok(Transition::Renewed { at_ms: now_ms, due_ms, topic, subject })
        }
        _ => Err(ErrorKind::Conflict.error(
            "the scan has an answer: only what failed or could not be analysed is analysed anew",
        )),
    }
}

fn given_up(job: &Job, now_ms: i64) -> Transition {
    let reason = format!("the analysis was tried {} times and never finished", job.attempt);
    parked(reason, "sweeper", now_ms)
}

fn parked(reason: String, subject: &str, at_ms: i64) -> Transition {
    let outcome = Outcome {
        answer: Answer::Failed,
        reason,
        unanswered: Some(Unanswered::Failed),
        observation: None,
        volume_ml: None,
        subject: subject.to_owned(),
    };
    Transition::Ended { state: State::Parked, at_ms, outcome }
}

impl Job {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Parked)
    }

    /// When its analysis was asked for.
    pub fn asked_ms(&self) -> i64 {
        if self.is_renewed() { self.renewed_ms } else { self.accepted_ms }
    }

    /// Whether it took the place of another.
    pub fn is_renewed(&self) -> bool {
        self.renewed_ms > 0
    }

    /// Whether that attempt has completed it.
    pub fn is_done_by(&self, attempt: u32) -> bool {
        self.state == State::Done && self.attempt == attempt
    }

    /// Refuses every attempt but the last. Between the end of a lease and the next claim the last
    /// attempt may still deliver: nobody else has begun.
    pub fn require(&self, attempt: u32) -> Result<()> {
        if attempt == 0 || attempt != self.attempt {
            return Err(ErrorKind::Conflict.error("the job has passed to another attempt"));
        }
        if self.is_over() {
            return Err(ErrorKind::Conflict.error("the job is over"));
        }
        Ok(())
    }

    /// The binding was fixed when the scan was accepted, went with the job, and must come back.
    fn require_same(&self, binding: &str, volume_sha256: &str) -> Result<()> {
        if binding == self.binding && volume_sha256 == self.volume_sha256 {
            return Ok(());
        }
        Err(ErrorKind::Invalid.error("the result is not about this scan and this patient"))
    }
}

impl State {
    /// The name used in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }
}

impl TryFrom<String> for State {
    type Error = Error;

    /// As a column holds it.
    fn try_from(name: String) -> Result<State> {
        let all = [Self::Queued, Self::Leased, Self::Done, Self::Parked];
        let known = all.into_iter().find(|state| state.name() == name);
        known.ok_or_else(|| ErrorKind::Internal.error("a job is in a state that nobody knows"))
    }
}

impl Transition {
    /// The new columns of the row of `job`; `None` if it stays as it is.
    pub fn step(&self, job: &Job) -> Option<Step> {
        let (state, attempt, due_ms) = match *self {
            Self::Stays => return None,
            Self::Leased { attempt, until_ms, .. } | Self::Kept { attempt, until_ms } => {
                (State::Leased, attempt, until_ms)
            }
            Self::Queued { attempt, due_ms, .. } => (State::Queued, attempt, due_ms),
            Self::Prioritised { due_ms, .. } => (State::Queued, job.attempt, due_ms),
            Self::Renewed { due_ms, .. } => (State::Queued, 0, due_ms),
            Self::Ended { state, at_ms, .. } => (state, job.attempt, at_ms),
        };
        Some(Step { state, attempt, due_ms })
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
