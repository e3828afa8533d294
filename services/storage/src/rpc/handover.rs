use domain::{Result, TenantId};
use proto::storage::handover_server::Handover as Wire;
use proto::storage::{
    Chunk, DeliveryNote, DeliveryNoted, HandoverFile, HandoverRef, Scan, ScanIdentity,
};
use service::claims::{Claims, Role, Verifier};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{Responses, chunks};
use crate::store::Store;

/// The RPCs for delivery.
pub struct Handover {
    store: Store,
    verifier: Verifier,
}

impl Handover {
    pub fn new(store: Store, verifier: Verifier) -> Handover {
        Handover { store, verifier }
    }

    async fn delivery(&self, metadata: &MetadataMap) -> Result<Claims> {
        self.verifier.caller(metadata, &[Role::Delivery]).await
    }
}

#[tonic::async_trait]
impl Wire for Handover {
    async fn get_scan(&self, request: Request<HandoverRef>) -> Result<Response<Scan>, Status> {
        self.delivery(request.metadata()).await?;
        Ok(Response::new(self.store.handed_scan(request.get_ref()).await?))
    }

    type ReadFileStream = Responses<Chunk>;

    async fn read_file(
        &self,
        request: Request<HandoverFile>,
    ) -> Result<Response<Self::ReadFileStream>, Status> {
        self.delivery(request.metadata()).await?;
        Ok(Response::new(chunks(self.store.handed_file(request.get_ref()).await?)))
    }

    async fn get_patient(
        &self,
        request: Request<HandoverRef>,
    ) -> Result<Response<ScanIdentity>, Status> {
        let claims = self.delivery(request.metadata()).await?;
        let HandoverRef { tenant_id, scan_id } = request.into_inner();
        let tenant: TenantId = tenant_id.parse()?;
        Ok(Response::new(self.store.identity_of(tenant, &claims.subject, &scan_id).await?))
    }

    async fn note(
        &self,
        request: Request<DeliveryNote>,
    ) -> Result<Response<DeliveryNoted>, Status> {
        self.delivery(request.metadata()).await?;
        self.store.note_delivery(request.into_inner()).await?;
        Ok(Response::new(DeliveryNoted {}))
    }
}
