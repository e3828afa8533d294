use platform::trail;
use proto::audit::{Entries, Heads, HeadsRef, Page, Search, Stretch};
use proto::auth::audit_trail_server::AuditTrail;
use service::claims::Role;
use service::wire;
use tonic::{Request, Response, Status};

use super::Rpc;

#[tonic::async_trait]
impl AuditTrail for Rpc {
    async fn list(&self, request: Request<Search>) -> Result<Response<Page>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let search = wire::audit_search(request.into_inner());
        let rows = trail::page(&self.door.database, tenant.id(), &search).await?;
        let entries = rows.into_iter().map(wire::audit_entry).collect();
        Ok(Response::new(Page { entries }))
    }

    async fn heads(&self, _: Request<HeadsRef>) -> Result<Response<Heads>, Status> {
        Ok(Response::new(wire::audit_heads(&self.door.database).await?))
    }

    async fn read(&self, request: Request<Stretch>) -> Result<Response<Entries>, Status> {
        self.door.claims(request.metadata()).await?.require(&[Role::Delivery])?;
        Ok(Response::new(wire::audit_stretch(&self.door.database, request.get_ref()).await?))
    }
}
