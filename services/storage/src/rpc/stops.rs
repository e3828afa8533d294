use proto::storage::stops_server::Stops as Wire;
use proto::storage::{LiftStop, StopRule, StopState, StopsRef};
use service::claims::{Role, Verifier};
use tonic::{Request, Response, Status};

use crate::stops::for_readers;
use crate::store::Store;

/// Whoever is a person of the hospital may know which models answer.
const KNOWING_ROLES: [Role; 3] = [Role::Clinician, Role::Scientist, Role::Admin];

/// Whoever may know what single words come to.
const FULL_ROLES: [Role; 2] = [Role::Scientist, Role::Admin];

/// The role that decides for its hospital.
const DECIDING_ROLES: [Role; 1] = [Role::Admin];

/// The RPCs for whoever decides when a model answers no more.
pub struct Stops {
    store: Store,
    verifier: Verifier,
}

impl Stops {
    pub fn new(store: Store, verifier: Verifier) -> Stops {
        Stops { store, verifier }
    }
}

#[tonic::async_trait]
impl Wire for Stops {
    async fn get_stops(&self, request: Request<StopsRef>) -> Result<Response<StopState>, Status> {
        let claims = self.verifier.caller(request.metadata(), &KNOWING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let state = self.store.stops(claims.tenant()).await?;
        let in_full = claims.roles.iter().any(|role| FULL_ROLES.contains(role));
        Ok(Response::new(if in_full { state } else { for_readers(state) }))
    }

    async fn set_rule(&self, request: Request<StopRule>) -> Result<Response<StopState>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.set_stop_rule(&claims, request.into_inner()).await?))
    }

    async fn lift(&self, request: Request<LiftStop>) -> Result<Response<StopState>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.lift(&claims, request.into_inner()).await?))
    }
}
