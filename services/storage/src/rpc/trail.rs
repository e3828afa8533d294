use domain::Result;
use proto::audit::{Entries, Heads, HeadsRef, Note, Noted, Page, Search, Stretch};
use proto::storage::audit_trail_server::AuditTrail as Wire;
use service::claims::{Role, Verifier};
use service::wire;
use tonic::{Request, Response, Status};

use crate::store::Store;

/// Who answers for what is done with patients' data.
const READING_ROLES: [Role; 1] = [Role::Admin];

/// The RPCs for the audit trail.
pub struct AuditTrail {
    store: Store,
    verifier: Verifier,
}

impl AuditTrail {
    pub fn new(store: Store, verifier: Verifier) -> AuditTrail {
        AuditTrail { store, verifier }
    }
}

#[tonic::async_trait]
impl Wire for AuditTrail {
    async fn list(&self, request: Request<Search>) -> Result<Response<Page>, Status> {
        let claims = self.verifier.caller(request.metadata(), &READING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.trail_page(&claims, request.into_inner()).await?))
    }

    async fn note_own(&self, request: Request<Note>) -> Result<Response<Noted>, Status> {
        let claims = self.verifier.claims(request.metadata()).await?;
        // It waits for no upload: somebody looks at a slice until it is noted.
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        self.store.note_own(&claims, request.into_inner()).await?;
        Ok(Response::new(Noted {}))
    }

    async fn heads(&self, request: Request<HeadsRef>) -> Result<Response<Heads>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Delivery]).await?;
        Ok(Response::new(wire::audit_heads(&self.store.database).await?))
    }

    async fn read(&self, request: Request<Stretch>) -> Result<Response<Entries>, Status> {
        self.verifier.caller(request.metadata(), &[Role::Delivery]).await?;
        Ok(Response::new(wire::audit_stretch(&self.store.database, request.get_ref()).await?))
    }
}
