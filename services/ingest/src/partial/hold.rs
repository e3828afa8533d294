use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{Error, ErrorKind, PartialUploadId, Result};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::facts::{Facts, Place};
use super::{Owner, Partials, blocking};
use crate::spool::unusable;

/// How long who comes later waits until who came before has put down what it has in hand.
const PATIENCE: Duration = Duration::from_secs(15);

/// Which uploads are in hand, each by one at a time: who comes later takes over, for mostly it is the same sender, whose line was
/// lost without a word.
#[derive(Clone, Default)]
pub struct Holds(Arc<Mutex<InHand>>);

type InHand = HashMap<PartialUploadId, Hand>;

#[derive(Default)]
struct Hand {
    lock: Arc<tokio::sync::Mutex<()>>,
    /// Tells the one who has it last to put it down.
    stop: CancellationToken,
}

/// The right to change an upload, until it is dropped.
struct Hold {
    id: PartialUploadId,
    holds: Holds,
    /// None once it is given back.
    guard: Option<OwnedMutexGuard<()>>,
}

/// An upload that nobody else changes.
pub struct Held {
    pub id: PartialUploadId,
    pub place: Place,
    pub facts: Facts,
    /// Where its bytes go, locked against other processes; none where they are needed no more.
    pub bytes: Option<File>,
    /// Cancelled when somebody else wants it.
    pub stop: CancellationToken,
    _hold: Hold,
}

impl Holds {
    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, id: PartialUploadId) -> Result<(Hold, CancellationToken)> {
        let stop = CancellationToken::new();
        let lock = {
            let mut in_hand = self.in_hand();
            let hand = in_hand.entry(id).or_default();
            std::mem::replace(&mut hand.stop, stop.clone()).cancel();
            hand.lock.clone()
        };
        let guard = timeout(PATIENCE, lock.lock_owned()).await.map_err(|_| in_use())?;
        Ok((Hold { id, holds: self.clone(), guard: Some(guard) }, stop))
    }

    /// Takes it where nobody has it in hand.
    fn try_take(&self, id: PartialUploadId) -> Option<Hold> {
        let lock = self.in_hand().entry(id).or_default().lock.clone();
        let guard = lock.try_lock_owned().ok()?;
        Some(Hold { id, holds: self.clone(), guard: Some(guard) })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut in_hand = self.holds.in_hand();
        // One reference is the table's own: nobody waits for it.
        let alone = in_hand.get(&self.id).is_some_and(|hand| Arc::strong_count(&hand.lock) == 1);
        if alone {
            in_hand.remove(&self.id);
        }
    }
}

impl Partials {
    /// The owner's upload of that id, for the caller alone: whoever has it in hand puts it down.
    pub async fn hold(&self, owner: &Owner, id: &str) -> Result<Held> {
        let id: PartialUploadId = id.parse()?;
        // Before anybody is disturbed: a stranger disturbs nobody.
        self.facts(owner, id).await?;
        let (hold, stop) = self.holds.take(id).await?;
        let facts = self.facts(owner, id).await?;
        let place = self.place(owner.tenant, id);
        if facts.outcome.is_some() {
            return Ok(Held { id, place, facts, bytes: None, stop, _hold: hold });
        }
        let at = place.clone();
        let bytes = blocking(move || {
            let bytes = locked(&at.bytes)?;
            // Where another process has ended it meanwhile, this is a file that nobody would ever remove.
            at.remove_unneeded()?;
            Ok(bytes)
        })
        .await?;
        // Another process may have gone on with it, until it was locked here.
        let facts = self.facts(owner, id).await?;
        Ok(Held { id, place, facts, bytes: Some(bytes), stop, _hold: hold })
    }

    /// Removes what lies at that place and has expired, unless somebody has it in hand. Waits for nobody.
    pub(super) fn remove_idle(&self, id: PartialUploadId, place: &Place) -> Result<()> {
        let Some(_hold) = self.holds.try_take(id) else { return Ok(()) };
        // Another process has it.
        let Ok(_lock) = locked(&place.bytes) else { return Ok(()) };
        // It may have been gone on with until here.
        let known = place.read()?;
        if known.is_none_or(|facts| self.is_expired(&facts)) { place.remove() } else { Ok(()) }
    }
}

/// The file of an upload's bytes, which no other process has locked.
fn locked(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn in_use() -> Error {
    ErrorKind::Unavailable.error("another request has the upload in hand")
}
