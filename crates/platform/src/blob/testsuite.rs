//! What every object store must do, whatever is behind it.

use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use domain::{ErrorKind, Random, Result};
use futures::TryStreamExt;

use super::{Blobs, ByteStream, Staged};
use crate::keys::DataKey;

/// Runs the suite on an empty store; panics where it breaks a promise.
pub async fn run(blobs: Blobs) {
    what_is_kept_is_read(&blobs).await;
    what_is_kept_is_read_from_its_middle_on(&blobs).await;
    nothing_is_seen_before_it_is_kept(&blobs).await;
    keeping_again_is_harmless(&blobs).await;
    other_bytes_than_named_end_in_an_error(&blobs).await;
    deleting_what_is_not_there_is_fine(&blobs).await;
    a_key_that_leaves_the_store_is_refused(&blobs).await;
    with_one_bad_key_nothing_is_kept(&blobs).await;
    what_is_sealed_is_read_with_its_key_from_anywhere(&blobs).await;
    what_is_sealed_opens_whole_and_as_itself_or_not_at_all(&blobs).await;
}

async fn what_is_kept_is_read(blobs: &Blobs) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let (a, b) = (stage(blobs, b"small").await, stage(blobs, &large).await);
    let digests = (a.sha256.clone(), b.sha256.clone());
    assert_eq!((a.size, b.size), (5, 3_000_000));
    blobs.keep(vec![("one/a".into(), a), ("two/b".into(), b)]).await.expect("kept");
    assert_eq!(read(blobs, "one/a", &digests.0).await.expect("a"), b"small");
    assert_eq!(read(blobs, "two/b", &digests.1).await.expect("b"), large);

    let mut objects: Vec<_> = blobs.list().await.expect("a list").try_collect().await.expect("all");
    objects.sort_by(|one, other| one.key.cmp(&other.key));
    assert_eq!(
        objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(),
        ["one/a", "two/b"]
    );
    assert!(objects.iter().all(|object| object.put_ms > 1_700_000_000_000));
}

async fn what_is_kept_is_read_from_its_middle_on(blobs: &Blobs) {
    let large: Vec<u8> = (0..700_000_u32).map(|at| (at % 251) as u8).collect();
    let staged = stage(blobs, &large).await;
    blobs.keep(vec![("three/middle".into(), staged)]).await.expect("kept");
    for from in [0, 1, 300_000, 699_999, 700_000, 700_001] {
        let rest = blobs.get_from("three/middle", from as u64).await.expect("a stream");
        let rest: Vec<Bytes> = rest.try_collect().await.expect("bytes");
        assert_eq!(rest.concat(), large.get(from..).unwrap_or_default(), "from {from}");
    }
    let missing = blobs.get_from("three/nothing", 7).await;
    assert_eq!(missing.err().expect("nothing").kind(), ErrorKind::NotFound);
    blobs.delete("three/middle").await.expect("deleted");
}

async fn nothing_is_seen_before_it_is_kept(blobs: &Blobs) {
    let before = count(blobs).await;
    let staged = stage(blobs, b"unseen").await;
    assert_eq!(count(blobs).await, before);
    let (missing, digest) =
        (read(blobs, "one/unseen", &staged.sha256).await, staged.sha256.clone());
    assert_eq!(missing.expect_err("nothing").kind(), ErrorKind::NotFound);
    drop(staged);
    let missing = read(blobs, "one/unseen", &digest).await;
    assert_eq!(missing.expect_err("nothing").kind(), ErrorKind::NotFound);
}

async fn keeping_again_is_harmless(blobs: &Blobs) {
    for _ in 0..2 {
        let staged = stage(blobs, b"twice").await;
        let digest = staged.sha256.clone();
        blobs.keep(vec![("one/twice".into(), staged)]).await.expect("kept");
        assert_eq!(read(blobs, "one/twice", &digest).await.expect("bytes"), b"twice");
    }
}

async fn other_bytes_than_named_end_in_an_error(blobs: &Blobs) {
    let wrong = "0".repeat(64);
    let refused = read(blobs, "one/twice", &wrong).await.expect_err("another digest");
    assert_eq!(refused.kind(), ErrorKind::Internal);
}

async fn deleting_what_is_not_there_is_fine(blobs: &Blobs) {
    blobs.delete("one/twice").await.expect("deleted");
    blobs.delete("one/twice").await.expect("deleted before");
    let gone = read(blobs, "one/twice", "").await.expect_err("nothing");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

async fn a_key_that_leaves_the_store_is_refused(blobs: &Blobs) {
    for key in ["", "/etc/passwd", "../out", "one/../../out", "one//a", ".staging/a", "a\0b", "a b"]
    {
        let staged = stage(blobs, b"out").await;
        let refused = blobs.keep(vec![(key.into(), staged)]).await.expect_err("a refusal");
        assert_eq!(refused.kind(), ErrorKind::Internal, "{key}");
        assert!(read(blobs, key, "").await.is_err() && blobs.delete(key).await.is_err(), "{key}");
    }
}

async fn with_one_bad_key_nothing_is_kept(blobs: &Blobs) {
    let before = count(blobs).await;
    let (good, bad) = (stage(blobs, b"good").await, stage(blobs, b"bad").await);
    let digest = good.sha256.clone();
    let both = vec![("one/good".into(), good), ("one/../bad".into(), bad)];
    assert_eq!(blobs.keep(both).await.expect_err("a refusal").kind(), ErrorKind::Internal);
    let missing = read(blobs, "one/good", &digest).await.expect_err("nothing");
    assert_eq!((missing.kind(), count(blobs).await), (ErrorKind::NotFound, before));
}

/// As long as a chunk of a sealed object.
const CHUNK: usize = 256 * 1024;

async fn what_is_sealed_is_read_with_its_key_from_anywhere(blobs: &Blobs) {
    let random = random();
    let (ours, theirs) = (DataKey::drawn(&random), DataKey::drawn(&random));
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 700_000] {
        let bytes = pattern(size);
        let (sealed, plain) =
            (seal(blobs, &bytes, &ours, &random).await, stage(blobs, &bytes).await);
        assert_eq!((sealed.size, &sealed.sha256), (size as u64, &plain.sha256), "{size} bytes");
        let (sha256, key) = (plain.sha256.clone(), format!("six/of-{}", sealed.ending));
        blobs.keep(vec![(key.clone(), sealed)]).await.expect("kept");
        let read = blobs.get_sealed(&key, &sha256, &ours).await;
        assert_eq!(whole(read).await.expect("opened"), bytes, "{size} bytes");
        for from in [0, 1, size / 2, size.saturating_sub(1)].into_iter().filter(|from| *from < size)
        {
            let rest = blobs.get_sealed_from(&key, from as u64, &ours).await;
            assert_eq!(whole(rest).await.expect("opened"), bytes[from..], "{size} from {from}");
        }
        let kept = whole(blobs.get_from(&key, 0).await).await.expect("as it is kept");
        assert!(
            kept.len() > size
                && !bytes.chunks_exact(8).step_by(10_000).any(|some| holds(&kept, some)),
            "{size} bytes"
        );
        let refused =
            whole(blobs.get_sealed(&key, &sha256, &theirs).await).await.expect_err("another key");
        assert_eq!(refused.kind(), ErrorKind::Internal);
        assert!(refused.to_string().contains(&key), "{refused}");
        blobs.delete(&key).await.expect("deleted");
    }
}

async fn what_is_sealed_opens_whole_and_as_itself_or_not_at_all(blobs: &Blobs) {
    let random = random();
    let (data_key, bytes) = (DataKey::drawn(&random), pattern(2 * CHUNK));
    let [one, other] = [
        seal(blobs, &bytes, &data_key, &random).await,
        seal(blobs, &bytes, &data_key, &random).await,
    ];
    let (sha256, ending, others) = (one.sha256.clone(), one.ending.clone(), other.ending.clone());
    blobs.keep(vec![(format!("seven/one-{ending}"), one)]).await.expect("kept");
    let kept = whole(blobs.get_from(&format!("seven/one-{ending}"), 0).await).await.expect("bytes");
    // Eight bytes of form, and two chunks with their tags.
    let (first, second) = kept[8..].split_at(CHUNK + 16);
    let mut flipped = kept.clone();
    flipped[CHUNK] ^= 1;
    let damaged = [
        kept[..4].to_vec(),
        kept[..8].to_vec(),
        kept[..8 + CHUNK + 16].to_vec(),
        kept[..kept.len() - 1].to_vec(),
        [&kept[..], b"!"].concat(),
        [&kept[..8], second, first].concat(),
        [&kept[..8], second].concat(),
        flipped,
        bytes.clone(),
    ];
    for (at, damaged) in damaged.into_iter().enumerate() {
        let key = format!("seven/{at}-{ending}");
        let staged = stage(blobs, &damaged).await;
        blobs.keep(vec![(key.clone(), staged)]).await.expect("kept");
        let refused = whole(blobs.get_sealed(&key, &sha256, &data_key).await).await;
        assert_eq!(refused.expect_err("damaged").kind(), ErrorKind::Internal, "{at}");
    }
    // Of the same patient, and even with the same bytes, but under another's name.
    let key = format!("seven/other-{others}");
    let staged = stage(blobs, &kept).await;
    blobs.keep(vec![(key.clone(), staged)]).await.expect("kept");
    let refused = whole(blobs.get_sealed(&key, &sha256, &data_key).await).await;
    assert_eq!(refused.expect_err("another object").kind(), ErrorKind::Internal);
}

/// Other bytes each time.
fn random() -> Random {
    let next = AtomicU8::new(1);
    Random::new(move |bytes| bytes.fill(next.fetch_add(1, Ordering::Relaxed)))
}

/// Bytes of which no eight are the same.
fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64)
        .flat_map(|at| {
            (at / 8 + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .to_le_bytes()
                .into_iter()
                .nth((at % 8) as usize)
        })
        .collect()
}

fn holds(bytes: &[u8], some: &[u8]) -> bool {
    bytes.windows(some.len()).any(|window| window == some)
}

async fn seal(blobs: &Blobs, bytes: &[u8], key: &DataKey, random: &Random) -> Staged {
    let mut staging = blobs.stage_sealed(key, random).await.expect("a staging");
    for piece in bytes.chunks(300_000) {
        staging.write(Bytes::copy_from_slice(piece)).await.expect("written");
    }
    staging.finish().await.expect("staged")
}

/// All bytes of what is read.
async fn whole(read: Result<ByteStream>) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = read?.try_collect().await?;
    Ok(pieces.concat())
}

async fn stage(blobs: &Blobs, bytes: &[u8]) -> Staged {
    let mut staging = blobs.stage().await.expect("a staging");
    for piece in bytes.chunks(300_000) {
        staging.write(Bytes::copy_from_slice(piece)).await.expect("written");
    }
    staging.finish().await.expect("staged")
}

async fn read(blobs: &Blobs, key: &str, sha256: &str) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = blobs.get(key, sha256).await?.try_collect().await?;
    Ok(pieces.concat())
}

async fn count(blobs: &Blobs) -> usize {
    let objects: Vec<_> = blobs.list().await.expect("a list").try_collect().await.expect("all");
    objects.len()
}
