use std::str::FromStr;

use domain::artefact::VOLUME;
use domain::{Answer, ErrorKind, JobId, Result, ScanId};
use futures::StreamExt;
use platform::blob::ByteStream;
use platform::db::{Unit, failed};
use proto::storage::{ClaimJob, Job as WireJob, Scan};
use service::topics::{SCAN_READY_AGAIN, scan_ready};

use crate::artefacts;
use crate::jobs::{ANNOUNCE_MS, Job, Outcome, REASON_MAX, State, Step, cut, find, show, step};
use crate::scans;
use crate::store::Store;

const WORKER_MAX: usize = 190;

/// The worker's side of a job, from the claim to giving up.
impl Store {
    /// Leases the job. The attempt is raised before any work begins, so that work that ends the process
    /// counts as an attempt too; and a job that was tried before goes only to a worker that does it alone.
    pub async fn claim(&self, claim: ClaimJob) -> Result<WireJob> {
        let (id, worker) = (JobId::from_str(&claim.job_id)?, cut(&claim.worker, WORKER_MAX));
        let (scan, job) = self
            .unit(move |store, unit| {
                Box::pin(async move { store.take(unit, id, &worker, claim.alone).await })
            })
            .await?;
        self.changed(scan);
        job.ok_or_else(|| ErrorKind::Conflict.error("the job has had all its attempts"))
    }

    /// The scan that the job is about, and the job if there was an attempt left.
    async fn take(
        &self,
        unit: &mut Unit,
        id: JobId,
        worker: &str,
        alone: bool,
    ) -> Result<(ScanId, Option<WireJob>)> {
        let now = self.clock.now_ms();
        let job = find(&mut **unit, id).await?;
        if job.is_over() {
            return Err(ErrorKind::Conflict.error("the job is over"));
        }
        if job.state == State::Leased && job.due_ms > now {
            return Err(ErrorKind::Conflict.error("the job is leased to another worker"));
        }
        if job.attempt >= self.rules.attempts_max {
            self.give_up(unit, &job).await?;
            return Ok((job.scan, None));
        }
        if job.attempt > 0 && !alone {
            return Err(ErrorKind::Conflict.error("the job was tried before: it is done alone"));
        }
        let lease_ms = self.lease_ms();
        let next = Step { state: State::Leased, attempt: job.attempt + 1, due_ms: now + lease_ms };
        step(unit, &job, next).await?;
        sign(unit, &job, worker).await?;
        show(unit, &job, "running").await?;
        let scan = scans::of_tenant(&mut **unit, job.tenant, job.scan).await?;
        Ok((job.scan, Some(wire(job, next.attempt, lease_ms, scan))))
    }

    /// Extends the lease.
    pub async fn heartbeat(&self, id: &str, attempt: u32) -> Result<()> {
        let id = JobId::from_str(id)?;
        self.unit(move |store, unit| Box::pin(async move { store.extend(unit, id, attempt).await }))
            .await
    }

    async fn extend(&self, unit: &mut Unit, id: JobId, attempt: u32) -> Result<()> {
        let job = find(&mut **unit, id).await?;
        job.require(attempt)?;
        let due_ms = self.clock.now_ms() + self.lease_ms();
        step(unit, &job, Step { state: State::Leased, attempt, due_ms }).await?;
        show(unit, &job, "running").await
    }

    /// The volume that the job is about. Bytes that are not those that were stored end the stream, and
    /// the job, with the reason: they are never analysed.
    pub async fn read_volume(&self, id: &str, attempt: u32) -> Result<(u64, ByteStream)> {
        let job = find(self.database.pool(), JobId::from_str(id)?).await?;
        job.require(attempt)?;
        let (tenant, scan) = (job.tenant, job.scan);
        let read = artefacts::read(&self.database, &self.blobs, tenant, scan, VOLUME.name).await;
        let (size, volume) = match read {
            Err(error) => return Err(self.damaged(&job, error).await),
            Ok(read) => read,
        };
        let store = self.clone();
        let watched = volume.then(move |piece| {
            let (store, job) = (store.clone(), job.clone());
            async move {
                match piece {
                    Err(error) => Err(store.damaged(&job, error).await),
                    piece => piece,
                }
            }
        });
        Ok((size, watched.boxed()))
    }

    /// Ends a job whose volume is lost; anything but that is only passed on.
    async fn damaged(&self, job: &Job, error: domain::Error) -> domain::Error {
        if error.kind() == ErrorKind::Internal {
            tracing::error!(scan.id = %job.scan, error = &error as &dyn std::error::Error, "a stored volume is damaged");
            let reason = "the stored scan is damaged and was not analysed: please upload it again";
            if let Err(error) = self.fail(&job.id.to_string(), job.attempt, reason, false).await {
                tracing::warn!(scan.id = %job.scan, %error, "could not end the job");
            }
        }
        error
    }

    /// Gives the job up for now, or for good when it should not be tried again or has been too often.
    pub async fn fail(&self, id: &str, attempt: u32, reason: &str, retry: bool) -> Result<Scan> {
        let id = JobId::from_str(id)?;
        let reason = cut(reason, REASON_MAX);
        let job = self
            .unit(move |store, unit| {
                Box::pin(async move { store.put_down(unit, id, attempt, &reason, retry).await })
            })
            .await?;
        self.changed(job.scan);
        scans::of_tenant(self.database.pool(), job.tenant, job.scan).await
    }

    async fn put_down(
        &self,
        unit: &mut Unit,
        id: JobId,
        attempt: u32,
        reason: &str,
        retry: bool,
    ) -> Result<Job> {
        let job = find(&mut **unit, id).await?;
        if job.is_over() && job.attempt == attempt {
            return Ok(job);
        }
        job.require(attempt)?;
        if retry && attempt < self.rules.attempts_max {
            // Longer each time; the sweeper announces it.
            let due_ms = self.clock.now_ms() + (1000 << attempt.min(8));
            step(unit, &job, Step { state: State::Queued, attempt, due_ms }).await?;
            show(unit, &job, "queued").await?;
        } else {
            self.end(unit, &job, State::Parked, &failure(reason, "worker")).await?;
        }
        Ok(job)
    }

    /// What the sweeper does about a job whose time has come: announces it, takes it from a worker
    /// that has fallen silent, or gives it up.
    pub async fn revive(&self, id: JobId) -> Result<()> {
        let revived = self
            .unit(move |store, unit| Box::pin(async move { store.renew(unit, id).await }))
            .await?;
        if let Some(scan) = revived {
            self.changed(scan);
        }
        Ok(())
    }

    async fn renew(&self, unit: &mut Unit, id: JobId) -> Result<Option<ScanId>> {
        let (now, job) = (self.clock.now_ms(), find(&mut **unit, id).await?);
        // Somebody has been quicker.
        if job.is_over() || job.due_ms > now {
            return Ok(None);
        }
        if job.attempt >= self.rules.attempts_max {
            self.give_up(unit, &job).await?;
            return Ok(Some(job.scan));
        }
        // A long backlog is announced ever less often, so that repeats never outgrow it.
        let pause_ms = (now - job.accepted_ms).clamp(ANNOUNCE_MS, 10 * ANNOUNCE_MS);
        let next = Step { state: State::Queued, attempt: job.attempt, due_ms: now + pause_ms };
        step(unit, &job, next).await?;
        show(unit, &job, "queued").await?;
        let topic = if job.attempt == 0 { scan_ready(job.priority) } else { SCAN_READY_AGAIN };
        self.announce(unit, topic, &job.id.to_string()).await?;
        Ok(Some(job.scan))
    }

    async fn give_up(&self, unit: &mut Unit, job: &Job) -> Result<()> {
        let reason = format!("the analysis was tried {} times and never finished", job.attempt);
        self.end(unit, job, State::Parked, &failure(&reason, "sweeper")).await
    }

    fn lease_ms(&self) -> i64 {
        i64::from(self.rules.lease_s) * 1000
    }
}

async fn sign(unit: &mut Unit, job: &Job, worker: &str) -> Result<()> {
    sqlx::query("UPDATE jobs SET worker = ? WHERE tenant_id = ? AND id = ?")
        .bind(worker)
        .bind(job.tenant.to_string())
        .bind(job.id.to_string())
        .execute(&mut **unit)
        .await
        .map(drop)
        .map_err(failed)
}

fn wire(job: Job, attempt: u32, lease_ms: i64, scan: Scan) -> WireJob {
    WireJob {
        job_id: job.id.to_string(),
        attempt,
        scan_id: scan.id,
        lease_ms,
        volume_sha256: scan.volume_sha256,
        binding: job.binding,
        modality: scan.modality,
        format: scan.format,
        accepted_ms: scan.accepted_ms,
        shape: scan.shape,
        traceparent: job.traceparent,
        priority: scan.priority,
    }
}

fn failure(reason: &str, subject: &str) -> Outcome {
    Outcome {
        answer: Answer::Failed,
        reason: reason.to_owned(),
        observation: String::new(),
        subject: subject.to_owned(),
    }
}
