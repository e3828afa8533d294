use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{Error, ErrorKind, Result, hex};
use futures::{Stream, TryStreamExt};
use imaging::{Problem, Refusal};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

const PREFIX: &str = "upload-";
/// Written at once: each write is a turn of another thread, and bodies come in small pieces.
const WRITE_BYTES: usize = 256 * 1024;

/// The folder where uploads lie while they are decoded.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: usize,
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
        let (file, path) = self.create()?.into_parts();
        let mut file = BufWriter::with_capacity(WRITE_BYTES, File::from_std(file));
        let (mut digest, mut bytes) = (Sha256::new(), 0);
        let mut body = std::pin::pin!(body);
        while let Some(chunk) = body.try_next().await? {
            bytes += chunk.len();
            if bytes > self.bytes_max {
                return Ok(Err(self.too_large()));
            }
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(unusable)?;
        }
        file.flush().await.map_err(unusable)?;
        Ok(Ok(Spooled { path, sha256: hex(&digest.finalize()) }))
    }

    fn too_large(&self) -> Refusal {
        Problem::TooLarge.refuse(format!("The file is larger than {} MiB.", self.bytes_max >> 20))
    }
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
