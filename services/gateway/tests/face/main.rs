//! The gateway through its front door, before the real auth, storage, drift and delivery, and an ingest that tells what it was sent.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod accounts;
mod artefacts;
mod audit;
mod authorisation;
mod batches;
mod between;
mod deliveries;
mod dicom;
mod dicomweb;
mod docs;
mod drift;
mod erasures;
mod evaluations;
mod events;
mod feedback;
mod forms;
mod http;
mod ingest;
mod learning;
mod limits;
mod manual;
mod memory;
mod mesh;
mod models;
mod page;
mod partial_uploads;
mod priors;
mod problems;
mod quality;
mod reports;
mod scans;
mod series;
mod slices;
mod stow;
mod token;
mod uploads;
mod volumes;
mod worklist;

use std::time::Duration;

use gateway::{Config, Peers, Ports};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use service::claims::Role;
use service::{Peer, Service, system_random};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;

use ingest::Ingest;
use mesh::{Faces, Mesh};

/// A gateway on a port of its own; stops when dropped.
struct Gateway {
    url: String,
    token: String,
    ingest: Ingest,
    mesh: Mesh,
    client: reqwest::Client,
    _stop: DropGuard,
}

/// How the gateway reaches its peers.
#[derive(Clone, Copy, Debug)]
enum Way {
    Within,
    Network,
}

impl Gateway {
    async fn start() -> Gateway {
        Gateway::with(Config::default(), Way::Within).await
    }

    async fn with(config: Config, way: Way) -> Gateway {
        Gateway::beside(None, config, way).await
    }

    /// Beside its ingest there may be another, in whose inbox instances wait.
    async fn beside(inbox: Option<Ingest>, config: Config, way: Way) -> Gateway {
        let stop = CancellationToken::new();
        let (mesh, Faces { auth, storage, drift, registry, delivery }) = Mesh::open().await;
        let ingest = Ingest::default();
        let inbox = match inbox {
            Some(inbox) => Some(reach(Routes::new(inbox.server()), way, &stop).await),
            None => None,
        };
        let peers = Peers {
            auth: reach(auth, way, &stop).await,
            storage: reach(storage, way, &stop).await,
            drift: reach(drift, way, &stop).await,
            registry: reach(registry, way, &stop).await,
            delivery: reach(delivery, way, &stop).await,
            ingest: reach(Routes::new(ingest.clone().server()), way, &stop).await,
            inbox,
        };
        Gateway::before(peers, config, (mesh, ingest), stop).await
    }

    /// Nobody answers it.
    async fn alone() -> Gateway {
        service::choose_tls();
        let away = Peer::connect("http://127.0.0.1:1").unwrap();
        let peers = Peers {
            auth: away.clone(),
            storage: away.clone(),
            drift: away.clone(),
            delivery: away.clone(),
            registry: away.clone(),
            ingest: away,
            inbox: None,
        };
        let unreached = (Mesh::open().await.0, Ingest::default());
        Gateway::before(peers, Config::default(), unreached, CancellationToken::new()).await
    }

    async fn before(
        peers: Peers,
        config: Config,
        (mesh, ingest): (Mesh, Ingest),
        stop: CancellationToken,
    ) -> Gateway {
        let ports = Ports { clock: mesh.clock.clock(), random: system_random() };
        let service = gateway::build(config, ports, peers).unwrap();
        let url = listen(service, &stop).await;
        service::choose_tls();
        let (token, client) = (mesh.token(Role::Clinician), reqwest::Client::new());
        Gateway { url, token, ingest, mesh, client, _stop: stop.drop_guard() }
    }

    /// From now on somebody else calls.
    fn signed_in_as(mut self, role: Role) -> Gateway {
        self.token = self.mesh.token(role);
        self
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// The address to open a socket to.
    fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

async fn reach(grpc: Routes, way: Way, stop: &CancellationToken) -> Peer {
    let service = Service { name: "peer", grpc, ..Service::default() };
    match way {
        Way::Within => Peer::within(&service),
        Way::Network => Peer::connect(&listen(service, stop).await).unwrap(),
    }
}

async fn listen(service: Service, stop: &CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(service::serve(service, listener, stop.clone()));
    url
}

/// The status and the JSON of an answer.
async fn json(response: Response) -> (u16, Value) {
    (response.status().as_u16(), response.json().await.unwrap())
}

/// What a refusal says, after its form has been looked at.
async fn problem(response: Response) -> (u16, String, Value) {
    let status = response.status().as_u16();
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (media, id) = (header("content-type"), header("x-request-id"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(media.as_deref(), Some("application/problem+json"), "{body}");
    assert_eq!(
        (body["status"].as_u64(), body["instance"].as_str()),
        (Some(status.into()), id.as_deref())
    );
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    let name = body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned();
    (status, name, body)
}

/// Waits until it is so.
async fn until(wish: impl Fn() -> bool) {
    let poll = async {
        while !wish() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll)
        .await
        .expect("it did not come about in time");
}
