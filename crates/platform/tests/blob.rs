//! Every object store against the one suite.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use domain::{ErrorKind, Result};
use futures::TryStreamExt;
use gcs::{Double, Faults};
use platform::blob::{Blobs, connect, testsuite};
use tempfile::TempDir;

fn url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

#[tokio::test]
async fn file() {
    let dir = tempfile::tempdir().unwrap();
    testsuite::run(connect(&url(&dir.path().join("blobs"))).await.unwrap()).await;
    // Nothing that was dropped unkept is still there.
    let staging = dir.path().join("blobs/.staging");
    assert_eq!(fs::read_dir(staging).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_gone_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = connect(&url(dir.path())).await.unwrap();
    let mut staging = blobs.stage().await.unwrap();
    staging.write(Bytes::from(vec![7; 2_000_000])).await.unwrap();
    std::mem::forget(staging);
    assert_eq!(fs::read_dir(dir.path().join(".staging")).unwrap().count(), 1);
    connect(&url(dir.path())).await.unwrap();
    assert_eq!(fs::read_dir(dir.path().join(".staging")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_that_is_not_built_in_is_named() {
    let refused = connect("az://bucket/folder").await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`az://`"), "{refused}");
}

#[tokio::test]
async fn a_disk_says_how_much_room_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = connect(&url(dir.path())).await.unwrap();
    assert!(blobs.free_bytes().await.unwrap().unwrap() > 0);
}

#[tokio::test]
async fn an_object_of_no_bytes_is_an_object() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = connect(&url(dir.path())).await.unwrap();
    let staged = blobs.stage().await.unwrap().finish().await.unwrap();
    // FIPS 180-4's digest of the empty message.
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!((staged.sha256.as_str(), staged.size), (empty, 0));
    blobs.keep(vec![("empty".into(), staged)]).await.unwrap();
    assert_eq!(read(&blobs, "empty", empty).await.unwrap(), b"");
}

#[tokio::test]
async fn a_file_that_has_rotted_grown_or_shrunk_is_not_given_out_whole() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = connect(&url(dir.path())).await.unwrap();
    let whole = large(600_000);
    let digest = put(&blobs, "one/scan", &whole).await.unwrap();
    let mut flipped = whole.clone();
    flipped[599_999] ^= 1;
    let grown = [&whole[..], b"!"].concat();
    for damaged in [&flipped[..], &grown, &whole[..599_999], b""] {
        fs::write(dir.path().join("one/scan"), damaged).unwrap();
        let refused = read(&blobs, "one/scan", &digest).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Internal, "{} bytes", damaged.len());
    }
    fs::write(dir.path().join("one/scan"), &whole).unwrap();
    assert!(read(&blobs, "one/scan", &digest).await.unwrap() == whole);
}

#[tokio::test]
async fn what_was_staged_in_another_kind_of_store_is_not_kept() {
    let (_dir, _double, bucket) = bucket().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = connect(&url(dir.path())).await.unwrap();
    for (from, to) in [(&bucket, &folder), (&folder, &bucket)] {
        let staged = from.stage().await.unwrap().finish().await.unwrap();
        let refused = to.keep(vec![("key".into(), staged)]).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Internal);
        let missing = read(to, "key", "").await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_read_is_refused_without_a_word_of_it() {
    for url in ["hunter2", "file://host/hunter2", "gs:///hunter2"] {
        let refused = connect(url).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{url}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn google_cloud_storage() {
    let dir = tempfile::tempdir().unwrap();
    let double = Double::start("bucket", dir.path()).await.unwrap();
    testsuite::run(connect(&double.url()).await.unwrap()).await;
    // A prefix is a store of its own.
    let prefixed = double.url().replace("bucket?", "bucket/some/prefix?");
    testsuite::run(connect(&prefixed).await.unwrap()).await;
    assert!(double.names().iter().any(|name| name == "some/prefix/one/a"), "{:?}", double.names());
}

/// `TEST_S3_URL` names a bucket, the environment its credentials.
#[tokio::test]
async fn s3() {
    let Ok(url) = std::env::var("TEST_S3_URL") else {
        return eprintln!("skipped: TEST_S3_URL is not set");
    };
    let (address, endpoint) = url.split_once('?').unwrap();
    let prefix = |name: &str| format!("{address}/{name}-{}?{endpoint}", std::process::id());
    testsuite::run(connect(&prefix("suite")).await.unwrap()).await;
    // Larger than a part.
    let blobs = connect(&prefix("large")).await.unwrap();
    let bytes = large(20_000_000);
    let digest = put(&blobs, "large", &bytes).await.unwrap();
    assert!(read(&blobs, "large", &digest).await.unwrap() == bytes);

    let refused = connect(&url.replacen("://", "://no-", 1)).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let double = Double::start("bucket", dir.path()).await.unwrap();
    let url = double.url().replace("gs://bucket", "gs://another");
    let refused = connect(&url).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("no bucket another"), "{refused}");
    let unknown = connect("gs://bucket?region=eu").await.map(drop).unwrap_err();
    assert!(unknown.to_string().contains("`region` means nothing"), "{unknown}");
    let nowhere = connect("s3://bucket?endpoint=http://no-127.0.0.1").await.map(drop).unwrap_err();
    assert!(nowhere.to_string().contains("endpoint is no URL"), "{nowhere}");
}

#[tokio::test]
async fn a_store_that_fails_now_and_then_is_asked_again() {
    let (_dir, double, blobs) = bucket().await;
    double.fail(Faults { unavailable_percent: 30, ..Faults::default() });
    for index in 0..20 {
        let key = format!("key-{index}");
        let digest = put(&blobs, &key, key.as_bytes()).await.unwrap();
        assert_eq!(read(&blobs, &key, &digest).await.unwrap(), key.as_bytes());
        blobs.delete(&key).await.unwrap();
    }
    assert!(double.failed() > 10, "{}", double.failed());
    assert_eq!(double.names(), Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_always_fails_is_unavailable_and_keeps_nothing() {
    let (_dir, double, blobs) = bucket().await;
    double.fail(Faults { unavailable_percent: 100, ..Faults::default() });
    let refused = put(&blobs, "key", b"bytes").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let unread = read(&blobs, "key", "").await.unwrap_err();
    assert_eq!(unread.kind(), ErrorKind::Unavailable);
    assert_eq!(double.names(), Vec::<String>::new());
}

#[tokio::test]
async fn an_object_whose_confirmation_was_lost_is_there_once() {
    let (_dir, double, blobs) = bucket().await;
    for (key, bytes) in [("small", large(1_000)), ("large", large(9_000_000))] {
        double.fail(Faults { answers_lost: 1, ..Faults::default() });
        let digest = put(&blobs, key, &bytes).await.unwrap();
        assert_eq!(double.failed(), 1, "{key}");
        assert!(read(&blobs, key, &digest).await.unwrap() == bytes, "{key}");
    }
    assert_eq!(double.names(), ["large", "small"]);
}

#[tokio::test]
async fn another_object_under_the_same_key_is_never_taken_for_ours() {
    let (_dir, _double, blobs) = bucket().await;
    let digest = put(&blobs, "key", b"ours").await.unwrap();
    let refused = put(&blobs, "key", b"else").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Internal);
    assert_eq!(read(&blobs, "key", &digest).await.unwrap(), b"ours");
}

#[tokio::test]
async fn a_transfer_that_is_cut_goes_on_where_it_was() {
    let (_dir, double, blobs) = bucket().await;
    double.fail(Faults { uploads_cut: 2, reads_cut: 2, ..Faults::default() });
    let bytes = large(20_000_000);
    let digest = put(&blobs, "large", &bytes).await.unwrap();
    assert!(read(&blobs, "large", &digest).await.unwrap() == bytes);
    assert_eq!(double.failed(), 4);
}

#[tokio::test]
async fn bytes_that_are_damaged_on_the_way_are_not_kept() {
    let (_dir, double, blobs) = bucket().await;
    double.fail(Faults { flipped_every: 100_000, ..Faults::default() });
    for (key, bytes) in [("small", large(1_000)), ("large", large(9_000_000))] {
        assert!(put(&blobs, key, &bytes).await.is_err(), "{key}");
    }
    assert_eq!(double.names(), Vec::<String>::new());
}

#[tokio::test]
async fn bytes_that_have_rotted_in_the_store_are_not_given_out_whole() {
    let (_dir, double, blobs) = bucket().await;
    let digest = put(&blobs, "key", &large(1_000)).await.unwrap();
    double.flip("key").unwrap();
    let damaged = read(&blobs, "key", &digest).await.unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::Internal, "asking again does not help");
}

/// A double of Google Cloud Storage in a folder, and the store on it.
async fn bucket() -> (TempDir, Double, Blobs) {
    let dir = tempfile::tempdir().expect("a folder");
    let double = Double::start("bucket", dir.path()).await.expect("a double");
    let blobs = connect(&double.url()).await.expect("a store");
    (dir, double, blobs)
}

fn large(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

async fn put(blobs: &Blobs, key: &str, bytes: &[u8]) -> Result<String> {
    let mut staging = blobs.stage().await?;
    for piece in bytes.chunks(300_000) {
        staging.write(Bytes::copy_from_slice(piece)).await?;
    }
    let staged = staging.finish().await?;
    let digest = staged.sha256.clone();
    blobs.keep(vec![(key.to_owned(), staged)]).await.map(|()| digest)
}

async fn read(blobs: &Blobs, key: &str, sha256: &str) -> Result<Vec<u8>> {
    let pieces: Vec<Bytes> = blobs.get(key, sha256).await?.try_collect().await?;
    Ok(pieces.concat())
}
