//! Archives that results are sent to by C-STORE, each with a fault of its own, and what they have taken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use dicom_ul::pdu::PresentationContextResultReason::Acceptance;
use serde_json::json;
use tests::mesh::Mesh;
use tests::process::free_port;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::association::{Instance, Line};
use super::ledger::Judged;
use super::receivers::{AWAY, FAULTS, Fault, SLOW, remove};

/// Of so many objects that are new to it, the one that takes half keeps one and says that it did not.
const HALF_EVERY: usize = 2;
const LOOK: Duration = Duration::from_millis(200);
const OUT_OF_RESOURCES: u16 = 0xa700;

/// A study that was sent.
pub struct Sent {
    pub uid: String,
    pub patient_id: String,
}

/// An object that was taken.
struct Taken {
    uid: String,
    data_set: Vec<u8>,
}

impl Taken {
    fn says(&self, text: &str) -> bool {
        self.data_set.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

#[derive(Clone)]
struct Archive {
    fault: Fault,
    taken: Arc<Mutex<Vec<Taken>>>,
}

/// All of them, as destinations of the mesh's hospital.
pub struct Archives {
    all: Vec<(Archive, String, JoinHandle<()>)>,
}

impl Archives {
    pub async fn start(mesh: &Mesh) -> anyhow::Result<Archives> {
        let client = mesh.client().await?;
        let mut all = Vec::new();
        for fault in FAULTS {
            let archive = Archive { fault, taken: Arc::default() };
            let address = format!("127.0.0.1:{}", free_port()?);
            let task = tokio::spawn(serve(archive.clone(), address.clone()));
            let destination = json!({
                "name": format!("archive: {fault:?}"), "kind": "cstore", "url": format!("dicom://{address}"),
                "formats": ["sr.dcm"], "called_ae_title": "ARCHIVE",
            });
            let (status, made) = client.post_json("/v1/destinations", &destination).await?;
            ensure!(status == 201, "{status}: {made}");
            all.push((archive, made["id"].as_str().context("an id")?.to_owned(), task));
        }
        Ok(Archives { all })
    }

    /// Waits until each has the result of each study that was sent, or nothing new comes; then counts, and takes the destinations away.
    /// Of a study of `before` the news may have come late.
    pub async fn judge(
        self,
        mesh: &Mesh,
        (sent, before): (&[Sent], &[String]),
        patience: Duration,
        judged: &mut Judged,
    ) -> anyhow::Result<()> {
        let (mut there, mut since) = (0, Instant::now());
        while there < sent.len() * self.all.len() && since.elapsed() < patience {
            sleep(LOOK).await;
            let now: usize = self.all.iter().map(|(archive, ..)| archive.has_of(sent)).sum();
            if now > there {
                (there, since) = (now, Instant::now());
            }
        }
        for (archive, destination, task) in &self.all {
            archive.count((sent, before), judged);
            remove(mesh, destination).await?;
            task.abort();
        }
        Ok(())
    }
}

impl Archive {
    fn taken(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object that came twice is there once, as archives have it.
    fn uids(&self) -> BTreeSet<String> {
        self.taken().iter().map(|taken| taken.uid.clone()).collect()
    }

    /// Of how many of the studies it has something.
    fn has_of(&self, sent: &[Sent]) -> usize {
        let taken = self.taken();
        let is_there = |study: &&Sent| taken.iter().any(|taken| taken.says(&study.uid));
        sent.iter().filter(is_there).count()
    }

    fn count(&self, (sent, before): (&[Sent], &[String]), judged: &mut Judged) {
        let taken = self.taken();
        for study in sent {
            let own: Vec<_> = taken.iter().filter(|taken| taken.says(&study.uid)).collect();
            if own.is_empty() {
                println!("the archive {:?} has no result of a study", self.fault);
                judged.lost += 1;
            }
            let uids: BTreeSet<_> = own.iter().map(|taken| &taken.uid).collect();
            judged.doubled += uids.len().saturating_sub(1);
            let of_others = own.iter().filter(|taken| !taken.says(&study.patient_id));
            judged.swapped += of_others.count();
        }
        let is_strange = |taken: &&Taken| {
            let mut known = sent.iter().map(|study| &study.uid).chain(before);
            !known.any(|study| taken.says(study))
        };
        judged.leaked += taken.iter().filter(is_strange).count();
    }

    /// Keeps an object; the status that it is answered with.
    async fn keep(&self, uid: String, data_set: Vec<u8>) -> u16 {
        if self.fault == Fault::Slow {
            sleep(SLOW).await;
        }
        let before = self.uids();
        let is_new = !before.contains(&uid);
        self.taken().push(Taken { uid, data_set });
        let is_half = self.fault == Fault::Half && (before.len() + 1).is_multiple_of(HALF_EVERY);
        if is_new && is_half { OUT_OF_RESOURCES } else { 0 }
    }
}

/// Listens; whoever is away does so later.
async fn serve(archive: Archive, address: String) {
    if archive.fault == Fault::Away {
        sleep(AWAY).await;
    }
    let Ok(listener) = TcpListener::bind(&address).await else {
        println!("the port of an archive was taken by somebody else");
        return;
    };
    while let Ok((stream, _)) = listener.accept().await {
        let archive = archive.clone();
        tokio::spawn(async move {
            // Delivery is killed amid it: then it breaks off.
            let _ = served(&archive, Line::new(stream)).await;
        });
    }
}

/// Takes whatever is proposed.
async fn served(archive: &Archive, mut line: Line) -> anyhow::Result<()> {
    let association = line.association().await?;
    line.accept(&association, |_| Acceptance).await?;
    while let Some(Instance { request, uid, data_set }) = line.instance().await? {
        let status = archive.keep(uid, data_set).await;
        line.answer(&request, status).await?;
    }
    Ok(())
}
