//! What every object store must do, whatever is behind it.

use bytes::Bytes;
use domain::{ErrorKind, Result};
use futures::TryStreamExt;

use super::{Blobs, Staged};

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
