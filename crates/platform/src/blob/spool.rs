//! A spool: holds an object while it is written, in memory first and then in a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use super::{ObjectWriter, Written};

const PENDING_BYTES: usize = 1024 * 1024;

/// Holds the bytes that are too many for memory; deleted with its handle.
pub trait Medium: Write + Send + Sync + Sized + 'static {
    /// A new and empty one, beside the objects, so that keeping it needs no copy.
    fn make(folder: &Path) -> io::Result<Self>;
}

impl Medium for NamedTempFile {
    fn make(folder: &Path) -> io::Result<Self> {
        NamedTempFile::new_in(folder)
    }
}

/// A file without a name, of which nothing is left whatever happens.
impl Medium for File {
    fn make(folder: &Path) -> io::Result<Self> {
        tempfile::tempfile_in(folder)
    }
}

/// An object that is being written and that no reader sees.
///
/// A small one stays in memory until it is kept: then writing it is one step with its fsync, or with its upload.
pub struct ObjectSpool<M> {
    folder: PathBuf,
    pending: Vec<u8>,
    /// Made by the first bytes that are too many for memory.
    medium: Option<M>,
    /// Whether a write has failed or was dropped: the spool is then incomplete.
    write_failed: bool,
}

/// The bytes of an object, in memory or on disk.
pub enum Bulk<M> {
    /// All of them, in memory.
    Small(Vec<u8>),
    /// What they were written to, to its end.
    Large(M),
}

impl<M: Medium> ObjectSpool<M> {
    /// An empty spool; `folder` is where the medium is made once the bytes are too many for memory.
    pub fn new(folder: PathBuf) -> ObjectSpool<M> {
        ObjectSpool { folder, pending: Vec::new(), medium: None, write_failed: false }
    }

    /// `Unavailable` once a write has failed: the spool is then incomplete.
    pub fn check_writes(&self) -> Result<()> {
        if self.write_failed {
            return Err(ErrorKind::Unavailable.error("an earlier write of this object failed"));
        }
        Ok(())
    }

    /// All of it, the last bytes written out where others were.
    pub fn into_bulk(self) -> io::Result<Bulk<M>> {
        let Some(mut medium) = self.medium else { return Ok(Bulk::Small(self.pending)) };
        medium.write_all(&self.pending)?;
        Ok(Bulk::Large(medium))
    }

    /// All of it as a file.
    pub fn into_medium(self) -> io::Result<M> {
        append(&self.folder, self.medium, &self.pending)
    }
}

#[async_trait]
impl<M: Medium> ObjectWriter for ObjectSpool<M> {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.check_writes()?;
        self.pending.extend_from_slice(&bytes);
        if self.pending.len() < PENDING_BYTES {
            return Ok(());
        }
        let (folder, medium) = (self.folder.clone(), self.medium.take());
        let pending = std::mem::take(&mut self.pending);
        self.write_failed = true;
        self.medium = Some(blocking(move || append(&folder, medium, &pending)).await?);
        self.write_failed = false;
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Written> {
        self.check_writes()?;
        Ok(self)
    }
}

fn append<M: Medium>(folder: &Path, medium: Option<M>, bytes: &[u8]) -> io::Result<M> {
    let mut medium = medium.map_or_else(|| M::make(folder), Ok)?;
    medium.write_all(bytes)?;
    Ok(medium)
}

/// Runs `work`, which blocks on a disk, on the thread pool for blocking work.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done).map_err(disk_error)
}

/// The error for an object that another store's adapter has staged: a mistake in the composition.
pub fn foreign_object() -> Error {
    ErrorKind::Internal.error("the object was staged in another store")
}

/// A disk's error by its kind: absent is `NotFound`; a full disk, and all else, is `Unavailable`.
pub fn disk_error(error: io::Error) -> Error {
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "no such object"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, "the disk is full: nothing was stored")
        }
        _ => (ErrorKind::Unavailable, "the disk does not answer"),
    };
    kind.error(message).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for that many bytes, which then is full for one write.
    struct Disk(usize);

    impl Medium for Disk {
        fn make(_: &Path) -> io::Result<Disk> {
            Ok(Disk(2 * PENDING_BYTES))
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => {
                    self.0 = usize::MAX;
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_object_that_has_lost_bytes_to_a_full_disk_is_never_finished() {
        let mebibyte = || Bytes::from(vec![7; PENDING_BYTES]);
        let mut spool = ObjectSpool::<Disk>::new(PathBuf::new());
        for _ in 0..2 {
            spool.write(mebibyte()).await.unwrap();
        }
        let full = spool.write(mebibyte()).await.unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Unavailable);
        assert_eq!(full.to_string(), "the disk is full: nothing was stored");
        // There is room again, and what went wrong stays so.
        let later = spool.write(Bytes::from_static(b"more")).await.unwrap_err();
        assert_eq!(later.to_string(), "an earlier write of this object failed");
        let finished = Box::new(spool).finish().await.err().unwrap();
        assert_eq!(finished.kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn bytes_leave_memory_when_there_are_too_many_and_stay_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, PENDING_BYTES - 1, PENDING_BYTES, PENDING_BYTES + 1, 3 * PENDING_BYTES] {
            let whole: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let mut spool = ObjectSpool::<NamedTempFile>::new(folder.path().to_owned());
            for piece in whole.chunks(100_000) {
                spool.write(Bytes::copy_from_slice(piece)).await.unwrap();
            }
            let kept = match spool.into_bulk().unwrap() {
                Bulk::Small(bytes) => {
                    assert!(size < PENDING_BYTES, "{size} bytes in memory");
                    bytes
                }
                Bulk::Large(file) => std::fs::read(file.path()).unwrap(),
            };
            assert!(kept == whole, "{size} bytes");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left behind");
    }

    #[test]
    fn what_a_disk_says_is_told_by_what_may_help() {
        for (cause, kind, words) in [
            (io::ErrorKind::NotFound, ErrorKind::NotFound, "no such object"),
            (io::ErrorKind::StorageFull, ErrorKind::Unavailable, "the disk is full"),
            (io::ErrorKind::QuotaExceeded, ErrorKind::Unavailable, "the disk is full"),
            (io::ErrorKind::PermissionDenied, ErrorKind::Unavailable, "the disk does not answer"),
        ] {
            let error = disk_error(cause.into());
            assert_eq!(error.kind(), kind, "{cause:?}");
            assert!(error.to_string().starts_with(words), "{error}");
        }
    }
}
