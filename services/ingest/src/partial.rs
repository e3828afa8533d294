//! Uploads whose bytes come in several calls. What is acknowledged survives the process; nothing is read before all is there.
//!
//! All that is known of them lies on disk, so that another process on the same folder can go on with them.

mod append;
mod facts;
mod finish;
mod hold;
mod sweep;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, ErrorKind, PartialUploadId, Random, Result, TenantId};
use proto::ingest::partial_upload::Outcome;
use proto::ingest::{PartialUpload, UploadBeginning};

use crate::reserve::Reserve;
use crate::spool::folders;

use facts::{Facts, Place, in_folder};
pub use hold::Held;
use hold::Holds;
pub use sweep::sweep;

/// A hospital has so many parts of all there may be at most, and one sender so many of a hospital's: nobody keeps everybody out
/// with uploads that never end.
const OF_A_HOSPITAL: u64 = 2;
const OF_A_SENDER: u64 = 2;

/// Whose an upload is: nobody else knows of it.
#[derive(Clone)]
pub struct Owner {
    pub tenant: TenantId,
    /// The id of the user or API client.
    pub user: String,
}

/// What unfinished uploads may take, of all hospitals together.
#[derive(Clone, Copy)]
pub struct Most {
    pub uploads: u64,
    /// Of what they say that they will be.
    pub bytes: u64,
    /// One of them.
    pub upload_bytes: u64,
}

/// The uploads that are not whole yet, and for a time what became of those that were; cheap to clone.
#[derive(Clone)]
pub struct Partials {
    folder: Arc<Path>,
    most: Most,
    lifetime_ms: i64,
    reserve: Reserve,
    clock: Clock,
    random: Random,
    holds: Holds,
    /// Held while it is counted whether one more may begin.
    beginning: Arc<Mutex<()>>,
}

/// Where they lie, what they may take, and for how long each is kept after its last byte.
pub struct Shelf {
    pub folder: PathBuf,
    pub most: Most,
    pub lifetime_ms: i64,
    pub reserve: Reserve,
}

impl Partials {
    pub fn new(shelf: Shelf, clock: Clock, random: Random) -> Partials {
        let Shelf { folder, most, lifetime_ms, reserve } = shelf;
        let (holds, beginning) = (Holds::default(), Arc::default());
        let folder = folder.into();
        Partials { folder, most, lifetime_ms, reserve, clock, random, holds, beginning }
    }

    /// Begins an upload, unless there are too many already. Returns once it survives a crash.
    pub async fn begin(&self, owner: &Owner, beginning: UploadBeginning) -> Result<PartialUpload> {
        let facts = Facts::of(owner, beginning, self.clock.now_ms())?;
        if !(1..=self.most.upload_bytes).contains(&facts.size_bytes) {
            return Err(ErrorKind::Invalid.error(format!(
                "an upload has 1 to {} bytes, and this one says {}",
                self.most.upload_bytes, facts.size_bytes
            )));
        }
        self.reserve.require_room(facts.size_bytes)?;
        let (this, owner) = (self.clone(), owner.clone());
        blocking(move || {
            let _alone = this.beginning.lock().unwrap_or_else(PoisonError::into_inner);
            this.require_place(&owner, facts.size_bytes)?;
            let id = PartialUploadId::new(&this.clock, &this.random);
            let place = this.place(owner.tenant, id);
            place.make_folders()?;
            facts.save(&place.facts)?;
            Ok(this.told(id, &facts))
        })
        .await
    }

    /// How much of it is kept; or what has become of it, which is told without waiting for anybody.
    pub async fn find(&self, owner: &Owner, id: &str) -> Result<PartialUpload> {
        let id: PartialUploadId = id.parse()?;
        let facts = self.facts(owner, id).await?;
        Ok(self.told(id, &facts))
    }

    /// Forgets it, and its bytes.
    pub async fn remove(&self, held: Held) -> Result<()> {
        // Held to the end, also where whoever asks for it goes away: nobody may open bytes that are on their way out.
        blocking(move || {
            let removed = held.place.remove();
            drop(held);
            removed
        })
        .await
    }

    /// Notes what has become of a whole upload, whose bytes are needed no more.
    pub async fn close(&self, held: Held, outcome: Outcome) -> Result<PartialUpload> {
        let closed = held.facts.closed(outcome.into(), self.clock.now_ms());
        let told = self.told(held.id, &closed);
        // In this order: a crash between leaves both, of which the outcome counts.
        blocking(move || {
            closed.save(&held.place.done)?;
            held.place.remove_open()
        })
        .await?;
        Ok(told)
    }

    /// How it is told to whoever has sent it.
    fn told(&self, id: PartialUploadId, facts: &Facts) -> PartialUpload {
        PartialUpload {
            id: id.to_string(),
            size_bytes: facts.size_bytes,
            kept_bytes: facts.kept_bytes,
            expires_ms: facts.touched_ms.saturating_add(self.lifetime_ms),
            outcome: facts.outcome.clone().map(Outcome::from),
        }
    }

    /// The same of one that is held.
    pub fn state(&self, held: &Held) -> PartialUpload {
        self.told(held.id, &held.facts)
    }

    fn is_expired(&self, facts: &Facts) -> bool {
        facts.touched_ms.saturating_add(self.lifetime_ms) <= self.clock.now_ms()
    }

    fn place(&self, tenant: TenantId, id: PartialUploadId) -> Place {
        Place::of(&self.folder.join(tenant.to_string()), id)
    }

    /// What is known of the owner's upload of that id. Another's is one that there is not.
    async fn facts(&self, owner: &Owner, id: PartialUploadId) -> Result<Facts> {
        let place = self.place(owner.tenant, id);
        let facts = blocking(move || place.read()).await?;
        facts
            .filter(|facts| facts.user == owner.user && !self.is_expired(facts))
            .ok_or_else(|| ErrorKind::NotFound.error("no such upload"))
    }

    /// Refuses where one more upload of that size would be too many, for its sender, its hospital or all.
    fn require_place(&self, owner: &Owner, size_bytes: u64) -> Result<()> {
        let mut taken = [(1, size_bytes); 3];
        for tenant in folders(&self.folder)? {
            let own = tenant.ends_with(owner.tenant.to_string());
            for facts in in_folder(&Place::open(&tenant))? {
                let Ok(Some(facts)) = Facts::load(&facts) else { continue };
                if self.is_expired(&facts) {
                    continue;
                }
                let counts = [true, own, own && facts.user == owner.user];
                for (taken, _) in taken.iter_mut().zip(counts).filter(|(_, counts)| *counts) {
                    *taken = (taken.0 + 1, taken.1.saturating_add(facts.size_bytes));
                }
            }
        }
        let parts = [1, OF_A_HOSPITAL, OF_A_HOSPITAL * OF_A_SENDER];
        let fits = |((uploads, bytes), part): (&(u64, u64), u64)| {
            *uploads <= (self.most.uploads / part).max(1) && *bytes <= self.most.bytes / part
        };
        if taken.iter().zip(parts).all(fits) {
            return Ok(());
        }
        Err(ErrorKind::Exhausted.error(
            "too many uploads are unfinished: end or drop some of them, or send the file in one request",
        ))
    }
}

/// Does what waits for the disk on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ErrorKind::Internal.error("keeping an upload panicked").because(error))?
}

#[cfg(test)]
mod tests;
