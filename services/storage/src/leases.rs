use std::str::FromStr;

use domain::artefact::VOLUME;
use domain::{ErrorKind, JobId, Priority, Result, TenantId};
use futures::StreamExt;
use platform::blob::ByteStream;
use platform::db::failed;
use proto::storage::{ClaimJob, Job as WireJob, Scan};

use crate::artefacts;
use crate::jobs::{REASON_MAX, find, truncate};
use crate::lifecycle::{Event, Job, Transition};
use crate::scans;
use crate::stops;
use crate::store::Store;

const WORKER_MAX: usize = 190;
/// How often a job is chosen that somebody else takes first, before the worker is told to ask again.
const CHOICES_MAX: usize = 8;
/// For so many urgent jobs in hand one that is not urgent is, where one waits.
const URGENT_TO_ONE: i64 = 3;

/// Whose jobs were given in turn, each hospital once, the last one last. Each instance knows of those that it gave.
#[derive(Default)]
pub struct Given(Vec<TenantId>);

impl Given {
    /// The smaller the longer ago; None: never.
    fn place(&self, tenant: TenantId) -> Option<usize> {
        self.0.iter().position(|other| *other == tenant)
    }

    fn to(&mut self, tenant: TenantId) {
        self.0.retain(|other| *other != tenant);
        self.0.push(tenant);
    }
}

/// The calls of a worker on its job, from the claim to giving up; [`decide`] says what each does to the job.
///
/// [`decide`]: crate::lifecycle::decide
impl Store {
    /// Leases the job, or the one whose turn it is. `Unavailable`, and no attempt is spent, while the key ring does not open the key that
    /// its volume is read with.
    pub async fn claim(&self, claim: ClaimJob) -> Result<WireJob> {
        let id = JobId::from_str(&claim.job_id)?;
        let event =
            Event::Claim { worker: truncate(&claim.worker, WORKER_MAX), alone: claim.alone };
        let named = find(self.database.pool(), id).await?;
        if !claim.in_turn {
            self.open_hospital(named.tenant).await?;
            return self.lease(id, event).await;
        }
        // One at a time: side by side all would choose the same job.
        let mut given = self.choosing.lock().await;
        let in_order = match named.priority {
            Priority::Stat if self.is_routines_turn().await? => [Priority::Routine, Priority::Stat],
            Priority::Stat => [Priority::Stat, Priority::Routine],
            Priority::Routine => [Priority::Routine, Priority::Stat],
        };
        let mut closed = Vec::new();
        for _ in 0..CHOICES_MAX {
            let Some((tenant, chosen)) = self.next_open(in_order, &given, &mut closed).await?
            else {
                return Err(match closed.is_empty() {
                    true => ErrorKind::Conflict.error("no job waits"),
                    false => {
                        ErrorKind::Unavailable.error("the key ring opens no waiting job's key")
                    }
                });
            };
            match self.lease(chosen, event.clone()).await {
                // Another instance of this service was quicker.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                leased => {
                    given.to(tenant);
                    return leased;
                }
            }
        }
        Err(ErrorKind::Unavailable.error("others took each job that was chosen"))
    }

    /// The next job of a hospital whose key is open, or that has none; the others are added to those that are `closed`, and hold up nobody.
    async fn next_open(
        &self,
        in_order: [Priority; 2],
        given: &Given,
        closed: &mut Vec<TenantId>,
    ) -> Result<Option<(TenantId, JobId)>> {
        loop {
            let mut next = self.next_in_turn(in_order[0], given, closed).await?;
            if next.is_none() {
                // A message of the one may have been spent on a job of the other.
                next = self.next_in_turn(in_order[1], given, closed).await?;
            }
            let Some((tenant, _)) = next else { return Ok(None) };
            match self.open_hospital(tenant).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => closed.push(tenant),
                opened => return opened.map(|()| next),
            }
        }
    }

    /// Whether so many urgent jobs are in hand that the next may be another: or whoever calls all of theirs urgent stops everybody.
    async fn is_routines_turn(&self) -> Result<bool> {
        let held: Vec<(String, i64)> = sqlx::query_as(
            "SELECT priority, COUNT(*) FROM jobs WHERE state = 'leased' GROUP BY priority",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let of = |priority: Priority| {
            let held = held.iter().find(|(name, _)| name == priority.name());
            held.map_or(0, |(_, jobs)| *jobs)
        };
        Ok(of(Priority::Stat) >= URGENT_TO_ONE * (of(Priority::Routine) + 1))
    }

    /// The job that has waited longest of the hospital that has the fewest in hand, and of those of the one that was given one
    /// the longest ago: nobody waits behind another hospital's queue. None when no job of that priority waits for its first
    /// attempt, but for those of hospitals that are `closed`.
    async fn next_in_turn(
        &self,
        priority: Priority,
        given: &Given,
        closed: &[TenantId],
    ) -> Result<Option<(TenantId, JobId)>> {
        // Ids are ordered by time (UUIDv7).
        let waiting: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT waiting.tenant_id, waiting.id, COALESCE(held.jobs, 0)
             FROM (SELECT tenant_id, MIN(id) AS id FROM jobs
                   WHERE state = 'queued' AND priority = ? AND attempt = 0 GROUP BY tenant_id) AS waiting
             LEFT JOIN (SELECT tenant_id, COUNT(*) AS jobs FROM jobs
                        WHERE state = 'leased' AND priority = ? GROUP BY tenant_id) AS held
             ON held.tenant_id = waiting.tenant_id
             ORDER BY waiting.id",
        )
        .bind(priority.name())
        .bind(priority.name())
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let typed = |(tenant, id, held): (String, String, i64)| -> Result<(TenantId, JobId, i64)> {
            Ok((TenantId::try_from(tenant)?, JobId::try_from(id)?, held))
        };
        let waiting = waiting.into_iter().map(typed).collect::<Result<Vec<_>>>()?;
        let open = waiting.into_iter().filter(|(of, ..)| !closed.contains(of));
        let next = open.min_by_key(|(of, _, held)| (*held, given.place(*of)));
        Ok(next.map(|(tenant, job, _)| (tenant, job)))
    }

    async fn lease(&self, id: JobId, event: Event) -> Result<WireJob> {
        let claimed = self.unit(None, move |store, unit| {
            Box::pin(async move {
                let (job, transition) = store.advance(unit, id, event).await?;
                let scan = scans::of_tenant(&mut **unit, job.tenant, job.scan).await?;
                let stopped = stops::stopped(unit, job.tenant).await?;
                Ok((job, transition, scan, stopped))
            })
        });
        let (job, transition, scan, stopped) = claimed.await?;
        self.changed(job.tenant, job.scan);
        match transition {
            Transition::Leased { attempt, .. } => {
                let message = job_message(job, attempt, self.rules.lease_ms(), scan);
                Ok(WireJob { stopped, ..message })
            }
            _ => Err(ErrorKind::Conflict.error("the job has had all its attempts")),
        }
    }

    /// Extends the lease.
    pub async fn heartbeat(&self, id: &str, attempt: u32) -> Result<()> {
        self.happen(JobId::from_str(id)?, Event::Heartbeat { attempt }).await.map(drop)
    }

    /// Gives the job up for now, or for good when it should not be tried again or has been too often.
    pub async fn fail(&self, id: &str, attempt: u32, reason: &str, retry: bool) -> Result<Scan> {
        let event = Event::Fail { attempt, reason: truncate(reason, REASON_MAX), retry };
        let (job, _) = self.happen(JobId::from_str(id)?, event).await?;
        self.changed(job.tenant, job.scan);
        scans::of_tenant(self.database.pool(), job.tenant, job.scan).await
    }

    /// The volume that the job is about. Bytes that are not those that were stored end the stream, and
    /// the job, with the reason: they are never analysed.
    pub async fn read_volume(&self, id: &str, attempt: u32) -> Result<(u64, ByteStream)> {
        let job = find(self.database.pool(), JobId::from_str(id)?).await?;
        job.require(attempt)?;
        let (tenant, scan) = (job.tenant, job.scan);
        let read = artefacts::read(self, tenant, scan, VOLUME.name).await;
        let (size, volume) = match read {
            Err(error) => return Err(self.fail_if_damaged(&job, error).await),
            Ok(read) => read,
        };
        let store = self.clone();
        let watched = volume.then(move |piece| {
            let (store, job) = (store.clone(), job.clone());
            async move {
                match piece {
                    Err(error) => Err(store.fail_if_damaged(&job, error).await),
                    piece => piece,
                }
            }
        });
        Ok((size, watched.boxed()))
    }

    /// Fails the job for good if `error` says that its volume is damaged, and names the scan; other errors are passed on.
    async fn fail_if_damaged(&self, job: &Job, error: domain::Error) -> domain::Error {
        if error.kind() != ErrorKind::Internal {
            return error;
        }
        let reason = "the stored scan is damaged and was not analysed: please upload it again";
        if let Err(error) = self.fail(&job.id.to_string(), job.attempt, reason, false).await {
            tracing::warn!(scan.id = %job.scan, %error, "could not end the job");
        }
        let message = format!("the stored volume of scan {} is damaged", job.scan);
        ErrorKind::Internal.error(message).because(error)
    }
}

fn job_message(job: Job, attempt: u32, lease_ms: i64, scan: Scan) -> WireJob {
    let accepted_ms = job.asked_ms();
    WireJob {
        job_id: job.id.to_string(),
        attempt,
        scan_id: scan.id,
        lease_ms,
        volume_sha256: scan.volume_sha256,
        binding: job.binding,
        modality: scan.modality,
        format: scan.format,
        accepted_ms,
        shape: scan.shape,
        traceparent: job.traceparent,
        priority: scan.priority,
        tenant_id: job.tenant.to_string(),
        stopped: Vec::new(),
        series: scan.series,
    }
}
