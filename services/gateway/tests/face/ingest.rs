//! An ingest that takes whatever comes and says what came: the real one takes sound images and keeps to itself what it was
//! sent besides.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use proto::ingest::append_part::Part as AppendedPart;
use proto::ingest::feedback_upload_part::Part as FeedbackPart;
use proto::ingest::ingest_server::IngestServer;
use proto::ingest::partial_upload::Outcome;
use proto::ingest::store_part::Part as StoredPart;
use proto::ingest::upload_part::Part;
use proto::ingest::{
    AppendPart, BatchAnswer, DeidentifiedPart, FeedbackUploadAnswer, FeedbackUploadHeader,
    FeedbackUploadPart, PartialUpload, PartialUploadRef, StoreHeader, StorePart, StoredInstance,
    StoredInstances, StudyCompleted, StudyToComplete, UploadAnswer, UploadBeginning, UploadDropped,
    UploadPart, batch_answer, feedback_upload_answer, upload_answer,
};
use proto::storage::{Batch, FeedbackEntry, Priority, Refusal, Scan, ScanRef};
use service::claims::bearer;
use tonic::{Request, Response, Status, Streaming};

type Reply<T> = Result<Response<T>, Status>;

/// What ingest saw of one upload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedUpload {
    pub key: String,
    pub file_name: String,
    pub stat: bool,
    /// Reference, patient id and accession number.
    pub stated: [String; 3],
    /// The beginning; the rest is only counted.
    pub start: Vec<u8>,
    pub length: usize,
    /// Whether the upload came to its own end.
    pub whole: bool,
}

/// What ingest saw of a reader's word with a mask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedFeedback {
    pub headers: Vec<FeedbackUploadHeader>,
    pub mask: Vec<u8>,
    /// Whether it came to its own end.
    pub whole: bool,
}

/// What ingest saw of a request that stores instances.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedInstances {
    pub header: StoreHeader,
    /// The transfer syntax that each was begun by, and its bytes.
    pub instances: Vec<(String, Vec<u8>)>,
    /// Whether it came to its own end.
    pub whole: bool,
}

/// What ingest keeps of an upload that comes in parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptUpload {
    pub beginning: UploadBeginning,
    pub bytes: Vec<u8>,
}

/// When unfinished uploads expire here.
pub const EXPIRES_MS: i64 = 784_111_777_000;

/// Drains uploads; refuses those that are `refuse`, and makes a batch of `several`.
#[derive(Clone, Default)]
pub struct Ingest(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    seen: Vec<ReceivedUpload>,
    given: Vec<ReceivedFeedback>,
    stored: Vec<ReceivedInstances>,
    completed: Vec<StudyToComplete>,
    /// What uploads of several scans become.
    batch: Batch,
    /// Those that come in parts; none where it was dropped.
    parts: Vec<Option<KeptUpload>>,
    /// The scan that those become.
    scan_id: String,
}

impl Ingest {
    pub fn server(self) -> IngestServer<Ingest> {
        IngestServer::new(self)
    }

    pub fn seen(&self) -> Vec<ReceivedUpload> {
        self.0.lock().unwrap().seen.clone()
    }

    pub fn given(&self) -> Vec<ReceivedFeedback> {
        self.0.lock().unwrap().given.clone()
    }

    pub fn stored(&self) -> Vec<ReceivedInstances> {
        self.0.lock().unwrap().stored.clone()
    }

    pub fn completed(&self) -> Vec<StudyToComplete> {
        self.0.lock().unwrap().completed.clone()
    }

    /// From now on several scans become this batch.
    pub fn makes(&self, batch: Batch) {
        self.0.lock().unwrap().batch = batch;
    }

    /// Uploads that come in parts become this scan.
    pub fn becomes(&self, scan_id: String) {
        self.0.lock().unwrap().scan_id = scan_id;
    }

    pub fn parts(&self) -> Vec<Option<KeptUpload>> {
        self.0.lock().unwrap().parts.clone()
    }

    fn told(&self, id: &str) -> Result<PartialUpload, Status> {
        let state = self.0.lock().unwrap();
        let kept = id.parse().ok().and_then(|index: usize| state.parts.get(index)?.as_ref());
        let kept = kept.ok_or_else(|| Status::not_found("no such upload"))?;
        let (size_bytes, kept_bytes) = (kept.beginning.size_bytes, kept.bytes.len() as u64);
        let outcome = (size_bytes == kept_bytes).then(|| match kept.bytes.as_slice() {
            b"refuse" => Outcome::Refusal(too_small()),
            _ => Outcome::ScanId(state.scan_id.clone()),
        });
        let id = id.to_owned();
        Ok(PartialUpload { id, size_bytes, kept_bytes, expires_ms: EXPIRES_MS, outcome })
    }

    fn batch(&self) -> Batch {
        self.0.lock().unwrap().batch.clone()
    }

    async fn drain(
        &self,
        request: Request<Streaming<UploadPart>>,
    ) -> Result<ReceivedUpload, Status> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let index = {
            let seen = &mut self.0.lock().unwrap().seen;
            seen.push(ReceivedUpload::default());
            seen.len() - 1
        };
        let mut parts = request.into_inner();
        while let Some(part) = parts.message().await? {
            let mut state = self.0.lock().unwrap();
            let seen = &mut state.seen[index];
            match part.part.unwrap() {
                Part::Header(header) => {
                    seen.stat = header.priority() == Priority::Stat;
                    (seen.key, seen.file_name) = (header.idempotency_key, header.file_name);
                    seen.stated = [header.reference, header.patient_id, header.accession_number];
                }
                Part::Data(data) => {
                    let room = 64_usize.saturating_sub(seen.start.len()).min(data.len());
                    seen.start.extend_from_slice(&data[..room]);
                    seen.length += data.len();
                }
                // The names of several files, one after another.
                Part::File(file) => seen.file_name = format!("{}, {}", seen.file_name, file.name),
                Part::End(end) => seen.whole = end.size_bytes == seen.length as u64,
            }
        }
        Ok(self.0.lock().unwrap().seen[index].clone())
    }
}

/// In storage's words.
const NO_ROOM: &str = "the limit of the hospital, 900 stored bytes at a time, leaves no room for it: delete scans, keep them for a shorter time or ask the operator for more, and try again in 600 s";

fn too_small() -> Refusal {
    Refusal {
        problem: "too-small".into(),
        title: "The image is too small".into(),
        detail: "It is 12 x 12 pixels. Send a larger one.".into(),
    }
}

#[tonic::async_trait]
impl proto::ingest::ingest_server::Ingest for Ingest {
    async fn upload(&self, request: Request<Streaming<UploadPart>>) -> Reply<UploadAnswer> {
        let seen = self.drain(request).await?;
        let answer = match seen.start.as_slice() {
            b"refuse" => upload_answer::Answer::Refusal(too_small()),
            b"several" => upload_answer::Answer::Batch(self.batch()),
            b"full" => return Err(Status::unavailable("no room on /dev/sdb1")),
            b"no room" => return Err(Status::resource_exhausted(NO_ROOM)),
            _ => upload_answer::Answer::Scan(Box::new(queued())),
        };
        Ok(Response::new(UploadAnswer { answer: Some(answer) }))
    }

    async fn upload_batch(&self, request: Request<Streaming<UploadPart>>) -> Reply<BatchAnswer> {
        let seen = self.drain(request).await?;
        let answer = match seen.start.as_slice() {
            b"refuse" => batch_answer::Answer::Refusal(too_small()),
            _ => batch_answer::Answer::Batch(self.batch()),
        };
        Ok(Response::new(BatchAnswer { answer: Some(answer) }))
    }

    async fn begin_upload(&self, request: Request<UploadBeginning>) -> Reply<PartialUpload> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let id = {
            let parts = &mut self.0.lock().unwrap().parts;
            let beginning = request.into_inner();
            parts.push(Some(KeptUpload { beginning, bytes: Vec::new() }));
            parts.len() - 1
        };
        Ok(Response::new(self.told(&id.to_string())?))
    }

    async fn get_upload(&self, request: Request<PartialUploadRef>) -> Reply<PartialUpload> {
        Ok(Response::new(self.told(&request.into_inner().id)?))
    }

    /// Keeps what comes before a cut.
    async fn append_upload(&self, request: Request<Streaming<AppendPart>>) -> Reply<PartialUpload> {
        let (mut parts, mut id) = (request.into_inner(), String::new());
        while let Some(part) = parts.message().await? {
            match part.part.unwrap() {
                AppendedPart::Header(header) => {
                    if self.told(&header.id)?.kept_bytes != header.offset_bytes {
                        return Err(Status::already_exists("it goes on elsewhere"));
                    }
                    id = header.id;
                }
                AppendedPart::Data(data) => {
                    let index: usize = id.parse().unwrap();
                    let mut state = self.0.lock().unwrap();
                    state.parts[index].as_mut().unwrap().bytes.extend_from_slice(&data);
                }
                AppendedPart::End(_) => {}
            }
        }
        Ok(Response::new(self.told(&id)?))
    }

    async fn drop_upload(&self, request: Request<PartialUploadRef>) -> Reply<UploadDropped> {
        let id = request.into_inner().id;
        self.told(&id)?;
        self.0.lock().unwrap().parts[id.parse::<usize>().unwrap()] = None;
        Ok(Response::new(UploadDropped {}))
    }

    async fn store_instances(
        &self,
        request: Request<Streaming<StorePart>>,
    ) -> Reply<StoredInstances> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let (mut seen, mut parts) = (ReceivedInstances::default(), request.into_inner());
        while let Some(part) = parts.message().await? {
            match part.part.unwrap() {
                StoredPart::Header(header) => seen.header = header,
                StoredPart::Instance(begun) => {
                    seen.instances.push((begun.transfer_syntax, Vec::new()));
                }
                StoredPart::Data(data) => {
                    seen.instances.last_mut().unwrap().1.extend_from_slice(&data);
                }
                StoredPart::End(end) => {
                    let bytes: usize = seen.instances.iter().map(|(_, bytes)| bytes.len()).sum();
                    seen.whole = end.size_bytes == bytes as u64;
                }
            }
        }
        let full = seen.instances.iter().any(|(_, bytes)| bytes == b"full");
        let instances = seen.instances.iter().map(|(_, bytes)| stored(bytes)).collect();
        self.0.lock().unwrap().stored.push(seen);
        if full {
            return Err(domain::ErrorKind::Exhausted.error("no room for more instances").into());
        }
        Ok(Response::new(StoredInstances { instances }))
    }

    async fn complete_study(&self, request: Request<StudyToComplete>) -> Reply<StudyCompleted> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let asked = request.into_inner();
        let there = 24;
        self.0.lock().unwrap().completed.push(asked.clone());
        match asked.instances {
            Some(instances) if instances != there => {
                Err(domain::ErrorKind::Conflict.error("there are 24 instances").into())
            }
            _ => Ok(Response::new(StudyCompleted { series: 2, instances: there })),
        }
    }

    type DeidentifyStream = BoxStream<'static, Result<DeidentifiedPart, Status>>;

    /// A zip of the scan that is called `zip`, and of others none.
    async fn deidentify(&self, request: Request<ScanRef>) -> Reply<Self::DeidentifyStream> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let part = DeidentifiedPart::default();
        let parts = if request.into_inner().id == "zip" {
            let first = DeidentifiedPart { size_bytes: 5, ..part.clone() };
            let piece =
                |data: &'static [u8]| DeidentifiedPart { data: data.into(), ..part.clone() };
            vec![first, piece(b"PK"), piece(b"zip")]
        } else {
            vec![DeidentifiedPart { refusal: Some(too_small()), ..part }]
        };
        Ok(Response::new(stream::iter(parts.into_iter().map(Ok)).boxed()))
    }

    async fn give_feedback(
        &self,
        request: Request<Streaming<FeedbackUploadPart>>,
    ) -> Reply<FeedbackUploadAnswer> {
        bearer(request.metadata()).ok_or_else(|| Status::unauthenticated("no token"))?;
        let (mut seen, mut parts) = (ReceivedFeedback::default(), request.into_inner());
        while let Some(part) = parts.message().await? {
            match part.part.unwrap() {
                FeedbackPart::Header(header) => seen.headers.push(header),
                FeedbackPart::Data(data) => seen.mask.extend_from_slice(&data),
                FeedbackPart::End(end) => seen.whole = end.size_bytes == seen.mask.len() as u64,
            }
        }
        let answer = Some(given(&seen));
        self.0.lock().unwrap().given.push(seen);
        Ok(Response::new(FeedbackUploadAnswer { answer }))
    }
}

/// How an instance of those bytes is answered.
fn stored(bytes: &[u8]) -> StoredInstance {
    let refused = bytes.starts_with(b"refuse");
    StoredInstance {
        sop_class: "1.2.840.10008.5.1.4.1.1.4".into(),
        sop_instance: format!("1.2.3.{}", bytes.len()),
        study_uid: "1.2".into(),
        series_uid: "1.2.3".into(),
        failure: if refused { 0xa900 } else { 0 },
        comment: if refused { "It is of another study.".into() } else { String::new() },
    }
}

/// What becomes of the mask that begins so.
fn given(seen: &ReceivedFeedback) -> feedback_upload_answer::Answer {
    match seen.mask.as_slice() {
        b"refuse" => feedback_upload_answer::Answer::Refusal(too_small()),
        b"misfit" => feedback_upload_answer::Answer::Misfit("It is on another grid.".into()),
        _ => feedback_upload_answer::Answer::Feedback(Box::new(FeedbackEntry {
            id: "given".into(),
            word: seen.headers.first().and_then(|header| header.word.clone()),
            has_mask: true,
            dice: Some(0.5),
            ..FeedbackEntry::default()
        })),
    }
}

fn queued() -> Scan {
    Scan {
        id: "queued".into(),
        state: proto::storage::State::Queued.into(),
        shape: vec![1, 64, 64],
        ..Scan::default()
    }
}
