use domain::{ErrorKind, JobId, Priority, Result};
use platform::db::{BindId, Run, Unit, failed};
use platform::queue::Work;
use service::claims::Claims;
use service::topics::SCAN_COMPLETED;
use sqlx::{Any, Executor};

use crate::audit::{self, Entry};
use crate::event::{self, Completed};
use crate::lifecycle::{Event, Job, Outcome, Step, Transition, decide};
use crate::stops;
use crate::store::Store;

pub const REASON_MAX: usize = 900;
/// The length of the columns that hold names.
pub const NAME_MAX: usize = 190;

impl Store {
    /// Applies `event` to the job, as part of `unit`: reads its row, decides on the transition and writes it. Answers with
    /// the job as it was, and the transition.
    pub async fn advance(
        &self,
        unit: &mut Unit,
        id: JobId,
        event: Event,
    ) -> Result<(Job, Transition)> {
        let job = find(&mut **unit, id).await?;
        let transition = decide(&job, event, self.clock.now_ms(), &self.rules)?;
        self.apply(unit, &job, &transition).await?;
        Ok((job, transition))
    }

    /// As [`advance`](Store::advance), in a unit of its own.
    pub async fn happen(&self, id: JobId, event: Event) -> Result<(Job, Transition)> {
        self.unit(None, move |store, unit| {
            Box::pin(async move { store.advance(unit, id, event).await })
        })
        .await
    }

    /// Writes the transition: the only place where a job changes. The guarded update comes first, so that of two writers
    /// the second stops there.
    async fn apply(&self, unit: &mut Unit, job: &Job, transition: &Transition) -> Result<()> {
        let Some(next) = transition.step(job) else { return Ok(()) };
        step(unit, job, next).await?;
        let now_ms = self.clock.now_ms();
        match transition {
            Transition::Stays => Ok(()),
            Transition::Leased { worker, .. } => {
                set_worker(unit, job, worker).await?;
                set_scan_state(unit, job, "running", now_ms).await
            }
            Transition::Kept { .. } => set_scan_state(unit, job, "running", now_ms).await,
            Transition::Queued { topic, .. } => {
                set_scan_state(unit, job, "queued", now_ms).await?;
                self.announce_job(unit, *topic, job.id).await
            }
            Transition::Ended { at_ms, outcome, .. } => self.end(unit, job, *at_ms, outcome).await,
            Transition::Prioritised { priority, topic, .. } => {
                set_priority(unit, job, *priority).await?;
                touch(unit, job, now_ms).await?;
                self.announce_job(unit, *topic, job.id).await
            }
            Transition::Renewed { at_ms, topic, subject, .. } => {
                let renewed = self.renew(unit, job, *at_ms, subject).await?;
                self.announce_job(unit, Some(*topic), renewed).await
            }
        }
    }

    async fn announce_job(
        &self,
        unit: &mut Unit,
        topic: Option<Work<'static>>,
        id: JobId,
    ) -> Result<()> {
        match topic {
            Some(topic) => self.announce(unit, topic, &id.to_string()).await,
            None => Ok(()),
        }
    }

    /// Ends the job: the scan's state, the event and the audit entry are written with it.
    async fn end(&self, unit: &mut Unit, job: &Job, at_ms: i64, outcome: &Outcome) -> Result<()> {
        finish(unit, job, outcome, at_ms).await?;
        let event = event::completed(&Completed {
            tenant: job.tenant,
            scan: job.scan,
            answer: outcome.answer,
            renewed: job.is_renewed().then_some(job.id),
            asked_ms: job.asked_ms(),
            completed_ms: at_ms,
            observation: outcome.observation.as_deref(),
            unanswered: outcome.unanswered,
            site: &job.site,
            scanner: &job.scanner,
            traceparent: &job.traceparent,
        })?;
        self.announce(unit, SCAN_COMPLETED, &event).await?;
        let (tenant, subject, object) =
            (job.tenant, outcome.subject.as_str(), job.scan.to_string());
        let action = "scan.completed";
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        // The audit chain is held by now: the model is stopped before this, or after it.
        stops::require_answering(unit, job.tenant, outcome).await
    }
}

/// The job of any tenant, by its id: for workers, whose token names no tenant.
pub async fn find(executor: impl Executor<'_, Database = Any>, id: JobId) -> Result<Job> {
    let job: Option<Job> = sqlx::query_as(
        "SELECT jobs.tenant_id, jobs.id, scan_id, jobs.state, attempt, due_ms, binding, traceparent, priority,
                accepted_ms, volume_sha256, site, scanner, renewed_ms
         FROM jobs JOIN scans ON scans.tenant_id = jobs.tenant_id AND scans.id = scan_id
         WHERE jobs.id = ?",
    )
    .id(id)
    .fetch_optional(executor)
    .await
    .map_err(failed)?;
    job.ok_or_else(|| ErrorKind::NotFound.error("no such job"))
}

/// Updates the job's row, if its state and attempt are still those that were read (optimistic locking).
async fn step(unit: &mut Unit, job: &Job, next: Step) -> Result<()> {
    let stepped = sqlx::query(
        "UPDATE jobs SET state = ?, attempt = ?, due_ms = ?
         WHERE tenant_id = ? AND id = ? AND state = ? AND attempt = ?",
    )
    .bind(next.state.name())
    .bind(i64::from(next.attempt))
    .bind(next.due_ms)
    .id(job.tenant)
    .id(job.id)
    .bind(job.state.name())
    .bind(i64::from(job.attempt))
    .run(unit)
    .await?;
    match stepped {
        1 => Ok(()),
        _ => Err(ErrorKind::Conflict.error("the job has passed to another attempt")),
    }
}

/// Records the worker that holds the lease.
async fn set_worker(unit: &mut Unit, job: &Job, worker: &str) -> Result<()> {
    sqlx::query("UPDATE jobs SET worker = ? WHERE tenant_id = ? AND id = ?")
        .bind(worker)
        .id(job.tenant)
        .id(job.id)
        .run(unit)
        .await
        .map(drop)
}

async fn set_priority(unit: &mut Unit, job: &Job, priority: Priority) -> Result<()> {
    sqlx::query("UPDATE jobs SET priority = ? WHERE tenant_id = ? AND id = ?")
        .bind(priority.name())
        .id(job.tenant)
        .id(job.id)
        .run(unit)
        .await
        .map(drop)
}

/// Sets the scan's state, unless the scan is done.
async fn set_scan_state(unit: &mut Unit, job: &Job, state: &'static str, at_ms: i64) -> Result<()> {
    // In this order: MySQL looks at what the assignments before have set.
    sqlx::query(
        "UPDATE scans SET changed_ms = CASE WHEN state <> ? THEN ? ELSE changed_ms END, state = ?
         WHERE tenant_id = ? AND id = ? AND state <> 'done'",
    )
    .bind(state)
    .bind(at_ms)
    .bind(state)
    .id(job.tenant)
    .id(job.scan)
    .run(unit)
    .await
    .map(drop)
}

/// Notes that a list shows the scan otherwise now.
async fn touch(unit: &mut Unit, job: &Job, at_ms: i64) -> Result<()> {
    sqlx::query("UPDATE scans SET changed_ms = ? WHERE tenant_id = ? AND id = ?")
        .bind(at_ms)
        .id(job.tenant)
        .id(job.scan)
        .run(unit)
        .await
        .map(drop)
}

async fn finish(unit: &mut Unit, job: &Job, outcome: &Outcome, at_ms: i64) -> Result<()> {
    let model = outcome.observation.as_ref().and_then(|seen| seen.model.as_ref());
    let finished = sqlx::query(
        "UPDATE scans SET state = 'done', answer = ?, reason = ?, completed_ms = ?, changed_ms = ?,
             model_version = ?, volume_ml = ?
         WHERE tenant_id = ? AND id = ? AND state <> 'done'",
    )
    .bind(outcome.answer.name())
    .bind(truncate(&outcome.reason, REASON_MAX))
    .bind(at_ms)
    .bind(at_ms)
    .bind(model.map_or(String::new(), |model| truncate(&model.version, NAME_MAX)))
    .bind(outcome.volume_ml)
    .id(job.tenant)
    .id(job.scan)
    .run(unit)
    .await?;
    match finished {
        1 => Ok(()),
        _ => Err(ErrorKind::Conflict.error("the scan is done")),
    }
}

pub fn truncate(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// What people call the caller, as a column holds it.
pub fn name_of(claims: &Claims) -> String {
    // Tokens of the version before do not say the name.
    let name = if claims.name.is_empty() { &claims.subject } else { &claims.name };
    truncate(name, NAME_MAX)
}
