use proto::delivery::delivery_server::Delivery;
use proto::delivery::{
    DeliveryEntry, DeliveryPage, DeliveryRef, Destination, DestinationChange, DestinationMade,
    DestinationRef, DestinationRemoved, Destinations, ListDeliveriesRequest,
    ListDestinationsRequest, NewDestination, RowsKept, ScansAsked,
};
use service::claims::{Role, Verifier};
use tonic::{Request, Response, Status};

use crate::Store;
use crate::post::Post;

/// Who decides where results go, and who looks after what went where.
const DECIDING: [Role; 1] = [Role::Admin];
const LOOKING: [Role; 2] = [Role::Admin, Role::Integrator];

/// Translates between the wire and the store.
pub struct Rpc {
    pub store: Store,
    pub post: Post,
    pub verifier: Verifier,
}

#[tonic::async_trait]
impl Delivery for Rpc {
    async fn create_destination(
        &self,
        request: Request<NewDestination>,
    ) -> Result<Response<DestinationMade>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING).await?;
        let guard = &self.post.guard;
        Ok(Response::new(self.store.create(&claims, guard, request.into_inner()).await?))
    }

    async fn list_destinations(
        &self,
        request: Request<ListDestinationsRequest>,
    ) -> Result<Response<Destinations>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING).await?;
        Ok(Response::new(self.store.destinations(claims.tenant()).await?))
    }

    async fn change_destination(
        &self,
        request: Request<DestinationChange>,
    ) -> Result<Response<Destination>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING).await?;
        let guard = &self.post.guard;
        Ok(Response::new(self.store.change(&claims, guard, request.into_inner()).await?))
    }

    async fn remove_destination(
        &self,
        request: Request<DestinationRef>,
    ) -> Result<Response<DestinationRemoved>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING).await?;
        self.store.remove(&claims, &request.get_ref().id).await?;
        Ok(Response::new(DestinationRemoved {}))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<DeliveryPage>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LOOKING).await?;
        Ok(Response::new(self.store.deliveries(claims.tenant(), request.get_ref()).await?))
    }

    async fn count_rows(&self, request: Request<ScansAsked>) -> Result<Response<RowsKept>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING).await?;
        let rows = self.store.rows_of(claims.tenant(), &request.get_ref().scan_ids).await?;
        Ok(Response::new(RowsKept { rows }))
    }

    async fn send_again(
        &self,
        request: Request<DeliveryRef>,
    ) -> Result<Response<DeliveryEntry>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LOOKING).await?;
        Ok(Response::new(self.store.send_again(&claims, &request.get_ref().id).await?))
    }
}
