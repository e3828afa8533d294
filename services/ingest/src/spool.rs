use std::fs::DirEntry;
use std::path::{Path, PathBuf};
use std::task::{Poll, ready};

use bytes::Bytes;
use domain::limits::UPLOAD_FILES_MAX;
use domain::{Error, ErrorKind, Result, hex};
use futures::{Stream, TryStreamExt, stream};
use imaging::{Refusal, RefusalReason};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::pack::packed;
use crate::reserve::Reserve;

const PREFIX: &str = "upload-";
/// Written at once: each write is a turn of another thread, and bodies come in small pieces.
pub const WRITE_BYTES: usize = 256 * 1024;

/// Written between two looks at the disk: so much of the reserve each upload under way may take.
pub const LOOK_BYTES: usize = 1024 * 1024;

/// The folder where uploads lie while they are decoded.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: usize,
    reserve: Reserve,
}

/// A part of an upload on its way in.
pub enum Piece {
    /// The next file begins, and what it is called.
    File(String),
    /// Bytes of the file that has begun.
    Bytes(Bytes),
}

/// What an upload brought.
pub enum Received {
    One(Spooled),
    /// A zip of its files, in the order in which they came.
    Several(Spooled),
}

/// A whole upload on disk; what was spooled for it is deleted when it is dropped.
pub struct Spooled {
    lies: Lies,
    pub sha256: String,
}

enum Lies {
    InSpool(TempPath),
    Elsewhere(PathBuf),
}

impl Spooled {
    pub fn new(path: TempPath, sha256: String) -> Spooled {
        Spooled { lies: Lies::InSpool(path), sha256 }
    }

    /// One that stays where it is.
    pub fn lying_at(path: PathBuf, sha256: String) -> Spooled {
        Spooled { lies: Lies::Elsewhere(path), sha256 }
    }

    pub fn path(&self) -> &Path {
        match &self.lies {
            Lies::InSpool(path) => path,
            Lies::Elsewhere(path) => path,
        }
    }
}

impl Spool {
    /// Makes the folder if needed, and deletes what an earlier process left there.
    pub fn open(folder: &Path, bytes_max: usize, reserve: Reserve) -> Result<Spool> {
        std::fs::create_dir_all(folder).map_err(unusable)?;
        for entry in std::fs::read_dir(folder).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                std::fs::remove_file(entry.path()).map_err(unusable)?;
            }
        }
        Ok(Spool { folder: folder.to_owned(), bytes_max, reserve })
    }

    /// Refuses while the disk has less room than the reserve.
    pub fn require_room(&self) -> Result<()> {
        self.reserve.require_room(0)
    }

    /// An empty file that nobody else can read.
    pub fn create(&self) -> Result<NamedTempFile> {
        tempfile::Builder::new().prefix(PREFIX).tempfile_in(&self.folder).map_err(unusable)
    }

    /// Writes `body` to disk as it comes, and its digest along with it; refuses what is larger than allowed. Fails when
    /// the reserve is breached, by whomever, before the first byte or amid the body.
    pub async fn keep<E>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Result<Spooled, Refusal>>
    where
        Error: From<E>,
    {
        Ok(self.keep_within(body, self.bytes_max).await?.map(|(spooled, _)| spooled))
    }

    /// The same for at most `bytes_max` bytes; says how many there were.
    async fn keep_within<E>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>>,
        bytes_max: usize,
    ) -> Result<Result<(Spooled, usize), Refusal>>
    where
        Error: From<E>,
    {
        self.require_room()?;
        let (file, path) = self.create()?.into_parts();
        let mut file = BufWriter::with_capacity(WRITE_BYTES, File::from_std(file));
        let (mut digest, mut bytes, mut bytes_at_look) = (Sha256::new(), 0, 0);
        let mut body = std::pin::pin!(body);
        while let Some(chunk) = body.try_next().await? {
            bytes += chunk.len();
            if bytes > bytes_max {
                return Ok(Err(self.too_large()));
            }
            if bytes - bytes_at_look >= LOOK_BYTES {
                self.require_room()?;
                bytes_at_look = bytes;
            }
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(unusable)?;
        }
        file.flush().await.map_err(unusable)?;
        Ok(Ok((Spooled::new(path, hex(&digest.finalize())), bytes)))
    }

    /// Writes each file to disk as it comes; several are packed together, unread. `first` is the name of the first.
    pub async fn keep_files(
        &self,
        first: &str,
        pieces: impl Stream<Item = Result<Piece>>,
    ) -> Result<Result<Received, Refusal>> {
        let mut pieces = std::pin::pin!(pieces);
        let (mut name, mut left) = (Some(first.to_owned()), self.bytes_max);
        let mut files: Vec<(String, Spooled)> = Vec::new();
        while let Some(named) = name.take() {
            let mut next = None;
            let body = stream::poll_fn(|cx| match ready!(pieces.as_mut().poll_next(cx)) {
                Some(Ok(Piece::Bytes(bytes))) => Poll::Ready(Some(Ok(bytes))),
                Some(Ok(Piece::File(begun))) => {
                    next = Some(begun);
                    Poll::Ready(None)
                }
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
                None => Poll::Ready(None),
            });
            let (spooled, bytes) = match self.keep_within(body, left).await? {
                Ok(kept) => kept,
                Err(refusal) => return Ok(Err(refusal)),
            };
            left -= bytes;
            files.push((named, spooled));
            if files.len() > UPLOAD_FILES_MAX {
                let what = format!("It has more than {UPLOAD_FILES_MAX} files.");
                return Ok(Err(RefusalReason::TooLarge.refuse(what)));
            }
            name = next;
        }
        if files.len() > 1 {
            return Ok(Ok(Received::Several(self.pack(files).await?)));
        }
        let one = files.pop().ok_or_else(|| ErrorKind::Internal.error("an upload has a file"))?;
        Ok(Ok(Received::One(one.1)))
    }

    /// Several files as one zip, unread.
    pub async fn pack(&self, files: Vec<(String, Spooled)>) -> Result<Spooled> {
        let archive = self.create()?;
        let reserve = self.reserve.clone();
        let packed = tokio::task::spawn_blocking(move || packed(archive, &files, &reserve)).await;
        packed.map_err(|error| ErrorKind::Internal.error("packing panicked").because(error))?
    }

    fn too_large(&self) -> Refusal {
        RefusalReason::TooLarge
            .refuse(format!("The file is larger than {} MiB.", self.bytes_max >> 20))
    }
}

/// What lies in that folder; nothing where there is no such folder.
pub fn lying_in(folder: &Path) -> Result<Vec<DirEntry>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect::<std::io::Result<_>>().map_err(unusable),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unusable(error)),
    }
}

/// The folders in that folder; none where there is not even that.
pub fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in lying_in(folder)? {
        if entry.file_type().map_err(unusable)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

pub fn unusable(error: std::io::Error) -> Error {
    ErrorKind::Unavailable.error("uploads cannot be spooled").because(error)
}

#[cfg(test)]
#[path = "spool/several_tests.rs"]
mod several;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use futures::stream;

    const NO_RESERVE: u64 = 0;

    fn body(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes>> {
        stream::iter(
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>(),
        )
    }

    fn spool(folder: &Path) -> Spool {
        Spool::open(folder, 6, Reserve::of_disk(folder, NO_RESERVE)).unwrap()
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_body_is_kept_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        let spooled = spool.keep(body(&["ab", "", "c"])).await.unwrap().unwrap();
        assert_eq!(std::fs::read(spooled.path()).unwrap(), b"abc");
        // FIPS 180-4's own example.
        assert_eq!(
            spooled.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        drop(spooled);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn the_limit_is_exact_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        assert!(spool.keep(body(&["abc", "def"])).await.unwrap().is_ok());
        let refusal = spool.keep(body(&["abc", "def", "g"])).await.unwrap().err().unwrap();
        assert_eq!(refusal.problem, RefusalReason::TooLarge);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn what_a_crash_left_is_deleted_at_start_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["upload-x", "README"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        spool(folder.path());
        assert_eq!(files(folder.path()), 1);
    }

    #[tokio::test]
    async fn a_body_that_finds_the_reserve_breached_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 6, Reserve::new(|| Ok(9), 10)).unwrap();
        let body = stream::poll_fn(|_| -> Poll<Option<Result<Bytes>>> { panic!("it is read") });
        assert_eq!(spool.keep(body).await.err().unwrap().kind(), ErrorKind::Unavailable);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn a_body_stops_where_others_breach_the_reserve_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (free, sent) = (Arc::new(AtomicU64::new(10)), AtomicU64::new(0));
        let disk = free.clone();
        let reserve = Reserve::new(move || Ok(disk.load(Ordering::SeqCst)), 10);
        let spool = Spool::open(folder.path(), usize::MAX, reserve).unwrap();
        let endless = stream::repeat_with(|| {
            if sent.fetch_add(1, Ordering::SeqCst) == 2 {
                free.fetch_sub(1, Ordering::SeqCst);
            }
            Ok::<_, Error>(Bytes::from(vec![7; LOOK_BYTES]))
        });
        assert_eq!(spool.keep(endless).await.err().unwrap().kind(), ErrorKind::Unavailable);
        assert_eq!((sent.into_inner(), files(folder.path())), (3, 0));
    }

    #[tokio::test]
    async fn files_are_not_packed_into_the_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 6, Reserve::new(|| Ok(12), 10)).unwrap();
        let pieces = [
            Piece::Bytes(Bytes::from_static(b"abc")),
            Piece::File("second".into()),
            Piece::Bytes(Bytes::from_static(b"de")),
        ];
        let kept = spool.keep_files("first", stream::iter(pieces.map(Ok))).await;
        assert_eq!(kept.err().unwrap().kind(), ErrorKind::Unavailable);
        assert_eq!(files(folder.path()), 0);
    }
}
