//! The bare model on a socket, asked by both forms of the Open Inference Protocol.

mod grpc;
mod memory;
mod rest;

use domain::TenantId;
use inference::{BARE_MODEL_MIB, Config, Peers, Ports, build};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use service::claims::Role;
use service::claims::testing::Issuer;
use service::{choose_tls, system_clock, system_random};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::bench::config;

/// Of the engines without weights.
const SIDE: usize = 256;
const PIXELS: usize = SIDE * SIDE;
/// What `echo:` marks.
const BRIGHT: f32 = 2.5;
/// More than a request may have.
const TOO_MANY_BYTES: usize = (64 << 20) + 1;

/// A worker that has nothing to do but to answer; it stops when dropped.
struct Face {
    url: String,
    client: reqwest::Client,
    issuer: Issuer,
    tenant: TenantId,
    _stop: DropGuard,
    _folder: TempDir,
}

impl Face {
    async fn of(model_url: &str) -> Face {
        Face::with_memory(model_url, BARE_MODEL_MIB).await
    }

    /// With so much memory for its calls.
    async fn with_memory(model_url: &str, bare_model_mib: usize) -> Face {
        choose_tls();
        let folder = tempfile::tempdir().unwrap();
        let queue_url = format!("sqlite://{}/queue.db", folder.path().display());
        let ports = Ports::open(&queue_url.into(), system_clock(), system_random()).await.unwrap();
        let issuer = Issuer::new();
        let peers = Peers { storage: issuer.peer(), auth: issuer.peer(), registry: None };
        let model_url = Some(model_url.into());
        let config = Config { model_url, research: true, bare_model_mib, ..config() };
        let service = build(config, ports, peers).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(service::serve(service, listener, stop.clone()));
        Face {
            url,
            client: reqwest::Client::new(),
            issuer,
            tenant: TenantId::new(&system_clock(), &system_random()),
            _stop: stop.drop_guard(),
            _folder: folder,
        }
    }

    fn token(&self, role: Role) -> String {
        self.issuer.token(self.tenant, &[role])
    }

    /// A request of a scientist.
    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(self.token(Role::Scientist))
    }

    /// A request of a scientist.
    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(self.token(Role::Scientist))
    }
}

/// So many tiles of the head's median; the n-th has n bright pixels.
fn tiles(count: usize) -> Vec<f32> {
    let tile = |bright: usize| (0..PIXELS).map(move |i| if i < bright { BRIGHT } else { 0.0 });
    (0..count).flat_map(tile).collect()
}

/// What `echo:` says of them.
fn echoes(count: usize) -> Vec<f32> {
    tiles(count).into_iter().map(|value| f32::from(u8::from(value == BRIGHT))).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The description of so many tiles.
fn tile(count: usize) -> Value {
    json!({"name": "tile", "datatype": "FP32", "shape": [count, SIDE, SIDE, 1]})
}

/// The status, and the words of the protocol's error.
async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    let fields = body.as_object().unwrap();
    assert_eq!(fields.len(), 1, "{body}");
    (status, fields["error"].as_str().unwrap().to_owned())
}
