use domain::{ErrorKind, Result};
use proto::storage::complete_part::Part;
use proto::storage::jobs_server::Jobs as Wire;
use proto::storage::{Chunk, ClaimJob, CompleteHeader, CompletePart, FailJob, Job, Lease, Scan};
use service::claims::{Claims, Role, Verifier};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::scans::{finish, write};
use super::{Responses, chunks};
use crate::artefacts::Staged;
use crate::scans::answer_of;
use crate::store::Store;

const ARTEFACTS_MAX: usize = 64;

/// The RPCs for medseg's own workers.
pub struct Jobs {
    store: Store,
    verifier: Verifier,
}

impl Jobs {
    pub fn new(store: Store, verifier: Verifier) -> Jobs {
        Jobs { store, verifier }
    }

    async fn worker(&self, metadata: &MetadataMap) -> Result<Claims> {
        let claims = self.verifier.claims(metadata).await?;
        claims.require(&[Role::Service])?;
        Ok(claims)
    }

    async fn receive(
        &self,
        mut parts: Streaming<CompletePart>,
    ) -> Result<(CompleteHeader, Vec<(String, Staged)>)> {
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(ErrorKind::Invalid.error("a result begins with its header"));
        };
        let seal = self.store.seal_of_job(&header.job_id).await?;
        let mut incoming = Vec::new();
        while let Some(part) = parts.message().await? {
            let Some(Part::Artefact(artefact)) = part.part else {
                return Err(ErrorKind::Invalid.error("a result has one header, and then artefacts"));
            };
            write(&self.store, &mut incoming, &artefact.name, artefact.data, seal.as_ref()).await?;
            if incoming.len() > ARTEFACTS_MAX {
                return Err(ErrorKind::Invalid.error("a result has too many artefacts"));
            }
        }
        Ok((header, finish(incoming).await?))
    }
}

#[tonic::async_trait]
impl Wire for Jobs {
    async fn claim(&self, request: Request<ClaimJob>) -> Result<Response<Job>, Status> {
        self.worker(request.metadata()).await?;
        Ok(Response::new(self.store.claim(request.into_inner()).await?))
    }

    type ReadVolumeStream = Responses<Chunk>;

    async fn read_volume(
        &self,
        request: Request<Lease>,
    ) -> Result<Response<Self::ReadVolumeStream>, Status> {
        self.worker(request.metadata()).await?;
        let Lease { job_id, attempt } = request.into_inner();
        Ok(Response::new(chunks(self.store.read_volume(&job_id, attempt).await?)))
    }

    async fn heartbeat(&self, request: Request<Lease>) -> Result<Response<Lease>, Status> {
        self.worker(request.metadata()).await?;
        let lease = request.into_inner();
        self.store.heartbeat(&lease.job_id, lease.attempt).await?;
        Ok(Response::new(lease))
    }

    async fn complete(
        &self,
        request: Request<Streaming<CompletePart>>,
    ) -> Result<Response<Scan>, Status> {
        let claims = self.worker(request.metadata()).await?;
        let (header, objects) = self.receive(request.into_inner()).await?;
        let answer = answer_of(header.answer())?;
        Ok(Response::new(self.store.complete(header, answer, objects, &claims.subject).await?))
    }

    async fn fail(&self, request: Request<FailJob>) -> Result<Response<Scan>, Status> {
        self.worker(request.metadata()).await?;
        let FailJob { job_id, attempt, reason, retry } = request.into_inner();
        Ok(Response::new(self.store.fail(&job_id, attempt, &reason, retry).await?))
    }
}
