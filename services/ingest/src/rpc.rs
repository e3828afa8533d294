//! Translates between the wire and uploads; decides nothing but who may send, and whether there is room for it.

use bytes::Bytes;
use domain::{ErrorKind, Result};
use futures::{Stream, stream};
use proto::ingest::feedback_upload_part::Part as FeedbackPart;
use proto::ingest::ingest_server::Ingest as Wire;
use proto::ingest::upload_part::Part;
use proto::ingest::{
    BatchAnswer, FeedbackUploadAnswer, FeedbackUploadPart, UploadAnswer, UploadHeader, UploadPart,
    batch_answer, feedback_upload_answer, upload_answer,
};
use proto::storage::Refusal;
use service::claims::{Role, Verifier, bearer};
use tonic::{Request, Response, Status, Streaming};

use crate::feedback::GivenFeedback;
use crate::spool::Piece;
use crate::upload::{Taken, Uploads};

/// For those who send scans.
const SENDERS: [Role; 3] = [Role::Clinician, Role::Integrator, Role::Admin];

/// For those who say what they make of results.
const READERS: [Role; 2] = [Role::Clinician, Role::Admin];

pub struct Ingest {
    uploads: Uploads,
    verifier: Verifier,
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
    pub fn new(uploads: Uploads, verifier: Verifier) -> Ingest {
        Ingest { uploads, verifier }
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

/// The refusal of a whole upload.
fn refused(refusal: imaging::Refusal) -> Refusal {
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
            Err(refusal) => upload_answer::Answer::Refusal(refused(refusal)),
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
            Err(refusal) => batch_answer::Answer::Refusal(refused(refusal)),
        };
        Ok(Response::new(BatchAnswer { answer: Some(answer) }))
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
