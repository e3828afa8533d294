//! The gRPC interface: get, list, delete.

use std::sync::Arc;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use v2::storage_server::{Storage, StorageServer};
use v2::{
    DeleteObjectRequest, GetObjectRequest, ListObjectsRequest, ListObjectsResponse, Object,
    ObjectChecksums,
};

use crate::objects::Meta;
use crate::{State, lock};

#[expect(clippy::allow_attributes, reason = "generated")]
mod v2 {
    tonic::include_proto!("google.storage.v2");
}

const PAGE: usize = 1000;

pub fn server(state: Arc<State>) -> StorageServer<Control> {
    StorageServer::new(Control(state))
}

pub struct Control(Arc<State>);

#[tonic::async_trait]
impl Storage for Control {
    async fn delete_object(
        &self,
        request: Request<DeleteObjectRequest>,
    ) -> Result<Response<()>, Status> {
        let DeleteObjectRequest { bucket, object } = request.into_inner();
        self.admit(&bucket)?;
        let removed = lock(&self.0.objects).remove(&object).map_err(broken)?;
        if !removed {
            return Err(Status::not_found("no such object"));
        }
        self.answered(())
    }

    async fn get_object(
        &self,
        request: Request<GetObjectRequest>,
    ) -> Result<Response<Object>, Status> {
        let GetObjectRequest { bucket, object } = request.into_inner();
        self.admit(&bucket)?;
        let meta = lock(&self.0.objects).get(&object).cloned();
        let meta = meta.ok_or_else(|| Status::not_found("no such object"))?;
        Ok(Response::new(self.object(object, &meta)))
    }

    async fn list_objects(
        &self,
        request: Request<ListObjectsRequest>,
    ) -> Result<Response<ListObjectsResponse>, Status> {
        let ListObjectsRequest { parent, page_size, page_token, prefix } = request.into_inner();
        self.admit(&parent)?;
        let size = usize::try_from(page_size).ok().filter(|size| *size > 0).unwrap_or(PAGE);
        let page = lock(&self.0.objects).page(&prefix, &page_token, size.min(PAGE));
        let full = page.len() == size.min(PAGE);
        let next_page_token = page.last().filter(|_| full).map(|(name, _)| name.clone());
        let objects = page.into_iter().map(|(name, meta)| self.object(name, &meta)).collect();
        let next_page_token = next_page_token.unwrap_or_default();
        Ok(Response::new(ListObjectsResponse { objects, next_page_token }))
    }
}

impl Control {
    fn admit(&self, bucket: &str) -> Result<(), Status> {
        if lock(&self.0.failing).refuses() {
            return Err(Status::unavailable("told to"));
        }
        if bucket != format!("projects/_/buckets/{}", self.0.bucket) {
            return Err(Status::not_found("no such bucket"));
        }
        Ok(())
    }

    fn answered<T>(&self, answer: T) -> Result<Response<T>, Status> {
        if lock(&self.0.failing).loses_answer() {
            return Err(Status::unavailable("told to"));
        }
        Ok(Response::new(answer))
    }

    fn object(&self, name: String, meta: &Meta) -> Object {
        Object {
            name,
            bucket: format!("projects/_/buckets/{}", self.0.bucket),
            generation: meta.generation,
            size: i64::try_from(meta.size).unwrap_or(i64::MAX),
            create_time: Some(Timestamp {
                seconds: i64::try_from(meta.created.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(meta.created.subsec_nanos()).unwrap_or(0),
            }),
            checksums: Some(ObjectChecksums { crc32c: Some(meta.crc32c) }),
        }
    }
}

fn broken(error: anyhow::Error) -> Status {
    Status::internal(error.to_string())
}
