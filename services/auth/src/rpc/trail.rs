use platform::trail;
use proto::audit::{Head, Heads, HeadsRef, Page, Search};
use proto::auth::audit_trail_server::AuditTrail;
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
        let heads = trail::heads(&self.door.database).await?.into_iter();
        let head = |head: trail::Head| Head {
            tenant_id: head.tenant_id,
            position: head.position,
            sha256: head.sha256,
        };
        Ok(Response::new(Heads { heads: heads.map(head).collect() }))
    }
}
