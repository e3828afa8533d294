//! Uploads of whole studies: which of their series are analysed, and what becomes of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use imaging::Volume;
use imaging::encode::{Series, dicom, zip};
use proto::inference::v1::kinds_server::{Kinds, KindsServer};
use proto::inference::v1::shown_part::Part;
use proto::inference::v1::{KindProbability, ShownPart, ToldKind};
use proto::ingest::upload_answer::Answer;
use proto::ingest::{UploadHeader, batch_answer};
use proto::storage::{Answer as ScanAnswer, Batch, BatchEntry, Scan, State};
use service::{Peer, Service};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

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
    sent_files(world, &files_of(&study()), series).await
}

async fn sent_files(world: &World, files: &[(String, Vec<u8>)], series: &str) -> Batch {
    let archive = zip(files).unwrap();
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

/// What is this bright is no FLAIR to whom the tests ask, and so are none of our phantoms.
const OTHER_FROM: f32 = 2500.0;

/// Stands in for a model that tells so many kinds, of three: here there are no patients to learn that from. It counts how often it is
/// asked.
struct Looking(Arc<AtomicUsize>, usize);

#[tonic::async_trait]
impl Kinds for Looking {
    async fn tell_kind(
        &self,
        request: Request<Streaming<ShownPart>>,
    ) -> Result<Response<ToldKind>, Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let (mut parts, mut bytes, mut expected) = (request.into_inner(), Vec::new(), 0);
        while let Some(part) = parts.message().await? {
            match part.part.unwrap() {
                Part::Header(header) => {
                    assert_eq!((&*header.modality, header.slices), ("MR", 7));
                    assert!((header.row_mm - 2.4).abs() < 1e-6, "{header:?}");
                    expected = 4 * 7 * header.rows as usize * header.columns as usize;
                }
                Part::Voxels(more) => bytes.extend_from_slice(&more),
            }
        }
        assert_eq!(bytes.len(), expected);
        let voxels = bytes.as_chunks::<4>().0.iter().map(|voxel| f32::from_le_bytes(*voxel));
        let other = if voxels.fold(0.0, f32::max) >= OTHER_FROM { 0.97 } else { 0.01 };
        let kinds = [("flair", 0.98 - other), ("t1_contrast", 0.02), ("other", other)];
        let told = kinds.into_iter().take(self.1);
        let kinds = told
            .map(|(kind, probability)| KindProbability { kind: kind.to_owned(), probability })
            .collect();
        let (model_name, model_version) = ("looker".to_owned(), "7".to_owned());
        Ok(Response::new(ToldKind { kinds, model_name, model_version }))
    }
}

/// A worker whose model tells so many kinds, and how often it was asked.
fn looking(kinds: usize) -> (Peer, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let grpc = Routes::new(KindsServer::new(Looking(asked.clone(), kinds)));
    (Peer::within(&Service { name: "kinds", grpc, ..Service::default() }), asked)
}

/// A series that is so many times as bright, and described so.
fn looks_and_says(series: &Series, times: f32, words: &str) -> Vec<(String, Vec<u8>)> {
    let series = series.clone().described(words, "ORIGINAL\\PRIMARY\\M\\SE");
    let volume = files::stack();
    let voxels = volume.voxels.iter().map(|voxel| times * voxel).collect();
    let volume = Volume { voxels, ..volume };
    let slice = |slice| (format!("{words}/{slice}"), dicom(&volume, &series, slice).unwrap());
    (0..volume.shape.slices).map(slice).collect()
}

/// A FLAIR series and one that is none, each called what the other is.
fn lying() -> Vec<(String, Vec<u8>)> {
    let flair = Series::of_seed(12);
    let files = [
        looks_and_says(&flair, 1.0, "AX T1 pre"),
        looks_and_says(&flair.beside(13), 6.0, "TRA FLAIR"),
    ];
    files.concat()
}

/// Which model has told the kind of each, and its version.
fn models(batch: &Batch) -> Vec<[String; 2]> {
    let model = |entry: &BatchEntry| {
        let series = entry.series.clone().unwrap();
        [series.kind_model_name, series.kind_model_version]
    };
    batch.entries.iter().map(model).collect()
}

fn reasons(batch: &Batch) -> Vec<Vec<String>> {
    let reasons = |entry: &BatchEntry| entry.series.clone().unwrap().reasons;
    batch.entries.iter().map(reasons).collect()
}

#[tokio::test]
async fn a_study_whose_descriptions_lie_is_picked_by_what_its_series_look_like() {
    let (worker, _) = looking(3);
    let batch = sent_files(&World::asking(worker).await, &lying(), "").await;
    assert_eq!(picked(&batch), [true, false]);
    let reasons = reasons(&batch);
    let [flair, other] = &reasons[..] else { panic!("{batch:?}") };
    let told = |reasons: &[String], how: &str| {
        reasons.starts_with(&[how.to_owned(), "description_denied".to_owned()])
    };
    assert!(told(flair, "kind_by_content"), "{flair:?}");
    assert!(told(other, "other_kind_by_content"), "{other:?}");
    assert_eq!(models(&batch), [["looker", "7"]; 2]);
}

#[tokio::test]
async fn where_no_model_can_be_asked_descriptions_tell_and_that_is_said() {
    let away = Peer::connect("http://127.0.0.1:1").unwrap();
    for world in [World::new().await, World::asking(away).await] {
        let batch = sent_files(&world, &lying(), "").await;
        assert_eq!(picked(&batch), [false, true]);
        let reasons = reasons(&batch);
        assert_eq!(reasons[0][0], "other_kind_by_description");
        assert_eq!(reasons[1][0], "kind_by_description");
        for reasons in reasons {
            assert_eq!(reasons.last().unwrap(), "no_model_asked");
        }
        let left = scan_of(&world, &batch.entries[0]).await;
        assert!(left.reason.contains("no model was asked"), "{left:?}");
    }
}

#[tokio::test]
async fn where_the_model_that_serves_tells_no_kinds_descriptions_tell_and_that_is_said() {
    let (worker, asked) = looking(0);
    let world = World::asking(worker).await;
    let batch = sent_files(&world, &lying(), "").await;
    assert_eq!((picked(&batch), asked.load(Ordering::Relaxed)), (vec![false, true], 1));
    for reasons in reasons(&batch) {
        assert_eq!(reasons.last().unwrap(), "no_kind_told");
    }
    assert_eq!(models(&batch), [["", ""]; 2]);
    let left = scan_of(&world, &batch.entries[0]).await;
    assert!(left.reason.contains("the model that serves tells no kinds"), "{left:?}");
}

#[tokio::test]
async fn of_a_study_a_few_series_are_looked_at_and_of_one_whose_every_series_is_wanted_none() {
    let (worker, asked) = looking(3);
    let world = World::asking(worker).await;
    let first = Series::of_seed(20);
    let series =
        |number: u64| looks_and_says(&first.beside(20 + number), 1.0, &format!("s{number}"));
    let files = (0..10).flat_map(series).collect::<Vec<_>>();
    sent_files(&world, &files, "all").await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    let batch = sent_files(&world, &files, "").await;
    assert_eq!(asked.load(Ordering::Relaxed), 8);
    let unasked = |reasons: &Vec<String>| reasons.contains(&"no_model_asked".to_owned());
    assert_eq!(reasons(&batch).iter().filter(|reasons| unasked(reasons)).count(), 2);
}

#[tokio::test]
async fn to_a_model_of_two_kinds_none_is_shown_that_is_not_said_to_be_of_one() {
    let (worker, asked) = looking(2);
    let first = Series::of_seed(40);
    let series = |number: u64| {
        let words = if number == 9 { "s9".to_owned() } else { format!("AX T1 pre {number}") };
        looks_and_says(&first.beside(40 + number), 1.0, &words)
    };
    let files = (0..10).flat_map(series).collect::<Vec<_>>();
    let batch = sent_files(&World::asking(worker).await, &files, "").await;
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let reasons = reasons(&batch);
    let of =
        |reason: &str| reasons.iter().filter(|all| all.iter().any(|one| one == reason)).count();
    assert_eq!(
        ["kind_by_content", "unknown_kind", "other_kind_by_description", "no_model_asked"].map(of),
        [0, 1, 9, 0],
        "{reasons:?}"
    );
    assert_eq!(picked(&batch).iter().filter(|picked| **picked).count(), 1);
}
