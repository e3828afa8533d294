//! What series look like to a model: asked of an inference worker before one of a study's is chosen, where nothing but somebody's words
//! tells their kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use domain::limits::SHOWN_SLICES_BYTES_MAX;
use domain::{Error, ErrorKind, Result};
use futures::stream;
use imaging::picker::{KindModel, Reason, middle};
use imaging::{ImageKind, KindPrediction, SeriesFacts, StoredGrid};
use jail::answer::{DecoderAnswer, Group, ScanFacts};
use proto::inference::v1::kinds_client::KindsClient;
use proto::inference::v1::shown_part::Part;
use proto::inference::v1::{ShownHeader, ShownPart, ToldKind};
use service::claims::{authorised, vouched};
use service::{CHUNK_BYTES, Peer};
use tokio::time::timeout;

use crate::batch::unpacked;
use crate::process::{Answered, Rest};
use crate::spool::Spooled;
use crate::upload::Uploads;

/// Of so many series of a study a model is asked at most: each is decoded once more for it.
const SERIES_MAX: usize = 8;
/// How long one answer may take, and all of an upload's: whoever has sent it waits.
const ANSWER: Duration = Duration::from_secs(5);
const ANSWERS: Duration = Duration::from_secs(20);
/// Bytes of a voxel in the stored form.
const VOXEL_BYTES: usize = 4;
/// What is kept of a model's name, and of its version: a column has them with all reasons.
const NAME_CHARS_MAX: usize = 100;

/// What came of asking a model.
#[derive(Default)]
pub struct Looked {
    /// Those of which nothing is left to be asked, by their places among all series.
    pub asked: BTreeSet<usize>,
    /// Which model has said what they look like.
    pub by: BTreeMap<usize, KindModel>,
    /// The model that serves tells no kinds.
    pub none_told: bool,
}

impl Looked {
    /// Why nothing but its description tells the kind of one that is not among those asked about.
    pub fn why_not(&self) -> Reason {
        if self.none_told { Reason::NoKindTold } else { Reason::NoModelAsked }
    }
}

impl Uploads {
    /// Asks a model about these series, by their places among all, and notes what it says. Those that it was not asked about are told
    /// by their words, as ever: that no worker is there costs no upload.
    pub async fn look_at(
        &self,
        archive: &Spooled,
        open: &[(usize, &Group)],
        series: &mut [SeriesFacts],
        token: &str,
    ) -> Looked {
        let mut looked = Looked::default();
        let Some(kinds) = &self.kinds else { return looked };
        // First those of which a model of any kinds is believed.
        let (last, first): (Vec<_>, Vec<_>) =
            open.iter().partition(|(at, _)| may_be_another(series[*at].kind_said));
        let asking = async {
            let mut of_study = BTreeMap::<String, usize>::new();
            let mut is_believed = true;
            for (at, group) in first.into_iter().chain(last) {
                if may_be_another(series[at].kind_said) && !is_believed {
                    // Whatever it would say, the description tells, or nothing does.
                    looked.asked.insert(at);
                    continue;
                }
                let count = of_study.entry(series[at].study.clone()).or_default();
                *count += 1;
                if *count > SERIES_MAX {
                    continue;
                }
                let Some(told) = self.told(kinds, archive, &group.places, token).await? else {
                    continue;
                };
                if told.kinds.is_empty() {
                    // Nor of the next ones.
                    looked.none_told = true;
                    break;
                }
                is_believed = knows_others(&told);
                series[at].kind_by_content = by_content(&told, series[at].kind_said);
                looked.asked.insert(at);
                looked.by.extend(model(told).map(|model| (at, model)));
            }
            Ok::<(), Error>(())
        };
        match timeout(ANSWERS, asking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no model could be asked what series look like: their descriptions tell"
            ),
            Err(_) => tracing::warn!(
                "asking a model what series look like takes too long: descriptions tell the rest"
            ),
        }
        looked
    }

    /// What the model says of the middle of the series that these entries of the archive are; None where there is nothing to show it.
    async fn told(
        &self,
        kinds: &KindsClient<Peer>,
        archive: &Spooled,
        places: &[usize],
        token: &str,
    ) -> Result<Option<ToldKind>> {
        let kept = match self.decoder.entry(archive.path(), places).await? {
            Ok(Answered { answer: DecoderAnswer::Entry { bytes }, rest }) => {
                self.spool.keep(unpacked(rest, bytes)).await?
            }
            // Whoever decodes it refuses it.
            _ => return Ok(None),
        };
        let Ok(file) = kept else { return Ok(None) };
        let decoded = self.decoder.decode(file.path()).await?;
        let Ok(Answered { answer: DecoderAnswer::Image(facts), mut rest }) = decoded else {
            return Ok(None);
        };
        let Some(parts) = shown(&facts, &mut rest).await? else { return Ok(None) };
        // The next upload may have its turn.
        drop(rest);
        let question = authorised(stream::iter(parts), token);
        let mut question = vouched(question, &self.shown_to_models.get().await?);
        question.set_timeout(ANSWER);
        Ok(Some(kinds.clone().tell_kind(question).await?.into_inner()))
    }
}

fn model(told: ToldKind) -> Option<KindModel> {
    let kept = |name: String| -> String { name.chars().take(NAME_CHARS_MAX).collect() };
    KindModel::named(kept(told.model_name), kept(told.model_version))
}

fn knows_others(told: &ToldKind) -> bool {
    told.kinds.iter().any(|one| one.kind == ImageKind::Other.name())
}

/// Whether a series that is described so may be of a kind that no model tells.
fn may_be_another(said: ImageKind) -> bool {
    [ImageKind::Other, ImageKind::Unknown].contains(&said)
}

/// The likeliest kind, where it may be believed.
fn by_content(told: &ToldKind, said: ImageKind) -> Option<KindPrediction> {
    // To a model that knows no other kinds each image is one of its own: it denies nobody who names another, and does not tell
    // what nobody names.
    if may_be_another(said) && !knows_others(told) {
        return None;
    }
    let known = told.kinds.iter().filter_map(|one| {
        let kind = one.kind.parse().ok()?;
        Some(KindPrediction { kind, probability: one.probability })
    });
    known.max_by(|a, b| a.probability.total_cmp(&b.probability))
}

/// The middle slices of a decoded scan, as they are asked about; None where they are none, or too large.
async fn shown(facts: &ScanFacts, rest: &mut Rest) -> Result<Option<Vec<ShownPart>>> {
    let mut preview = facts.preview_bytes as usize;
    while preview > 0 {
        preview -= rest.read(preview.min(CHUNK_BYTES)).await?.len();
    }
    let volume_bytes = facts.volume_bytes as usize;
    let first = rest.read(volume_bytes.min(CHUNK_BYTES)).await?;
    let grid = StoredGrid::read(&first)?.ok_or_else(no_volume)?;
    let shape = grid.shape();
    let wanted = middle(shape.slices);
    let slice_bytes = shape.rows.saturating_mul(shape.columns).saturating_mul(VOXEL_BYTES);
    let size = slice_bytes.saturating_mul(wanted.len());
    if !(1..=SHOWN_SLICES_BYTES_MAX).contains(&size) {
        return Ok(None);
    }
    let from = grid.voxels_begin() + wanted.start * slice_bytes;
    let to = from + size;
    let (mut chunk, mut at, mut voxels) = (first, 0, Vec::with_capacity(size));
    loop {
        let [begin, end] = [from, to].map(|place| place.clamp(at, at + chunk.len()) - at);
        voxels.extend_from_slice(&chunk[begin..end]);
        at += chunk.len();
        if at >= to {
            break;
        }
        let next = volume_bytes.saturating_sub(at).min(CHUNK_BYTES);
        if next == 0 {
            return Err(no_volume());
        }
        chunk = rest.read(next).await?;
    }
    let [_, row_mm, column_mm] = grid.geometry().map_or([0.0; 3], |geometry| geometry.spacing());
    let header = ShownHeader {
        modality: facts.modality.clone(),
        slices: wanted.len() as u32,
        rows: shape.rows as u32,
        columns: shape.columns as u32,
        row_mm,
        column_mm,
    };
    let mut voxels = Bytes::from(voxels);
    let mut parts = vec![ShownPart { part: Some(Part::Header(header)) }];
    while !voxels.is_empty() {
        let next = voxels.split_to(voxels.len().min(CHUNK_BYTES));
        parts.push(ShownPart { part: Some(Part::Voxels(next)) });
    }
    Ok(Some(parts))
}

fn no_volume() -> Error {
    ErrorKind::Internal.error("the decoder gave another volume than it announced")
}

#[cfg(test)]
mod tests {
    use proto::inference::v1::KindProbability;

    use super::*;

    #[test]
    fn a_model_that_knows_two_kinds_is_believed_where_one_of_them_is_named() {
        let told = |kinds: &[(&str, f64)]| ToldKind {
            kinds: kinds
                .iter()
                .map(|(kind, probability)| KindProbability {
                    kind: (*kind).to_owned(),
                    probability: *probability,
                })
                .collect(),
            ..ToldKind::default()
        };
        let likeliest = |told: &ToldKind, said| by_content(told, said).map(|one| one.kind);
        let two = told(&[("flair", 0.9), ("t1_contrast", 0.1), ("of_a_later_version", 0.95)]);
        let three = told(&[("flair", 0.1), ("t1_contrast", 0.1), ("other", 0.8)]);
        let said = [ImageKind::Unknown, ImageKind::T1Contrast, ImageKind::Other];
        let (flair, other) = (Some(ImageKind::Flair), Some(ImageKind::Other));
        assert_eq!(said.map(|said| likeliest(&two, said)), [None, flair, None]);
        assert_eq!(said.map(|said| likeliest(&three, said)), [other; 3]);
        assert_eq!(likeliest(&told(&[]), ImageKind::Unknown), None);
    }
}
