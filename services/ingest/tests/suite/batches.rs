use std::io::{Cursor, Write};

use ::zip::write::SimpleFileOptions;
use imaging::encode::{Series, zip};
use proto::ingest::batch_answer::Answer;
use proto::storage::ListScans;

use crate::files;
use crate::world::World;

#[tokio::test]
async fn each_entry_of_a_batch_is_a_scan_or_a_refusal_of_its_own() {
    let world = World::new().await;
    let archive = zip(&[
        ("b.dcm".into(), files::dicom_slice()),
        ("a.png".into(), files::picture(&files::slice(), image::ImageFormat::Png)),
        ("series.zip".into(), files::dicom_zip(&[Series::of_seed(2)])),
        ("notes.txt".into(), b"seen today".to_vec()),
        ("__MACOSX/a.png".into(), vec![0; 9]),
    ])
    .unwrap();
    let header = world.header();
    let sent = async || {
        let answer = world.upload_batch_with(&archive, header.clone()).await.unwrap().answer;
        let Some(Answer::Batch(batch)) = answer else { panic!("{answer:?}") };
        batch
    };
    let batch = sent().await;
    let entries: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), !entry.scan_id.is_empty(), entry.refusal.is_some()))
        .collect();
    assert_eq!(
        entries,
        [
            ("a.png", true, false),
            ("b.dcm", true, false),
            ("notes.txt", false, true),
            ("series.zip", true, false),
        ]
    );
    assert_eq!(batch.entries[2].refusal.as_ref().unwrap().problem, "not-an-image");
    assert_eq!(world.storage.batch(&batch.id).await, batch);
    let kept = (world.storage.count("scans").await, world.storage.count("batches").await);
    assert_eq!((kept, world.spooled()), ((3, 1), 0));

    // Each entry has a key of its own, made of the batch's: the scans are found again.
    assert_eq!(sent().await.entries, batch.entries);
    assert_eq!(world.storage.count("scans").await, 3);
    assert_eq!(world.storage.count("idempotency").await, 3);
}

#[tokio::test]
async fn a_series_in_a_batch_is_one_scan_and_a_mask_is_none() {
    let world = World::new().await;
    let files = [
        files::dicom_slices(&[Series::of_seed(2), Series::of_seed(3)]),
        vec![files::png_slices().remove(3), files::masks().remove(3)],
    ];
    let archive = zip(&files.concat()).unwrap();
    let Some(Answer::Batch(batch)) = world.upload_batch(&archive).await.unwrap().answer else {
        panic!()
    };
    let entries: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), !entry.scan_id.is_empty()))
        .collect();
    // Every second slice of each series, evenly apart.
    assert_eq!(
        entries,
        [
            ("IM0 … IM6 (4 files)", true),
            ("IM1 … IM7 (4 files)", true),
            ("slice-3.png", true),
            ("slice-3_mask.png", false),
        ]
    );
    let refusal = batch.entries[3].refusal.as_ref().unwrap();
    assert!(refusal.detail.contains("label map"), "{refusal:?}");
    let told = world.storage.refused().await.into_iter().map(|refused| refused.problem);
    assert_eq!(told.collect::<Vec<_>>(), [refusal.problem.as_str()]);
    let scans = world.storage.scans(ListScans::default()).await;
    assert_eq!(scans.iter().map(|scan| scan.shape[0]).sum::<u32>(), 4 + 4 + 1);
}

#[tokio::test]
async fn a_batch_that_is_no_archive_is_refused_as_a_whole() {
    let world = World::new().await;
    for bytes in [&b""[..], b"no zip at all", &files::dicom_slice()] {
        let Some(Answer::Refusal(refusal)) = world.upload_batch(bytes).await.unwrap().answer else {
            panic!()
        };
        assert!(!refusal.detail.is_empty());
    }
    assert_eq!((world.storage.count("batches").await, world.spooled()), (0, 0));
}

#[tokio::test]
async fn what_the_entries_of_a_batch_unpack_to_is_counted_all_together() {
    let world = World::with(|config| config.upload_mib = 1).await;
    let mut archive = ::zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..7 {
        let packed = SimpleFileOptions::default();
        archive.start_file(format!("{number}.bin"), packed).unwrap();
        archive.write_all(&vec![0; 900 << 10]).unwrap();
    }
    let archive = archive.finish().unwrap().into_inner();
    assert!(archive.len() < 100_000, "{} bytes are not packed", archive.len());
    let Some(Answer::Batch(batch)) = world.upload_batch(&archive).await.unwrap().answer else {
        panic!()
    };
    let refusals: Vec<_> =
        batch.entries.iter().filter_map(|entry| entry.refusal.as_ref()).collect();
    assert_eq!(refusals.len(), 7);
    let too_large = refusals.iter().filter(|refusal| refusal.problem == "too-large");
    assert_eq!(too_large.count(), 3, "{refusals:?}");
}
