use bytes::Bytes;
use domain::Result;
use futures::stream::{self, StreamExt, TryStreamExt};
use platform::blob::ByteStream;
use proto::storage::learning_server::Learning as Wire;
use proto::storage::{
    Chunk, ConfirmedPage, Consent, ConsentRef, Decision, ListConfirmedScans, NamesOfOriginal,
    OriginalChunk, ScanRef, TruthChunk,
};
use service::claims::{Role, Verifier};
use service::status_in_stream;
use tonic::{Request, Response, Status};

use super::{Responses, chunks};
use crate::learning::TrueMask;
use crate::store::Store;

/// The roles that make models.
const LEARNING_ROLES: [Role; 2] = [Role::Scientist, Role::Admin];

/// The role that decides for its hospital.
const DECIDING_ROLES: [Role; 1] = [Role::Admin];

/// Whoever is a person or a system of the hospital may know what was decided.
const KNOWING_ROLES: [Role; 4] = [Role::Clinician, Role::Integrator, Role::Scientist, Role::Admin];

/// The RPCs for whoever makes models of what readers have confirmed.
pub struct Learning {
    store: Store,
    verifier: Verifier,
}

impl Learning {
    pub fn new(store: Store, verifier: Verifier) -> Learning {
        Learning { store, verifier }
    }
}

#[tonic::async_trait]
impl Wire for Learning {
    async fn get_consent(&self, request: Request<ConsentRef>) -> Result<Response<Consent>, Status> {
        let claims = self.verifier.caller(request.metadata(), &KNOWING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.consent(claims.tenant()).await?))
    }

    async fn decide(&self, request: Request<Decision>) -> Result<Response<Consent>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.decide(&claims, request.get_ref().learning).await?))
    }

    async fn list_confirmed(
        &self,
        request: Request<ListConfirmedScans>,
    ) -> Result<Response<ConfirmedPage>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LEARNING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.confirmed(&claims, request.get_ref()).await?))
    }

    type ReadImageStream = Responses<Chunk>;

    async fn read_image(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<Self::ReadImageStream>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LEARNING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let read = self.store.training_image(&claims, &request.get_ref().id).await?;
        Ok(Response::new(chunks(read)))
    }

    type ReadTruthStream = Responses<TruthChunk>;

    async fn read_truth(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<Self::ReadTruthStream>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LEARNING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let (mask, beginning) = self.store.training_truth(&claims, &request.get_ref().id).await?;
        Ok(Response::new(told(mask, beginning)))
    }

    type ReadOriginalStream = Responses<OriginalChunk>;

    async fn read_original(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<Self::ReadOriginalStream>, Status> {
        // What it hands out names a patient: no token of a person suffices.
        self.verifier.require_service(request.metadata()).await?;
        let claims = self.verifier.caller(request.metadata(), &LEARNING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let (names, bytes) = self.store.training_original(&claims, &request.get_ref().id).await?;
        Ok(Response::new(named(names, bytes)))
    }
}

/// What its images are called, and then the upload's bytes.
fn named(names: NamesOfOriginal, bytes: ByteStream) -> Responses<OriginalChunk> {
    let first = OriginalChunk { names: Some(names), ..OriginalChunk::default() };
    let piece = |data| OriginalChunk { data, ..OriginalChunk::default() };
    stream::iter([Ok(first)]).chain(bytes.map_ok(piece).map_err(status_in_stream)).boxed()
}

/// What is known of the mask, and then its bytes.
fn told(mask: Option<TrueMask>, volume_beginning: Bytes) -> Responses<TruthChunk> {
    let first = TruthChunk { volume_beginning, ..TruthChunk::default() };
    let Some(TrueMask { name, size, bytes }) = mask else {
        return stream::iter([Ok(first)]).boxed();
    };
    let first = TruthChunk { size_bytes: size, name, ..first };
    let piece = |data| TruthChunk { data, ..TruthChunk::default() };
    let rest = bytes.map_ok(piece).map_err(status_in_stream);
    stream::iter([Ok(first)]).chain(rest).boxed()
}
