//! Instances that a request brings, beside those that scanners send: by both ways they are the same scan.

use std::path::Path;

use domain::{ErrorKind, Result};
use futures::stream;
use ingest::DicomSettings;
use proto::ingest::store_part::Part;
use proto::ingest::{
    StoreHeader, StoreInstance, StorePart, StoredInstance, StudyCompleted, StudyToComplete,
    UploadEnd,
};
use service::Peer;
use service::claims::{ORIGIN, authorised};

use crate::decoders::scripted;
use crate::door::{Hospitals, NORTH, SOUTH, series, until};
use crate::erased::lying;

/// From where all of them come.
pub const CAME_FROM: &str = "10.0.0.9";

/// Stores those files as parts of one request, in the name of that token's bearer; empty: of any study.
async fn stored(
    hospitals: &Hospitals,
    study: &str,
    files: &[Vec<u8>],
    token: &str,
) -> Result<Vec<StoredInstance>> {
    let header = StoreHeader { study_uid: study.to_owned(), ..StoreHeader::default() };
    let of = |file: &Vec<u8>| {
        let chunks = file.chunks(50_000).map(|chunk| Part::Data(chunk.to_vec().into()));
        let begun = Part::Instance(StoreInstance::default());
        std::iter::once(begun).chain(chunks).collect::<Vec<_>>()
    };
    let size_bytes = files.iter().map(|file| file.len() as u64).sum();
    let parts = std::iter::once(Part::Header(header))
        .chain(files.iter().flat_map(of))
        .chain([Part::End(UploadEnd { size_bytes })]);
    let parts: Vec<_> = parts.map(|part| StorePart { part: Some(part) }).collect();
    let mut request = authorised(stream::iter(parts), token);
    request.metadata_mut().insert(ORIGIN, CAME_FROM.parse().unwrap());
    let mut ingest = hospitals.ingest.clone().unwrap();
    Ok(ingest.store_instances(request).await?.into_inner().instances)
}

pub async fn by_north(
    hospitals: &Hospitals,
    study: &str,
    files: &[Vec<u8>],
) -> Vec<StoredInstance> {
    stored(hospitals, study, files, &hospitals.tokens[0]).await.unwrap()
}

pub async fn completed(
    hospitals: &Hospitals,
    study: &str,
    instances: Option<u64>,
    token: &str,
) -> Result<StudyCompleted> {
    let asked = StudyToComplete { study_uid: study.to_owned(), instances };
    let mut ingest = hospitals.ingest.clone().unwrap();
    Ok(ingest.complete_study(authorised(asked, token)).await?.into_inner())
}

pub fn failures(instances: &[StoredInstance]) -> Vec<u32> {
    instances.iter().map(|one| one.failure).collect()
}

/// Waits until the inbox knows of no caller.
async fn all_callers_gone(hospitals: &Hospitals) {
    let inbox = hospitals.folder().join("spool/inbox");
    let is_caller = |folder: &Path| folder.join("caller.json").is_file();
    until(async || {
        let mut folders = std::fs::read_dir(&inbox).unwrap().flatten();
        (!folders.any(|entry| is_caller(&entry.path()))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_caller_of_whom_nothing_is_left_is_forgotten_and_is_taken_anew() {
    let hospitals = Hospitals::with(|dicom, _| dicom.dicom_kept_hours = 0).await;
    for (seed, scans) in [(51, 1), (52, 2)] {
        assert_eq!(failures(&by_north(&hospitals, "", &series(seed)).await), [0; 8]);
        hospitals.scans_when(scans).await;
        all_callers_gone(&hospitals).await;
    }
}

#[tokio::test]
async fn what_nobody_can_hand_on_any_more_is_given_up_and_leaves_nothing() {
    let change = |dicom: &mut DicomSettings, _: &Path| {
        (dicom.dicom_quiet_s, dicom.dicom_kept_hours) = (5, 0);
    };
    let mut hospitals = Hospitals::with(change).await;
    assert_eq!(failures(&by_north(&hospitals, "", &series(53)).await), [0; 8]);
    hospitals.kill().await;
    hospitals.bar_users();
    hospitals.start().await;
    all_callers_gone(&hospitals).await;
    assert_eq!(hospitals.storage.count("scans").await, 0);
}

#[tokio::test]
async fn the_same_series_by_both_doors_is_one_scan() {
    let hospitals = Hospitals::open().await;
    let slices = series(21);
    let instances = by_north(&hospitals, "", &slices).await;
    assert_eq!(failures(&instances), [0; 8]);
    assert!(instances.iter().all(|one| one.series_uid == instances[0].series_uid));
    let scan = hospitals.scans_when(1).await.remove(0);
    assert_eq!(scan.shape[0], 8);
    // In another order, and by an application entity.
    let mut again = slices.clone();
    again.reverse();
    assert_eq!(hospitals.store(NORTH, &again).await, [0; 8]);
    hospitals.quiet().await;
    assert_eq!(hospitals.scans().await.len(), 1);
    // Of another hospital it is another scan.
    hospitals.store(SOUTH, &again).await;
    hospitals.quiet().await;
    assert_eq!(hospitals.storage.count("scans").await, 2);
}

#[tokio::test]
async fn what_is_stored_survives_whoever_took_it_and_is_one_scan() {
    let mut hospitals = Hospitals::open().await;
    assert_eq!(failures(&by_north(&hospitals, "", &series(22)[..5]).await), [0; 5]);
    hospitals.kill().await;
    hospitals.start().await;
    assert_eq!(failures(&by_north(&hospitals, "", &series(22)[5..]).await), [0; 3]);
    let scan = hospitals.scans_when(1).await.remove(0);
    assert_eq!(scan.shape[0], 8);
    // And where nobody comes any more.
    assert_eq!(failures(&by_north(&hospitals, "", &series(23)).await), [0; 8]);
    hospitals.kill().await;
    hospitals.start().await;
    hospitals.scans_when(2).await;
}

#[tokio::test]
async fn an_instance_that_is_not_taken_takes_no_other_with_it() {
    let hospitals = Hospitals::open().await;
    let slices = series(24);
    let study = by_north(&hospitals, "", &slices[..1]).await.remove(0).study_uid;
    let mut cut = slices[1].clone();
    cut.truncate(200);
    let other = series(25).remove(0);
    let sent = [slices[2].clone(), cut, b"no instance".to_vec(), other, slices[3].clone()];
    let answers = by_north(&hospitals, &study, &sent).await;
    assert_eq!(failures(&answers), [0, 0xc000, 0xc000, 0xa900, 0]);
    let named = |one: &StoredInstance| !one.sop_instance.is_empty();
    assert!(named(&answers[0]) && !named(&answers[2]) && named(&answers[3]));
    assert!(answers[3].comment.contains("another study"), "{}", answers[3].comment);
    let refused = stored(&hospitals, "../1", &slices, &hospitals.tokens[0]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    let nobody = stored(&hospitals, "", &slices, "no token").await;
    assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn instances_of_a_request_share_a_decoder_and_are_not_looked_at_once_more() {
    let (folder, decoder) = scripted("noted.sh");
    let hospitals = Hospitals::decoded_by(decoder).await;
    assert_eq!(failures(&by_north(&hospitals, "", &series(61)).await), [0; 8]);
    hospitals.scans_when(1).await;
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    let times = |task: &str| asked.lines().filter(|line| line.contains(task)).count();
    assert_eq!((times(" instance"), times(" series")), (1, 0), "{asked}");
}

#[tokio::test]
async fn a_decoder_that_ends_amid_several_instances_costs_none_of_them_its_answer() {
    let (_folder, decoder) = scripted("weary.sh");
    let hospitals = Hospitals::decoded_by(decoder).await;
    let mut sent = series(62);
    sent.insert(3, b"no instance".to_vec());
    let answers = by_north(&hospitals, "", &sent).await;
    assert_eq!(failures(&answers), [0, 0, 0, 0xc000, 0, 0, 0, 0, 0]);
    assert_eq!(hospitals.store(NORTH, &series(63)).await, [0; 8]);
    let scans = hospitals.scans_when(2).await;
    assert!(scans.iter().all(|scan| scan.shape[0] == 8), "{scans:?}");
}

#[tokio::test]
async fn an_instance_that_cannot_be_read_is_told_of_as_a_file_that_is_refused() {
    let hospitals = Hospitals::open().await;
    assert_eq!(failures(&by_north(&hospitals, "", &[b"no instance".to_vec()]).await), [0xc000]);
    let told = hospitals.storage.refused().await;
    let problems: Vec<_> = told.iter().map(|refused| refused.problem.as_str()).collect();
    assert_eq!(problems, ["not-an-image"]);
}

#[tokio::test]
async fn while_nobody_can_tell_what_was_erased_nothing_is_taken_and_the_sender_comes_back() {
    let mut hospitals = Hospitals::open().await;
    let away = Peer::connect("http://127.0.0.1:1").unwrap();
    let storage = std::mem::replace(&mut hospitals.storage.peer, away);
    hospitals.kill().await;
    hospitals.start().await;
    let sent = stored(&hospitals, "", &series(64), &hospitals.tokens[0]).await;
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(lying(&hospitals.folder().join("spool/inbox")), 0);
    hospitals.storage.peer = storage;
    hospitals.kill().await;
    hospitals.start().await;
    assert_eq!(failures(&by_north(&hospitals, "", &series(64)).await), [0; 8]);
    assert_eq!(hospitals.scans_when(1).await[0].shape[0], 8);
}

#[tokio::test]
async fn where_there_is_no_room_for_any_the_sender_comes_back() {
    let hospitals = Hospitals::with(|dicom, _| dicom.dicom_inbox_mib = 0).await;
    let none = stored(&hospitals, "", &series(26), &hospitals.tokens[0]).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Exhausted);
}

#[tokio::test]
async fn a_study_is_complete_when_somebody_says_so_with_its_number_and_by_whichever_door_it_came() {
    let hospitals = Hospitals::with(|dicom, _| dicom.dicom_quiet_s = 3600).await;
    let north = hospitals.tokens[0].clone();
    let slices = series(27);
    let study = by_north(&hospitals, "", &slices).await.remove(0).study_uid;
    let fewer = completed(&hospitals, &study, Some(9), &north).await.unwrap_err();
    assert_eq!(fewer.kind(), ErrorKind::Conflict);
    assert!(fewer.to_string().contains("8 instances"), "{fewer}");
    let elsewhere = completed(&hospitals, &study, None, &hospitals.tokens[1]).await;
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(hospitals.scans().await.len(), 0);
    let there = completed(&hospitals, &study, Some(8), &north).await.unwrap();
    assert_eq!((there.series, there.instances), (1, 8));
    hospitals.scans_when(1).await;

    hospitals.store(NORTH, &series(28)).await;
    let study = by_north(&hospitals, "", &series(28)[..1]).await.remove(0).study_uid;
    // One of them by both doors, which are two senders: it is one instance all the same.
    let twice = completed(&hospitals, &study, Some(9), &north).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    let there = completed(&hospitals, &study, Some(8), &north).await.unwrap();
    assert_eq!((there.series, there.instances), (1, 8));
    let unknown = completed(&hospitals, "1.2.3", None, &north).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
}
