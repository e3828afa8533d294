//! A worker against a storage that only remembers what it was told.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use imaging::phantom::{Phantom, Settings};
use imaging::{Modality, ResultDocument, Shape, Unit, Volume, lettered_png};
use inference::{Config, Peers, Ports, build};
use proto::storage::complete_part::Part;
use proto::storage::jobs_server::{Jobs, JobsServer};
use proto::storage::*;
use service::claims::testing::Issuer;
use service::topics::{SCAN_READY, SCAN_READY_AGAIN};
use service::{Peer, Service};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// What the worker told the storage.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a few in a test")]
enum Told {
    Done(CompleteHeader, BTreeMap<String, Vec<u8>>),
    Failed(FailJob),
    Beat,
}

/// Leases each of its volumes once, by the name of its job.
#[derive(Clone)]
struct Storage {
    volumes: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    told: UnboundedSender<Told>,
    /// What was claimed and completed, in order.
    diary: Arc<Mutex<Vec<String>>>,
    /// Whether heartbeats are answered with "lost".
    stale: bool,
    /// What is sent instead of the volume's first byte.
    damage: Option<u8>,
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tonic::async_trait]
impl Jobs for Storage {
    async fn claim(&self, request: Request<ClaimJob>) -> Result<Response<Job>, Status> {
        let job_id = request.into_inner().job_id;
        let volumes = self.volumes.lock().unwrap();
        let volume = volumes.get(&job_id).ok_or_else(|| Status::not_found("no such job"))?;
        self.diary.lock().unwrap().push(format!("{job_id} claimed"));
        Ok(Response::new(Job {
            attempt: 1,
            scan_id: format!("scan of {job_id}"),
            lease_ms: 60,
            volume_sha256: sha256(volume),
            binding: format!("binding of {job_id}"),
            job_id,
            ..Job::default()
        }))
    }

    type ReadVolumeStream = BoxStream<'static, Result<Chunk, Status>>;

    async fn read_volume(
        &self,
        request: Request<Lease>,
    ) -> Result<Response<Self::ReadVolumeStream>, Status> {
        let mut volume = self.volumes.lock().unwrap()[&request.into_inner().job_id].clone();
        if let Some(damage) = self.damage {
            volume[0] = damage;
        }
        let chunks: Vec<_> = volume
            .chunks(100_000)
            .map(|part| Ok(Chunk { data: part.to_vec().into(), size_bytes: 0 }))
            .collect();
        Ok(Response::new(futures::stream::iter(chunks).boxed()))
    }

    async fn heartbeat(&self, request: Request<Lease>) -> Result<Response<Lease>, Status> {
        self.told.send(Told::Beat).unwrap();
        if self.stale {
            return Err(Status::already_exists("the lease has passed on"));
        }
        Ok(Response::new(request.into_inner()))
    }

    async fn complete(
        &self,
        request: Request<Streaming<CompletePart>>,
    ) -> Result<Response<Scan>, Status> {
        let mut parts = request.into_inner();
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(Status::invalid_argument("no header"));
        };
        self.diary.lock().unwrap().push(format!("{} done", header.job_id));
        let mut artefacts = BTreeMap::<String, Vec<u8>>::new();
        while let Some(part) = parts.message().await? {
            let Some(Part::Artefact(ArtefactPart { name, data })) = part.part else { continue };
            artefacts.entry(name).or_default().extend_from_slice(&data);
        }
        self.told.send(Told::Done(header, artefacts)).unwrap();
        Ok(Response::new(Scan::default()))
    }

    async fn fail(&self, request: Request<FailJob>) -> Result<Response<Scan>, Status> {
        self.told.send(Told::Failed(request.into_inner())).unwrap();
        Ok(Response::new(Scan::default()))
    }
}

/// A running worker, its queue, and the storage's memory; stops when dropped.
struct Bench {
    queue: platform::queue::Queue,
    told: UnboundedReceiver<Told>,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// With jobs named as the volumes are.
    async fn new(
        model_url: &str,
        volumes: &[(&str, Volume)],
        adjust: impl FnOnce(&mut Storage),
    ) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let queue_url = format!("sqlite://{}/queue.db", folder.path().display());
        let (tell, told) = unbounded_channel();
        let volumes =
            volumes.iter().map(|(name, volume)| ((*name).to_owned(), volume.to_bytes())).collect();
        let mut storage = Storage {
            volumes: Arc::new(Mutex::new(volumes)),
            told: tell,
            diary: Arc::default(),
            stale: false,
            damage: None,
        };
        adjust(&mut storage);
        let storage = Service { grpc: Routes::new(JobsServer::new(storage)), ..Service::default() };
        let peers = Peers { storage: Peer::within(&storage), auth: Issuer::new().peer() };
        let config = Config {
            model_url: model_url.into(),
            research: true,
            device: "cpu".into(),
            batch: 4,
            window: Some(8),
            worker: "bench".into(),
            service_secret: Issuer::SERVICE_SECRET.into(),
            drain_s: 3,
        };
        let ports = Ports::open(&queue_url, service::system_clock()).await.unwrap();
        let queue = ports.queue.clone();
        let inference = build(config, ports, peers).await.unwrap();
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tokio::spawn(service::serve(inference, listener, stop.clone()));
        Bench { queue, told, _stop: stop.drop_guard(), _folder: folder }
    }

    async fn announce(&self, job: &str) {
        self.queue.publish(SCAN_READY, job.as_bytes()).await.unwrap();
    }

    /// What is told next, heartbeats left out.
    async fn next(&mut self) -> Told {
        loop {
            let told = tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await;
            match told.expect("the worker says something in time").expect("the storage lives") {
                Told::Beat => {}
                told => return told,
            }
        }
    }

    async fn result(&mut self) -> (CompleteHeader, BTreeMap<String, Vec<u8>>, ResultDocument) {
        match self.next().await {
            Told::Done(header, artefacts) => {
                let document = serde_json::from_slice(&artefacts["result.json"]).unwrap();
                (header, artefacts, document)
            }
            other => panic!("no result but {other:?}"),
        }
    }

    async fn failure(&mut self) -> FailJob {
        match self.next().await {
            Told::Failed(failure) => failure,
            other => panic!("no failure but {other:?}"),
        }
    }
}

fn phantom(settings: &Settings) -> Phantom {
    Phantom::new(settings).unwrap()
}

fn slice() -> Volume {
    phantom(&Settings::slice(7)).volume
}

#[tokio::test]
async fn a_phantoms_tumour_is_found_measured_and_drawn() {
    let phantom = phantom(&Settings { lesion_ml: Some(12.0), ..Settings::slice(7) });
    let mut bench = Bench::new("threshold:", &[("job", phantom.volume.clone())], |_| ()).await;
    bench.announce("job").await;
    let (header, artefacts, document) = bench.result().await;

    assert_eq!((header.answer(), header.binding.as_str()), (Answer::Found, "binding of job"));
    assert_eq!(header.volume_sha256, sha256(&phantom.volume.to_bytes()));
    assert_eq!(document.scan_id, "scan of job");
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
    let observation = header.observation.unwrap();
    assert!(observation.features["sharpness"] > 0.0);
    assert_eq!(observation.model.as_ref().unwrap().name, "threshold");
    assert!(observation.mask_fraction.unwrap() > 0.0);
    assert_eq!(observation.image_kind.as_deref(), Some(image.kind.kind.name()));
    assert_eq!(observation.features.into_keys().collect::<BTreeSet<_>>(), documented());
}

/// The features that the document about events names.
fn documented() -> BTreeSet<String> {
    let schema = include_str!("../../../docs/scan.completed.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let path = "/properties/data/properties/observation/properties/features/properties";
    schema.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn a_volume_brings_its_mask_as_a_volume() {
    let shape = Shape { slices: 12, rows: 128, columns: 128 };
    let settings =
        Settings { shape, spacing: [6.0, 1.9, 1.9], lesion_ml: Some(20.0), ..Settings::slice(3) };
    let mut bench = Bench::new("threshold:", &[("job", phantom(&settings).volume)], |_| ()).await;
    bench.announce("job").await;
    let (_, artefacts, document) = bench.result().await;
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
    let names: Vec<String> = (10..26).map(|size| size.to_string()).collect();
    let volumes: Vec<_> =
        names.iter().map(|name| (name.as_str(), marked(name.parse().unwrap()))).collect();
    let mut bench = Bench::new("echo:", &volumes, |_| ()).await;
    for name in &names {
        bench.announce(name).await;
    }
    for _ in &names {
        let (header, _, document) = bench.result().await;
        let bounds = document.findings[0].bounds;
        let height = bounds.to[1] - bounds.from[1];
        let expected: usize = header.job_id.parse().unwrap();
        assert_eq!(header.binding, format!("binding of {expected}"));
        assert!(height.abs_diff(expected) <= 1, "job {expected} got a box {height} high");
    }
}

#[tokio::test]
async fn what_was_tried_before_is_done_with_nothing_else_in_hand() {
    let mut diary = Arc::default();
    let volumes = ["before", "again", "after"].map(|name| (name, slice()));
    let mut bench =
        Bench::new("stub:?ms=200", &volumes, |storage| diary = storage.diary.clone()).await;
    let seen = async |words: &str| {
        while !diary.lock().unwrap().iter().any(|line| line == words) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    bench.announce("before").await;
    seen("before claimed").await;
    bench.queue.publish(SCAN_READY_AGAIN, b"again").await.unwrap();
    // Until it waits for the first to be done.
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.announce("after").await;
    for _ in volumes {
        bench.result().await;
    }
    let order = ["before", "again", "after"]
        .map(|job| ["claimed", "done"].map(|did| format!("{job} {did}")));
    assert_eq!(*diary.lock().unwrap(), order.concat());
}

#[tokio::test]
async fn what_no_model_may_judge_is_not_analysable_and_not_empty() {
    let volume = Volume { modality: Some(Modality::ComputedTomography), ..slice() };
    let mut bench = Bench::new("threshold:", &[("job", volume)], |_| ()).await;
    bench.announce("job").await;
    let (header, artefacts, document) = bench.result().await;
    assert_eq!(header.answer(), Answer::NotAnalysable);
    assert!(header.reason.contains("CT"), "{}", header.reason);
    assert_eq!((artefacts.len(), document.totals, document.confidence), (1, None, None));
}

#[tokio::test]
async fn a_broken_model_is_a_failed_job_and_never_an_empty_mask() {
    let cases = [("nan", false), ("short", false), ("error", true), ("panic", true)];
    for (fault, retry) in cases {
        let mut bench =
            Bench::new(&format!("stub:?fault={fault}"), &[("job", slice())], |_| ()).await;
        bench.announce("job").await;
        let failure = bench.failure().await;
        assert_eq!(
            (failure.job_id.as_str(), failure.attempt, failure.retry),
            ("job", 1, retry),
            "{fault}"
        );
        assert!(!failure.reason.is_empty());
    }
}

#[tokio::test]
async fn a_damaged_volume_is_not_analysed() {
    let mut bench =
        Bench::new("stub:", &[("job", slice())], |storage| storage.damage = Some(0)).await;
    bench.announce("job").await;
    let failure = bench.failure().await;
    assert!(failure.retry && failure.reason.contains("damaged"), "{failure:?}");
}

#[tokio::test]
async fn the_lease_is_kept_while_the_model_takes_its_time() {
    let mut bench = Bench::new("stub:?ms=200", &[("job", slice())], |_| ()).await;
    bench.announce("job").await;
    let mut beats = 0;
    while let Some(Told::Beat) = bench.told.recv().await {
        beats += 1;
    }
    assert!(beats >= 3, "{beats} heartbeats in 200 ms with a lease of 60 ms");
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_says_nothing_more_of_that_job() {
    let mut bench =
        Bench::new("stub:?ms=300", &[("lost", slice())], |storage| storage.stale = true).await;
    bench.announce("lost").await;
    assert!(matches!(bench.told.recv().await, Some(Told::Beat)));
    let silent = tokio::time::timeout(Duration::from_millis(700), bench.told.recv()).await;
    assert!(silent.is_err(), "told {silent:?}");
}

#[tokio::test]
async fn a_job_that_nobody_knows_is_dropped_and_the_next_is_done() {
    let mut bench = Bench::new("stub:", &[("job", slice())], |_| ()).await;
    bench.announce("unknown").await;
    bench.announce("job").await;
    let (header, ..) = bench.result().await;
    assert_eq!((header.job_id.as_str(), header.answer()), ("job", Answer::NoneFound));
}

#[tokio::test]
async fn a_model_that_is_missing_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        model_url: "file:///nowhere/weights.safetensors".into(),
        research: false,
        device: "cpu".into(),
        batch: 1,
        window: None,
        worker: "bench".into(),
        service_secret: "".into(),
        drain_s: 3,
    };
    let queue_url = format!("sqlite://{}/queue.db", folder.path().display());
    let ports = Ports::open(&queue_url, service::system_clock()).await.unwrap();
    let auth = Issuer::new().peer();
    let error = build(config, ports, Peers { storage: auth.clone(), auth }).await.err().unwrap();
    assert!(error.to_string().contains("/nowhere/weights.safetensors"), "{error}");
}
