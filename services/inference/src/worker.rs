use std::sync::Arc;
use std::time::Duration;

use domain::{Answer, Clock, Error, Result, Unanswered};
use futures::future::Either;
use imaging::Volume;
use metrics::{counter, histogram};
use proto::storage::{Answer as WireAnswer, CompleteHeader, Job};
use service::{Turns, trace};
use tokio::sync::RwLock;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use crate::analysis::{Analysis, analyse};
use crate::follow::Registry;
use crate::in_hand::InHand;
use crate::jobs::{Jobs, is_not_ours};
use crate::passport::passport;
use crate::serving::Serving;
use crate::shadow::{Seen, Shadows};

/// How often a finished result is offered to a storage that cannot be reached.
const DELIVERY_ATTEMPTS: u32 = 4;
/// Between the first two; twice as long each time.
const DELIVERY_BACKOFF: Duration = Duration::from_millis(200);

/// Does jobs, from the claim to the delivered result.
#[derive(Clone)]
pub struct JobWorker {
    pub jobs: Jobs,
    pub serving: Serving,
    pub in_hand: InHand,
    /// Where answered scans go; None where no registry lets any version look on.
    pub shadows: Option<Shadows>,
    /// Who signs results; None where there is no registry.
    pub registry: Option<Registry>,
    pub clock: Clock,
    /// The hospitals' turns at the memory for the scans of one priority, in units of [`MEMORY_UNIT_VOXELS`].
    pub memory_budget: Turns<String>,
    /// Held by every job in hand of this process, and by one that is done alone for itself.
    pub exclusive_lock: Arc<RwLock<()>>,
    pub is_exclusive: bool,
}

/// what one unit of memory holds. A small scan takes a whole one.
const MEMORY_UNIT_VOXELS: u64 = 1 << 20;
/// For each priority the largest volume that is accepted, or any number of slices: while it is worked on, a volume is
/// in memory several times over, and many large ones at once would not fit.
pub const MEMORY_UNITS: usize = 64;

impl JobWorker {
    /// Does the job that a message names, or that whose turn it is: one for each message. A job that is not there, done, or
    /// somebody else's, is none of this worker's; an error says that storage could not even be told.
    pub async fn work(self, job_id: Vec<u8>) -> Result<()> {
        let Ok(job_id) = String::from_utf8(job_id) else { return Ok(()) };
        self.serving.one_serves().await;
        // Before the claim, which counts as an attempt even if somebody else's job ends the process.
        let _turn = match self.is_exclusive {
            true => Either::Left(self.exclusive_lock.write().await),
            false => Either::Right(self.exclusive_lock.read().await),
        };
        let Some(job) = self.jobs.claim(&job_id, self.is_exclusive).await? else { return Ok(()) };
        let span = info_span!(
            "job",
            otel.kind = "consumer",
            job.id = job.job_id,
            attempt = job.attempt,
            scan.id = job.scan_id,
            trace_id = Empty
        );
        trace::resume(&span, &job.traceparent);
        self.run(&job).instrument(span).await
    }

    async fn run(&self, job: &Job) -> Result<()> {
        let waited_ms = (self.clock.now_ms() - job.accepted_ms).max(0);
        histogram!("medseg_inference_queue_seconds").record(waited_ms as f64 / 1000.0);
        let _one = self.in_hand.one();
        let done = tokio::select! {
            done = self.finish(job) => done,
            () = self.extend_lease(job) => Ok("lost"),
        };
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(error) if is_not_ours(&error) => "lost",
            Err(error) => self.give_up(job, error).await?,
        };
        counter!("medseg_inference_jobs_total", "outcome" => outcome).increment(1);
        Ok(())
    }

    async fn finish(&self, job: &Job) -> Result<&'static str> {
        let units = memory_units(&job.shape);
        let _memory = self.memory_budget.take_many(job.tenant_id.clone(), units).await;
        let bytes = self.jobs.volume(job).instrument(info_span!("read the volume")).await?;
        // By what the upload says of itself: what a model makes of it comes too late to choose that model.
        let mut served = self.serving.of(&job.modality, Volume::kind_of_bytes(&bytes)?)?;
        let shadow = served.shadow.take().zip(self.shadows.as_ref());
        let kept = shadow.is_some().then(|| bytes.clone());
        let analysis = analyse(job, bytes, &served, &self.clock);
        let mut analysis = analysis.instrument(info_span!("analyse")).await?;
        if let Some(registry) = &self.registry {
            let model = served.model.model_info();
            let signed = passport(registry, job, model, &analysis.files).await;
            analysis.files.extend(signed);
        }
        self.deliver(job, &analysis).instrument(info_span!("deliver")).await?;
        // Only now: nobody waits for it any more. What was not looked at is compared with nothing.
        if analysis.unanswered.is_none()
            && let Some(((shadow, shadows), volume)) = shadow.zip(kept)
        {
            let (job, serving) = (job.clone(), served.model.model_info().clone());
            let (answer, said) = (analysis.answer, analysis.compared);
            shadows.show(Seen { job, volume, serving, answer, said, shadow: *shadow });
        }
        Ok(analysis.answer.name())
    }

    /// Extends the lease until it is lost.
    async fn extend_lease(&self, job: &Job) {
        let lease_ms = u64::try_from(job.lease_ms).unwrap_or_default();
        let pause = Duration::from_millis((lease_ms / 3).max(1));
        loop {
            tokio::time::sleep(pause).await;
            match self.jobs.heartbeat(job).await {
                Ok(()) => {}
                Err(error) if is_not_ours(&error) => return,
                Err(error) => {
                    tracing::warn!(job.id = %job.job_id, %error, "cannot extend a lease yet")
                }
            }
        }
    }

    /// Delivers the result, again where the network fails: it is not computed twice for that.
    async fn deliver(&self, job: &Job, analysis: &Analysis) -> Result<()> {
        let header = CompleteHeader {
            job_id: job.job_id.clone(),
            attempt: job.attempt,
            binding: job.binding.clone(),
            volume_sha256: job.volume_sha256.clone(),
            answer: wire(analysis.answer).into(),
            reason: analysis.reason.clone(),
            observation: Some(analysis.observation.clone()),
            refusal: analysis.unanswered.map_or("", Unanswered::name).to_owned(),
            volume_ml: analysis.compared.volume_ml,
        };
        let mut pause = DELIVERY_BACKOFF;
        for _ in 1..DELIVERY_ATTEMPTS {
            match self.jobs.complete(header.clone(), &analysis.files).await {
                Err(error) if error.kind().is_transient() => {
                    tracing::warn!(job.id = %job.job_id, %error, "cannot deliver a result yet");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                delivered => return delivered,
            }
        }
        self.jobs.complete(header, &analysis.files).await
    }

    /// Tells storage that the attempt has failed, and whether another may go better.
    async fn give_up(&self, job: &Job, error: Error) -> Result<&'static str> {
        let retry = error.kind().is_transient();
        tracing::error!(job.id = %job.job_id, retry, error = &error as &dyn std::error::Error, "a job failed");
        match self.jobs.fail(job, error.to_string(), retry).await {
            Ok(()) => Ok(if retry { "retried" } else { "failed" }),
            Err(error) if is_not_ours(&error) => Ok("lost"),
            Err(error) => Err(error),
        }
    }
}

/// How many units of memory a volume of that shape takes; never more than there is.
fn memory_units(shape: &[u32]) -> usize {
    let voxels = shape.iter().fold(1u64, |voxels, length| voxels.saturating_mul((*length).into()));
    voxels.div_ceil(MEMORY_UNIT_VOXELS).clamp(1, MEMORY_UNITS as u64) as usize
}

fn wire(answer: Answer) -> WireAnswer {
    match answer {
        Answer::Found => WireAnswer::Found,
        Answer::NoneFound => WireAnswer::NoneFound,
        Answer::NotAnalysable => WireAnswer::NotAnalysable,
        Answer::Failed => WireAnswer::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_with_voxels_and_the_largest_volume_still_gets_in() {
        assert_eq!((memory_units(&[1, 256, 256]), memory_units(&[])), (1, 1));
        assert_eq!((memory_units(&[256, 512, 512]), memory_units(&[257, 512, 512])), (64, 64));
        assert_eq!((memory_units(&[128, 512, 512]), memory_units(&[129, 512, 512])), (32, 33));
        assert_eq!(memory_units(&[u32::MAX; 3]), MEMORY_UNITS);
    }
}
