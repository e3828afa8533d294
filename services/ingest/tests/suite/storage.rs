//! A storage that keeps in memory what it is given, and answers as the real one does.

use std::sync::{Arc, Mutex};

use proto::storage::accept_part::Part;
use proto::storage::scans_server::{Scans, ScansServer};
use proto::storage::*;
use service::{Peer, Service};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<Kept>>);

#[derive(Clone, Default)]
pub struct Kept {
    pub scans: Vec<Accepted>,
    pub batches: Vec<Batch>,
    /// The next acceptance fails.
    pub broken: bool,
}

#[derive(Clone, Default)]
pub struct Accepted {
    pub token: String,
    pub header: AcceptHeader,
    pub volume: Vec<u8>,
    pub original: Vec<u8>,
    pub preview: Vec<u8>,
}

type Stream<T> = futures::stream::BoxStream<'static, Result<T, Status>>;

impl Memory {
    pub fn peer(&self) -> Peer {
        let grpc = Routes::new(ScansServer::new(self.clone()));
        Peer::within(&Service { grpc, ..Service::default() })
    }

    pub fn kept(&self) -> Kept {
        self.0.lock().unwrap().clone()
    }

    pub fn breaks(&self) {
        self.0.lock().unwrap().broken = true;
    }
}

#[tonic::async_trait]
impl Scans for Memory {
    async fn accept(
        &self,
        request: Request<Streaming<AcceptPart>>,
    ) -> Result<Response<Scan>, Status> {
        let token = service::claims::bearer(request.metadata()).unwrap_or_default().to_owned();
        if self.0.lock().unwrap().broken {
            return Err(Status::unavailable("the disk is full"));
        }
        let mut accepted = Accepted { token, ..Accepted::default() };
        let mut parts = request.into_inner();
        while let Some(part) = parts.message().await? {
            match part.part.unwrap() {
                Part::Header(header) => accepted.header = header,
                Part::Volume(bytes) => accepted.volume.extend(bytes),
                Part::Original(bytes) => accepted.original.extend(bytes),
                Part::Preview(bytes) => accepted.preview.extend(bytes),
            }
        }
        let mut kept = self.0.lock().unwrap();
        kept.scans.push(accepted);
        Ok(Response::new(Scan { id: format!("scan-{}", kept.scans.len()), ..Scan::default() }))
    }

    async fn put_batch(&self, request: Request<Batch>) -> Result<Response<Batch>, Status> {
        let batch = Batch { id: "batch".into(), ..request.into_inner() };
        self.0.lock().unwrap().batches.push(batch.clone());
        Ok(Response::new(batch))
    }

    async fn get(&self, _: Request<ScanRef>) -> Result<Response<Scan>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn list(&self, _: Request<ListScans>) -> Result<Response<ScanPage>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn get_identity(&self, _: Request<ScanRef>) -> Result<Response<ScanIdentity>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    type WatchStream = Stream<Scan>;

    async fn watch(&self, _: Request<ScanRef>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    type ReadStream = Stream<Chunk>;

    async fn read(&self, _: Request<ArtefactRef>) -> Result<Response<Self::ReadStream>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn get_batch(&self, _: Request<BatchRef>) -> Result<Response<Batch>, Status> {
        Err(Status::unimplemented("not in this double"))
    }
}
