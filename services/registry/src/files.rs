//! The files of versions: as they were signed, or not at all.

use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use futures::{StreamExt, TryStreamExt, stream};
use platform::blob::ByteStream;
use platform::db::failed;
use sqlx::{Any, Executor};

use crate::store::Store;
use crate::versions::{self, Kept, Version};

/// The files of a version; `NotFound` where there is no such version.
pub async fn of(
    executor: impl Executor<'_, Database = Any>,
    name: &str,
    version: &str,
) -> Result<Vec<Kept>> {
    let files: Vec<Kept> = sqlx::query_as(
        "SELECT file, blob_key, sha256, size_bytes FROM files WHERE name = ? AND version = ? ORDER BY file",
    )
    .bind(name)
    .bind(version)
    .fetch_all(executor)
    .await
    .map_err(failed)?;
    if files.is_empty() { Err(versions::unknown(name, version)) } else { Ok(files) }
}

impl Store {
    /// How large a file of a version is, and its bytes, once its signature is verified. The stream ends with `Internal`,
    /// and before so many bytes have come, where the bytes are others than were signed.
    pub async fn read(&self, name: &str, version: &str, wanted: &str) -> Result<(u64, ByteStream)> {
        let row = versions::find(self.database.pool(), name, version).await?;
        let files = of(self.database.pool(), name, version).await?;
        self.verify(&row, &files)?;
        let file = files.into_iter().find(|file| file.name == wanted).ok_or_else(|| {
            ErrorKind::NotFound.error(format!("{name} {version} has no file `{wanted}`"))
        })?;
        Ok((file.size, held_back(self.bytes(&row, &file).await?, file.size)))
    }

    /// Reads all of a version, as workers will: `Conflict` where a row or a byte is another than was signed.
    pub async fn read_through(&self, name: &str, version: &str) -> Result<()> {
        let row = versions::find(self.database.pool(), name, version).await?;
        let files = of(self.database.pool(), name, version).await?;
        self.require_signed(&row, &files)?;
        for file in &files {
            let bytes = self.bytes(&row, file).await.map_err(|error| unfit(&row, error))?;
            let read = bytes.try_for_each(|_| std::future::ready(Ok(()))).await;
            read.map_err(|error| unfit(&row, error))?;
        }
        Ok(())
    }

    /// Refuses (`Conflict`) to let a version serve whose rows are not what was signed.
    pub fn require_signed(&self, row: &Version, files: &[Kept]) -> Result<()> {
        self.verify(row, files).map_err(|error| unfit(row, error))
    }

    fn verify(&self, row: &Version, files: &[Kept]) -> Result<()> {
        self.signer.verify(&row.name, &row.version, files, &row.signature)
    }

    async fn bytes(&self, of: &Version, file: &Kept) -> Result<ByteStream> {
        self.blobs.get(&file.key, &file.sha256).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => lost(of, file).because(error),
            _ => error,
        })
    }
}

/// Gives the last piece once all of them are known to be right: whoever was told how many bytes there are looks for no error
/// behind them.
fn held_back(bytes: ByteStream, size: u64) -> ByteStream {
    let state = (bytes, size, None::<Bytes>);
    stream::try_unfold(state, async |(mut bytes, mut left, mut held)| {
        while let Some(piece) = bytes.try_next().await? {
            let longer = || ErrorKind::Internal.error("stored bytes are more than were stored");
            left = left.checked_sub(piece.len() as u64).ok_or_else(longer)?;
            if let Some(before) = held.replace(piece) {
                return Ok(Some((before, (bytes, left, held))));
            }
        }
        Ok::<_, Error>(held.take().map(|last| (last, (bytes, left, None))))
    })
    .boxed()
}

/// Whoever decides what serves is told in words what is broken, and not only that something is.
fn unfit(of: &Version, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Internal => ErrorKind::Conflict
            .error(format!("{} {} cannot serve: {error}", of.name, of.version))
            .because(error),
        _ => error,
    }
}

fn lost(of: &Version, file: &Kept) -> Error {
    ErrorKind::Internal.error(format!(
        "{} of {} {} is lost: register the version anew",
        file.name, of.name, of.version
    ))
}
