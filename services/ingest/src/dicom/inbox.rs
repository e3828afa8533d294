//! Instances that were taken and are no scan yet, on disk: what is acknowledged survives the process, and the machine where the
//! disk does.
//!
//! For each sender there is a folder `arrived`, where instances lie until the jail has said of which series they are, and a folder
//! for each series; `asked` has what it has asked of them and was not told. All that is known lies there, so that another process
//! goes on where this one ended.

mod looked;
mod room;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use domain::{Error, ErrorKind, Result, TenantId, hex};
use futures::future::try_join_all;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::reserve::Reserve;
use crate::spool::{LOOK_BYTES, WRITE_BYTES, lying_in, unusable};

use super::telling::count_full;
use looked::Looked;
pub use room::Full;
use room::{Place, Room};

/// What a crash left half written is deleted at start; by its name it is known.
const ARRIVING: &str = "arriving-";
const ARRIVED: &str = "arrived";
const SERIES: &str = "series";
const ASKED: &str = "asked";
const INSTANCE: &str = ".dcm";
const DIGEST_CHARS: usize = 64;

/// What instances may take, and one of them.
#[derive(Clone, Copy)]
pub struct Most {
    /// Of all senders together; half of it is one's, and two thirds are a hospital's, or less where others have some.
    pub bytes: u64,
    pub instance_bytes: u64,
    /// What one counts for at least.
    pub least_bytes: u64,
}

/// The folder of instances; cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    folder: Arc<Path>,
    most: Most,
    reserve: Reserve,
    room: Room,
    looked: Looked,
    /// Until the last of them is dropped no other process has the folder.
    _lock: Arc<File>,
}

/// An instance on its way to the disk. Dropped, nothing is left of it.
pub struct Arriving {
    inbox: Inbox,
    sop_instance: String,
    to: PathBuf,
    place: Place,
    named: NamedTempFile,
    file: BufWriter<tokio::fs::File>,
    digest: Sha256,
    bytes_to_look: usize,
    /// What is to be written before all else.
    head: Vec<u8>,
    /// Which one it is of, where that is known already.
    series: Option<String>,
}

/// An instance that survives a crash, under no name yet.
struct Flushed {
    draft: durable::Flushed,
    path: PathBuf,
    place: Place,
    series: Option<String>,
    looked: Looked,
}

/// Why an instance is not taken.
#[derive(Debug)]
pub enum NotTaken {
    TooLarge,
    NoRoom(Full),
    Failed(Error),
}

/// An instance of a series.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    pub path: PathBuf,
    pub sop_instance: String,
    /// Of the file, in lower-case hex.
    pub sha256: String,
    pub bytes: u64,
}

impl Inbox {
    /// Makes the folders, and counts what lies in them. Fails where another process has the inbox.
    pub fn open(folder: &Path, senders: &[String], most: Most, reserve: Reserve) -> Result<Inbox> {
        fs::create_dir_all(folder).map_err(unusable)?;
        let lock = locked(&folder.join("lock"))?;
        let room = Room::of(most.bytes, most.least_bytes);
        for entry in entries(folder)? {
            if name_of(&entry).starts_with(ARRIVING) {
                fs::remove_file(&entry).map_err(unusable)?;
            }
        }
        let (looked, lock) = (Looked::default(), Arc::new(lock));
        let inbox = Inbox { folder: Arc::from(folder), most, reserve, room, looked, _lock: lock };
        for sender in senders {
            inbox.admit(sender)?;
            for path in inbox.all(sender)? {
                inbox.room.count(whose(sender), fs::metadata(path).map_err(unusable)?.len());
            }
        }
        durable::flush_folder(folder).map_err(unusable)?;
        durable::flush_folder(durable::folder_of(folder)).map_err(unusable)?;
        Ok(inbox)
    }

    /// Makes the folders of a sender, unless they are there. Blocks.
    pub fn admit(&self, sender: &str) -> Result<PathBuf> {
        let own = self.folder.join(sender);
        for below in [ARRIVED, SERIES, ASKED] {
            fs::create_dir_all(own.join(below)).map_err(unusable)?;
        }
        // A folder that a crash takes away takes all that lies in it along.
        durable::flush_folder(&own).map_err(unusable)?;
        durable::flush_folder(&self.folder).map_err(unusable)?;
        Ok(own)
    }

    /// All instances of a sender, of whichever series. Blocks.
    pub fn all(&self, sender: &str) -> Result<Vec<PathBuf>> {
        let mut found = self.arrived(sender)?;
        for series in entries(&self.folder.join(sender).join(SERIES))? {
            found.extend(instances_in(&series)?);
        }
        Ok(found)
    }

    /// How many bytes lie here.
    pub fn bytes(&self) -> u64 {
        self.room.taken()
    }

    /// From now on what the sender sends, and has sent, takes room of that hospital.
    pub fn belongs(&self, sender: &str, hospital: TenantId) {
        self.room.belongs(whose(sender), hospital);
    }

    /// Begins to take an instance, which the sender calls by that UID. Its file begins with `head`.
    pub fn begin(
        &self,
        sender: &str,
        sop_instance: &str,
        head: Vec<u8>,
    ) -> Result<Arriving, NotTaken> {
        self.reserve.require_room(0).map_err(|_| no_room(Full::Disk))?;
        let named = tempfile::Builder::new().prefix(ARRIVING).tempfile_in(&self.folder);
        let named = named.map_err(failed)?;
        let file = tokio::fs::File::from_std(named.as_file().try_clone().map_err(failed)?);
        Ok(Arriving {
            inbox: self.clone(),
            sop_instance: sop_instance.to_owned(),
            to: self.arrived_folder(sender),
            place: self.room.place(whose(sender)),
            named,
            file: BufWriter::with_capacity(WRITE_BYTES, file),
            digest: Sha256::new(),
            bytes_to_look: LOOK_BYTES,
            head,
            series: None,
        })
    }

    /// What has come of that sender and is of no series yet. Blocks.
    pub fn arrived(&self, sender: &str) -> Result<Vec<PathBuf>> {
        instances_in(&self.arrived_folder(sender))
    }

    /// The series that there is anything of. Blocks.
    pub fn series(&self, sender: &str) -> Result<Vec<String>> {
        let all = entries(&self.folder.join(sender).join(SERIES))?;
        Ok(all.iter().map(|path| name_of(path)).collect())
    }

    /// Of which series the arrived instance is, where the jail has said so before it came.
    pub fn known_series(&self, arrived: &Path) -> Option<String> {
        self.looked.series_of(arrived)
    }

    /// Puts what has arrived into its series. An instance that is there already, byte by byte, is there once. Says of which series those are
    /// that were put there, also where it fails amid them. Blocks.
    pub fn file(&self, sender: &str, arrived: Vec<(String, PathBuf)>) -> (Vec<String>, Result<()>) {
        let (mut filed, mut folders) = (Vec::with_capacity(arrived.len()), BTreeSet::new());
        for (series, path) in arrived {
            let folder = self.series_folder(sender, &series);
            if let Err(error) = self.move_into(&folder, sender, &path) {
                return (filed, Err(unusable(error)));
            }
            folders.insert(folder);
            filed.push(series);
        }
        let flushed = folders.iter().try_for_each(|folder| durable::flush_folder(folder));
        (filed, flushed.map_err(unusable))
    }

    fn move_into(&self, folder: &Path, sender: &str, arrived: &Path) -> io::Result<()> {
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            durable::flush_folder(durable::folder_of(folder))?;
        }
        let to = folder.join(arrived.file_name().unwrap_or_default());
        let twice = length_at(&to);
        fs::rename(arrived, &to)?;
        self.looked.forget(arrived);
        if let Some(bytes) = twice {
            self.room.give_back(whose(sender), bytes);
        }
        Ok(())
    }

    /// Removes what has arrived and is for nothing here. Blocks.
    pub fn discard(&self, sender: &str, path: &Path) -> Result<()> {
        let bytes = fs::metadata(path).map_err(unusable)?.len();
        fs::remove_file(path).map_err(unusable)?;
        self.looked.forget(path);
        self.room.give_back(whose(sender), bytes);
        Ok(())
    }

    /// The instances of a series in the order of their UIDs. Of one that came twice with other bytes, the one that came last, and
    /// the other is removed. Blocks.
    pub fn instances(&self, sender: &str, series: &str) -> Result<Vec<Instance>> {
        let mut found = Vec::new();
        for path in entries(&self.series_folder(sender, series))? {
            let facts = fs::metadata(&path).map_err(unusable)?;
            let came = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if let Some(instance) = Instance::at(path, facts.len()) {
                found.push((instance, came));
            }
        }
        found.sort_by(|(one, came), (other, later)| {
            (&one.sop_instance, came, &one.sha256).cmp(&(&other.sop_instance, later, &other.sha256))
        });
        let mut instances: Vec<Instance> = Vec::with_capacity(found.len());
        for (instance, _) in found {
            if let Some(earlier) = instances.pop_if(|one| one.sop_instance == instance.sop_instance)
            {
                self.discard(sender, &earlier.path)?;
            }
            instances.push(instance);
        }
        Ok(instances)
    }

    /// The instances of a series as they lie there, in no order, and with those that came twice. Blocks.
    pub fn held(&self, sender: &str, series: &str) -> Result<Vec<Instance>> {
        let mut held = Vec::new();
        for path in instances_in(&self.series_folder(sender, series))? {
            let bytes = fs::metadata(&path).map_err(unusable)?.len();
            held.extend(Instance::at(path, bytes));
        }
        Ok(held)
    }

    /// The same by their names alone, as cheap as a look at a folder is. Blocks.
    pub fn named(&self, sender: &str, series: &str) -> Result<Vec<Instance>> {
        let found = instances_in(&self.series_folder(sender, series))?.into_iter();
        Ok(found.filter_map(|path| Instance::at(path, 0)).collect())
    }

    /// When the newest instance of a series came, in milliseconds since 1970; None: there is none. Blocks.
    pub fn newest_ms(&self, sender: &str, series: &str) -> Result<Option<i64>> {
        Ok(self.all_ms(sender, series)?.into_iter().max())
    }

    /// The same of the oldest. Blocks.
    pub fn oldest_ms(&self, sender: &str, series: &str) -> Result<Option<i64>> {
        Ok(self.all_ms(sender, series)?.into_iter().min())
    }

    fn all_ms(&self, sender: &str, series: &str) -> Result<Vec<i64>> {
        self.named(sender, series)?.iter().map(|one| came_ms(&one.path)).collect()
    }

    /// Removes what arrived by then and is of no series yet, and says how many instances that was. Blocks.
    pub fn discard_arrived(&self, sender: &str, until_ms: i64) -> Result<usize> {
        let mut discarded = 0;
        for path in self.arrived(sender)? {
            if came_ms(&path)? <= until_ms {
                self.discard(sender, &path)?;
                discarded += 1;
            }
        }
        Ok(discarded)
    }

    /// Removes the folder of a sender who sends nothing meanwhile, if no instance lies in it; says whether it did. Blocks.
    pub fn leave(&self, sender: &str) -> Result<bool> {
        let own = self.folder.join(sender);
        if !entries(&own.join(ARRIVED))?.is_empty() || !entries(&own.join(SERIES))?.is_empty() {
            return Ok(false);
        }
        fs::remove_dir_all(&own).map_err(unusable)?;
        durable::flush_folder(&self.folder).map_err(unusable)?;
        Ok(true)
    }

    /// Where it is noted what has become of a series.
    pub fn note(&self, sender: &str, series: &str) -> PathBuf {
        self.series_folder(sender, series).join("outcome.json")
    }

    /// The notes of what that sender has asked and was not told. Blocks.
    pub fn asked(&self, sender: &str) -> Result<Vec<PathBuf>> {
        entries(&self.folder.join(sender).join(ASKED))
    }

    /// Notes what that sender asks, in place of the note that is there of it; returns where it lies, once it survives a crash.
    /// Blocks.
    pub fn note_asked(&self, sender: &str, there: Option<PathBuf>, note: &[u8]) -> Result<PathBuf> {
        self.reserve.require_room(note.len() as u64)?;
        let named = tempfile::Builder::new().prefix(ARRIVING).tempfile_in(&self.folder);
        let mut named = named.map_err(unusable)?;
        named.write_all(note).map_err(unusable)?;
        let name = name_of(named.path());
        let flushed = durable::Draft::from(named).finish().map_err(unusable)?;
        let path = if let Some(path) = there {
            flushed.replace(&path).map_err(unusable)?;
            path
        } else {
            let path = self.folder.join(sender).join(ASKED).join(name);
            flushed.create(&path).map_err(unusable)?;
            path
        };
        durable::flush_folder(durable::folder_of(&path)).map_err(unusable)?;
        Ok(path)
    }

    /// Forgets a series. Blocks.
    pub fn remove(&self, sender: &str, series: &str) -> Result<()> {
        let folder = self.series_folder(sender, series);
        // The note goes last: while it is there, it is known that what is left is no whole series.
        for path in instances_in(&folder)? {
            self.discard(sender, &path)?;
        }
        fs::remove_dir_all(&folder).map_err(unusable)
    }

    fn arrived_folder(&self, sender: &str) -> PathBuf {
        self.folder.join(sender).join(ARRIVED)
    }

    fn series_folder(&self, sender: &str, series: &str) -> PathBuf {
        self.folder.join(sender).join(SERIES).join(series)
    }
}

impl Arriving {
    /// Appends to it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), NotTaken> {
        let head = std::mem::take(&mut self.head);
        self.append(&head).await?;
        self.append(bytes).await
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), NotTaken> {
        if self.place.bytes() + bytes.len() as u64 > self.inbox.most.instance_bytes {
            return Err(NotTaken::TooLarge);
        }
        self.place.grow(bytes.len() as u64).map_err(no_room)?;
        match self.bytes_to_look.checked_sub(bytes.len()) {
            Some(left) => self.bytes_to_look = left,
            None => {
                self.inbox.reserve.require_room(0).map_err(|_| no_room(Full::Disk))?;
                self.bytes_to_look = LOOK_BYTES;
            }
        }
        self.digest.update(bytes);
        self.file.write_all(bytes).await.map_err(failed)
    }

    /// The same, of which it is known of which series it is.
    pub fn of_series(self, series: String) -> Arriving {
        Arriving { series: Some(series), ..self }
    }

    /// Returns once it, and that it is there, survive a crash.
    pub async fn keep(self) -> Result<(), NotTaken> {
        keep_all(vec![self]).await.map_err(NotTaken::Failed)
    }

    /// Writes it out to the disk.
    async fn flushed(self) -> io::Result<Flushed> {
        let Arriving { inbox, sop_instance, to, place, named, mut file, digest, series, .. } = self;
        file.flush().await?;
        drop(file);
        let path = to.join(format!("{sop_instance}.{}{INSTANCE}", hex(&digest.finalize())));
        let flushing = tokio::task::spawn_blocking(move || durable::Draft::from(named).finish());
        let draft = flushing.await.map_err(io::Error::other)??;
        Ok(Flushed { draft, path, place, series, looked: inbox.looked })
    }
}

/// Returns once all of them, and that they are there, survive a crash. They are flushed side by side, which a journal takes as a few flushes
/// only, and their folder is flushed once.
pub async fn keep_all(arriving: Vec<Arriving>) -> Result<()> {
    let flushing = arriving.into_iter().map(Arriving::flushed);
    let flushed = try_join_all(flushing).await.map_err(unusable)?;
    let keeping = tokio::task::spawn_blocking(move || put(flushed));
    let kept = keeping.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    kept.map_err(unusable)
}

/// Gives each its name.
fn put(flushed: Vec<Flushed>) -> io::Result<()> {
    let mut folders = BTreeSet::new();
    for Flushed { draft, path, place, series, looked } in flushed {
        let twice = length_at(&path);
        // Before it is there: whoever finds it need not have it looked at.
        if let Some(series) = series {
            looked.note(&path, series);
        }
        draft.replace(&path).inspect_err(|_| looked.forget(&path))?;
        // It takes its room from here on, whatever becomes of the others.
        place.keep(twice);
        folders.insert(durable::folder_of(&path).to_owned());
    }
    folders.iter().try_for_each(|folder| durable::flush_folder(folder))
}

/// Whose share of the room a sender's instances are: before a point stands who has one together with others.
fn whose(sender: &str) -> &str {
    sender.split('.').next().unwrap_or(sender)
}

/// When the file came that lies there.
fn came_ms(path: &Path) -> Result<i64> {
    let came = fs::metadata(path).and_then(|facts| facts.modified()).map_err(unusable)?;
    Ok(came.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as i64)
}

/// How long the file is that lies there, if one does.
fn length_at(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|there| there.len())
}

impl Instance {
    /// By its name; None of what is none, such as the note.
    pub fn at(path: PathBuf, bytes: u64) -> Option<Instance> {
        let name = name_of(&path);
        let (sop_instance, sha256) = name.strip_suffix(INSTANCE)?.rsplit_once('.')?;
        let is_digest = sha256.len() == DIGEST_CHARS;
        let (sop_instance, sha256) = (sop_instance.to_owned(), sha256.to_owned());
        is_digest.then_some(Instance { path, sop_instance, sha256, bytes })
    }
}

/// What lies in that folder and is no half-written file; nothing where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = lying_in(folder)?.into_iter().map(|entry| entry.path());
    // A note that a crash has left half written is hidden.
    Ok(paths.filter(|path| !name_of(path).starts_with('.')).collect())
}

fn instances_in(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.into_iter().filter(|path| name_of(path).ends_with(INSTANCE)).collect())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file that says whose the inbox is, locked.
fn locked(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ErrorKind::Invalid
            .error("another process has the folder that DICOM_INBOX names: each needs its own")),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// An instance finds no room: whoever sends it is told so, and tries again.
fn no_room(full: Full) -> NotTaken {
    count_full(full.name());
    NotTaken::NoRoom(full)
}

fn failed(error: io::Error) -> NotTaken {
    NotTaken::Failed(unusable(error))
}

#[cfg(test)]
mod tests;
