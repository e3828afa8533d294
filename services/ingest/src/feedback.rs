//! The way of a reader's own outline: decoded in the jail, compared with the result's own mask, handed to storage.

use std::time::Duration;

use bytes::Bytes;
use domain::artefact::{MASK, MASK_VOLUME, VOLUME};
use domain::{Artefact, ErrorKind, Identity, Result, hex};
use futures::{Stream, TryStreamExt, stream};
use imaging::{Format, Refusal, StoredGrid};
use proto::ingest::FeedbackUploadHeader;
use proto::storage::feedback_part::Part;
use proto::storage::{
    Answer, ArtefactRef, CheckedMask, FeedbackAnswer, FeedbackEntry, FeedbackHeader, FeedbackPart,
    ScanRef, State, feedback_answer,
};
use service::claims::{authorised, vouched};
use service::{CHUNK_BYTES, wire};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tonic::Code;

use crate::decoder::Drawn;
use crate::outline::{Checked, Outline};
use crate::process::internal;
use crate::segmentation::Segmentation;
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

/// What is to be compared.
struct Pair {
    /// In which form the result's own mask is, and the reader's will be kept.
    artefact: Artefact,
    drawn: Outline,
    own: Outline,
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
        let drawn = match self.decoder.drawn(spooled.path()).await? {
            Ok(drawn) => drawn,
            Err(refusal) => return Ok(GivenFeedback::Refused(refusal)),
        };
        let scan_id = &header.scan_id;
        let pair = match drawn {
            Drawn::Outline(outline) => self.beside_own(outline, scan_id, slices, token).await?,
            Drawn::Segmentation(drawn) => self.laid_on_own(drawn, scan_id, slices, token).await?,
        };
        let Pair { artefact, drawn, own } = match pair {
            Ok(pair) => pair,
            Err(misfit) => return Ok(GivenFeedback::Misfit(misfit)),
        };
        match compared(drawn, own).await? {
            Ok(checked) => self.keep_feedback(header, artefact, checked, token).await,
            Err(misfit) => Ok(GivenFeedback::Misfit(misfit)),
        }
    }

    /// The mask beside the result's own of its form. An error says why there is none to compare it with.
    async fn beside_own(
        &self,
        drawn: Outline,
        scan_id: &str,
        slices: u32,
        token: &str,
    ) -> Result<Result<Pair, String>> {
        let artefact = if drawn.format == Format::Nifti.name() { MASK_VOLUME } else { MASK };
        if artefact == MASK && slices != 1 {
            return Ok(Err(format!(
                "The scan has {slices} slices, and a PNG one: send the mask as NIfTI, on the grid of `mask.nii.gz`."
            )));
        }
        let own = self.own_outline(scan_id, artefact, token).await?;
        Ok(own.map(|own| Pair { artefact, drawn, own }).ok_or_else(|| without(artefact)))
    }

    /// The segmentation on the grid of the result's own mask, beside it. An error says why it does not lie there.
    async fn laid_on_own(
        &self,
        drawn: Segmentation,
        scan_id: &str,
        slices: u32,
        token: &str,
    ) -> Result<Result<Pair, String>> {
        if let Err(misfit) = drawn.check_source(&self.identity(scan_id, token).await?) {
            return Ok(Err(misfit));
        }
        let artefact = if slices == 1 { MASK } else { MASK_VOLUME };
        let Some(mut own) = self.own_outline(scan_id, artefact, token).await? else {
            return Ok(Err(without(artefact)));
        };
        if artefact == MASK {
            // A picture does not say where it lies; it shows the one slice of the volume itself.
            own.geometry = self.grid(scan_id, token).await?.geometry();
        }
        let laid =
            spawn_blocking(move || drawn.laid_on(&own).map(|drawn| Pair { artefact, drawn, own }));
        laid.await.map_err(|error| internal("a segmentation could not be laid on its scan", error))
    }

    /// Whose scan it is, as far as its file says. Storage notes that the reader, whose token asks, has read it.
    async fn identity(&self, scan_id: &str, token: &str) -> Result<Identity> {
        let asked = authorised(ScanRef { id: scan_id.to_owned() }, token);
        let kept = self.storage.clone().get_identity(asked).await?.into_inner();
        Ok(kept.identity.map(wire::identity_of).unwrap_or_default())
    }

    /// The grid of the scan's volume, of which no more than the beginning is read.
    async fn grid(&self, scan_id: &str, token: &str) -> Result<StoredGrid> {
        let asked = ArtefactRef { id: scan_id.to_owned(), name: VOLUME.name.to_owned() };
        let asked = vouched(authorised(asked, token), &self.own.get().await?);
        let mut chunks = self.storage.clone().read(asked).await?.into_inner();
        let mut first = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            first.extend_from_slice(&chunk.data);
            if let Some(grid) = StoredGrid::read(&first)? {
                return Ok(grid);
            }
        }
        Err(ErrorKind::Internal.error("a stored volume ends within its header"))
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
        let own = self.decoder.own_outline(spooled.path()).await?.map_err(unreadable)?;
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

fn without(artefact: Artefact) -> String {
    format!("The result has no `{}`.", artefact.name)
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
