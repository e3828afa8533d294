use domain::Result;
use proto::storage::erasures_server::Erasures as Wire;
use proto::storage::{
    Arrivals, ErasedArrival, ErasedArrivalNoted, ErasedArrivals, Erasure, ErasureLift,
    ErasureLifted, ErasureRef, Hold, HoldChange, Holds, HoldsRef, NewErasure, Retention,
    RetentionRef, RetentionRule,
};
use service::claims::{Claims, Role, Verifier};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::scans::SCAN_ROLES;
use crate::store::Store;

/// The RPCs for what a hospital forgets.
pub struct Erasures {
    store: Store,
    verifier: Verifier,
}

impl Erasures {
    pub fn new(store: Store, verifier: Verifier) -> Erasures {
        Erasures { store, verifier }
    }

    /// Who decides for the hospital.
    async fn admin(&self, metadata: &MetadataMap) -> Result<Claims> {
        self.verifier.caller(metadata, &[Role::Admin]).await
    }

    /// Who has sent what ingest asks about, or tells of.
    async fn sender(&self, metadata: &MetadataMap) -> Result<Claims> {
        let claims = self.verifier.sender(metadata).await?;
        claims.require(&SCAN_ROLES)?;
        Ok(claims)
    }
}

#[tonic::async_trait]
impl Wire for Erasures {
    async fn erase(&self, request: Request<NewErasure>) -> Result<Response<Erasure>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.erase_patient(&claims, request.into_inner()).await?))
    }

    async fn get_erasure(&self, request: Request<ErasureRef>) -> Result<Response<Erasure>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.erasure(claims.tenant(), &request.get_ref().id).await?))
    }

    async fn lift(&self, request: Request<ErasureLift>) -> Result<Response<ErasureLifted>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        self.store.lift_erasure(&claims, request.into_inner()).await?;
        Ok(Response::new(ErasureLifted {}))
    }

    async fn find_erased(
        &self,
        request: Request<Arrivals>,
    ) -> Result<Response<ErasedArrivals>, Status> {
        let claims = self.sender(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let arrivals = request.into_inner().arrivals;
        Ok(Response::new(self.store.find_erased(claims.tenant(), arrivals).await?))
    }

    async fn note_erased(
        &self,
        request: Request<ErasedArrival>,
    ) -> Result<Response<ErasedArrivalNoted>, Status> {
        let claims = self.sender(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        self.store.note_erased(&claims, request.into_inner()).await?;
        Ok(Response::new(ErasedArrivalNoted {}))
    }

    async fn set_hold(&self, request: Request<HoldChange>) -> Result<Response<Hold>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.set_hold(&claims, request.into_inner()).await?))
    }

    async fn list_holds(&self, request: Request<HoldsRef>) -> Result<Response<Holds>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.holds(claims.tenant()).await?))
    }

    async fn get_retention(
        &self,
        request: Request<RetentionRef>,
    ) -> Result<Response<Retention>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.retention(claims.tenant()).await?))
    }

    async fn set_retention(
        &self,
        request: Request<RetentionRule>,
    ) -> Result<Response<Retention>, Status> {
        let claims = self.admin(request.metadata()).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.set_retention(&claims, request.get_ref()).await?))
    }
}
