//! Readers' own outlines.

use std::time::Duration;

use domain::{ErrorKind, ManualClock, Result};
use imaging::Volume;
use imaging::encode::{grey_png, nifti_gz};
use proto::ingest::feedback_upload_answer::Answer;
use proto::ingest::feedback_upload_part::Part;
use proto::ingest::{FeedbackUploadHeader, UploadEnd};
use proto::storage::{FeedbackEntry, Scan, Truth, Verdict, Word};
use service::claims::Role;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::files;
use crate::world::World;

const DOCUMENT: &[u8] = br#"{"answer":"found","findings":[{"label":1}]}"#;

fn header(scan: &Scan) -> FeedbackUploadHeader {
    let word = Word { verdict: Verdict::Correct.into(), ..Word::default() };
    FeedbackUploadHeader {
        scan_id: scan.id.clone(),
        word: Some(word),
        ..FeedbackUploadHeader::default()
    }
}

fn parts(header: FeedbackUploadHeader, mask: &[u8]) -> Vec<Part> {
    let size_bytes = mask.len() as u64;
    let pieces = mask.chunks(1000).map(|piece| Part::Data(piece.to_vec().into()));
    let end = Part::End(UploadEnd { size_bytes });
    std::iter::once(Part::Header(header)).chain(pieces).chain([end]).collect()
}

async fn give(world: &World, scan: &Scan, mask: &[u8]) -> Result<Answer> {
    world.give_parts(parts(header(scan), mask), &world.token).await
}

async fn given(world: &World, scan: &Scan, mask: &[u8]) -> FeedbackEntry {
    match give(world, scan, mask).await.unwrap() {
        Answer::Feedback(entry) => *entry,
        answer => panic!("{answer:?}"),
    }
}

async fn misfit(world: &World, scan: &Scan, mask: &[u8]) -> String {
    match give(world, scan, mask).await.unwrap() {
        Answer::Misfit(why) => why,
        answer => panic!("{answer:?}"),
    }
}

async fn refused(world: &World, scan: &Scan, mask: &[u8]) -> String {
    match give(world, scan, mask).await.unwrap() {
        Answer::Refusal(refusal) => refusal.problem,
        answer => panic!("{answer:?}"),
    }
}

/// A head in eight slices, as a file whose axes lead where these letters say.
fn stored(storage: &str) -> Volume {
    files::stack().stored_as(storage).unwrap()
}

/// Labels for that grid: 1 in the first range and 2 in the second.
fn labels(grid: &Volume, main: std::ops::Range<usize>, lesser: std::ops::Range<usize>) -> Vec<u8> {
    let label = |at: usize| u8::from(main.contains(&at)) + 2 * u8::from(lesser.contains(&at));
    (0..grid.shape.len()).map(label).collect()
}

fn nifti(grid: &Volume, labels: &[u8]) -> Vec<u8> {
    nifti_gz(labels, grid.shape, grid.geometry.as_ref()).unwrap()
}

/// The scan of a volume, with a result that marks the first hundred voxels of its file.
async fn volume(world: &World, grid: &Volume) -> Scan {
    let voxels: Vec<f32> = grid.voxels.iter().map(|value| value.round()).collect();
    let file = nifti_gz(&voxels, grid.shape, grid.geometry.as_ref()).unwrap();
    let scan = world.upload(&file).await.unwrap().unwrap();
    let own = nifti(grid, &labels(grid, 0..100, 200..300));
    let files = [("result.json", DOCUMENT.to_vec()), ("mask.nii.gz", own)];
    world.storage.complete(&scan, &world.issuer.service_token(), &files).await;
    scan
}

/// The scan of a picture, with a result that marks the first hundred pixels.
async fn picture(world: &World) -> Scan {
    let scan = files::picture(&files::slice(), image::ImageFormat::Png);
    let scan = world.upload(&scan).await.unwrap().unwrap();
    let files = [("result.json", DOCUMENT.to_vec()), ("mask.png", png(256, 0..100, 200..300))];
    world.storage.complete(&scan, &world.issuer.service_token(), &files).await;
    scan
}

/// A square that is white in the first range and grey in the second.
fn png(side: usize, white: std::ops::Range<usize>, grey: std::ops::Range<usize>) -> Vec<u8> {
    let shade = |at: usize| match (white.contains(&at), grey.contains(&at)) {
        (true, _) => 255,
        (false, true) => 127,
        (false, false) => 0,
    };
    let pixels: Vec<u8> = (0..side * side).map(shade).collect();
    grey_png(&pixels, side, side).unwrap()
}

#[tokio::test]
async fn an_outline_of_a_volume_is_compared_with_the_results_main_findings_and_kept_on_its_grid() {
    let world = World::new().await;
    for storage in ["LPS", "LIA"] {
        let grid = stored(storage);
        let scan = volume(&world, &grid).await;
        let drawn = labels(&grid, 50..150, 0..0);
        let entry = given(&world, &scan, &nifti(&grid, &drawn)).await;
        // Half of what each marks, and none of the lesser finding.
        assert_eq!((entry.has_mask, entry.dice), (true, Some(0.5)), "{storage}");
        let kept = world.storage.readers_mask(&entry).await;
        let kept = imaging::decode(&kept, &Default::default()).unwrap().volume;
        let (shape, _) = kept.own_grid();
        let voxels = kept.stored.inverse().turned(&kept.voxels, kept.shape);
        let voxels: Vec<u8> = voxels.into_iter().map(|voxel| voxel as u8).collect();
        assert!((shape, voxels) == (grid.shape, drawn), "{storage}");
    }
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn an_outline_that_another_program_stores_in_another_order_marks_the_same() {
    let world = World::new().await;
    let grid = stored("LPS");
    let scan = volume(&world, &grid).await;
    let voxels = labels(&grid, 0..100, 0..0).into_iter().map(f32::from).collect();
    let drawn = Volume { voxels, ..grid.clone() }.stored_as("RAS").unwrap();
    let marked: Vec<u8> = drawn.voxels.iter().map(|voxel| *voxel as u8).collect();
    assert_eq!(given(&world, &scan, &nifti(&drawn, &marked)).await.dice, Some(1.0));
}

#[tokio::test]
async fn an_outline_of_a_picture_is_a_picture() {
    let world = World::new().await;
    let scan = picture(&world).await;
    let entry = given(&world, &scan, &png(256, 0..50, 0..0)).await;
    assert_eq!(entry.dice, Some(100.0 / 150.0));
    assert_eq!(world.storage.readers_mask(&entry).await, png(256, 0..50, 0..0));
    // Whatever is not black is marked: also what the result's own picture shows as lesser findings.
    let entry = given(&world, &scan, &png(256, 0..50, 50..100)).await;
    assert_eq!(entry.dice, Some(1.0));
}

#[tokio::test]
async fn an_outline_of_nothing_is_kept_where_its_reader_says_whether_there_is_a_tumour() {
    let world = World::new().await;
    let scan = picture(&world).await;
    let nothing = png(256, 0..0, 0..0);
    let why = misfit(&world, &scan, &nothing).await;
    assert!(why.contains("`truth`"), "{why}");
    let word = header(&scan).word.map(|word| Word { truth: Truth::NoTumour.into(), ..word });
    let header = FeedbackUploadHeader { word, ..header(&scan) };
    let answer = world.give_parts(parts(header, &nothing), &world.token).await.unwrap();
    let is_kept = |entry: &FeedbackEntry| entry.has_mask && entry.dice == Some(0.0);
    assert!(matches!(&answer, Answer::Feedback(entry) if is_kept(entry)), "{answer:?}");
}

#[tokio::test]
async fn an_outline_that_takes_longer_than_its_token_lives_is_compared_and_kept() {
    let clock = ManualClock::at(service::system_clock().now_ms());
    let world = World::at(&clock).await;
    let scan = picture(&world).await;
    let (sender, slow) = mpsc::channel(1);
    let all = parts(header(&scan), &png(256, 0..50, 0..0));
    let send = async {
        let last = all.len() - 1;
        for (number, part) in all.into_iter().enumerate() {
            if number == last {
                // It was let in, and what is left of it comes twenty minutes later.
                while world.spooled() == 0 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                clock.advance(20 * 60_000);
            }
            sender.send(part).await.unwrap();
        }
        drop(sender);
    };
    let give = world.give_slowly(ReceiverStream::new(slow), &world.token);
    let both = async { tokio::join!(give, send) };
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    let is_kept = |entry: &FeedbackEntry| entry.has_mask && entry.dice == Some(100.0 / 150.0);
    let answer = answer.unwrap();
    assert!(matches!(&answer, Answer::Feedback(entry) if is_kept(entry)), "{answer:?}");
    // Whoever begins by then is not let in.
    let late = world.give_parts(parts(header(&scan), &png(256, 0..50, 0..0)), &world.token).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_mask_on_another_grid_is_told_so() {
    let world = World::new().await;
    let grid = stored("LPS");
    let (scan, picture) = (volume(&world, &grid).await, picture(&world).await);
    let mut moved = grid.clone();
    moved.geometry.as_mut().unwrap().origin[0] += 50.0;
    let drawn = labels(&grid, 0..100, 0..0);
    let why = misfit(&world, &scan, &nifti(&moved, &drawn)).await;
    assert!(why.contains("elsewhere"), "{why}");
    let why = misfit(&world, &scan, &png(96, 0..100, 0..0)).await;
    assert!(why.contains("8 slices"), "{why}");
    let why = misfit(&world, &picture, &png(128, 0..100, 0..0)).await;
    assert!(why.contains("128 x 128") && why.contains("256 x 256"), "{why}");
    let why = misfit(&world, &picture, &nifti(&grid, &drawn)).await;
    assert!(why.contains("`mask.nii.gz`"), "{why}");
    assert_eq!((world.storage.count("feedback").await, world.spooled()), (0, 0));
}

#[tokio::test]
async fn what_is_no_mask_is_refused_as_an_upload_is() {
    let world = World::new().await;
    let scan = picture(&world).await;
    let image = files::picture(&files::slice(), image::ImageFormat::Png);
    let whole = png(256, 0..50, 0..0);
    for (mask, problem) in [
        (image, "unsupported"),
        (files::dicom_slice(), "unsupported"),
        (b"no image at all".to_vec(), "not-an-image"),
        (whole[..whole.len() / 2].to_vec(), "truncated"),
    ] {
        let said = refused(&world, &scan, &mask).await;
        // What is cut short may look damaged as well.
        let alike = said == problem || (problem, said.as_str()) == ("truncated", "corrupt");
        assert!(alike, "{said} and not {problem}");
    }
    assert_eq!((world.storage.count("feedback").await, world.spooled()), (0, 0));
}

#[tokio::test]
async fn a_mask_comes_whole_with_a_word_and_from_a_reader_of_that_hospital() {
    let world = World::new().await;
    let queued = files::picture(&files::slice(), image::ImageFormat::Png);
    let queued = world.upload(&queued).await.unwrap().unwrap();
    let scan = picture(&world).await;
    let mask = png(256, 0..50, 0..0);
    let kind = async |parts, token: &str| world.give_parts(parts, token).await.unwrap_err().kind();
    let token = world.token.as_str();

    assert_eq!(kind(parts(header(&queued), &mask), token).await, ErrorKind::Conflict);
    assert_eq!(kind(parts(header(&scan), &mask), &world.stranger()).await, ErrorKind::NotFound);
    let integrator = world.issuer.token(
        domain::TenantId::new(&service::system_clock(), &service::system_random()),
        &[Role::Integrator],
    );
    assert_eq!(kind(parts(header(&scan), &mask), &integrator).await, ErrorKind::Forbidden);

    let mut cut = parts(header(&scan), &mask);
    cut.pop();
    let silent = FeedbackUploadHeader { word: None, ..header(&scan) };
    let mut two = parts(header(&scan), &mask);
    two.insert(2, Part::Header(header(&scan)));
    for parts in [cut, parts(silent, &mask), two, vec![]] {
        assert_eq!(kind(parts, token).await, ErrorKind::Invalid);
    }
    assert_eq!((world.storage.count("feedback").await, world.spooled()), (0, 0));
}
