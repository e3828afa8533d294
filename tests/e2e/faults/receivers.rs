//! Destinations that a row's results are pushed to, each with a fault of its own, and what they have taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tests::mesh::Mesh;
use tests::process::free_port;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::ledger::{Judged, Ledger};

/// How long the one that is away is away.
pub const AWAY: Duration = Duration::from_secs(6);
pub const SLOW: Duration = Duration::from_secs(1);
/// Of so many messages that are new to it, the one that takes half keeps one and says that it did not.
const HALF_EVERY: usize = 6;
const LOOK: Duration = Duration::from_millis(200);

/// What is wrong with a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    Nothing,
    Away,
    Slow,
    Half,
}

pub const FAULTS: [Fault; 4] = [Fault::Nothing, Fault::Away, Fault::Slow, Fault::Half];

/// The ids under which a scan's result came, and whether each was of that scan.
#[derive(Default)]
struct Taken {
    ids: BTreeMap<String, BTreeSet<String>>,
    swapped: usize,
}

#[derive(Clone)]
struct Receiver {
    fault: Fault,
    taken: Arc<Mutex<Taken>>,
}

/// All of them, as destinations of the mesh's hospital.
pub struct Receivers {
    all: Vec<(Receiver, String, JoinHandle<()>)>,
}

impl Receivers {
    pub async fn start(mesh: &Mesh) -> anyhow::Result<Receivers> {
        let client = mesh.client().await?;
        let mut all = Vec::new();
        for fault in FAULTS {
            let receiver = Receiver { fault, taken: Arc::default() };
            let address = format!("127.0.0.1:{}", free_port()?);
            let task = tokio::spawn(serve(receiver.clone(), address.clone()));
            let hook = json!({
                "name": format!("{fault:?}"), "kind": "webhook", "url": format!("http://{address}/hook"),
                "formats": ["cloudevent"],
            });
            let (status, made) = client.post_json("/v1/destinations", &hook).await?;
            ensure!(status == 201, "{status}: {made}");
            all.push((receiver, made["id"].as_str().context("an id")?.to_owned(), task));
        }
        Ok(Receivers { all })
    }

    /// Waits until each has each scan of the ledger, or nothing new comes; then counts, and takes the destinations away.
    pub async fn judge(
        self,
        mesh: &Mesh,
        ledger: &Ledger,
        patience: Duration,
        judged: &mut Judged,
    ) -> anyhow::Result<()> {
        let (mut there, mut since) = (0, Instant::now());
        while there < ledger.len() * self.all.len() && since.elapsed() < patience {
            sleep(LOOK).await;
            let now: usize = self.all.iter().map(|(receiver, ..)| receiver.taken().ids.len()).sum();
            if now > there {
                (there, since) = (now, Instant::now());
            }
        }
        let scans: BTreeSet<&String> = ledger.values().collect();
        for (receiver, destination, task) in &self.all {
            receiver.count(&scans, judged);
            remove(mesh, destination).await?;
            task.abort();
        }
        Ok(())
    }
}

impl Receiver {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, scans: &BTreeSet<&String>, judged: &mut Judged) {
        let taken = self.taken();
        let Taken { ids, swapped } = &*taken;
        let missing = scans.iter().filter(|scan| !ids.contains_key(**scan)).count();
        if missing > 0 {
            println!("the destination {:?} was told nothing of {missing} scans", self.fault);
        }
        judged.lost += missing;
        // The same result again, under the id that it came by, is what the manual promises.
        judged.doubled += ids.values().map(|ids| ids.len() - 1).sum::<usize>();
        judged.swapped += swapped;
        judged.leaked += ids.keys().filter(|scan| !scans.contains(scan)).count();
    }

    /// Keeps a message; says whether it is new.
    fn keep(&self, id: &str, event: &Value) -> bool {
        let scan = event["subject"].as_str().unwrap_or_default().to_owned();
        let result = &event["data"]["result"];
        let mut taken = self.taken();
        taken.swapped += usize::from(result["scan_id"] != event["subject"]);
        taken.ids.entry(scan).or_default().insert(id.to_owned())
    }
}

/// Listens; whoever is away does so later.
async fn serve(receiver: Receiver, address: String) {
    if receiver.fault == Fault::Away {
        sleep(AWAY).await;
    }
    let Ok(listener) = TcpListener::bind(&address).await else {
        println!("the port of a destination was taken by somebody else");
        return;
    };
    let router = Router::new().fallback(take).with_state(receiver);
    let _ = axum::serve(listener, router).await;
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let Ok(event) = serde_json::from_slice::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    // A row may have scans enough for a drift, which is of none of them.
    if event["type"] != "scan.result" {
        return StatusCode::OK;
    }
    if receiver.fault == Fault::Slow {
        sleep(SLOW).await;
    }
    let is_new = receiver.keep(id, &event);
    let seen = receiver.taken().ids.len();
    if receiver.fault == Fault::Half && is_new && seen.is_multiple_of(HALF_EVERY) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    StatusCode::OK
}

/// Takes a destination away.
pub async fn remove(mesh: &Mesh, destination: &str) -> anyhow::Result<()> {
    let client = mesh.client().await?;
    let address = format!("{}/v1/destinations/{destination}", client.url);
    let removed = client.http.delete(address).bearer_auth(&client.token).send().await?;
    ensure!(removed.status() == 204, "{}", removed.status());
    Ok(())
}
