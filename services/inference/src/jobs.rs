use bytes::Bytes;
use domain::{Artefact, ErrorKind, Result, hex};
use futures::stream;
use proto::storage::complete_part::Part;
use proto::storage::jobs_client::JobsClient;
use proto::storage::{ArtefactPart, ClaimJob, CompleteHeader, CompletePart, FailJob, Job, Lease};
use service::claims::{ServiceToken, authorised};
use service::{CHUNK_BYTES, Peer};
use sha2::{Digest, Sha256};

/// A file of a result: which one, and its bytes.
pub type File = (Artefact, Bytes);

/// The jobs that storage keeps, as a worker sees them.
#[derive(Clone)]
pub struct Jobs {
    client: JobsClient<Peer>,
    token: ServiceToken,
    worker: String,
}

impl Jobs {
    pub fn new(storage: Peer, token: ServiceToken, worker: String) -> Jobs {
        Jobs { client: JobsClient::new(storage), token, worker }
    }

    /// Leases the job, or in its place that of the hospital whose turn it is; None when there is none to be had.
    /// One that was tried before is to be had by its name, by who says that he works `alone`.
    pub async fn claim(&self, job_id: &str, alone: bool) -> Result<Option<Job>> {
        let (job_id, worker) = (job_id.to_owned(), self.worker.clone());
        let claim = ClaimJob { job_id, worker, alone, in_turn: !alone };
        let claimed = self.client.clone().claim(authorised(claim, &self.token.get().await?)).await;
        match claimed.map_err(domain::Error::from) {
            Ok(job) => Ok(Some(job.into_inner())),
            Err(error) if is_not_ours(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The stored volume's bytes, which are what was accepted.
    pub async fn volume(&self, job: &Job) -> Result<Vec<u8>> {
        let request = authorised(lease(job), &self.token.get().await?);
        let mut chunks = self.client.clone().read_volume(request).await?.into_inner();
        let (mut bytes, mut digest) = (Vec::new(), Sha256::new());
        while let Some(chunk) = chunks.message().await? {
            digest.update(&chunk.data);
            bytes.extend_from_slice(&chunk.data);
        }
        if hex(&digest.finalize()) != job.volume_sha256 {
            return Err(ErrorKind::Unavailable.error("the volume was damaged on its way"));
        }
        Ok(bytes)
    }

    /// Extends the lease.
    pub async fn heartbeat(&self, job: &Job) -> Result<()> {
        let request = authorised(lease(job), &self.token.get().await?);
        self.client.clone().heartbeat(request).await?;
        Ok(())
    }

    /// Records the result. May be repeated: the same result twice changes nothing.
    pub async fn complete(&self, header: CompleteHeader, files: &[File]) -> Result<()> {
        let mut parts = vec![CompletePart { part: Some(Part::Header(header)) }];
        for (artefact, bytes) in files {
            let cuts = (0..bytes.len()).step_by(CHUNK_BYTES);
            parts.extend(cuts.map(|from| {
                let data = bytes.slice(from..bytes.len().min(from + CHUNK_BYTES));
                let part = ArtefactPart { name: artefact.name.to_owned(), data };
                CompletePart { part: Some(Part::Artefact(part)) }
            }));
        }
        let request = authorised(stream::iter(parts), &self.token.get().await?);
        self.client.clone().complete(request).await?;
        Ok(())
    }

    /// Gives the job up, for now when `retry`, else for good.
    pub async fn fail(&self, job: &Job, reason: String, retry: bool) -> Result<()> {
        let (job_id, attempt) = (job.job_id.clone(), job.attempt);
        let failure = FailJob { job_id, attempt, reason, retry };
        self.client.clone().fail(authorised(failure, &self.token.get().await?)).await?;
        Ok(())
    }
}

/// Whether the job is over, unknown, or has passed to another attempt: then there is nothing to do.
pub fn is_not_ours(error: &domain::Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound)
}

fn lease(job: &Job) -> Lease {
    Lease { job_id: job.job_id.clone(), attempt: job.attempt }
}
