//! Objects that are encrypted chunk by chunk: AES-256-GCM in the STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, 2015).
//!
//! An object is eight bytes that say which form it has, and then its chunks, each with its tag. A chunk's number and whether it is the
//! last one are in its nonce, so that chunks are neither left out, nor put in another order, nor taken for the end. Each object has a
//! key of its own, of the data key and the end of its own name: so one object is never taken for another, and no nonce is used twice.

use std::mem;

use bytes::Bytes;
use domain::{Error, ErrorKind, Result};
use futures::{StreamExt, TryStreamExt, stream};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::ByteStream;

/// What an object in this form begins with; authenticated with each chunk.
const FORM: &[u8; 8] = b"medseg\x00\x01";
const CHUNK_BYTES: usize = 256 * 1024;
const TAG_BYTES: usize = 16;
/// A chunk as it is kept.
const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Encrypts one object as it is written.
pub(super) struct Sealer {
    key: LessSafeKey,
    chunk: Vec<u8>,
    number: u32,
}

impl Sealer {
    pub(super) fn new(key: LessSafeKey) -> Sealer {
        Sealer { key, chunk: Vec::new(), number: 0 }
    }

    /// What can be kept by now: a chunk is not sealed before it is known whether it is the last one.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = Vec::new();
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_BYTES {
                self.seal(false, &mut sealed)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(sealed)
    }

    /// The rest.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        let mut sealed = Vec::new();
        self.seal(true, &mut sealed)?;
        Ok(sealed)
    }

    fn seal(&mut self, is_last: bool, sealed: &mut Vec<u8>) -> Result<()> {
        if self.number == 0 {
            sealed.extend_from_slice(FORM);
        }
        let nonce = nonce(self.number, is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(FORM), &mut self.chunk)
            .map_err(|_| ErrorKind::Internal.error("cannot encrypt an object"))?;
        sealed.append(&mut self.chunk);
        let next = self.number.checked_add(1);
        self.number = next.ok_or_else(|| ErrorKind::Exhausted.error("an object is too large"))?;
        Ok(())
    }
}

/// Where in a sealed object the chunk begins that has the byte `from`: its number, its place, and how much of it is before that byte.
pub(super) fn place(from: u64) -> Result<(u32, u64, u64)> {
    let chunk = CHUNK_BYTES as u64;
    let number = u32::try_from(from / chunk)
        .map_err(|_| ErrorKind::Invalid.error("no object has that many bytes"))?;
    let begins = FORM.len() as u64 + u64::from(number) * SEALED_BYTES as u64;
    Ok((number, begins, from % chunk))
}

/// The object's own bytes, chunk by chunk, each only once it is authenticated.
///
/// `bytes` are those of the sealed `object` from its beginning on (`number` is None), or from that chunk on. The stream ends with an
/// error of the kind `Internal`, which names the object, where they were altered or end too soon, or are another object's.
pub(super) fn opened(
    bytes: ByteStream,
    key: LessSafeKey,
    number: Option<u32>,
    object: String,
) -> ByteStream {
    let opener = Opener {
        bytes,
        key,
        object,
        buffer: Vec::new(),
        has_form: number.is_none(),
        number: number.unwrap_or_default(),
        is_done: false,
    };
    let pieces = stream::try_unfold(opener, async |mut opener: Opener| {
        let next = opener.next().await;
        next.map(|piece| piece.map(|piece| (piece, opener)))
    });
    // That of no bytes has a chunk of none.
    pieces.try_filter(|piece| std::future::ready(!piece.is_empty())).boxed()
}

struct Opener {
    bytes: ByteStream,
    key: LessSafeKey,
    object: String,
    buffer: Vec<u8>,
    /// Whether what tells the form is still to come.
    has_form: bool,
    number: u32,
    is_done: bool,
}

impl Opener {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.is_done {
            return Ok(None);
        }
        if self.has_form {
            self.fill(FORM.len()).await?;
            if !self.buffer.starts_with(FORM) {
                return Err(self.damaged());
            }
            self.buffer.drain(..FORM.len());
            self.has_form = false;
        }
        // One byte more says that there is another chunk.
        self.fill(SEALED_BYTES + 1).await?;
        self.is_done = self.buffer.len() <= SEALED_BYTES;
        let rest = self.buffer.split_off(self.buffer.len().min(SEALED_BYTES));
        let mut chunk = mem::replace(&mut self.buffer, rest);
        let nonce = nonce(self.number, self.is_done);
        let opened = self.key.open_in_place(nonce, Aad::from(FORM), &mut chunk);
        let length = opened.map_err(|_| self.damaged())?.len();
        chunk.truncate(length);
        self.number = self.number.checked_add(1).ok_or_else(|| self.damaged())?;
        Ok(Some(chunk.into()))
    }

    /// Reads until there is that much, or no more.
    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            let Some(piece) = self.bytes.try_next().await? else { break };
            self.buffer.extend_from_slice(&piece);
        }
        Ok(())
    }

    fn damaged(&self) -> Error {
        ErrorKind::Internal.error(format!(
            "the object {} does not open with its data key: it was altered, cut short, or is another one",
            self.object
        ))
    }
}

/// No two chunks of an object have the same one, and no two objects the same key.
fn nonce(number: u32, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 5..NONCE_LEN - 1].copy_from_slice(&number.to_be_bytes());
    nonce[NONCE_LEN - 1] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}
