//! Uploads of several files.

use futures::stream;
use imaging::{Archive, Limits};

use super::*;

/// Without a limit that these uploads reach but the one on their bytes.
fn spool(folder: &Path, bytes_max: usize) -> Spool {
    Spool::open(folder, bytes_max, Reserve::of_disk(folder, 0)).unwrap()
}

fn begun(name: &str) -> Result<Piece> {
    Ok(Piece::File(name.to_owned()))
}

fn bytes(text: &'static str) -> Result<Piece> {
    Ok(Piece::Bytes(Bytes::from_static(text.as_bytes())))
}

async fn kept(spool: &Spool, pieces: Vec<Result<Piece>>) -> Result<Result<Received, Refusal>> {
    spool.keep_files("first", stream::iter(pieces)).await
}

fn left_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn one_file_is_itself_and_several_are_an_archive_of_each_with_its_own_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 100);
    let one = kept(&spool, vec![bytes("ab"), bytes("c")]).await.unwrap().unwrap();
    let Received::One(one) = one else { panic!("one file became several") };
    assert_eq!(std::fs::read(one.path()).unwrap(), b"abc");

    // The second one is empty, and the last comes in two pieces.
    let pieces = vec![bytes("one"), begun("2"), begun("3"), bytes("th"), bytes(""), bytes("ree")];
    let several = kept(&spool, pieces).await.unwrap().unwrap();
    let Received::Several(several) = several else { panic!("several files became one") };
    let archive = std::fs::File::open(several.path()).unwrap();
    let mut archive = Archive::open(archive, Limits::default()).unwrap();
    assert_eq!(archive.names().collect::<Vec<_>>(), ["2", "3", "first"]);
    let contents = [0, 1, 2].map(|place| archive.read(place).unwrap());
    assert_eq!(contents, [b"".to_vec(), b"three".to_vec(), b"one".to_vec()]);
    // The files themselves are gone once they are packed.
    assert_eq!(left_in(folder.path()), 2);
    drop((one, several));
    assert_eq!(left_in(folder.path()), 0);
}

#[tokio::test]
async fn the_limit_is_on_all_files_together() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 6);
    let files = |last| vec![bytes("abc"), begun("2"), bytes("de"), begun("3"), bytes(last)];
    assert!(kept(&spool, files("f")).await.unwrap().is_ok());
    let refusal = kept(&spool, files("fg")).await.unwrap().err().unwrap();
    assert_eq!(refusal.problem, RefusalReason::TooLarge);
    assert_eq!(left_in(folder.path()), 0);
}

#[tokio::test]
async fn an_upload_of_too_many_files_is_refused_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 100);
    let pieces = (0..UPLOAD_FILES_MAX).map(|number| begun(&number.to_string())).collect();
    let refusal = kept(&spool, pieces).await.unwrap().err().unwrap();
    assert_eq!(refusal.problem, RefusalReason::TooLarge);
    assert!(refusal.detail.contains(&format!("more than {UPLOAD_FILES_MAX} files")), "{refusal}");
    assert_eq!(left_in(folder.path()), 0);
}

#[tokio::test]
async fn an_upload_that_breaks_off_in_any_of_its_files_is_none() {
    let whole = || vec![bytes("abc"), begun("2"), bytes("de"), begun("3"), bytes("f")];
    for length in 0..=whole().len() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 100);
        let mut pieces = whole();
        pieces.truncate(length);
        pieces.push(Err(ErrorKind::Invalid.error("the upload was cut short")));
        let error = kept(&spool, pieces).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "after {length} pieces");
        assert_eq!(left_in(folder.path()), 0, "after {length} pieces");
    }
}
