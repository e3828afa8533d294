use std::io::{Read, Seek, SeekFrom};
use std::pin::{Pin, pin};

use bytes::Bytes;
use domain::{Error, ErrorKind, Result, hex};
use futures::{Stream, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio_util::sync::CancellationToken;

use super::hold::Held;
use super::{Partials, blocking};
use crate::spool::{LOOK_BYTES, Spooled, WRITE_BYTES, unusable};

/// What is written between two acknowledgements to the disk: so much is sent again after a crash at most.
const KEPT_AT_ONCE: u64 = 8 * 1024 * 1024;

impl Partials {
    /// Appends what comes to what is kept, which must end at `offset`. What comes before an error is kept, too: also where the
    /// caller is `gone`, or somebody else wants the upload. Returns once all of it survives a crash.
    pub async fn append(
        &self,
        held: &mut Held,
        offset: u64,
        pieces: impl Stream<Item = Result<Bytes>>,
        gone: &CancellationToken,
    ) -> Result<()> {
        let kept = held.facts.kept_bytes;
        if offset != kept {
            return Err(ErrorKind::Conflict.error(format!(
                "the upload goes on at byte {kept}, not at {offset}: ask how much of it is kept"
            )));
        }
        if held.facts.is_whole() {
            return nothing(&held.stop, pieces, gone).await;
        }
        self.reserve.require_room(0)?;
        let mut file = held.writer().await?;
        let mut written = kept;
        let ended = self.write(held, &mut file, &mut written, pieces, gone).await?;
        self.keep(held, &mut file, written).await?;
        ended
    }

    /// Writes what comes, and gives how it ended. An error of the disk is one of its own, after which nothing of the call is
    /// kept: what could not be flushed once may seem to be the next time.
    async fn write(
        &self,
        held: &mut Held,
        file: &mut BufWriter<File>,
        written: &mut u64,
        pieces: impl Stream<Item = Result<Bytes>>,
        gone: &CancellationToken,
    ) -> Result<Result<()>> {
        let mut pieces = pin!(pieces);
        let (mut at_look, stop) = (*written, held.stop.clone());
        loop {
            let bytes = match next(pieces.as_mut(), &stop, gone).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok(Ok(())),
                Err(cut) => return Ok(Err(cut)),
            };
            let then = *written + bytes.len() as u64;
            if then > held.facts.size_bytes {
                return Ok(Err(too_many()));
            }
            if then - at_look >= LOOK_BYTES as u64 {
                if let Err(full) = self.reserve.require_room(0) {
                    return Ok(Err(full));
                }
                at_look = then;
            }
            file.write_all(&bytes).await.map_err(unusable)?;
            *written = then;
            if then - held.facts.kept_bytes >= KEPT_AT_ONCE {
                self.keep(held, file, then).await?;
            }
        }
    }

    /// Makes what is written survive a crash: the bytes before what says how many there are.
    async fn keep(&self, held: &mut Held, file: &mut BufWriter<File>, written: u64) -> Result<()> {
        file.flush().await.map_err(unusable)?;
        file.get_ref().sync_data().await.map_err(unusable)?;
        let mut facts = held.facts.clone();
        (facts.kept_bytes, facts.touched_ms) = (written, self.clock.now_ms());
        let path = held.place.facts.clone();
        held.facts = blocking(move || facts.save(&path).map(|()| facts)).await?;
        Ok(())
    }
}

/// The next bytes; an error where the caller is `gone`, or somebody else wants the upload.
async fn next(
    mut pieces: Pin<&mut impl Stream<Item = Result<Bytes>>>,
    stop: &CancellationToken,
    gone: &CancellationToken,
) -> Result<Option<Bytes>> {
    tokio::select! {
        biased;
        () = stop.cancelled() => {
            Err(ErrorKind::Unavailable.error("another request goes on with the upload"))
        }
        () = gone.cancelled() => Err(ErrorKind::Invalid.error("whoever sent the upload is gone")),
        piece = pieces.try_next() => piece,
    }
}

/// The end of a call that has nothing to say: the same last bytes, told once more.
async fn nothing(
    stop: &CancellationToken,
    pieces: impl Stream<Item = Result<Bytes>>,
    gone: &CancellationToken,
) -> Result<()> {
    let mut pieces = pin!(pieces);
    while let Some(bytes) = next(pieces.as_mut(), stop, gone).await? {
        if !bytes.is_empty() {
            return Err(too_many());
        }
    }
    Ok(())
}

fn lost() -> Error {
    ErrorKind::Internal.error("bytes of an upload are gone")
}

fn too_many() -> Error {
    ErrorKind::Invalid.error("more bytes come than the upload has")
}

impl Held {
    /// Writes behind what is kept; what the file has beyond it, nobody has vouched for.
    async fn writer(&self) -> Result<BufWriter<File>> {
        let (mut file, kept) = (self.file()?, self.facts.kept_bytes);
        let file = blocking(move || {
            // Never made longer: that would put noughts in place of bytes.
            if file.metadata().map_err(unusable)?.len() < kept {
                return Err(lost());
            }
            file.set_len(kept).map_err(unusable)?;
            file.seek(SeekFrom::Start(kept)).map_err(unusable)?;
            Ok(file)
        })
        .await?;
        Ok(BufWriter::with_capacity(WRITE_BYTES, File::from_std(file)))
    }

    /// The whole upload, which stays where it is.
    pub async fn whole(&self) -> Result<Spooled> {
        let (mut file, path) = (self.file()?, self.place.bytes.clone());
        let size_bytes = self.facts.size_bytes;
        blocking(move || {
            if file.metadata().map_err(unusable)?.len() != size_bytes {
                return Err(lost());
            }
            file.seek(SeekFrom::Start(0)).map_err(unusable)?;
            let (mut digest, mut chunk) = (Sha256::new(), vec![0; WRITE_BYTES]);
            loop {
                match file.read(&mut chunk).map_err(unusable)? {
                    0 => return Ok(Spooled::lying_at(path, hex(&digest.finalize()))),
                    read => digest.update(&chunk[..read]),
                }
            }
        })
        .await
    }

    fn file(&self) -> Result<std::fs::File> {
        let bytes = self.bytes.as_ref();
        let bytes = bytes.ok_or_else(|| ErrorKind::Internal.error("the upload has no bytes"))?;
        bytes.try_clone().map_err(unusable)
    }
}
