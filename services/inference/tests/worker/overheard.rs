//! What a worker asks of the real storage, and the one thing that a sound storage never does to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use prost::Message;
use proto::storage::ClaimJob;
use service::{Peer, Service};

/// A message's head in gRPC: whether it is packed, and its length.
const HEAD_BYTES: usize = 5;
/// Well within a volume's bytes, wherever a piece of it begins.
const DAMAGED_BYTE: usize = 100;

/// A call that was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub method: String,
    /// Of a claim: what was claimed.
    pub job_id: Option<String>,
    pub refused: bool,
}

/// The way to a storage, with ears.
pub struct Overheard {
    peer: Peer,
    heard: Heard,
}

#[derive(Clone, Default)]
struct Heard {
    calls: Arc<Mutex<Vec<Call>>>,
    damages: Arc<AtomicBool>,
}

impl Overheard {
    pub fn of(storage: &Service) -> Overheard {
        let heard = Heard::default();
        let grpc = storage.grpc.clone().into_axum_router();
        let grpc = grpc.layer(from_fn_with_state(heard.clone(), listen)).into();
        let peer = Peer::within(&Service { grpc, ..Service::default() });
        Overheard { peer, heard }
    }

    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// From now on volumes are damaged on their way.
    pub fn damage(&self) {
        self.heard.damages.store(true, Ordering::SeqCst);
    }

    /// The calls of these methods so far, in order.
    pub fn calls(&self, methods: &[&str]) -> Vec<Call> {
        let calls = self.heard.calls.lock().unwrap();
        calls.iter().filter(|call| methods.contains(&call.method.as_str())).cloned().collect()
    }

    /// How many calls of the method were refused, or not.
    pub fn count(&self, method: &str, refused: bool) -> usize {
        self.calls(&[method]).iter().filter(|call| call.refused == refused).count()
    }
}

async fn listen(State(heard): State<Heard>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let method = path.rsplit('/').next().unwrap_or_default().to_owned();
    let (request, job_id) = match method.as_str() {
        "Claim" => claimed(request).await,
        _ => (request, None),
    };
    let response = next.run(request).await;
    // Else the status comes when all has been said.
    let refused = response.headers().contains_key("grpc-status");
    let damaged = method == "ReadVolume" && heard.damages.load(Ordering::SeqCst);
    heard.calls.lock().unwrap().push(Call { method, job_id, refused });
    if damaged { response.map(|body| Body::new(damage(body))) } else { response }
}

/// The request, and the job that it is about.
async fn claimed(request: Request) -> (Request, Option<String>) {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let claim = ClaimJob::decode(&body[HEAD_BYTES..]).unwrap();
    (Request::from_parts(parts, body.into()), Some(claim.job_id))
}

fn damage(body: Body) -> impl http_body::Body<Data = Bytes, Error = axum::Error> + Send {
    body.map_frame(|frame| {
        frame.map_data(|data| {
            let mut bytes = data.to_vec();
            if let Some(byte) = bytes.get_mut(DAMAGED_BYTE) {
                *byte ^= 1;
            }
            bytes.into()
        })
    })
}
