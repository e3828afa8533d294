//! Between the gateway and the real storage: what the gateway asks is heard, and what a sound storage never does is done.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use prost::Message;
use proto::storage::{Chunk, ListScans};
use tonic::Status;
use tonic::service::Routes;

/// A message's head in gRPC: whether it is packed, and its length.
const HEAD_BYTES: usize = 5;

/// What becomes of each call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Storage says more than it should.
    Broken,
    Late,
    Panics,
    /// As a storage of the version before, it tells nobody how large an artefact is.
    Sizeless,
}

#[derive(Clone, Default)]
pub struct Between(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    fault: Option<Fault>,
    listed: ListScans,
    request_id: String,
    reads: usize,
}

impl Between {
    pub fn before(&self, storage: Routes) -> Routes {
        storage.into_axum_router().layer(from_fn_with_state(self.clone(), pass)).into()
    }

    /// From now on each call goes wrong.
    pub fn fails(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    /// The list that was asked for last.
    pub fn listed(&self) -> ListScans {
        self.0.lock().unwrap().listed.clone()
    }

    /// The id that the last call had.
    pub fn request_id(&self) -> String {
        self.0.lock().unwrap().request_id.clone()
    }

    /// How many artefacts were asked for.
    pub fn reads(&self) -> usize {
        self.0.lock().unwrap().reads
    }

    async fn hear(&self, request: Request) -> Request {
        if request.uri().path().ends_with("/Read") {
            self.0.lock().unwrap().reads += 1;
        }
        if let Some(id) = request.headers().get("x-request-id") {
            self.0.lock().unwrap().request_id = id.to_str().unwrap().to_owned();
        }
        if !request.uri().path().ends_with("Scans/List") {
            return request;
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.0.lock().unwrap().listed = ListScans::decode(&body[HEAD_BYTES..]).unwrap();
        Request::from_parts(parts, body.into())
    }
}

async fn pass(State(between): State<Between>, request: Request, next: Next) -> Response {
    let sizes = request.uri().path().ends_with("/Read");
    let request = between.hear(request).await;
    let fault = between.0.lock().unwrap().fault;
    match fault {
        Some(Fault::Broken) => Status::internal("the password of the database is 1234").into_http(),
        Some(Fault::Late) => Status::deadline_exceeded("no answer in time").into_http(),
        Some(Fault::Panics) => panic!("as it was told to"),
        Some(Fault::Sizeless) if sizes => next.run(request).await.map(|body| {
            Body::new(body.map_frame(|frame| frame.map_data(|message| sizeless(&message))))
        }),
        Some(Fault::Sizeless) | None => next.run(request).await,
    }
}

/// The same pieces, of which none tells how much there is.
fn sizeless(messages: &Bytes) -> Bytes {
    let (mut rest, mut all) = (messages.clone(), Vec::new());
    while !rest.is_empty() {
        let head = rest.split_to(HEAD_BYTES);
        let length = u32::from_be_bytes(head[1..].try_into().unwrap());
        let chunk = Chunk::decode(rest.split_to(length as usize)).unwrap();
        let chunk = Chunk { size_bytes: 0, ..chunk }.encode_to_vec();
        all.push(0);
        all.extend(u32::try_from(chunk.len()).unwrap().to_be_bytes());
        all.extend(chunk);
    }
    all.into()
}
