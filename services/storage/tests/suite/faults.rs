use std::fs;
use std::path::{Path, PathBuf};

use futures::stream;
use proto::storage::accept_part::Part;
use proto::storage::scans_client::ScansClient;
use proto::storage::*;
use service::Peer;
use storage::{Peers, Rules};
use tonic::Code;

use crate::log::Log;
use crate::world::{Upload, World, serve, until};

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// What is kept of scans: not that there were some.
pub fn objects(world: &World) -> Vec<PathBuf> {
    let all = files(&world.data.path().join("blobs"));
    all.into_iter().filter(|path| tombstone_of(path).is_none()).collect()
}

/// The tombstones that are kept, by their names.
pub fn tombstones(world: &World) -> Vec<String> {
    files(&world.data.path().join("blobs")).iter().filter_map(|path| tombstone_of(path)).collect()
}

fn tombstone_of(path: &Path) -> Option<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let is_one = name.starts_with("deleted.") || name.starts_with("erased.");
    is_one.then(|| name.to_owned())
}

/// The file that the scan's volume lies in.
pub async fn volume_of(world: &World, scan: &Scan) -> PathBuf {
    let volume = "SELECT blob_key FROM artefacts WHERE scan_id = ? AND name = 'volume'";
    let key: String = sqlx::query_scalar(volume)
        .bind(scan.id.clone())
        .fetch_one(world.ports.database.pool())
        .await
        .unwrap();
    world.data.path().join("blobs").join(key)
}

pub async fn a_bit_that_flips_at_rest_is_noticed_and_said(world: World) {
    let (scan, id) = world.ready().await;
    let path = volume_of(&world, &scan).await;
    let mut bytes = fs::read(&path).unwrap();
    bytes[7] ^= 0x10;
    fs::write(&path, bytes).unwrap();

    let job = world.claim(&id).await.unwrap();
    let log = Log::listen();
    assert_eq!(world.volume(&job).await.unwrap_err().code(), Code::Internal);
    // Once, though it is amid a stream that the bytes turn out to be others.
    let lines = log.lines();
    assert!(lines.len() == 1 && lines[0].contains(&scan.id), "{lines:?}");
    let failed = until(|| world.get(&scan), |scan| scan.state() == State::Done).await;
    assert_eq!(failed.answer(), Answer::Failed);
    assert!(failed.reason.contains("damaged"), "{}", failed.reason);
    assert_eq!(world.read(&scan, "volume").await.unwrap_err().code(), Code::Internal);
}

pub async fn a_lost_volume_fails_the_scan_in_words(world: World) {
    let (scan, id) = world.ready().await;
    fs::remove_file(volume_of(&world, &scan).await).unwrap();
    let job = world.claim(&id).await.unwrap();
    assert_eq!(world.volume(&job).await.unwrap_err().code(), Code::Internal);
    let failed = world.get(&scan).await;
    assert_eq!((failed.answer(), failed.state()), (Answer::Failed, State::Done));
}

pub async fn an_upload_that_breaks_off_leaves_nothing(world: World) {
    let upload = Upload::of("a head");
    let cut = [Part::Header(upload.header), Part::Volume(upload.volume.into())];
    let parts = stream::iter(cut.map(|part| AcceptPart { part: Some(part) }));
    let refused = world.scans.clone().accept(world.by(world.hospital, parts)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(objects(&world), Vec::<PathBuf>::new());
    assert_eq!((world.count("scans").await, world.count("outbox").await), (0, 0));
}

pub async fn an_object_without_a_row_is_deleted_when_old(world: World) {
    // As a crash leaves it, between the bytes and the row.
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let folder = volume_of(&world, &scan).await.parent().unwrap().to_owned();
    let orphan = folder.join(format!("{}-0-{}", scan.id, "ab".repeat(32)));
    fs::write(&orphan, b"nobody's").unwrap();
    let restart = || {
        let (rules, ports) = (world.rules.clone(), world.ports.clone());
        serve(storage::build(rules, ports, Peers::auth(world.auth())))
    };
    let _young = restart().await;
    world.clock.advance(23 * 3_600_000);
    let _middling = restart().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(objects(&world).len(), 4);

    world.clock.advance(2 * 3_600_000);
    let _old = restart().await;
    until(async || orphan.try_exists().unwrap(), |there| !there).await;
    assert_eq!(objects(&world).len(), 3);
}

pub async fn a_full_disk_refuses_before_it_stores(world: World) {
    let rules = Rules { disk_reserve_mib: u64::MAX >> 20, ..Default::default() };
    let full = storage::build(rules, world.ports.clone(), Peers::auth(world.auth()));
    let full = Peer::within(&full);
    let (full, upload) = (ScansClient::new(full), Upload::of("a head"));
    let refused = world.accept_at(full, world.hospital, upload).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("disk is full"), "{refused}");
    assert_eq!((objects(&world).len(), world.count("scans").await), (0, 0));
}
