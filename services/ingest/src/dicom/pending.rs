//! What was asked and is not told yet. Of whoever can be told on an association of our own it lies on disk: another process goes on
//! where this one ends.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;

use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use service::{Share, Shares};

use super::blocking;
use super::commitment::{Asked, Commitment, Fate, Referenced};
use super::inbox::{Inbox, Instance};
use super::outcome::Outcome;
use super::reception::Reception;
use super::report::Titles;
use super::senders::Sender;
use crate::spool::unusable;

/// A request for a commitment of which nothing was told yet.
pub struct Pending {
    request: Request,
    /// Of the sender who asks.
    folder: String,
    note: Option<Note>,
    _share: Share<String>,
}

/// The request, as it is noted.
#[derive(Deserialize, Serialize)]
struct Request {
    titles: Titles,
    asked: Asked,
    /// What is not decided by then is not promised.
    until_ms: i64,
    /// Of these it was seen that scans keep them: that is forgotten sooner than the request may be.
    kept: HashSet<String>,
    /// What is told, as soon as it is sure: whoever is told twice, because of a crash, is told the same.
    decided: Option<Commitment>,
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
        let (titles, kept) = (titles.clone(), HashSet::new());
        let request = Request { titles, asked, until_ms, kept, decided: None };
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
        let fates = self.fates(reception).await;
        let Request { asked, until_ms, kept, decided, .. } = &mut self.request;
        let known = kept.len();
        if !fates.contains(&Fate::Waiting) || reception.clock.now_ms() >= *until_ms {
            *decided = Some(asked.promised(&fates));
        } else {
            let seen = asked.referenced.iter().zip(&fates);
            let seen = seen.filter(|(_, fate)| **fate == Fate::Kept);
            kept.extend(seen.map(|(one, _)| one.instance.clone()));
        }
        let is_news = decided.is_some() || kept.len() > known;
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
    async fn fates(&self, reception: &Reception) -> Vec<Fate> {
        let Request { asked, kept, .. } = &self.request;
        let (inbox, folder) = (reception.inbox.clone(), self.folder.clone());
        let wanted = asked.referenced.iter().map(|one| &one.instance);
        let wanted = wanted.filter(|uid| !kept.contains(*uid));
        let wanted: HashSet<String> = wanted.cloned().collect();
        let known = match blocking(move || fates(&inbox, &folder, &wanted)).await {
            Ok(known) => Some(known),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what is kept cannot be told now"
                );
                None
            }
        };
        let fate = |one: &Referenced| match &known {
            _ if kept.contains(&one.instance) => Fate::Kept,
            Some(known) => known.get(&one.instance).copied().unwrap_or(Fate::Unknown),
            None => Fate::Waiting,
        };
        asked.referenced.iter().map(fate).collect()
    }
}

/// What has become of the wanted instances; nothing is said of those that are not here. Blocks.
fn fates(inbox: &Inbox, folder: &str, wanted: &HashSet<String>) -> Result<HashMap<String, Fate>> {
    // First what has arrived: what is put into its series meanwhile is found there.
    let arrived = inbox.arrived(folder)?.into_iter().filter_map(|path| Instance::at(path, 0));
    let arrived = arrived.map(|one| one.sop_instance).filter(|uid| wanted.contains(uid));
    let mut fates: HashMap<String, Fate> = arrived.map(|uid| (uid, Fate::Waiting)).collect();
    for series in inbox.series(folder)? {
        let mut here = inbox.named(folder, &series)?;
        here.retain(|one| wanted.contains(&one.sop_instance));
        if here.is_empty() {
            continue;
        }
        let outcome = Outcome::load(&inbox.note(folder, &series))?;
        let kept = outcome.as_ref().map(Outcome::kept).unwrap_or_default();
        for one in here {
            let fate = match kept.get(one.sha256.as_str()) {
                Some(true) => Fate::Kept,
                Some(false) => Fate::Lost,
                None => Fate::Waiting,
            };
            let known = fates.entry(one.sop_instance).or_insert(fate);
            *known = fate.max(*known);
        }
    }
    Ok(fates)
}
