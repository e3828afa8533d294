use domain::{Answer, ErrorKind, JobId, Priority, Result, ScanId, TenantId, seeded};
use platform::db::{Unit, failed};
use service::topics::SCAN_COMPLETED;
use sqlx::{Any, Executor, Row};

use crate::audit::{self, Entry};
use crate::event::{self, Completed};
use crate::store::Store;

/// How long after a job was announced it is announced again, if nobody has claimed it.
pub const ANNOUNCE_MS: i64 = 30_000;
pub const REASON_MAX: usize = 900;

/// Where a job stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    Queued,
    Leased,
    Done,
    /// Given up.
    Parked,
}

/// One row of the job table.
#[derive(Clone, Debug)]
pub struct Job {
    pub tenant: TenantId,
    pub id: JobId,
    pub scan: ScanId,
    pub state: State,
    pub attempt: u32,
    pub due_ms: i64,
    pub binding: String,
    /// Of its scan: when it was accepted, and the digest of the voxels that are to be analysed.
    pub accepted_ms: i64,
    pub volume_sha256: String,
    /// The trace of its upload; empty: none.
    pub traceparent: String,
    pub priority: Priority,
}

/// How a job ends.
pub struct Outcome {
    pub answer: Answer,
    pub reason: String,
    /// What drift folds (JSON); empty when nothing was observed.
    pub observation: String,
    /// Who says so.
    pub subject: String,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Parked => "parked",
        }
    }

    fn named(name: &str) -> Result<State> {
        let all = [Self::Queued, Self::Leased, Self::Done, Self::Parked];
        let known = all.into_iter().find(|state| state.name() == name);
        known.ok_or_else(|| ErrorKind::Internal.error("a job is in a state that nobody knows"))
    }
}

impl Job {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Parked)
    }

    /// Whether that attempt has completed it.
    pub fn is_done_by(&self, attempt: u32) -> bool {
        self.state == State::Done && self.attempt == attempt
    }

    /// Refuses every attempt but the last. Between the end of a lease and the next claim the last
    /// attempt may still deliver: nobody else has begun.
    pub fn require(&self, attempt: u32) -> Result<()> {
        if seeded("no_fence") {
            return Ok(());
        }
        if attempt == 0 || attempt != self.attempt {
            return Err(ErrorKind::Conflict.error("the job has passed to another attempt"));
        }
        if self.is_over() {
            return Err(ErrorKind::Conflict.error("the job is over"));
        }
        Ok(())
    }
}

/// What a job becomes.
#[derive(Clone, Copy)]
pub struct Step {
    pub state: State,
    pub attempt: u32,
    pub due_ms: i64,
}

impl Store {
    /// Ends the job: its state, the scan's, the news of it and its trace change together.
    pub async fn end(
        &self,
        unit: &mut Unit,
        job: &Job,
        state: State,
        outcome: &Outcome,
    ) -> Result<()> {
        let now = self.clock.now_ms();
        step(unit, job, Step { state, attempt: job.attempt, due_ms: now }).await?;
        finish(unit, job, outcome, now).await?;
        let event = event::completed(&Completed {
            tenant: job.tenant,
            scan: job.scan,
            answer: outcome.answer,
            accepted_ms: job.accepted_ms,
            completed_ms: now,
            observation: &outcome.observation,
            traceparent: &job.traceparent,
        })?;
        self.announce(unit, SCAN_COMPLETED, &event).await?;
        let (tenant, subject, object) =
            (job.tenant, outcome.subject.as_str(), job.scan.to_string());
        let action = "scan.completed";
        audit::note(unit, Entry { tenant, at_ms: now, subject, action, object }).await
    }
}

/// The job, whosoever it is: for workers, who have no tenant of their own.
pub async fn find(executor: impl Executor<'_, Database = Any>, id: JobId) -> Result<Job> {
    let row = sqlx::query(
        "SELECT jobs.tenant_id, scan_id, jobs.state, attempt, due_ms, binding, traceparent, priority,
                accepted_ms, volume_sha256
         FROM jobs JOIN scans ON scans.tenant_id = jobs.tenant_id AND scans.id = scan_id
         WHERE jobs.id = ?",
    )
    .bind(id.to_string())
    .fetch_optional(executor)
    .await
    .map_err(failed)?
    .ok_or_else(|| ErrorKind::NotFound.error("no such job"))?;
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(failed);
    Ok(Job {
        tenant: text("tenant_id")?.parse()?,
        id,
        scan: text("scan_id")?.parse()?,
        state: State::named(&text("state")?)?,
        attempt: u32::try_from(number("attempt")?).unwrap_or(u32::MAX),
        due_ms: number("due_ms")?,
        binding: text("binding")?,
        accepted_ms: number("accepted_ms")?,
        volume_sha256: text("volume_sha256")?,
        traceparent: text("traceparent")?,
        priority: priority_named(&text("priority")?)?,
    })
}

/// The priority that a job's row holds.
pub fn priority_named(name: &str) -> Result<Priority> {
    Priority::named(name)
        .ok_or_else(|| ErrorKind::Internal.error("a job has a priority that nobody knows"))
}

/// The one way in which a job changes: only from the state and the attempt that it was seen in.
pub async fn step(unit: &mut Unit, job: &Job, next: Step) -> Result<()> {
    let stepped = sqlx::query(
        "UPDATE jobs SET state = ?, attempt = ?, due_ms = ?
         WHERE tenant_id = ? AND id = ? AND state = ? AND attempt = ?",
    )
    .bind(next.state.name())
    .bind(i64::from(next.attempt))
    .bind(next.due_ms)
    .bind(job.tenant.to_string())
    .bind(job.id.to_string())
    .bind(job.state.name())
    .bind(i64::from(job.attempt))
    .execute(&mut **unit)
    .await
    .map_err(failed)?;
    match stepped.rows_affected() {
        1 => Ok(()),
        _ => Err(ErrorKind::Conflict.error("the job has passed to another attempt")),
    }
}

/// Shows the scan in that state.
pub async fn show(unit: &mut Unit, job: &Job, state: &'static str) -> Result<()> {
    sqlx::query("UPDATE scans SET state = ? WHERE tenant_id = ? AND id = ? AND state <> 'done'")
        .bind(state)
        .bind(job.tenant.to_string())
        .bind(job.scan.to_string())
        .execute(&mut **unit)
        .await
        .map(drop)
        .map_err(failed)
}

async fn finish(unit: &mut Unit, job: &Job, outcome: &Outcome, now: i64) -> Result<()> {
    let finished = sqlx::query(
        "UPDATE scans SET state = 'done', answer = ?, reason = ?, completed_ms = ?
         WHERE tenant_id = ? AND id = ? AND state <> 'done'",
    )
    .bind(outcome.answer.name())
    .bind(cut(&outcome.reason, REASON_MAX))
    .bind(now)
    .bind(job.tenant.to_string())
    .bind(job.scan.to_string())
    .execute(&mut **unit)
    .await
    .map_err(failed)?;
    match finished.rows_affected() {
        0 if seeded("no_fence") => Ok(()),
        1 => Ok(()),
        _ => Err(ErrorKind::Conflict.error("the scan is done")),
    }
}

pub fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
