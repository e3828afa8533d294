use std::str::FromStr;

use domain::{Answer, ErrorKind, JobId, Result, seeded};
use platform::blob::Staged;
use platform::db::Unit;
use proto::storage::{CompleteHeader, Scan};

use crate::artefacts::{self, Artefact};
use crate::jobs::{Job, Outcome, State, find};
use crate::scans;
use crate::store::Store;

impl Store {
    /// Records the result, once. The artefacts are durable first; then job, scan, news and trace
    /// change in one unit. The same completion twice changes nothing.
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
        let id = JobId::from_str(&header.job_id)?;
        let job = find(self.database.pool(), id).await?;
        if job.is_done_by(header.attempt) {
            return scans::of_tenant(self.database.pool(), job.tenant, job.scan).await;
        }
        job.require(header.attempt)?;
        same_patient(&job, &header)?;
        fresh_names(&objects)?;
        let kept =
            artefacts::keep(&self.blobs, job.tenant, job.scan, header.attempt, objects).await?;
        let outcome = Outcome {
            answer,
            reason: header.reason,
            observation: header.observation_json,
            subject: subject.to_owned(),
        };
        let (id, attempt) = (job.id, header.attempt);
        let recorded = self
            .unit(move |store, unit| {
                Box::pin(async move { store.record(unit, id, attempt, &kept, &outcome).await })
            })
            .await;
        match recorded {
            Ok(scan) => {
                self.changed(job.scan);
                let response_s = (scan.completed_ms - scan.accepted_ms) as f64 / 1000.0;
                metrics::histogram!("medseg_response_seconds", "answer" => answer.name())
                    .record(response_s);
                Ok(scan)
            }
            // The same completion may have come twice at once, and the other was first.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let job = find(self.database.pool(), id).await?;
                if !job.is_done_by(attempt) {
                    return Err(error);
                }
                scans::of_tenant(self.database.pool(), job.tenant, job.scan).await
            }
            Err(error) => Err(error),
        }
    }

    async fn record(
        &self,
        unit: &mut Unit,
        id: JobId,
        attempt: u32,
        kept: &[Artefact],
        outcome: &Outcome,
    ) -> Result<Scan> {
        let job = find(&mut **unit, id).await?;
        job.require(attempt)?;
        // First the step that only one can take, so that whoever is second stops here.
        self.end(unit, &job, State::Done, outcome).await?;
        if !(seeded("no_fence") && job.is_over()) {
            artefacts::insert(unit, job.tenant, job.scan, kept).await?;
        }
        scans::of_tenant(&mut **unit, job.tenant, job.scan).await
    }
}

/// The binding was fixed when the scan was accepted, went with the job, and must come back.
fn same_patient(job: &Job, header: &CompleteHeader) -> Result<()> {
    if header.binding == job.binding && header.volume_sha256 == job.volume_sha256 {
        return Ok(());
    }
    tracing::error!(scan.id = %job.scan, job.id = %job.id, "a result is not about the scan it came for");
    Err(ErrorKind::Invalid.error("the result is not about this scan and this patient"))
}

/// A result adds to what was uploaded and never replaces it.
fn fresh_names(objects: &[(String, Staged)]) -> Result<()> {
    let taken = domain::Artefact::is_uploaded;
    let repeated = |at: usize| objects[..at].iter().any(|(name, _)| *name == objects[at].0);
    if (0..objects.len()).any(|at| taken(&objects[at].0) || repeated(at)) {
        return Err(ErrorKind::Invalid.error("a result has an artefact of a name that is taken"));
    }
    Ok(())
}
