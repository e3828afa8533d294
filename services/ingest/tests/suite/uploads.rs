use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ErrorKind;
use imaging::encode::{Series, zip};
use imaging::{Modality, Volume};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use proto::ingest::UploadHeader;
use proto::ingest::upload_answer::Answer;
use proto::storage::{ListScans, Priority};
use service::claims::Role;

use crate::files;
use crate::world::World;

#[tokio::test]
async fn every_kind_of_file_becomes_a_scan_and_leaves_nothing_behind() {
    let world = World::new().await;
    for (kind, bytes) in files::all() {
        let header = world.header();
        let scan = world.upload_with(&bytes, header.clone()).await.unwrap();
        let scan = scan.unwrap_or_else(|refusal| panic!("{kind}: {refusal:?}"));
        let kept = world.storage.kept(&scan).await;
        let volume = Volume::from_bytes(&kept.volume).unwrap();
        let shape = [volume.shape.slices, volume.shape.rows, volume.shape.columns];
        assert_eq!(kept.scan.shape, shape.map(|length| length as u32), "{kind}");
        assert_eq!(kept.original, bytes, "{kind}");
        assert_eq!(kept.scan.original_sha256, sha256(&bytes), "{kind}");
        assert_eq!(kept.scan.volume_sha256, sha256(&kept.volume), "{kind}");
        assert_eq!(kept.scan.priority(), Priority::Stat);
        assert_eq!(
            imaging::decode(&kept.preview, &Default::default()).unwrap().volume.shape.slices,
            1
        );
        let again = world.upload_with(&bytes, header).await.unwrap().unwrap();
        assert_eq!((again.id, again.repeated), (scan.id, true), "{kind}");
        assert_eq!(world.spooled(), 0, "{kind}");
    }
}

#[tokio::test]
async fn a_scan_is_its_senders_hospitals_alone() {
    let world = World::new().await;
    let scan = world.upload(&files::dicom_slice()).await.unwrap().unwrap();
    assert_eq!(world.storage.get_as(&scan, &world.token).await.unwrap().id, scan.id);
    for (token, kind) in [
        (world.stranger(), ErrorKind::NotFound),
        (world.issuer.service_token(), ErrorKind::Forbidden),
    ] {
        assert_eq!(world.storage.get_as(&scan, &token).await.unwrap_err().kind(), kind);
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_series_is_one_volume_in_the_order_of_its_positions() {
    let world = World::new().await;
    let scan = world.upload(&files::dicom_zip(&[Series::of_seed(2)])).await.unwrap().unwrap();
    let kept = world.storage.kept(&scan).await;
    let (volume, expected) = (Volume::from_bytes(&kept.volume).unwrap(), files::stack());
    assert_eq!(volume.shape, expected.shape);
    let step = volume.geometry.unwrap().slice_step;
    assert!((step[2] - 14.0).abs() < 1e-6, "{step:?}");
    for (read, written) in volume.voxels.iter().zip(&expected.voxels) {
        assert!((read - written).abs() <= 0.5);
    }
}

#[tokio::test]
async fn files_of_one_series_are_one_scan_and_their_masks_are_left_out() {
    for files in [
        files::dicom_slices(&[Series::of_seed(2)]),
        files::png_slices(),
        [files::png_slices(), files::masks()].concat(),
        [files::dicom_slices(&[Series::of_seed(2)]), vec![("README.TXT".into(), b"CD".to_vec())]]
            .concat(),
    ] {
        let world = World::new().await;
        let answer = world.upload_files(&files).await;
        let Answer::Scan(scan) = answer else { panic!("{answer:?}") };
        let kept = world.storage.kept(&scan).await;
        let volume = Volume::from_bytes(&kept.volume).unwrap();
        assert_eq!(volume.shape, files::stack().shape);
        let beside = files.len() - 8;
        assert_eq!(volume.remarks.is_empty(), beside == 0, "{:?}", volume.remarks);
        // The original is all that was sent.
        let limits = imaging::Limits::default();
        let archive = imaging::Archive::open(std::io::Cursor::new(&kept.original), limits).unwrap();
        assert_eq!(archive.len(), files.len());
        assert_eq!(kept.scan.original_sha256, sha256(&kept.original));
        assert_eq!(world.spooled(), 0);
    }
}

#[tokio::test]
async fn what_the_sender_states_fills_what_a_file_does_not_say() {
    let world = World::new().await;
    for (kind, bytes) in files::all().into_iter().filter(|(kind, _)| !kind.contains("dicom")) {
        let stated = UploadHeader {
            reference: "order 7".into(),
            patient_id: "4711".into(),
            accession_number: "A1".into(),
            ..world.header()
        };
        let scan = world.upload_with(&bytes, stated.clone()).await.unwrap().unwrap();
        let identity = world.storage.identity(&scan).await;
        assert_eq!(identity.patient_id.as_deref(), Some("4711"), "{kind}");
        assert_eq!(world.storage.patient(&scan).await, "4711", "{kind}");
        for list in [
            ListScans { patient_id: "4711".into(), ..ListScans::default() },
            ListScans { accession_number: "A1".into(), ..ListScans::default() },
            ListScans { reference: "order 7".into(), ..ListScans::default() },
        ] {
            let found = world.storage.scans(list.clone()).await;
            assert!(found.iter().any(|found| found.id == scan.id), "{kind}: {list:?}");
        }
        let otherwise = UploadHeader { reference: "order 8".into(), ..stated };
        let refused = world.upload_with(&bytes, otherwise).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{kind}: it is not the same upload");
    }
}

#[tokio::test]
async fn files_of_several_series_are_a_batch_of_which_nothing_is_missing() {
    let world = World::new().await;
    let files = [
        files::dicom_slices(&[Series::of_seed(2)]),
        files::png_slices(),
        vec![("letter.txt".into(), b"hello".to_vec())],
    ];
    let Answer::Batch(batch) = world.upload_files(&files.concat()).await else { panic!() };
    let entries: Vec<_> = batch
        .entries
        .iter()
        .map(|entry| (entry.name.as_str(), !entry.scan_id.is_empty()))
        .collect();
    assert_eq!(
        entries,
        [
            ("IM0 … IM7 (8 files)", true),
            ("letter.txt", false),
            ("slice-0.png … slice-7.png (8 files)", true),
        ]
    );
    assert_eq!((world.storage.count("scans").await, world.spooled()), (2, 0));
}

#[tokio::test]
async fn files_of_one_name_are_all_kept() {
    let world = World::new().await;
    let slice = files::png_slices().remove(3).1;
    let files = vec![("image".to_owned(), slice.clone()), ("image".to_owned(), slice)];
    let Answer::Batch(batch) = world.upload_files(&files).await else { panic!() };
    assert_eq!(batch.entries.len(), 2);
}

#[tokio::test]
async fn a_file_that_says_it_is_somebody_elses_is_refused_and_never_renamed() {
    let world = World::new().await;
    let stated =
        |patient_id: &str| UploadHeader { patient_id: patient_id.into(), ..world.header() };
    let refused = world.upload_with(&files::dicom_slice(), stated("nobody of ours")).await.unwrap();
    assert_eq!(refused.unwrap_err().problem, "wrong-identity");
    assert_eq!(world.storage.count("scans").await, 0);

    let own = world.upload(&files::dicom_slice()).await.unwrap().unwrap();
    let identity = world.storage.identity(&own).await;
    let patient_id = identity.patient_id.clone().unwrap();
    let same =
        world.upload_with(&files::dicom_slice(), stated(&patient_id)).await.unwrap().unwrap();
    assert_ne!(same.id, own.id);
    let of_same = (world.storage.identity(&same).await, world.storage.patient(&same).await);
    assert_eq!(of_same, (identity, world.storage.patient(&own).await));
}

#[tokio::test]
async fn identity_travels_apart_from_the_volume() {
    let world = World::new().await;
    let scan = world.upload(&files::dicom_slice()).await.unwrap().unwrap();
    assert_eq!(world.storage.patient(&scan).await, "PHANTOM-1");
    let identity = world.storage.identity(&scan).await;
    assert_eq!(identity.patient_name.as_deref(), Some("Phantom^Seed 1"));
    let volume = world.storage.kept(&scan).await.volume;
    assert!(!String::from_utf8_lossy(&volume).contains("hantom"));
}

#[tokio::test]
async fn files_of_two_patients_are_no_volume() {
    let world = World::new().await;
    let mixed = files::dicom_zip(&[Series::of_seed(2), Series::of_seed(3)]);
    assert_eq!(world.upload(&mixed).await.unwrap().unwrap_err().problem, "mixed-series");
}

#[tokio::test]
async fn refusals_are_answers_with_a_name_a_title_and_a_way_out() {
    let world = World::new().await;
    let png = files::picture(&files::slice(), image::ImageFormat::Png);
    let nested = zip(&[("a.zip".into(), files::png_zip())]).unwrap();
    let cases: [(&[u8], &str); 6] = [
        (b"", "not-an-image"),
        (b"dear sir or madam", "not-an-image"),
        (&png[..png.len() / 2], "truncated"),
        (&nested, "unsupported"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "not-an-image"),
        (&vec![0; 2 << 20], "not-an-image"),
    ];
    for (bytes, problem) in cases {
        let refusal = world.upload(bytes).await.unwrap().unwrap_err();
        assert_eq!(refusal.problem, problem);
        assert!(!refusal.title.is_empty() && refusal.detail.ends_with('.'), "{refusal:?}");
    }
    assert_eq!((world.storage.count("scans").await, world.spooled()), (0, 0));
}

#[tokio::test]
async fn a_refused_file_is_told_of_once_with_where_it_was_made() {
    let world = World::with(|config| config.modalities = vec![Modality::ComputedTomography]).await;
    let stated = |site: &str| UploadHeader { site: site.into(), ..world.header() };
    world.upload_with(b"dear sir or madam", stated("West")).await.unwrap().unwrap_err();
    world.upload_with(&files::dicom_slice(), stated("East")).await.unwrap().unwrap_err();
    let told = world.storage.refused().await;
    let mut said: Vec<_> =
        told.iter().map(|refused| (refused.problem.as_str(), refused.site.as_deref())).collect();
    said.sort_unstable();
    assert_eq!(said, [("not-an-image", Some("West")), ("wrong-modality", Some("East"))]);
    // As what it was read is known of the second alone: the first was refused before.
    let kinds = told.iter().filter(|refused| refused.image_kind.is_some());
    assert_eq!(kinds.map(|refused| &*refused.problem).collect::<Vec<_>>(), ["wrong-modality"]);
}

#[tokio::test]
async fn an_upload_beyond_the_limit_is_refused_before_it_is_decoded() {
    let world = World::with(|config| config.upload_mib = 1).await;
    assert_eq!(
        world.upload(&vec![1; (1 << 20) + 1]).await.unwrap().unwrap_err().problem,
        "too-large"
    );
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn a_ct_is_refused_where_only_mr_is_registered() {
    let png = files::dicom_slice();
    let world = World::with(|config| config.modalities = vec![Modality::ComputedTomography]).await;
    assert_eq!(world.upload(&png).await.unwrap().unwrap_err().problem, "wrong-modality");
}

#[tokio::test]
async fn nobody_uploads_without_a_token_that_may() {
    let world = World::new().await;
    let kind = async |token: &str| world.upload_as(b"x", token).await.unwrap_err().kind();
    assert_eq!(kind("").await, ErrorKind::Unauthenticated);
    assert_eq!(kind("forged").await, ErrorKind::Unauthenticated);
    let tenant = domain::TenantId::new(&service::system_clock(), &service::system_random());
    assert_eq!(kind(&world.issuer.token(tenant, &[Role::Scientist])).await, ErrorKind::Forbidden);
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn a_stream_that_stops_without_its_end_is_no_upload() {
    let world = World::new().await;
    // Even a whole image: nothing but the sender knows that nothing was to follow.
    let png = files::picture(&files::slice(), image::ImageFormat::Png);
    assert_eq!(world.upload_cut(&png).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(world.spooled(), 0);
}

#[tokio::test]
async fn a_storage_that_fails_is_an_error_and_leaves_nothing_behind() {
    let world = World::full().await;
    let png = files::picture(&files::slice(), image::ImageFormat::Png);
    assert_eq!(world.upload(&png).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((world.storage.count("scans").await, world.spooled()), (0, 0));
}

#[tokio::test]
async fn a_decoder_without_memory_is_a_refusal_and_the_next_upload_works() {
    let world = World::with(|config| config.decode_mib = 24).await;
    let stack = files::dicom_zip(&[Series::of_seed(2)]);
    let large = zip(&[("x".into(), vec![7; 40 << 20])]).unwrap();
    assert_eq!(world.upload(&large).await.unwrap().unwrap_err().problem, "too-large");
    let small = World::new().await;
    assert!(small.upload(&stack).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_codec_that_would_start_threads_works_in_the_jail_without() {
    let world = World::new().await;
    let scan = world.upload(&files::dicom_jpeg()).await.unwrap();
    assert!(scan.is_ok(), "{scan:?}");
}

/// Counts how many decoders were killed at a wall of their jail.
#[derive(Default)]
struct Escapes(Arc<AtomicU64>);

impl Recorder for Escapes {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "medseg_decoder_escapes_total" => Counter::from_arc(self.0.clone()),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn a_decoder_that_tries_to_break_out_is_counted_and_a_refusal_that_tells_nothing() {
    let escapes = Escapes::default();
    // Of this thread, on which all that is waited for here runs.
    let _counted = metrics::set_default_local_recorder(&escapes);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/outlaw.sh").into();
    let world = World::with(|config| config.decoder = Some(program)).await;
    assert_eq!(escapes.0.load(Ordering::Relaxed), 0);
    let refusal = world.upload(&files::dicom_slice()).await.unwrap().unwrap_err();
    assert_eq!(refusal.problem, "corrupt");
    assert!(refusal.detail.starts_with("It cannot be decoded. Export"), "{}", refusal.detail);
    assert_eq!(world.spooled(), 0);
    assert_ne!(escapes.0.load(Ordering::Relaxed), 0, "the alarm has nothing to go by");
}
