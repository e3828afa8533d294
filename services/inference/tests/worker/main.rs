//! A worker of the real storage's jobs, and its bare model.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod bench;
mod kinds;
mod open_inference;
mod overheard;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use imaging::phantom::{Phantom, Settings};
use imaging::{Modality, Shape, Unit, Volume, lettered_png};
use inference::{Config, Peers, Ports, build};
use proto::storage::{Answer, Scan, State};
use service::claims::testing::Issuer;
use service::topics::{SCAN_READY, SCAN_RETRY};
use tokio::time::sleep;
use tonic::Code;

use bench::{Bench, LEASE_S, Outcome, config, sha256, until};

fn phantom(settings: &Settings) -> Phantom {
    Phantom::new(settings).unwrap()
}

fn slice() -> Volume {
    phantom(&Settings::slice(7)).volume
}

#[tokio::test]
async fn a_phantoms_tumour_is_found_measured_and_drawn() {
    let phantom = phantom(&Settings { lesion_ml: Some(12.0), ..Settings::slice(7) });
    let mut bench = Bench::start("threshold:").await;
    let scan = bench.accept(&phantom.volume).await;
    let Outcome { scan, artefacts, document } = bench.outcome(&scan).await;

    // Storage takes no result with another binding than the scan's.
    assert_eq!((scan.answer(), scan.attempt), (Answer::Found, 1));
    let inputs = document.inputs.unwrap();
    assert_eq!(inputs.volume_sha256, sha256(&phantom.volume.to_bytes()));
    assert_eq!(document.scan_id, scan.id);
    let (model, image) = (document.model.unwrap(), document.image.unwrap());
    assert_eq!((model.name.as_str(), image.unit), ("threshold", Unit::Millimetre));
    assert!(!model.trained);
    let quality = document.quality.unwrap();
    assert!(quality.remarks[0].contains("no trained model"), "{quality:?}");
    let area = document.totals.unwrap().area_mm2.unwrap();
    let truth = phantom.lesion.unwrap().section_mm2;
    assert!((area / truth - 1.0).abs() < 0.35, "{area} mm2 where {truth} are");
    assert_eq!(
        artefacts.keys().collect::<Vec<_>>(),
        ["mask.nii.gz", "mask.png", "overlay.png", "result.json"]
    );
    let (of, observation) = bench.observed().await;
    assert_eq!(of, scan.id);
    assert!(observation.features["sharpness"] > 0.0 && observation.features["noise"] > 0.0);
    assert_eq!((observation.features["rows"], observation.features["tilt_degrees"]), (256.0, 0.0));
    assert_eq!(observation.orientation.as_deref(), Some("axial"));
    assert_eq!(observation.model.as_ref().unwrap().name, "threshold");
    assert!(observation.mask_fraction.unwrap() > 0.0);
    assert_eq!(observation.image_kind.as_deref(), Some(image.kind.kind.name()));
    // An engine without a network says nothing of where it lies in one.
    assert_eq!(observation.embedding, None);
    // A single slice of a NIfTI file has no stack and no protocol.
    let seen: BTreeSet<String> = observation.features.into_keys().collect();
    let missing = ["echo_ms", "inversion_ms", "repetition_ms", "slices", "tesla"];
    assert_eq!(documented().difference(&seen).collect::<Vec<_>>(), missing);
    assert!(seen.is_subset(&documented()), "{seen:?}");
}

/// The features that the document about events names.
fn documented() -> BTreeSet<String> {
    let schema = include_str!("../../../../docs/scan.completed.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let path = "/properties/data/properties/observation/properties/features/properties";
    schema.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_volume_brings_its_mask_as_a_volume() {
    let shape = Shape { slices: 12, rows: 128, columns: 128 };
    let settings =
        Settings { shape, spacing: [6.0, 1.9, 1.9], lesion_ml: Some(20.0), ..Settings::slice(3) };
    let bench = Bench::start("threshold:").await;
    let scan = bench.accept(&phantom(&settings).volume).await;
    let Outcome { artefacts, document, .. } = bench.outcome(&scan).await;
    assert!(artefacts.contains_key("mask.nii.gz"));
    let slice = document.image.unwrap().shown_slice;
    let shown = lettered_png(&phantom(&settings).volume, slice).unwrap();
    assert!(artefacts["shown.png"] == shown, "not the slice that the mask is of");
    let ml = document.totals.unwrap().volume_ml.unwrap();
    assert!((ml / 20.0 - 1.0).abs() < 0.35, "{ml} mL where 20 are");
}

#[tokio::test]
async fn concurrent_scans_keep_their_own_results() {
    let marked = |size: usize| {
        let mut volume = phantom(&Settings { tumour: false, ..Settings::slice(1) }).volume;
        for index in (0..size * 12).map(|i| (100 + i / 12) * 256 + 100 + i % 12) {
            volume.voxels[index] = 5000.0;
        }
        volume
    };
    let bench = Bench::idle(3).await;
    let mut scans = Vec::new();
    for size in 10..26 {
        scans.push((size, bench.accept(&marked(size)).await));
    }
    bench.work("echo:").await;
    for (size, scan) in scans {
        let Outcome { document, .. } = bench.outcome(&scan).await;
        let bounds = document.findings[0].bounds;
        let height = bounds.to[1] - bounds.from[1];
        assert_eq!(document.scan_id, scan.id);
        assert!(height.abs_diff(size) <= 1, "the scan of {size} got a box {height} high");
    }
}

#[tokio::test]
async fn what_was_tried_before_is_done_with_nothing_else_in_hand() {
    let bench = Bench::idle(3).await;
    let again = bench.accept(&slice()).await;
    let mut ready = bench.queue.subscribe_work(SCAN_READY, 1).await.unwrap();
    ready.next().await.unwrap().unwrap().ack().await.unwrap();
    drop(ready);
    let again_job = bench.job_of(&again).await;
    bench.give_back(bench.claim(&again_job).await.unwrap()).await;

    bench.work("stub:?ms=200").await;
    let before = bench.accept(&slice()).await;
    bench.until(&before, |scan| scan.state() == State::Running).await;
    bench.queue.publish(SCAN_RETRY, again_job.as_bytes()).await.unwrap();
    // Until it waits for the first to be done.
    sleep(Duration::from_millis(100)).await;
    let after = bench.accept(&slice()).await;
    for scan in [&before, &again, &after] {
        bench.outcome(scan).await;
    }
    let calls = bench.worker.calls(&["Claim", "Complete"]);
    assert!(calls.iter().all(|call| !call.refused), "{calls:?}");
    let order = calls.into_iter().map(|call| (call.method, call.job_id)).collect::<Vec<_>>();
    let mut expected = Vec::new();
    for scan in [&before, &again, &after] {
        expected.push(("Claim".to_owned(), Some(bench.job_of(scan).await)));
        expected.push(("Complete".to_owned(), None));
    }
    assert_eq!(order, expected);
}

#[tokio::test]
async fn what_no_model_may_judge_is_not_analysable_and_not_empty() {
    let volume = Volume { modality: Some(Modality::ComputedTomography), ..slice() };
    let bench = Bench::start("threshold:").await;
    let scan = bench.accept(&volume).await;
    let Outcome { scan, artefacts, document } = bench.outcome(&scan).await;
    assert_eq!(scan.answer(), Answer::NotAnalysable);
    assert!(scan.reason.contains("CT"), "{}", scan.reason);
    assert_eq!((artefacts.len(), document.totals, document.confidence), (1, None, None));
}

/// Whether a scan that this model does not finish is tried again; and why, if that was its last attempt.
async fn failure(model_url: &str, damaged: bool) -> (bool, String) {
    let tried = async |attempts_max| {
        let bench = Bench::idle(attempts_max).await;
        if damaged {
            bench.worker.damage();
        }
        bench.work(model_url).await;
        let scan = bench.accept(&slice()).await;
        let over = |scan: &Scan| scan.attempt == 1 && scan.state() != State::Running;
        let scan = bench.until(&scan, over).await;
        assert!(bench.artefacts(&scan).await.is_empty(), "{model_url}");
        scan
    };
    let (first, last) = (tried(3).await, tried(1).await);
    assert_eq!((last.state(), last.answer()), (State::Done, Answer::Failed), "{model_url}");
    (first.state() == State::Queued, last.reason)
}

#[tokio::test]
async fn a_broken_model_is_a_failed_job_and_never_an_empty_mask() {
    let cases = [("nan", false), ("short", false), ("error", true), ("panic", true)];
    for (fault, retry) in cases {
        let (retried, reason) = failure(&format!("stub:?fault={fault}"), false).await;
        assert_eq!(retried, retry, "{fault}");
        assert!(!reason.is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn a_damaged_volume_is_not_analysed() {
    let (retried, reason) = failure("stub:", true).await;
    assert!(retried && reason.contains("damaged on its way"), "{retried}: {reason}");
}

#[tokio::test]
async fn the_lease_is_kept_while_the_model_takes_its_time() {
    let bench = Bench::start("stub:?ms=3000").await;
    let scan = bench.accept(&slice()).await;
    let job_id = bench.job_of(&scan).await;
    bench.until(&scan, |scan| scan.state() == State::Running).await;
    // Two of these are still less than a lease, and all of them are two.
    let step_ms = i64::from(LEASE_S) * 400;
    for _ in 0..5 {
        let beats = bench.worker.count("Heartbeat", false);
        until(|| bench.worker.count("Heartbeat", false) > beats).await;
        bench.clock.advance(step_ms);
    }
    let refused = bench.claim(&job_id).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    assert_eq!(bench.get(&scan).await.state(), State::Running);
    let Outcome { scan, .. } = bench.outcome(&scan).await;
    assert_eq!((scan.answer(), scan.attempt), (Answer::NoneFound, 1));
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_says_nothing_more_of_that_job() {
    let bench = Bench::start("stub:?ms=1500").await;
    let scan = bench.accept(&slice()).await;
    let job_id = bench.job_of(&scan).await;
    bench.until(&scan, |scan| scan.state() == State::Running).await;
    // A heartbeat in that very moment keeps the lease once more.
    let taken = loop {
        bench.clock.advance(i64::from(LEASE_S) * 2000);
        if let Ok(taken) = bench.claim(&job_id).await {
            break taken;
        }
    };
    assert_eq!(taken.attempt, 2);
    until(|| bench.worker.count("Heartbeat", true) > 0).await;
    sleep(Duration::from_millis(1800)).await;
    assert_eq!(bench.worker.calls(&["Complete", "Fail"]), []);
    let scan = bench.get(&scan).await;
    assert_eq!((scan.state(), scan.attempt), (State::Running, 2));
}

#[tokio::test]
async fn a_job_that_nobody_knows_is_dropped_and_the_next_is_done() {
    let bench = Bench::idle(3).await;
    for unknown in ["unknown", "01890000-0000-7000-8000-000000000000"] {
        bench.queue.publish(SCAN_READY, unknown.as_bytes()).await.unwrap();
    }
    let scan = bench.accept(&slice()).await;
    bench.work("stub:").await;
    let Outcome { scan, .. } = bench.outcome(&scan).await;
    assert_eq!(scan.answer(), Answer::NoneFound);
    until(|| bench.worker.count("Claim", true) == 2).await;
}

#[tokio::test]
async fn a_model_that_is_missing_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let model_url = Some("file:///nowhere/weights.safetensors".into());
    let config = Config { model_url, ..config() };
    let queue_url = format!("sqlite://{}/queue.db", folder.path().display());
    let (clock, random) = (service::system_clock(), service::system_random());
    let ports = Ports::open(&queue_url.into(), clock, random).await.unwrap();
    let auth = Issuer::new().peer();
    let peers = Peers { storage: auth.clone(), auth, registry: None };
    let error = build(config, ports, peers).await.err().unwrap();
    assert!(error.to_string().contains("/nowhere/weights.safetensors"), "{error}");
}
