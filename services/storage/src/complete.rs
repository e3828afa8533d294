use std::str::FromStr;

use domain::{Answer, Error, ErrorKind, JobId, Result, Unanswered};
use platform::db::Unit;
use proto::storage::{CompleteHeader, Scan};

use crate::artefacts::{self, Artefact, Staged};
use crate::jobs::find;
use crate::lifecycle::{Event, Job, Outcome, Transition, decide};
use crate::orphans::has_row;
use crate::scans;
use crate::store::Store;
use crate::volumes;

impl Store {
    /// Records the result, once. The artefacts are durable first; then job, scan, event and
    /// audit entry are written in one unit. The same completion twice changes nothing.
    ///
    /// Refused as a conflict when the attempt is stale, and as invalid when what was analysed is not
    /// what was accepted: that is an alarm, and never a reason to try again.
    pub async fn complete(
        &self,
        header: CompleteHeader,
        answer: Answer,
        objects: Vec<(String, Staged)>,
        subject: &str,
    ) -> Result<Scan> {
        let (id, attempt) = (JobId::from_str(&header.job_id)?, header.attempt);
        let job = find(self.database.pool(), id).await?;
        let event = completion(header, answer, subject);
        // Before the artefacts are kept: for a result that will not be taken, they need not be.
        let foreseen = decide(&job, event.clone(), self.clock.now_ms(), &self.rules)
            .inspect_err(|error| log_mismatch(&job, error))?;
        if foreseen == Transition::Stays {
            return self.scan_of(&job).await;
        }
        check_names(&objects)?;
        let kept =
            artefacts::keep(&self.blobs, job.tenant, job.scan, writer(&job), objects).await?;
        let keys: Vec<_> = kept.iter().map(|kept| kept.key.clone()).collect();
        let recorded = self.unit(Some(job.tenant), move |store, unit| {
            Box::pin(async move { store.record(unit, id, event, &kept).await })
        });
        match recorded.await {
            Ok(Some(scan)) => {
                self.changed(job.tenant, job.scan);
                measure(scan.completed_ms - job.asked_ms(), answer);
                Ok(scan)
            }
            Ok(None) => self.kept_by_another(&keys, &job).await,
            // The same completion may have come twice at once, and the other was first.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                match find(self.database.pool(), id).await {
                    Ok(job) if job.is_done_by(attempt) => self.kept_by_another(&keys, &job).await,
                    Ok(_) => Err(error),
                    Err(gone) => Err(self.kept_in_vain(&keys, gone).await),
                }
            }
            Err(error) => Err(self.kept_in_vain(&keys, error).await),
        }
    }

    /// Deletes what was kept of a result that another call has recorded: objects that are encrypted are never under the same key twice.
    async fn kept_by_another(&self, keys: &[String], job: &Job) -> Result<Scan> {
        for key in keys {
            if !has_row(self, key).await? {
                self.discard(std::slice::from_ref(key)).await;
            }
        }
        self.scan_of(job).await
    }

    /// Deletes what was kept of a scan that was deleted meanwhile: nothing of it is to stay.
    pub async fn kept_in_vain(&self, keys: &[String], why: Error) -> Error {
        if why.kind() == ErrorKind::NotFound {
            self.discard(keys).await;
        }
        why
    }

    /// Writes the completion; `None` when the same completion was written before.
    async fn record(
        &self,
        unit: &mut Unit,
        id: JobId,
        event: Event,
        kept: &[Artefact],
    ) -> Result<Option<Scan>> {
        let (job, transition) = self.advance(unit, id, event).await?;
        if transition == Transition::Stays {
            return Ok(None);
        }
        artefacts::insert(unit, job.tenant, job.scan, kept).await?;
        scans::of_tenant(&mut **unit, job.tenant, job.scan).await.map(Some)
    }

    async fn scan_of(&self, job: &Job) -> Result<Scan> {
        scans::of_tenant(self.database.pool(), job.tenant, job.scan).await
    }
}

fn completion(header: CompleteHeader, answer: Answer, subject: &str) -> Event {
    Event::Complete {
        attempt: header.attempt,
        binding: header.binding,
        volume_sha256: header.volume_sha256,
        outcome: Outcome {
            answer,
            unanswered: unanswered(answer, &header.refusal),
            volume_ml: volumes::told(header.volume_ml, answer),
            reason: header.reason,
            observation: header.observation.map(Box::new),
            subject: subject.to_owned(),
        },
    }
}

/// Why there is no answer, as the worker says; one of the version before can only mean that there is no model.
fn unanswered(answer: Answer, refusal: &str) -> Option<Unanswered> {
    match answer {
        Answer::Found | Answer::NoneFound => None,
        Answer::NotAnalysable => Some(refusal.parse().unwrap_or(Unanswered::NoModel)),
        Answer::Failed => Some(Unanswered::Failed),
    }
}

/// Who writes the result: no attempt of a job that takes another's place is taken for one of that.
fn writer(job: &Job) -> String {
    match job.is_renewed() {
        true => format!("{}-{}", job.id, job.attempt),
        false => job.attempt.to_string(),
    }
}

fn measure(response_ms: i64, answer: Answer) {
    let response_s = response_ms as f64 / 1000.0;
    metrics::histogram!("medseg_response_seconds", "answer" => answer.name()).record(response_s);
}

fn log_mismatch(job: &Job, error: &Error) {
    if error.kind() == ErrorKind::Invalid {
        tracing::error!(scan.id = %job.scan, job.id = %job.id, "a result is not about the scan it came for");
    }
}

/// A result adds to what was uploaded and never replaces it.
fn check_names(objects: &[(String, Staged)]) -> Result<()> {
    let taken = domain::Artefact::is_uploaded;
    let repeated = |at: usize| objects[..at].iter().any(|(name, _)| *name == objects[at].0);
    if (0..objects.len()).any(|at| taken(&objects[at].0) || repeated(at)) {
        return Err(ErrorKind::Invalid.error("a result has an artefact of a name that is taken"));
    }
    Ok(())
}
