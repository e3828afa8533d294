use domain::artefact::{MASK, MASK_VOLUME};
use domain::{ErrorKind, Result};
use futures::{StreamExt, TryStreamExt};
use proto::storage::feedback_part::Part;
use proto::storage::feedback_server::Feedback as Wire;
use proto::storage::{
    CheckedMask, FeedbackAnswer, FeedbackHeader, FeedbackOfScan, FeedbackPart, FeedbackRef,
    ListReviews, MaskChunk, ReviewPage, ScanRef, feedback_answer,
};
use service::claims::{Claims, Verifier};
use service::{status_in_stream, wire};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::Responses;
use super::scans::{READER_ROLES, knows};
use crate::artefacts::{Incoming, Staged};
use crate::feedback::{Given, ReadersMask};
use crate::store::Store;

/// The RPCs for readers.
pub struct Feedback {
    store: Store,
    verifier: Verifier,
}

impl Feedback {
    pub fn new(store: Store, verifier: Verifier) -> Feedback {
        Feedback { store, verifier }
    }

    async fn reader(&self, metadata: &MetadataMap) -> Result<Claims> {
        self.verifier.caller(metadata, &READER_ROLES).await
    }

    /// What is given, with the mask staged that it announces.
    async fn receive(
        &self,
        claims: &Claims,
        header: FeedbackHeader,
        parts: &mut Streaming<FeedbackPart>,
    ) -> Result<Given> {
        let FeedbackHeader { scan_id, idempotency_key, word, mask } = header;
        let word = wire::word_of(word.unwrap_or_default())?;
        let mask = match mask {
            Some(mask) => Some(self.receive_mask((claims, scan_id.as_str()), mask, parts).await?),
            None => nothing_more(parts).await.map(|()| None)?,
        };
        Ok(Given { scan_id, idempotency_key, word, mask })
    }

    async fn receive_mask(
        &self,
        (claims, scan_id): (&Claims, &str),
        mask: CheckedMask,
        parts: &mut Streaming<FeedbackPart>,
    ) -> Result<ReadersMask> {
        let CheckedMask { name, sha256, dice, empty, slices } = mask;
        if ![MASK.name, MASK_VOLUME.name].contains(&name.as_str()) {
            return Err(ErrorKind::Invalid.error("a mask may not be called so"));
        }
        let seal = self.store.seal_of_scan(claims.tenant().id(), scan_id.parse()?).await?;
        let mut incoming = Incoming::begin(&self.store, &name, seal).await?;
        while let Some(part) = parts.message().await? {
            let Some(Part::Mask(bytes)) = part.part else {
                return Err(ErrorKind::Invalid.error("feedback is one header, and then its mask"));
            };
            incoming.write(bytes).await?;
        }
        let (name, staged) = incoming.finish().await?;
        check_digest(&staged, &sha256)?;
        Ok(ReadersMask { name, dice, is_empty: empty, slices, staged })
    }
}

async fn nothing_more(parts: &mut Streaming<FeedbackPart>) -> Result<()> {
    match parts.message().await? {
        None => Ok(()),
        Some(_) => Err(ErrorKind::Invalid.error("feedback has a mask that it does not announce")),
    }
}

/// A stream that was cut looks like one that ended.
fn check_digest(staged: &Staged, sha256: &str) -> Result<()> {
    if staged.sha256 == sha256 {
        return Ok(());
    }
    Err(ErrorKind::Invalid
        .error("the mask's bytes are not those that were announced: they were damaged on the way"))
}

#[tonic::async_trait]
impl Wire for Feedback {
    async fn give(
        &self,
        request: Request<Streaming<FeedbackPart>>,
    ) -> Result<Response<FeedbackAnswer>, Status> {
        let metadata = request.metadata().clone();
        // A mask that came slowly is handed on when its reader's token has long ended.
        let claims = self.verifier.caller_or_sender(&metadata, &READER_ROLES).await?;
        self.store.require_ready(claims.tenant()).await?;
        let mut parts = request.into_inner();
        let Some(Part::Header(header)) = parts.message().await?.and_then(|part| part.part) else {
            return Err(ErrorKind::Invalid.error("feedback begins with its header").into());
        };
        if header.mask.is_some() {
            // No other mask has been decoded in the jail.
            self.verifier.require_service(&metadata).await?;
        }
        let given = self.receive(&claims, header, &mut parts).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        let answer = match self.store.give(&claims, given).await? {
            Ok(entry) => feedback_answer::Answer::Feedback(entry),
            Err(misfit) => feedback_answer::Answer::Misfit(misfit),
        };
        Ok(Response::new(FeedbackAnswer { answer: Some(answer) }))
    }

    async fn list_of_scan(
        &self,
        request: Request<ScanRef>,
    ) -> Result<Response<FeedbackOfScan>, Status> {
        let claims = self.reader(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.feedback_of(&claims, &request.get_ref().id).await?))
    }

    async fn list_scans(
        &self,
        request: Request<ListReviews>,
    ) -> Result<Response<ReviewPage>, Status> {
        let claims = self.reader(request.metadata()).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let mut page = self.store.reviews(&claims, request.get_ref()).await?;
        let knows = knows(&claims);
        self.store.group_reviews(claims.tenant(), &mut page.reviews, knows).await?;
        Ok(Response::new(page))
    }

    type ReadMaskStream = Responses<MaskChunk>;

    async fn read_mask(
        &self,
        request: Request<FeedbackRef>,
    ) -> Result<Response<Self::ReadMaskStream>, Status> {
        let claims = self.reader(request.metadata()).await?;
        let FeedbackRef { scan_id, id } = request.into_inner();
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        let (mut name, (mut size_bytes, bytes)) =
            self.store.feedback_mask(&claims, &scan_id, &id).await?;
        let chunk = move |data| MaskChunk {
            data,
            size_bytes: std::mem::take(&mut size_bytes),
            name: std::mem::take(&mut name),
        };
        Ok(Response::new(bytes.map_ok(chunk).map_err(status_in_stream).boxed()))
    }
}
