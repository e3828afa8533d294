use domain::{ErrorKind, Result};
use proto::auth::KeysRequest;
use proto::auth::auth_client::AuthClient;
use proto::delivery::ListDeliveriesRequest;
use proto::delivery::delivery_client::DeliveryClient;
use proto::drift::ReportRef;
use proto::drift::drift_client::DriftClient;
use proto::ingest::ingest_client::IngestClient;
use proto::registry::ListVersions;
use proto::registry::models_client::ModelsClient;
use proto::storage::ScanRef;
use proto::storage::scans_client::ScansClient;
use service::{Check, Peer, check};
use tonic::{Code, Response, Status};

use crate::Peers;

/// Whether the peers answer that a request may need: for people who look for the one that is away.
pub fn checks(peers: &Peers) -> Vec<(String, Check)> {
    let (auth, ingest) =
        (AuthClient::new(peers.auth.clone()), IngestClient::new(peers.ingest.clone()));
    let (storage, drift) =
        (ScansClient::new(peers.storage.clone()), DriftClient::new(peers.drift.clone()));
    let auth = check(move || {
        let mut auth = auth.clone();
        async move { answers(auth.keys(KeysRequest {}).await) }
    });
    let takes_uploads = |ingest: IngestClient<Peer>| {
        check(move || {
            let mut ingest = ingest.clone();
            async move { answers(ingest.upload(tokio_stream::empty()).await) }
        })
    };
    let ingest = takes_uploads(ingest);
    let inbox = peers.inbox.clone().map(|inbox| takes_uploads(IngestClient::new(inbox)));
    let storage = check(move || {
        let mut storage = storage.clone();
        async move { answers(storage.get(ScanRef::default()).await) }
    });
    let drift = check(move || {
        let mut drift = drift.clone();
        async move { answers(drift.get_report(ReportRef::default()).await) }
    });
    let models = ModelsClient::new(peers.registry.clone());
    let registry = check(move || {
        let mut models = models.clone();
        async move { answers(models.list(ListVersions::default()).await) }
    });
    let deliveries = DeliveryClient::new(peers.delivery.clone());
    let delivery = check(move || {
        let mut deliveries = deliveries.clone();
        async move { answers(deliveries.list_deliveries(ListDeliveriesRequest::default()).await) }
    });
    let always = [
        ("auth", auth),
        ("delivery", delivery),
        ("drift", drift),
        ("ingest", ingest),
        ("registry", registry),
        ("storage", storage),
    ];
    let named = always.into_iter().chain(inbox.map(|inbox| ("inbox", inbox)));
    named.map(|(name, ask)| (name.to_owned(), ask)).collect()
}

/// A peer that asks for a token is there; whether it is ready itself, it says on its own.
fn answers<T>(answer: Result<Response<T>, Status>) -> Result<()> {
    match answer.map_err(|status| status.code()) {
        Ok(_) | Err(Code::Unauthenticated) => Ok(()),
        Err(_) => Err(ErrorKind::Unavailable.error("it does not answer")),
    }
}
