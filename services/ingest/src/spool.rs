use std::collections::HashSet;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::task::{Poll, ready};

use bytes::Bytes;
use domain::{Error, ErrorKind, Result, hex};
use futures::{Stream, TryStreamExt, stream};
use imaging::{Problem, Refusal};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const PREFIX: &str = "upload-";
/// Written at once: each write is a turn of another thread, and bodies come in small pieces.
const WRITE_BYTES: usize = 256 * 1024;

/// Files of one upload: as many as an archive may have entries.
const FILES_MAX: usize = 4096;

/// The folder where uploads lie while they are decoded.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: usize,
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

/// A whole upload on disk; deleted when dropped.
pub struct Spooled {
    path: TempPath,
    pub sha256: String,
}

impl Spooled {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Spool {
    /// Makes the folder if needed, and deletes what an earlier process left there.
    pub fn open(folder: &Path, bytes_max: usize) -> Result<Spool> {
        std::fs::create_dir_all(folder).map_err(unusable)?;
        for entry in std::fs::read_dir(folder).map_err(unusable)? {
            let entry = entry.map_err(unusable)?;
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                std::fs::remove_file(entry.path()).map_err(unusable)?;
            }
        }
        Ok(Spool { folder: folder.to_owned(), bytes_max })
    }

    /// An empty file that nobody else can read.
    pub fn create(&self) -> Result<NamedTempFile> {
        tempfile::Builder::new().prefix(PREFIX).tempfile_in(&self.folder).map_err(unusable)
    }

    /// Writes `body` to disk as it comes, and its digest along with it; refuses what is larger than allowed.
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
        let (file, path) = self.create()?.into_parts();
        let mut file = BufWriter::with_capacity(WRITE_BYTES, File::from_std(file));
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        let mut body = std::pin::pin!(body);
        while let Some(chunk) = body.try_next().await? {
            bytes += chunk.len();
            if bytes > bytes_max {
                return Ok(Err(self.too_large()));
            }
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(unusable)?;
        }
        file.flush().await.map_err(unusable)?;
        Ok(Ok((Spooled { path, sha256: hex(&digest.finalize()) }, bytes)))
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
            if files.len() > FILES_MAX {
                let what = format!("It has more than {FILES_MAX} files.");
                return Ok(Err(Problem::TooLarge.refuse(what)));
            }
            name = next;
        }
        if files.len() > 1 {
            return Ok(Ok(Received::Several(self.pack(files).await?)));
        }
        let one = files.pop().ok_or_else(|| ErrorKind::Internal.error("an upload has a file"))?;
        Ok(Ok(Received::One(one.1)))
    }

    async fn pack(&self, files: Vec<(String, Spooled)>) -> Result<Spooled> {
        let archive = self.create()?;
        let packed = tokio::task::spawn_blocking(move || packed(archive, &files)).await;
        packed.map_err(|error| ErrorKind::Internal.error("packing panicked").because(error))?
    }

    fn too_large(&self) -> Refusal {
        Problem::TooLarge.refuse(format!("The file is larger than {} MiB.", self.bytes_max >> 20))
    }
}

/// A zip of the files, stored as they are: equal files give equal bytes.
fn packed(archive: NamedTempFile, files: &[(String, Spooled)]) -> Result<Spooled> {
    let unwritable =
        |error| ErrorKind::Unavailable.error("uploads cannot be packed").because(error);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let (file, path) = archive.into_parts();
    let mut zip = ZipWriter::new(file);
    for (name, (_, spooled)) in distinct(files).into_iter().zip(files) {
        zip.start_file(name, options).map_err(unwritable)?;
        let mut original = std::fs::File::open(spooled.path()).map_err(unusable)?;
        std::io::copy(&mut original, &mut zip).map_err(unusable)?;
    }
    let mut file = zip.finish().map_err(unwritable)?;
    file.rewind().map_err(unusable)?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; WRITE_BYTES];
    loop {
        match file.read(&mut chunk).map_err(unusable)? {
            0 => return Ok(Spooled { path, sha256: hex(&digest.finalize()) }),
            read => digest.update(&chunk[..read]),
        }
    }
}

/// The files' names, told apart where browsers and scripts send one name twice.
fn distinct(files: &[(String, Spooled)]) -> Vec<String> {
    let mut seen = HashSet::new();
    let named = (1..).zip(files).map(|(number, (name, _))| {
        let clean: String = name.chars().filter(|c| !c.is_control()).collect();
        let name = if clean.is_empty() { format!("file {number}") } else { clean };
        if seen.insert(name.clone()) { name } else { format!("file {number}/{name}") }
    });
    named.collect()
}

fn unusable(error: std::io::Error) -> Error {
    ErrorKind::Unavailable.error("uploads cannot be spooled").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    fn body(chunks: &[&'static str]) -> impl Stream<Item = Result<Bytes>> {
        stream::iter(
            chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>(),
        )
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[tokio::test]
    async fn a_body_is_kept_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 6).unwrap();
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
        let spool = Spool::open(folder.path(), 6).unwrap();
        assert!(spool.keep(body(&["abc", "def"])).await.unwrap().is_ok());
        let refusal = spool.keep(body(&["abc", "def", "g"])).await.unwrap().err().unwrap();
        assert_eq!(refusal.problem, Problem::TooLarge);
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn what_a_crash_left_is_deleted_at_start_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["upload-x", "README"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        Spool::open(folder.path(), 6).unwrap();
        assert_eq!(files(folder.path()), 1);
    }
}
