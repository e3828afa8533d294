//! Who sends instances by STOW-RS: users and API clients, each with a folder of their own.
//!
//! A series is complete when its sender has long gone, and perhaps this process, too. So the newest token that each has shown is
//! kept beside what they have sent: it has ended by then, and is worth nothing to anybody but medseg's own services, which hand on
//! with it what came while it was valid.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{ErrorKind, Result, TenantId, hex};
use serde::{Deserialize, Serialize};
use service::Worker;
use service::claims::Claims;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::inbox::Inbox;
use super::reception::Reception;
use super::senders::Sender;
use super::{blocking, series};
use crate::spool::{folders, unusable};

/// Where it is kept who has sent what lies beside it.
const NOTE: &str = "caller.json";
/// Callers of one hospital, each with a folder and somebody who looks after it: more are no users and no sites.
const CALLERS_MAX: usize = 4096;
/// How often it is looked for new callers.
const TICK: Duration = Duration::from_millis(250);

/// All that have sent something, by their folders.
#[derive(Default)]
pub struct Callers {
    known: Mutex<HashMap<String, Arc<Sender>>>,
    /// Held while a caller's folder is made or removed.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Deserialize, Serialize)]
struct Note {
    tenant: String,
    site: String,
    token: String,
}

impl Callers {
    /// Those of whom an earlier process has left something in the inbox's folder. Blocks.
    pub fn left(inbox: &Path) -> Result<Callers> {
        let mut left = HashMap::new();
        for own in folders(inbox)? {
            let Some(note) = read(&own.join(NOTE))? else { continue };
            let folder = own.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let tenant: TenantId = note.tenant.parse()?;
            let sender = Sender::caller(tenant, note.token, note.site, folder.clone());
            left.insert(folder, Arc::new(sender));
        }
        Ok(Callers { known: Mutex::new(left), ..Callers::default() })
    }

    pub fn all(&self) -> Vec<Arc<Sender>> {
        self.known().values().map(Arc::clone).collect()
    }

    pub fn folders(&self) -> Vec<String> {
        self.known().keys().cloned().collect()
    }

    /// Whoever has shown that token. Returns once it is kept who they are.
    pub async fn admitted(
        &self,
        inbox: &Inbox,
        claims: &Claims,
        token: &str,
        site: &str,
    ) -> Result<Arc<Sender>> {
        let tenant = claims.tenant().id();
        let who = hex(&Sha256::digest(format!("{}\n{site}", claims.subject)));
        // Whatever accounts a hospital makes, their room is its own.
        let folder = format!("{tenant}.{who}");
        let note =
            Note { tenant: tenant.to_string(), site: site.to_owned(), token: token.to_owned() };
        let (own, inbox) = (folder.clone(), inbox.clone());
        let _changing = self.changing.lock().await;
        let is_kept = self.known().get(&folder).is_some_and(|sender| sender.has_shown(token));
        if !is_kept {
            self.require_place(tenant, &folder)?;
            blocking(move || keep(&inbox.admit(&own)?.join(NOTE), &note)).await?;
        }
        let mut known = self.known();
        let sender = known.entry(folder.clone()).or_insert_with(|| {
            Arc::new(Sender::caller(tenant, token.to_owned(), site.to_owned(), folder))
        });
        // Not before it is kept: whoever shows a token that could not be has it kept the next time.
        sender.show(token);
        Ok(Arc::clone(sender))
    }

    /// Forgets a caller of whom nothing is here, with the folder and the token in it; says whether it did. Not where somebody has
    /// them in hand beside whoever asks: there something may be on its way.
    pub async fn retired(&self, inbox: &Inbox, sender: &Arc<Sender>) -> Result<bool> {
        // The one among all that are known, and the asker's.
        const OWN: usize = 2;
        let _changing = self.changing.lock().await;
        {
            let mut known = self.known();
            if Arc::strong_count(sender) > OWN {
                return Ok(false);
            }
            known.remove(&sender.folder);
        }
        let (inbox, folder) = (inbox.clone(), sender.folder.clone());
        let left = blocking(move || inbox.leave(&folder)).await;
        if !matches!(left, Ok(true)) {
            self.known().insert(sender.folder.clone(), Arc::clone(sender));
        }
        left
    }

    /// Fails where the hospital has too many callers for one more.
    fn require_place(&self, tenant: TenantId, folder: &str) -> Result<()> {
        let (known, own) = (self.known(), format!("{tenant}."));
        let is_full = || known.keys().filter(|one| one.starts_with(&own)).count() >= CALLERS_MAX;
        if !known.contains_key(folder) && is_full() {
            return Err(ErrorKind::Exhausted.error(format!(
                "{CALLERS_MAX} senders and sites have stored instances: no more are told apart"
            )));
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Arc<Sender>>> {
        // The table is whole whatever panics beside it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts together what callers send, until it is told to stop.
pub fn gather(reception: Arc<Reception>) -> Worker {
    Worker::new("series by STOW-RS", move |stop| async move {
        let mut gathering = JoinSet::new();
        let mut begun = HashSet::new();
        while !stop.is_cancelled() {
            for sender in reception.callers.all() {
                if begun.insert(sender.folder.clone()) {
                    gathering.spawn(gathered(reception.clone(), sender, stop.clone()));
                }
            }
            // Who comes again is gathered for anew.
            for folder in ended(&mut gathering)? {
                begun.remove(&folder);
            }
            stop.run_until_cancelled(tokio::time::sleep(TICK)).await;
        }
        while gathering.join_next().await.is_some() {}
        Ok(())
    })
}

/// As [`gather`], for those of the table.
pub fn gather_table(reception: &Arc<Reception>) -> Vec<Worker> {
    let gather = |sender: &Arc<Sender>| {
        let (reception, sender) = (reception.clone(), sender.clone());
        Worker::new("DICOM series", move |stop: CancellationToken| {
            series::gathered(reception, sender, stop)
        })
    };
    reception.table.iter().map(gather).collect()
}

/// Puts together what one of them sends; the folder of a caller who is forgotten.
async fn gathered(
    reception: Arc<Reception>,
    sender: Arc<Sender>,
    stop: CancellationToken,
) -> Result<String> {
    let folder = sender.folder.clone();
    series::gathered(reception, sender, stop).await?;
    Ok(folder)
}

/// The folders of those who are forgotten. Fails where gathering has failed.
fn ended(gathering: &mut JoinSet<Result<String>>) -> Result<Vec<String>> {
    let mut forgotten = Vec::new();
    while let Some(ended) = gathering.try_join_next() {
        let folder = ended.map_err(|error| {
            ErrorKind::Internal.error("gathering what a caller sends panicked").because(error)
        })??;
        forgotten.push(folder);
    }
    Ok(forgotten)
}

fn keep(path: &Path, note: &Note) -> Result<()> {
    let json = serde_json::to_vec(note).map_err(|error| {
        ErrorKind::Internal.error("who sends instances cannot be noted").because(error)
    })?;
    durable::replace_private(path, &json).map_err(unusable)
}

/// None where there is none: what lies there is of the table's senders.
fn read(path: &Path) -> Result<Option<Note>> {
    let json = match std::fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    // A parser's own words may quote the token.
    serde_json::from_slice(&json).map(Some).map_err(|_| {
        ErrorKind::Internal.error("who has sent instances is noted, and the note is broken")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(tenant: TenantId, folder: &str) -> Arc<Sender> {
        Arc::new(Sender::caller(tenant, "first".into(), String::new(), folder.into()))
    }

    #[test]
    fn a_hospital_has_so_many_callers_and_takes_no_place_of_another() {
        let [one, other] = ["1", "2"].map(|last| {
            format!("00000000-0000-7000-8000-00000000000{last}").parse::<TenantId>().unwrap()
        });
        let folders = (0..CALLERS_MAX).map(|number| format!("{one}.{number}"));
        let known = folders.map(|folder| (folder.clone(), caller(one, &folder))).collect();
        let callers = Callers { known: Mutex::new(known), ..Callers::default() };
        assert!(callers.require_place(one, &format!("{one}.7")).is_ok());
        let full = callers.require_place(one, &format!("{one}.new")).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Exhausted);
        assert!(callers.require_place(other, &format!("{other}.new")).is_ok());
    }

    #[test]
    fn a_token_is_the_newest_once_it_is_shown_and_not_by_being_asked_about() {
        let tenant = "00000000-0000-7000-8000-000000000001".parse().unwrap();
        let sender = caller(tenant, "folder");
        assert!(sender.has_shown("first") && !sender.has_shown("second"));
        assert!(!sender.has_shown("second"));
        sender.show("second");
        assert!(sender.has_shown("second") && !sender.has_shown("first"));
    }
}
