//! Uploads of whole studies: which of their series are analysed, and what becomes of the others.

use imaging::encode::{Series, zip};
use proto::ingest::upload_answer::Answer;
use proto::ingest::{UploadHeader, batch_answer};
use proto::storage::{Answer as ScanAnswer, Batch, BatchEntry, Scan, State};

use crate::files;
use crate::world::World;

/// A FLAIR series, and beside it a localiser and a map of the same study.
fn study() -> [Series; 3] {
    let flair = Series::of_seed(2);
    let localiser = flair.beside(3).described("localizer", "ORIGINAL\\PRIMARY\\LOCALIZER");
    let map = flair.beside(4).described("ADC", "DERIVED\\PRIMARY\\DIFFUSION\\ADC");
    [flair, localiser, map]
}

/// Each series whole: slices of one must not lack those of another.
fn files_of(series: &[Series]) -> Vec<(String, Vec<u8>)> {
    let named = |(number, one): (usize, &Series)| {
        let slices = files::dicom_slices(std::slice::from_ref(one));
        slices.into_iter().map(move |(name, bytes)| (format!("{number}/{name}"), bytes))
    };
    series.iter().enumerate().flat_map(named).collect()
}

async fn sent(world: &World, series: &str) -> Batch {
    let archive = zip(&files_of(&study())).unwrap();
    let header = UploadHeader { series: series.into(), ..world.header() };
    let answer = world.upload_batch_with(&archive, header).await.unwrap().answer;
    let Some(batch_answer::Answer::Batch(batch)) = answer else { panic!("{answer:?}") };
    batch
}

async fn scan_of(world: &World, entry: &BatchEntry) -> Scan {
    let scan = Scan { id: entry.scan_id.clone(), ..Scan::default() };
    world.storage.get_as(&scan, &world.token).await.unwrap()
}

fn picked(batch: &Batch) -> Vec<bool> {
    let picked = |entry: &BatchEntry| entry.series.as_ref().unwrap().picked;
    batch.entries.iter().map(picked).collect()
}

#[tokio::test]
async fn of_a_study_the_series_that_fits_is_analysed_and_the_others_are_kept_with_the_reason() {
    let world = World::new().await;
    let batch = sent(&world, "").await;
    assert_eq!(picked(&batch), [true, false, false]);
    let reasons: Vec<_> =
        batch.entries.iter().map(|entry| entry.series.clone().unwrap().reasons).collect();
    assert!(reasons[1].contains(&"localizer".to_owned()), "{reasons:?}");
    assert!(reasons[2].contains(&"map".to_owned()), "{reasons:?}");
    for (entry, waits) in batch.entries.iter().zip([true, false, false]) {
        let scan = scan_of(&world, entry).await;
        let expected = if waits {
            (State::Queued, ScanAnswer::Unspecified)
        } else {
            (State::Done, ScanAnswer::NotAnalysable)
        };
        assert_eq!((scan.state(), scan.answer()), expected, "{scan:?}");
        assert_eq!(scan.reason.contains("kept and not analysed"), !waits, "{scan:?}");
        assert_eq!(scan.series, entry.series, "the scan says what its entry says");
    }
    assert_eq!(world.storage.batch(&batch.id).await, batch);
}

#[tokio::test]
async fn a_form_with_a_study_is_taken_the_same_way_and_one_series_alone_is_analysed() {
    let world = World::new().await;
    let Answer::Batch(batch) = world.upload_files(&files_of(&study())).await else { panic!() };
    assert_eq!(picked(&batch), [true, false, false]);
    let [_, localiser, _] = study();
    let Answer::Scan(scan) = world.upload_files(&files_of(&[localiser])).await else { panic!() };
    assert_eq!(scan.state(), State::Queued);
}

#[tokio::test]
async fn a_zip_of_a_study_is_taken_as_its_series_and_one_of_two_patients_is_refused() {
    let world = World::new().await;
    let sent = async |series: &[Series], wanted: &str| {
        let archive = zip(&files_of(series)).unwrap();
        let header = UploadHeader { series: wanted.into(), ..world.header() };
        world.answer_to(&archive, header).await.unwrap().answer.unwrap()
    };
    let Answer::Batch(batch) = sent(&study(), "fitting").await else { panic!("no batch") };
    assert_eq!(picked(&batch), [true, false, false]);
    let [flair, ..] = study();
    // Whoever says nothing has sent one file, which is one scan or none.
    for (series, wanted) in [(&study()[..], ""), (&[flair, Series::of_seed(9)][..], "fitting")] {
        let Answer::Refusal(refusal) = sent(series, wanted).await else {
            panic!("{wanted}: it was taken")
        };
        assert_eq!(refusal.problem, "mixed-series");
    }
}

#[tokio::test]
async fn who_wants_each_series_analysed_has_each_of_them() {
    let world = World::new().await;
    let batch = sent(&world, "all").await;
    assert_eq!(picked(&batch), [true, true, true]);
    for entry in &batch.entries {
        assert_eq!(scan_of(&world, entry).await.state(), State::Queued);
    }
}
