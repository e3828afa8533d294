//! The way of a reader's own outline: decoded in the jail, compared with the result's own mask, handed to storage.

use std::time::Duration;

use bytes::Bytes;
use domain::artefact::{MASK, MASK_VOLUME};
use domain::{Artefact, ErrorKind, Result, hex};
use futures::{Stream, TryStreamExt, stream};
use imaging::{Format, Refusal};
use proto::ingest::FeedbackUploadHeader;
use proto::storage::feedback_part::Part;
use proto::storage::{
    Answer, ArtefactRef, CheckedMask, FeedbackAnswer, FeedbackEntry, FeedbackHeader, FeedbackPart,
    ScanRef, State, feedback_answer,
};
use service::CHUNK_BYTES;
use service::claims::{authorised, vouched};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tonic::Code;

use crate::outline::{Checked, Outline};
use crate::process::internal;
use crate::upload::Uploads;

/// How long storage may take to keep the largest mask.
const GIVE: Duration = Duration::from_secs(60);

/// What a reader's word with a mask has become.
pub enum GivenFeedback {
    Kept(Box<FeedbackEntry>),
    /// It does not go with the result; why, as a sentence.
    Misfit(String),
    /// The mask cannot be read.
    Refused(Refusal),
}

impl Uploads {
    /// Spools the mask, has it decoded and compared, and hands it to storage with the word, in the name of `token`'s bearer.
    pub async fn give_feedback(
        &self,
        mask: impl Stream<Item = Result<Bytes>>,
        header: FeedbackUploadHeader,
        token: &str,
    ) -> Result<GivenFeedback> {
        let slices = self.slices_of_result(&header.scan_id, token).await?;
        let spooled = match self.spool.keep(mask).await? {
            Ok(spooled) => spooled,
            Err(refusal) => return Ok(GivenFeedback::Refused(refusal)),
        };
        let _turn = self.comparing.take(self.decoder.party()).await;
        let drawn = match self.decoder.outline(spooled.path(), false).await? {
            Ok(drawn) => drawn,
            Err(refusal) => return Ok(GivenFeedback::Refused(refusal)),
        };
        let artefact = if drawn.format == Format::Nifti.name() { MASK_VOLUME } else { MASK };
        if artefact == MASK && slices != 1 {
            return Ok(GivenFeedback::Misfit(format!(
                "The scan has {slices} slices, and a PNG one: send the mask as NIfTI, on the grid of `mask.nii.gz`."
            )));
        }
        let Some(own) = self.own_outline(&header.scan_id, artefact, token).await? else {
            return Ok(GivenFeedback::Misfit(format!("The result has no `{}`.", artefact.name)));
        };
        match compared(drawn, own).await? {
            Ok(checked) => self.keep_feedback(header, artefact, checked, token).await,
            Err(misfit) => Ok(GivenFeedback::Misfit(misfit)),
        }
    }

    /// How many slices the scan has; `Conflict` while there is no result, and for good where the analysis has failed.
    async fn slices_of_result(&self, scan_id: &str, token: &str) -> Result<u32> {
        let asked = authorised(ScanRef { id: scan_id.to_owned() }, token);
        let scan = self.storage.clone().get(asked).await?.into_inner();
        if scan.state() != State::Done || scan.answer() == Answer::Failed {
            return Err(ErrorKind::Conflict.error("the scan has no result to speak of"));
        }
        Ok(scan.shape.first().copied().unwrap_or_default())
    }

    /// The result's own mask; None where it has none of that form.
    async fn own_outline(
        &self,
        scan_id: &str,
        artefact: Artefact,
        token: &str,
    ) -> Result<Option<Outline>> {
        let asked = ArtefactRef { id: scan_id.to_owned(), name: artefact.name.to_owned() };
        let asked = vouched(authorised(asked, token), &self.own.get().await?);
        let chunks = match self.storage.clone().read(asked).await {
            Ok(chunks) => chunks.into_inner().map_ok(|chunk| chunk.data),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        // It was made here, so that whatever is wrong with it is a mistake of ours.
        let unreadable = |_| ErrorKind::Internal.error("the mask of a result cannot be read");
        let spooled = self.spool.keep(chunks).await?.map_err(unreadable)?;
        let own = self.decoder.outline(spooled.path(), true).await?.map_err(unreadable)?;
        Ok(Some(own))
    }

    async fn keep_feedback(
        &self,
        header: FeedbackUploadHeader,
        artefact: Artefact,
        checked: Checked,
        token: &str,
    ) -> Result<GivenFeedback> {
        let FeedbackUploadHeader { scan_id, idempotency_key, word } = header;
        let Checked { file, dice, is_empty, slices } = checked;
        let sha256 = hex(&Sha256::digest(&file));
        let name = artefact.name.to_owned();
        let (dice, slices) = (Some(dice), Some(slices));
        let mask = Some(CheckedMask { name, sha256, dice, empty: is_empty, slices });
        let header = Part::Header(FeedbackHeader { scan_id, idempotency_key, word, mask });
        let parts = std::iter::once(header).chain(pieces(file.into()).map(Part::Mask));
        let parts = stream::iter(parts.map(|part| FeedbackPart { part: Some(part) }));
        let mut request = vouched(authorised(parts, token), &self.own.get().await?);
        request.set_timeout(GIVE);
        let FeedbackAnswer { answer } = self.feedback.clone().give(request).await?.into_inner();
        match answer {
            Some(feedback_answer::Answer::Feedback(entry)) => {
                Ok(GivenFeedback::Kept(Box::new(entry)))
            }
            Some(feedback_answer::Answer::Misfit(why)) => Ok(GivenFeedback::Misfit(why)),
            None => Err(ErrorKind::Internal.error("storage answered with nothing")),
        }
    }
}

/// Compares the two, which takes as long as a volume has voxels.
async fn compared(drawn: Outline, own: Outline) -> Result<Result<Checked, String>> {
    let compared = spawn_blocking(move || drawn.check(&own)).await;
    compared.map_err(|error| internal("masks could not be compared", error))?
}

fn pieces(mut bytes: Bytes) -> impl Iterator<Item = Bytes> + Send + 'static {
    std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES));
        (!piece.is_empty()).then_some(piece)
    })
}
