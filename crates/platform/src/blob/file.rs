//! Objects as files under one folder, for the one process that holds it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use domain::{ErrorKind, Result};
use durable::{Draft, flush_folder};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use tempfile::NamedTempFile;
use tokio::io::AsyncSeekExt;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;
use url::Url;

use super::spool::{ObjectSpool, blocking, disk_error, foreign_object};
use super::{Backend, ByteStream, Object, ObjectWriter, Written};
use crate::disk;

/// What is not kept yet; on the same file system, so that keeping is a rename.
const STAGING: &str = ".staging";
const PIECE_BYTES: usize = 256 * 1024;

struct Files {
    root: PathBuf,
}

pub(super) async fn connect(url: &Url) -> Result<Arc<dyn Backend>> {
    let root = url.to_file_path().map_err(|()| ErrorKind::Invalid.error("bad blob folder"))?;
    let files = Files { root };
    let staging = files.root.join(STAGING);
    blocking(move || empty(&staging)).await?;
    Ok(Arc::new(files))
}

/// Makes the folder, without what a crash has left in it.
fn empty(staging: &Path) -> io::Result<()> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(staging)?,
    }
    let root = staging.parent().unwrap_or(staging);
    flush_folder(root)
}

#[async_trait]
impl Backend for Files {
    async fn stage(&self) -> Result<Box<dyn ObjectWriter>> {
        let staging = self.root.join(STAGING);
        Ok(Box::new(ObjectSpool::<NamedTempFile>::new(staging)))
    }

    async fn keep(&self, objects: Vec<(String, Written)>) -> Result<()> {
        let mut folders = BTreeSet::new();
        let mut keeping = Vec::new();
        for (key, written) in objects {
            let written =
                written.downcast::<ObjectSpool<NamedTempFile>>().map_err(|_| foreign_object())?;
            let path = self.root.join(key);
            let folder = path.parent().unwrap_or(&self.root).to_owned();
            if folders.insert(folder.clone()) {
                blocking(move || make_folder(&folder)).await?;
            }
            // All at once: the file system commits concurrent fsyncs together.
            keeping.push(spawn_blocking(move || keep(*written, &path)));
        }
        for kept in keeping {
            kept.await.map_err(io::Error::other).and_then(|kept| kept).map_err(disk_error)?;
        }
        blocking(move || folders.iter().try_for_each(|folder| flush_folder(folder))).await
    }

    async fn get(&self, key: &str) -> Result<ByteStream> {
        let file = tokio::fs::File::open(self.root.join(key)).await.map_err(disk_error)?;
        Ok(ReaderStream::with_capacity(file, PIECE_BYTES).map_err(disk_error).boxed())
    }

    async fn get_from(&self, key: &str, from: u64) -> Result<ByteStream> {
        let mut file = tokio::fs::File::open(self.root.join(key)).await.map_err(disk_error)?;
        file.seek(io::SeekFrom::Start(from)).await.map_err(disk_error)?;
        Ok(ReaderStream::with_capacity(file, PIECE_BYTES).map_err(disk_error).boxed())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        match tokio::fs::remove_file(self.root.join(key)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk_error(error)),
            _ => Ok(()),
        }
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<Object>>> {
        let (found, objects) = mpsc::channel(256);
        let root = self.root.clone();
        spawn_blocking(move || {
            if let Err(error) = walk(&root, &root, &found) {
                let _ = found.blocking_send(Err(disk_error(error)));
            }
        });
        let next = async |mut objects: mpsc::Receiver<_>| Some((objects.recv().await?, objects));
        Ok(stream::unfold(objects, next).boxed())
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        let root = self.root.clone();
        blocking(move || disk::free_bytes(&root)).await.map(Some)
    }
}

/// Durable first, visible second.
fn keep(spool: ObjectSpool<NamedTempFile>, path: &Path) -> io::Result<()> {
    let file = spool.into_medium()?;
    Draft::from(file).finish()?.replace(path)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.try_exists()? {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), flush_folder)
}

type Found = mpsc::Sender<Result<Object>>;

fn walk(root: &Path, folder: &Path, found: &Found) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let (path, meta) = match entry.and_then(|entry| Ok((entry.path(), entry.metadata()?))) {
            // Deleted since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entry => entry?,
        };
        if meta.is_dir() && !path.ends_with(STAGING) {
            walk(root, &path, found)?;
        } else if meta.is_file() {
            let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) else { continue };
            let put = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let put_ms = i64::try_from(put.as_millis()).unwrap_or(i64::MAX);
            if found.blocking_send(Ok(Object { key: key.to_owned(), put_ms })).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
