//! The gateway through its front door, with doubles of its peers for what real ones do rarely.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod artefacts;
mod batches;
mod docs;
mod doubles;
mod drift;
mod events;
mod http;
mod memory;
mod page;
mod problems;
mod scans;
mod token;
mod uploads;

use std::time::Duration;

use gateway::{Config, Peers};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use service::claims::Role;
use service::claims::testing::Issuer;
use service::{Peer, Service, system_clock, system_random};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;

use doubles::{Auth, Drift, Ingest, Scans};

/// A gateway on a port of its own; stops when dropped.
struct Gateway {
    url: String,
    token: String,
    ingest: Ingest,
    scans: Scans,
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
        let stop = CancellationToken::new();
        let (issuer, ingest, scans) = (Issuer::new(), Ingest::default(), Scans::default());
        let token = issuer
            .token("018f0000-0000-7000-8000-000000000001".parse().unwrap(), &[Role::Clinician]);
        let auth = reach(Routes::new(Auth::new(issuer).server()), way, &stop).await;
        let storage = reach(Routes::new(scans.clone().server()), way, &stop).await;
        let drift = reach(Routes::new(Drift.server()), way, &stop).await;
        let peers = Peers {
            auth,
            storage,
            drift,
            ingest: reach(Routes::new(ingest.clone().server()), way, &stop).await,
        };
        let service = gateway::build(config, peers, system_clock(), system_random()).unwrap();
        let url = listen(service, &stop).await;
        service::choose_tls();
        Gateway {
            url,
            token,
            ingest,
            scans,
            client: reqwest::Client::new(),
            _stop: stop.drop_guard(),
        }
    }

    /// Nobody answers it.
    async fn alone() -> Gateway {
        service::choose_tls();
        let away = Peer::connect("http://127.0.0.1:1").unwrap();
        let peers =
            Peers { auth: away.clone(), storage: away.clone(), drift: away.clone(), ingest: away };
        let stop = CancellationToken::new();
        let service =
            gateway::build(Config::default(), peers, system_clock(), system_random()).unwrap();
        let url = listen(service, &stop).await;
        let token = Issuer::new()
            .token("018f0000-0000-7000-8000-000000000001".parse().unwrap(), &[Role::Clinician]);
        let (ingest, scans) = (Ingest::default(), Scans::default());
        let client = reqwest::Client::new();
        Gateway { url, token, ingest, scans, client, _stop: stop.drop_guard() }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// The address to open a socket to.
    fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

async fn reach(grpc: Routes, way: Way, stop: &CancellationToken) -> Peer {
    let service = Service { name: "double", grpc, ..Service::default() };
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
