//! Translates between the wire and uploads; decides nothing but who may send, and whether there is room for it.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Error, ErrorKind, Result, seconds_said, try_again_in};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use platform::trail;
use proto::ingest::append_part::Part as AppendedPart;
use proto::ingest::feedback_upload_part::Part as FeedbackPart;
use proto::ingest::ingest_server::Ingest as Wire;
use proto::ingest::store_part::Part as StoredPart;
use proto::ingest::upload_part::Part;
use proto::ingest::{
    AppendHeader, AppendPart, BatchAnswer, DeidentifiedPart, FeedbackUploadAnswer,
    FeedbackUploadPart, PartialUpload, PartialUploadRef, StorePart, StoredInstances,
    StudyCompleted, StudyToComplete, UploadAnswer, UploadBeginning, UploadDropped, UploadHeader,
    UploadPart, batch_answer, feedback_upload_answer, upload_answer,
};
use proto::storage::{Refusal, ScanRef};
use service::claims::{Role, Verifier, bearer};
use service::status_in_stream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

use crate::dicom::{self, Reception};
use crate::export::Export;
use crate::feedback::GivenFeedback;
use crate::partial::{Owner, Partials};
use crate::spool::Piece;
use crate::upload::{Taken, Uploads};

/// For those who send scans.
pub const SENDERS: [Role; 3] = [Role::Clinician, Role::Integrator, Role::Admin];

/// For those who say what they make of results.
const READERS: [Role; 2] = [Role::Clinician, Role::Admin];

/// For those who make models.
const LEARNERS: [Role; 2] = [Role::Scientist, Role::Admin];

pub struct Ingest {
    uploads: Uploads,
    partials: Partials,
    reception: Arc<Reception>,
    verifier: Verifier,
}

/// Who sends an upload in parts, and what is done in their name.
struct Sender {
    owner: Owner,
    token: String,
    uploads: Uploads,
}

/// An upload whose sender is known: nothing of it is read before.
struct Sent {
    /// In the name of whose hospital.
    uploads: Uploads,
    token: String,
    header: UploadHeader,
    parts: Streaming<UploadPart>,
}

impl Ingest {
    pub fn new(
        uploads: Uploads,
        partials: Partials,
        reception: Arc<Reception>,
        verifier: Verifier,
    ) -> Ingest {
        Ingest { uploads, partials, reception, verifier }
    }

    async fn sender(&self, metadata: &MetadataMap) -> Result<Sender> {
        let claims = self.verifier.claims(metadata).await?;
        claims.require(&SENDERS)?;
        let tenant = claims.tenant().id();
        let token = bearer(metadata).unwrap_or_default().to_owned();
        let owner = Owner { tenant, user: claims.subject };
        Ok(Sender { owner, token, uploads: self.uploads.of(tenant) })
    }

    async fn open(&self, request: Request<Streaming<UploadPart>>) -> Result<Sent> {
        let claims = self.verifier.claims(request.metadata()).await?;
        claims.require(&SENDERS)?;
        self.uploads.spool.require_room()?;
        let token = bearer(request.metadata()).unwrap_or_default().to_owned();
        let mut parts = request.into_inner();
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(ErrorKind::Invalid.error("an upload begins with its header"));
        };
        let header = UploadHeader { received_ms: self.reception.clock.now_ms(), ..header };
        let uploads = self.uploads.of(claims.tenant().id());
        Ok(Sent { uploads, token, header, parts })
    }
}

/// The files' bytes and names. A stream that stops before its end was cut, whatever the transport makes of it.
fn pieces(parts: Streaming<UploadPart>) -> impl Stream<Item = Result<Piece>> {
    stream::try_unfold((parts, 0), async |(mut parts, received)| {
        match parts.message().await?.and_then(|part| part.part) {
            Some(Part::Data(bytes)) => {
                let received = received + bytes.len() as u64;
                Ok(Some((Piece::Bytes(bytes), (parts, received))))
            }
            Some(Part::File(file)) => Ok(Some((Piece::File(file.name), (parts, received)))),
            Some(Part::End(end)) if end.size_bytes == received => Ok(None),
            None => Err(ErrorKind::Invalid.error("the upload was cut short: send it again")),
            Some(_) => {
                Err(ErrorKind::Invalid.error("an upload is a header, its files and its end"))
            }
        }
    })
}

/// Instances with what their sender says of them, to the end that says so.
fn instances(parts: Streaming<StorePart>) -> impl Stream<Item = Result<Piece>> {
    stream::try_unfold((parts, 0), async |(mut parts, received)| {
        match parts.message().await?.and_then(|part| part.part) {
            Some(StoredPart::Data(bytes)) => {
                let received = received + bytes.len() as u64;
                Ok(Some((Piece::Bytes(bytes), (parts, received))))
            }
            Some(StoredPart::Instance(begun)) => {
                Ok(Some((Piece::File(begun.transfer_syntax), (parts, received))))
            }
            Some(StoredPart::End(end)) if end.size_bytes == received => Ok(None),
            None => Err(ErrorKind::Invalid.error("the request was cut short: send it again")),
            Some(_) => Err(ErrorKind::Invalid.error("instances come between header and end")),
        }
    })
}

/// The bytes of a reader's mask, to the end that says so.
fn mask(parts: Streaming<FeedbackUploadPart>) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold((parts, 0), async |(mut parts, received)| {
        match parts.message().await?.and_then(|part| part.part) {
            Some(FeedbackPart::Data(bytes)) => {
                let received = received + bytes.len() as u64;
                Ok(Some((bytes, (parts, received))))
            }
            Some(FeedbackPart::End(end)) if end.size_bytes == received => Ok(None),
            None => Err(ErrorKind::Invalid.error("the mask was cut short: send it again")),
            Some(_) => Err(ErrorKind::Invalid.error("feedback comes with one mask")),
        }
    })
}

/// The next bytes of an upload, to the end of this call. What comes before a cut is not lost.
fn appended(parts: Streaming<AppendPart>) -> BoxStream<'static, Result<Bytes>> {
    stream::try_unfold((parts, 0), |(mut parts, received)| async move {
        match parts.message().await?.and_then(|part| part.part) {
            Some(AppendedPart::Data(bytes)) => {
                let received = received + bytes.len() as u64;
                Ok(Some((bytes, (parts, received))))
            }
            Some(AppendedPart::End(end)) if end.size_bytes == received => Ok(None),
            None => Err(ErrorKind::Invalid.error("the upload was cut short: go on with it")),
            Some(_) => {
                Err(ErrorKind::Invalid.error("bytes of an upload come between header and end"))
            }
        }
    })
    .boxed()
}

/// That there is no room for a whole upload now, as whoever sends it or asks for it is told: clients of tus take other refusals for
/// the end of it, and begin anew.
fn passing(error: Error) -> Error {
    if error.kind() != ErrorKind::Exhausted {
        return error;
    }
    let pause = seconds_said(&error.to_string()).map(|seconds| try_again_in(seconds.into()));
    let words = "the upload cannot be looked at now";
    let words = pause.map_or(words.to_owned(), |pause| format!("{words}: {pause}"));
    ErrorKind::Unavailable.error(words).because(error)
}

/// Does the work to its end, also where whoever asked for it goes away meanwhile.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let work = trail::propagate(trail::current(), work.in_current_span());
    let done = tokio::spawn(work).await;
    done.map_err(|error| ErrorKind::Internal.error("taking an upload panicked").because(error))?
}

/// The refusal of a whole upload, or of a mask.
pub fn refused(refusal: imaging::Refusal) -> Refusal {
    tracing::info!(problem = refusal.problem.name(), "refused an upload");
    refusal_message(refusal)
}

/// The message of a refusal.
pub fn refusal_message(refusal: imaging::Refusal) -> Refusal {
    let problem = refusal.problem;
    Refusal {
        problem: problem.name().into(),
        title: problem.title().into(),
        detail: refusal.detail,
    }
}

#[tonic::async_trait]
impl Wire for Ingest {
    async fn upload(
        &self,
        request: Request<Streaming<UploadPart>>,
    ) -> Result<Response<UploadAnswer>, Status> {
        let Sent { uploads, token, header, parts } = self.open(request).await?;
        let taken = uploads.take(pieces(parts), &header, &token).await?;
        let answer = match taken {
            Ok(Taken::Scan(scan)) => upload_answer::Answer::Scan(scan),
            Ok(Taken::Batch(batch)) => upload_answer::Answer::Batch(batch),
            Err(refusal) => {
                uploads.note(&refusal, &header.site, &token).await;
                upload_answer::Answer::Refusal(refused(refusal))
            }
        };
        Ok(Response::new(UploadAnswer { answer: Some(answer) }))
    }

    async fn upload_batch(
        &self,
        request: Request<Streaming<UploadPart>>,
    ) -> Result<Response<BatchAnswer>, Status> {
        let Sent { uploads, token, header, parts } = self.open(request).await?;
        let taken = uploads.take_batch(pieces(parts), &header, &token).await?;
        let answer = match taken {
            Ok(batch) => batch_answer::Answer::Batch(batch),
            Err(refusal) => {
                uploads.note(&refusal, &header.site, &token).await;
                batch_answer::Answer::Refusal(refused(refusal))
            }
        };
        Ok(Response::new(BatchAnswer { answer: Some(answer) }))
    }

    async fn begin_upload(
        &self,
        request: Request<UploadBeginning>,
    ) -> Result<Response<PartialUpload>, Status> {
        let Sender { owner, .. } = self.sender(request.metadata()).await?;
        Ok(Response::new(self.partials.begin(&owner, request.into_inner()).await?))
    }

    async fn get_upload(
        &self,
        request: Request<PartialUploadRef>,
    ) -> Result<Response<PartialUpload>, Status> {
        let Sender { owner, token, uploads } = self.sender(request.metadata()).await?;
        let PartialUploadRef { id } = request.into_inner();
        let found = self.partials.find(&owner, &id).await?;
        if found.outcome.is_some() {
            return Ok(Response::new(found));
        }
        let held = self.partials.hold(&owner, &id).await?;
        let partials = self.partials.clone();
        let work = async move { uploads.finish(&partials, held, &token).await.map_err(passing) };
        Ok(Response::new(to_its_end(work).await?))
    }

    async fn append_upload(
        &self,
        request: Request<Streaming<AppendPart>>,
    ) -> Result<Response<PartialUpload>, Status> {
        let Sender { owner, token, uploads } = self.sender(request.metadata()).await?;
        let mut parts = request.into_inner();
        let begun = parts.message().await?.and_then(|part| part.part);
        let Some(AppendedPart::Header(AppendHeader { id, offset_bytes })) = begun else {
            return Err(ErrorKind::Invalid
                .error("bytes of an upload begin with their header")
                .into());
        };
        let mut held = self.partials.hold(&owner, &id).await?;
        let (partials, gone) = (self.partials.clone(), CancellationToken::new());
        // In one process nothing else tells that the caller is gone.
        let _here = gone.clone().drop_guard();
        let work = async move {
            partials.append(&mut held, offset_bytes, appended(parts), &gone).await?;
            uploads.finish(&partials, held, &token).await.map_err(passing)
        };
        Ok(Response::new(to_its_end(work).await?))
    }

    async fn drop_upload(
        &self,
        request: Request<PartialUploadRef>,
    ) -> Result<Response<UploadDropped>, Status> {
        let Sender { owner, .. } = self.sender(request.metadata()).await?;
        let held = self.partials.hold(&owner, &request.into_inner().id).await?;
        self.partials.remove(held).await?;
        Ok(Response::new(UploadDropped {}))
    }

    async fn store_instances(
        &self,
        request: Request<Streaming<StorePart>>,
    ) -> Result<Response<StoredInstances>, Status> {
        let claims = self.verifier.claims(request.metadata()).await?;
        claims.require(&SENDERS)?;
        self.uploads.spool.require_room()?;
        let token = bearer(request.metadata()).unwrap_or_default().to_owned();
        let mut parts = request.into_inner();
        let begun = parts.message().await?.and_then(|part| part.part);
        let Some(StoredPart::Header(header)) = begun else {
            return Err(ErrorKind::Invalid.error("instances begin with their header").into());
        };
        let parts = instances(parts);
        let instances = dicom::store(&self.reception, &claims, &token, header, parts).await?;
        Ok(Response::new(StoredInstances { instances }))
    }

    async fn complete_study(
        &self,
        request: Request<StudyToComplete>,
    ) -> Result<Response<StudyCompleted>, Status> {
        let claims = self.verifier.claims(request.metadata()).await?;
        claims.require(&SENDERS)?;
        let StudyToComplete { study_uid, instances } = request.into_inner();
        let tenant = claims.tenant().id();
        Ok(Response::new(self.reception.complete(tenant, &study_uid, instances).await?))
    }

    type DeidentifyStream = BoxStream<'static, Result<DeidentifiedPart, Status>>;

    async fn deidentify(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<Self::DeidentifyStream>, Status> {
        let claims = self.verifier.claims(request.metadata()).await?;
        claims.require(&LEARNERS)?;
        let token = bearer(request.metadata()).unwrap_or_default().to_owned();
        let uploads = self.uploads.of(claims.tenant().id());
        let exported = uploads.export(&request.into_inner().id, &token).await?;
        Ok(Response::new(match exported {
            Ok(Export { bytes, zip }) => {
                let first = DeidentifiedPart { size_bytes: bytes, ..DeidentifiedPart::default() };
                let part = |data| DeidentifiedPart { data, ..DeidentifiedPart::default() };
                let rest = zip.map_ok(part).map_err(status_in_stream);
                stream::iter([Ok(first)]).chain(rest).boxed()
            }
            Err(refusal) => {
                let refusal = Some(refused(refusal));
                let part = DeidentifiedPart { refusal, ..DeidentifiedPart::default() };
                stream::iter([Ok(part)]).boxed()
            }
        }))
    }

    async fn give_feedback(
        &self,
        request: Request<Streaming<FeedbackUploadPart>>,
    ) -> Result<Response<FeedbackUploadAnswer>, Status> {
        let claims = self.verifier.claims(request.metadata()).await?;
        claims.require(&READERS)?;
        self.uploads.spool.require_room()?;
        let token = bearer(request.metadata()).unwrap_or_default().to_owned();
        let mut parts = request.into_inner();
        let begun = parts.message().await?.and_then(|part| part.part);
        let Some(FeedbackPart::Header(header)) = begun else {
            return Err(ErrorKind::Invalid.error("feedback begins with its header").into());
        };
        if header.word.is_none() {
            return Err(ErrorKind::Invalid
                .error("say `feedback` first, and send the file after it")
                .into());
        }
        let uploads = self.uploads.of(claims.tenant().id());
        let answer = match uploads.give_feedback(mask(parts), header, &token).await? {
            GivenFeedback::Kept(entry) => feedback_upload_answer::Answer::Feedback(entry),
            GivenFeedback::Misfit(why) => feedback_upload_answer::Answer::Misfit(why),
            GivenFeedback::Refused(refusal) => {
                feedback_upload_answer::Answer::Refusal(refused(refusal))
            }
        };
        Ok(Response::new(FeedbackUploadAnswer { answer: Some(answer) }))
    }
}
