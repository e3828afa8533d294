//! The bytes of instances: as they stand in uploads, compared with their digests while they go by.

use std::io;

use bytes::Bytes;
use domain::artefact::ORIGINAL;
use domain::hex;
use flate2::{Decompress, FlushDecompress, Status};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use imaging::StoredInstance;
use proto::storage::ArtefactRest;
use sha2::{Digest, Sha256};

use crate::Gateway;
use crate::caller::Caller;
use crate::problem::{INTERNAL, NOT_ACCEPTABLE, Problem};
use crate::range;

/// What one instance may have where parts are cut out of it, which takes all of it in memory.
const WHOLE_BYTES_MAX: u64 = 256 << 20;
/// What is inflated at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Pieces of a body; what breaks, breaks the body off.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// The bytes of an instance as it came, from the upload that has brought it. They break off at their end where they are others than
/// those that were indexed.
pub async fn stored(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &str,
    of: &StoredInstance,
) -> Result<Pieces, Problem> {
    if of.stored.bytes == 0 {
        return Err(INTERNAL.problem("internal error"));
    }
    let (id, name, from) = (scan.to_owned(), ORIGINAL.name.to_owned(), of.stored.at);
    let asked = caller.request(ArtefactRest { id, name, from });
    let chunks = gateway.scans.read_rest(asked).await?.into_inner();
    let bytes = chunks.map_ok(|chunk| chunk.data).map_err(io::Error::other);
    let bytes = range::cut(bytes, 0..=of.stored.bytes - 1).boxed();
    let bytes = if of.packed { inflated(bytes) } else { bytes };
    Ok(verified(bytes, of.bytes, of.sha256.clone()))
}

/// All of them.
pub async fn whole(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &str,
    of: &StoredInstance,
) -> Result<Bytes, Problem> {
    if of.bytes > WHOLE_BYTES_MAX {
        return Err(
            NOT_ACCEPTABLE.problem("the instance is too large for parts of it: ask for all of it")
        );
    }
    let mut bytes = stored(gateway, caller, scan, of).await?;
    let mut whole = Vec::with_capacity(of.bytes as usize);
    while let Some(piece) = bytes.try_next().await.map_err(|error| broken(&error))? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

fn broken(error: &io::Error) -> Problem {
    tracing::error!(%error, "an instance of an upload cannot be read");
    INTERNAL.problem("internal error")
}

/// What deflated bytes are (RFC 1951). Nothing is made of them here, and no more is held of them than a piece.
fn inflated(bytes: Pieces) -> Pieces {
    let begun =
        Inflating { bytes, left: Bytes::new(), inflate: Decompress::new(false), done: false };
    stream::try_unfold(begun, async |mut inflating| {
        Ok(inflating.next().await?.map(|piece| (piece, inflating)))
    })
    .boxed()
}

struct Inflating {
    bytes: Pieces,
    /// What has come and is not inflated yet.
    left: Bytes,
    inflate: Decompress,
    done: bool,
}

impl Inflating {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut ended = false;
        while !self.done {
            if self.left.is_empty() {
                match self.bytes.try_next().await? {
                    Some(more) => self.left = more,
                    None => ended = true,
                }
            }
            let mut out = Vec::with_capacity(PIECE_BYTES);
            let before = self.inflate.total_in();
            let status = self.inflate.decompress_vec(&self.left, &mut out, FlushDecompress::None);
            self.done = status.map_err(io::Error::other)? == Status::StreamEnd;
            let used = (self.inflate.total_in() - before) as usize;
            drop(self.left.split_to(used));
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
            if !self.done && (ended || (used == 0 && !self.left.is_empty())) {
                return Err(io::Error::other("deflated bytes end too early"));
            }
        }
        Ok(None)
    }
}

/// The bytes, and an error as soon as they are more, or others at their end, than were indexed.
fn verified(bytes: Pieces, size: u64, sha256: String) -> Pieces {
    let state = (bytes, Sha256::new(), size, sha256);
    stream::try_unfold(state, async |(mut bytes, mut digest, left, sha256)| {
        let Some(piece) = bytes.try_next().await? else {
            let same = left == 0 && hex(&digest.finalize()) == sha256;
            return if same { Ok(None) } else { Err(another()) };
        };
        let Some(left) = left.checked_sub(piece.len() as u64) else { return Err(another()) };
        digest.update(&piece);
        Ok(Some((piece, (bytes, digest, left, sha256))))
    })
    .boxed()
}

fn another() -> io::Error {
    io::Error::other("an instance is not what was indexed")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    fn pieces(bytes: &[u8], size: usize) -> Pieces {
        let pieces: Vec<io::Result<Bytes>> =
            bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        stream::iter(pieces).boxed()
    }

    async fn all(pieces: Pieces) -> io::Result<Vec<u8>> {
        Ok(pieces.try_collect::<Vec<Bytes>>().await?.concat())
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[tokio::test]
    async fn what_was_deflated_comes_back_however_its_pieces_fall() {
        let bytes: Vec<u8> =
            (0..1_000_000_u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        let packed = deflated(&bytes);
        for size in [1_000, 65_536, packed.len()] {
            assert_eq!(all(inflated(pieces(&packed, size))).await.unwrap(), bytes, "{size}");
        }
        assert!(all(inflated(pieces(&packed[..packed.len() / 2], 1_000))).await.is_err());
        assert!(all(inflated(pieces(b"\xff\xff\xff\xff\xff", 2))).await.is_err());
    }

    #[tokio::test]
    async fn bytes_that_are_not_those_of_their_digest_break_off() {
        let digest = hex(&Sha256::digest(b"an instance"));
        let checked =
            |bytes: &'static [u8], size| all(verified(pieces(bytes, 4), size, digest.clone()));
        assert_eq!(checked(b"an instance", 11).await.unwrap(), b"an instance");
        assert!(checked(b"an instancf", 11).await.is_err());
        assert!(checked(b"an instance and more", 11).await.is_err());
        assert!(checked(b"an instanc", 11).await.is_err());
    }
}
