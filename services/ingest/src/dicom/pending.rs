//! What was asked and is not told yet. Of whoever can be told on an association of our own it lies on disk: another process goes on
//! where this one ends.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{ErrorKind, Result};
use proto::storage::{BatchRef, ScanRef};
use serde::{Deserialize, Serialize};
use service::claims::authorised;
use service::{Share, Shares};
use tonic::{Code, Request};

use super::blocking;
use super::commitment::{Asked, Commitment, Fate, Referenced};
use super::inbox::{Inbox, Instance};
use super::outcome::{Keeper, OfScans, Outcome};
use super::part10;
use super::reception::Reception;
use super::report::Titles;
use super::senders::Sender;
use super::series::file_name;
use crate::spool::unusable;

/// How long storage may take to say whether something is still there: whoever has asked waits, and it is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request for a commitment of which nothing was told yet.
pub struct Pending {
    request: Noted,
    /// Of the sender who asks.
    folder: String,
    note: Option<Note>,
    _share: Share<String>,
}

/// The request, as it is noted.
#[derive(Deserialize, Serialize)]
struct Noted {
    titles: Titles,
    asked: Asked,
    /// What is not decided by then is not promised.
    until_ms: i64,
    /// Of these, by their UIDs, it was seen that scans keep them: that is forgotten sooner than the request may be.
    #[serde(default)]
    held: HashMap<String, Held>,
    /// The UIDs of those, for a process of the version before, which knows no more of them; gone one release later.
    #[serde(default)]
    kept: HashSet<String>,
    /// What is told, as soon as it is sure: whoever is told twice, because of a crash, is told the same.
    decided: Option<Commitment>,
}

/// An instance that a scan has been seen to keep.
#[derive(Deserialize, Serialize)]
struct Held {
    class: String,
    by: Keeper,
}

/// What of a request is known by what lies here.
#[derive(Default)]
struct Found {
    fates: HashMap<String, Fate>,
    /// Of those that are kept.
    held: HashMap<String, Held>,
}

/// Where a request lies until it is told.
pub struct Note(PathBuf);

impl Note {
    /// Forgets what was told, or can be told to nobody.
    pub async fn forget(self) {
        let Note(path) = self;
        let forgetting = blocking(move || {
            fs::remove_file(&path).map_err(unusable)?;
            durable::flush_folder(durable::folder_of(&path)).map_err(unusable)
        });
        if let Err(error) = forgetting.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the note of a commitment was not removed: after a restart it is told once more"
            );
        }
    }
}

impl Pending {
    /// What that sender asks, under those titles.
    pub fn of(
        asked: Asked,
        sender: &Sender,
        titles: &Titles,
        reception: &Reception,
        share: Share<String>,
    ) -> Pending {
        let until_ms = reception.clock.now_ms().saturating_add(reception.kept_ms);
        let (titles, held, kept) = (titles.clone(), HashMap::new(), HashSet::new());
        let request = Noted { titles, asked, until_ms, held, kept, decided: None };
        Pending { request, folder: sender.folder.clone(), note: None, _share: share }
    }

    /// What an earlier process has left of a sender; nobody is refused for having too much of it. Blocks.
    pub fn left(inbox: &Inbox, folder: &str, shares: &Shares<String>) -> Result<Vec<Pending>> {
        let mut left = Vec::new();
        for path in inbox.asked(folder)? {
            let json = fs::read(&path).map_err(unusable)?;
            let request = serde_json::from_slice(&json).map_err(|error| {
                let broken =
                    format!("the request for a commitment in {} is broken", path.display());
                ErrorKind::Internal.error(broken).because(error)
            })?;
            let Ok(share) = shares.take(folder.to_owned(), |_| Ok::<(), Infallible>(()));
            let (folder, note) = (folder.to_owned(), Some(Note(path)));
            left.push(Pending { request, folder, note, _share: share });
        }
        Ok(left)
    }

    /// Returns once the request, with what is known of it, survives a crash.
    pub async fn keep(&mut self, reception: &Reception) -> Result<()> {
        let json = serde_json::to_vec(&self.request).map_err(|error| {
            ErrorKind::Internal.error("a request for a commitment cannot be noted").because(error)
        })?;
        let (inbox, folder) = (reception.inbox.clone(), self.folder.clone());
        let there = self.note.as_ref().map(|Note(path)| path.clone());
        let path = blocking(move || inbox.note_asked(&folder, there, &json)).await?;
        self.note = Some(Note(path));
        Ok(())
    }

    /// Who is told, and who tells.
    pub fn titles(&self) -> &Titles {
        &self.request.titles
    }

    /// The folder of the sender who asks.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Where it lies, if it does: until it is told.
    pub fn into_note(self) -> Option<Note> {
        self.note
    }

    /// What is promised, once it is sure of every instance that a scan keeps it for good or that none will: who is promised one
    /// may delete its own. None: not yet.
    pub async fn decided(&mut self, reception: &Reception) -> Option<Commitment> {
        if self.request.decided.is_some() {
            return self.request.decided.clone();
        }
        let known = self.request.held.len();
        let mut fates = self.fates(reception).await;
        let is_over = reception.clock.now_ms() >= self.request.until_ms;
        if is_over || !fates.contains(&Fate::Waiting) {
            // At the last moment: what a scan has kept may have been deleted while the others were waited for.
            self.look_again(&mut fates, reception).await;
        }
        if is_over || !fates.contains(&Fate::Waiting) {
            self.request.decided = Some(self.request.asked.promised(&fates));
        }
        let is_news = self.request.decided.is_some() || self.request.held.len() > known;
        if is_news && self.note.is_some() {
            self.renew(reception).await;
        }
        self.request.decided.clone()
    }

    /// Notes what is known by now. Without that it is found out once more after a crash.
    async fn renew(&mut self, reception: &Reception) {
        if let Err(error) = self.keep(reception).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "what is known of a request for a commitment was not noted"
            );
        }
    }

    /// What has become of each instance that is referred to.
    async fn fates(&mut self, reception: &Reception) -> Vec<Fate> {
        let Noted { asked, held, kept, .. } = &mut self.request;
        let (inbox, folder) = (reception.inbox.clone(), self.folder.clone());
        let wanted = asked.referenced.iter().map(|one| &one.instance);
        let wanted = wanted.filter(|uid| !held.contains_key(*uid));
        let wanted: HashSet<String> = wanted.cloned().collect();
        let known = match blocking(move || found(&inbox, &folder, &wanted)).await {
            Ok(found) => {
                kept.extend(found.held.keys().cloned());
                held.extend(found.held);
                Some(found.fates)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what is kept cannot be told now"
                );
                None
            }
        };
        let fate = |one: &Referenced| match (held.get(&one.instance), &known) {
            (Some(held), _) if held.class == one.class => Fate::Kept,
            (Some(_), _) => Fate::AnotherClass,
            (None, Some(known)) => known.get(&one.instance).copied().unwrap_or(Fate::Unknown),
            (None, None) => Fate::Waiting,
        };
        asked.referenced.iter().map(fate).collect()
    }

    /// Of what is kept, whether storage has it still. While that cannot be told, it is waited for.
    async fn look_again(&self, fates: &mut [Fate], reception: &Reception) {
        let Noted { asked, held, .. } = &self.request;
        let keepers = asked.referenced.iter().zip(fates.iter());
        let keepers = keepers.filter_map(|(one, fate)| keeper(held, one, *fate));
        let keepers: HashSet<&Keeper> = keepers.collect();
        let mut told = HashMap::new();
        for by in keepers {
            match self.still(by, reception).await {
                Ok(still) => {
                    told.insert(by, still);
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "whether a scan is still kept cannot be told now"
                    );
                    // Whoever has asked waits: no more is asked of who is away.
                    break;
                }
            }
        }
        for (one, fate) in asked.referenced.iter().zip(fates) {
            let Some(by) = keeper(held, one, *fate) else { continue };
            *fate = match told.get(by) {
                None => Fate::Waiting,
                Some((_, Some(of_scans))) if !of_scans.has(&file_name(&one.instance)) => Fate::Lost,
                Some((still, _)) => *still,
            };
        }
    }

    /// What has become of what was kept there, and of a batch which of its files are.
    async fn still(&self, by: &Keeper, reception: &Reception) -> Result<(Fate, Option<OfScans>)> {
        let all = reception.senders();
        let sender = all.iter().find(|sender| sender.folder == self.folder);
        let gone = || ErrorKind::Unavailable.error("nobody sends into that folder any more");
        let acting = sender.ok_or_else(gone)?.acting(&reception.verifier).await?;
        let mut storage = reception.uploads.storage.clone();
        let told = match by {
            Keeper::Scan(id) => {
                let asked = authorised(ScanRef { id: id.clone() }, &acting.token);
                storage.get(in_time(asked)).await.map(|_| None)
            }
            Keeper::Batch(id) => {
                let asked = authorised(BatchRef { id: id.clone() }, &acting.token);
                let batch = storage.get_batch(in_time(asked)).await;
                batch.map(|batch| Some(OfScans::of(&batch.get_ref().entries)))
            }
        };
        match told {
            Ok(of_scans) => Ok((Fate::Kept, of_scans)),
            Err(status) if status.code() == Code::NotFound => Ok((Fate::Lost, None)),
            Err(status) => Err(status.into()),
        }
    }
}

/// What keeps the instance, if its fate is that it is kept.
fn keeper<'h>(held: &'h HashMap<String, Held>, one: &Referenced, fate: Fate) -> Option<&'h Keeper> {
    held.get(&one.instance).filter(|_| fate == Fate::Kept).map(|held| &held.by)
}

fn in_time<T>(mut request: Request<T>) -> Request<T> {
    request.set_timeout(PATIENCE);
    request
}

/// What has become of the wanted instances; nothing is said of those that are not here. Blocks.
fn found(inbox: &Inbox, folder: &str, wanted: &HashSet<String>) -> Result<Found> {
    // First what has arrived: what is put into its series meanwhile is found there.
    let arrived = inbox.arrived(folder)?.into_iter().filter_map(|path| Instance::at(path, 0));
    let arrived = arrived.map(|one| one.sop_instance).filter(|uid| wanted.contains(uid));
    let fates = arrived.map(|uid| (uid, Fate::Waiting)).collect();
    let mut found = Found { fates, ..Found::default() };
    for series in inbox.series(folder)? {
        let mut here = inbox.named(folder, &series)?;
        here.retain(|one| wanted.contains(&one.sop_instance));
        if here.is_empty() {
            continue;
        }
        let outcome = Outcome::load(&inbox.note(folder, &series))?;
        let kept = outcome.as_ref().map(Outcome::kept).unwrap_or_default();
        let keeper = outcome.as_ref().and_then(Outcome::keeper);
        for one in here {
            let fate = match (kept.get(one.sha256.as_str()), &keeper) {
                (Some(true), Some(by)) => {
                    let held = Held { class: class_of(&one.path)?, by: by.clone() };
                    found.held.insert(one.sop_instance.clone(), held);
                    Fate::Kept
                }
                (Some(_), _) => Fate::Lost,
                (None, _) => Fate::Waiting,
            };
            let known = found.fates.entry(one.sop_instance).or_insert(fate);
            *known = fate.max(*known);
        }
    }
    let Found { fates, held } = &mut found;
    held.retain(|uid, _| fates.get(uid) == Some(&Fate::Kept));
    Ok(found)
}

/// Of which class the instance is that lies there, by the head that was written before it. Blocks.
fn class_of(path: &Path) -> Result<String> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(unusable)?;
    file.take(part10::CLASS_BYTES).read_to_end(&mut head).map_err(unusable)?;
    let headless = || ErrorKind::Internal.error("an instance of the inbox has no head of ours");
    part10::sop_class(&head).ok_or_else(headless)
}
