//! Every object store against the one suite.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use domain::ErrorKind;
use platform::blob::{connect, testsuite};

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
    for scheme in ["gs", "s3"] {
        let refused = connect(&format!("{scheme}://bucket/folder")).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains(&format!("`{scheme}://`")), "{refused}");
    }
}

#[tokio::test]
async fn a_disk_says_how_much_room_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = connect(&url(dir.path())).await.unwrap();
    assert!(blobs.free_bytes().await.unwrap().unwrap() > 0);
}
