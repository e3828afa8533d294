use std::time::Duration;

use domain::{Result, TenantId};
use futures::Stream;
use imaging::{KnownOfRefused, Modality, Refusal, RefusalReason};
use jail::answer::{DecoderAnswer, Group};
use proto::inference::v1::kinds_client::KindsClient;
use proto::ingest::UploadHeader;
use proto::storage::erasures_client::ErasuresClient;
use proto::storage::feedback_client::FeedbackClient;
use proto::storage::learning_client::LearningClient;
use proto::storage::scans_client::ScansClient;
use proto::storage::series_rules_client::SeriesRulesClient;
use proto::storage::{AcceptHeader, AcceptPart, Batch, Scan};
use service::claims::{ServiceToken, authorised, vouched};
use service::{Peer, Turns};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::decoder::{Decoder, Party};
use crate::image;
use crate::process::Answered;
use crate::series_choice::{Choice, MARKED, is_one_study};
use crate::spool::{Piece, Received, Spool, Spooled};

/// How long storage may take to keep the largest volume.
const ACCEPT: Duration = Duration::from_secs(300);
/// Parts under way between the decoder and storage; each is at most a chunk.
const PARTS: usize = 4;

/// What an upload has become.
pub enum Taken {
    Scan(Box<Scan>),
    Batch(Batch),
}

/// The way of an upload from its bytes to a kept scan.
#[derive(Clone)]
pub struct Uploads {
    pub spool: Spool,
    pub decoder: Decoder,
    pub storage: ScansClient<Peer>,
    pub feedback: FeedbackClient<Peer>,
    pub learning: LearningClient<Peer>,
    pub series_rules: SeriesRulesClient<Peer>,
    /// Where models are asked what series look like; None: nowhere.
    pub kinds: Option<KindsClient<Peer>>,
    pub erasures: ErasuresClient<Peer>,
    /// What storage is shown beside the caller's own token.
    pub own: ServiceToken,
    /// The same, for a model that is asked what it sees.
    pub shown_to_models: ServiceToken,
    /// The hospitals' turns at comparing masks, which are held whole for it.
    pub comparing: Turns<Party>,
    /// What the files of one archive may unpack to, all together.
    pub unpacked_max: u64,
    /// What the registered models can judge.
    pub modalities: Vec<Modality>,
}

impl Uploads {
    /// The same, for a sender of that hospital.
    pub fn of(&self, tenant: TenantId) -> Uploads {
        Uploads { decoder: self.decoder.of(tenant), ..self.clone() }
    }

    /// Spools what comes, has it decoded and checked, and hands it to storage in the name of `token`'s bearer.
    ///
    /// Several files are one scan when they are of one series, else a batch: none of them is dropped.
    pub async fn take(
        &self,
        pieces: impl Stream<Item = Result<Piece>>,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Result<Taken, Refusal>> {
        match self.spool.keep_files(&upload.file_name, pieces).await? {
            Ok(received) => self.take_received(&received, upload, token).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// The same for what an upload has brought.
    pub async fn take_received(
        &self,
        received: &Received,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Result<Taken, Refusal>> {
        let (Received::One(spooled) | Received::Several(spooled)) = received;
        let mut choice = Choice::default();
        if let Received::Several(archive) = received {
            let groups = match self.decoder.groups(archive.path(), true).await? {
                Ok(groups) => groups,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if groups.iter().filter(|group| group.scan).count() > 1 {
                let batch = self.take_groups(archive, groups, upload, token).await?;
                return Ok(Ok(Taken::Batch(batch)));
            }
            let choices = self.choices(None, &groups, upload, token).await?;
            // There is one scan at most among them.
            let of_scan = choices.into_iter().zip(&groups).find(|(_, group)| group.scan);
            choice = of_scan.map(|(choice, _)| choice).unwrap_or_default();
        } else if upload.series == MARKED {
            choice = self.choice_alone(spooled, upload, token).await?;
        }
        let handed = self.hand_on_as(spooled, upload, &choice, token).await?;
        match (handed, received) {
            (Err(refusal), Received::One(archive))
                if refusal.problem == RefusalReason::MixedSeries && !upload.series.is_empty() =>
            {
                let Some(groups) = self.study_in(archive).await? else { return Ok(Err(refusal)) };
                let batch = self.take_groups(archive, groups, upload, token).await?;
                Ok(Ok(Taken::Batch(batch)))
            }
            (handed, _) => Ok(handed.map(|scan| Taken::Scan(Box::new(scan)))),
        }
    }

    /// What becomes of a file that is all of its series, as captures, localisers and enhanced images mostly are. One that cannot be looked
    /// at is for whoever decodes it to refuse.
    async fn choice_alone(
        &self,
        file: &Spooled,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Choice> {
        let groups = self.decoder.alone(file.path()).await?.unwrap_or_default();
        let choices = self.choices(None, &groups, upload, token).await?;
        Ok(choices.into_iter().next().unwrap_or_default())
    }

    /// The series of the one study that an archive holds; None of anything else.
    async fn study_in(&self, archive: &Spooled) -> Result<Option<Vec<Group>>> {
        let groups = self.decoder.groups(archive.path(), true).await?;
        Ok(groups.ok().filter(|groups| is_one_study(groups)))
    }

    /// The same for one file that is on disk already, and that is analysed or only kept, as was chosen.
    pub async fn hand_on_as(
        &self,
        spooled: &Spooled,
        upload: &UploadHeader,
        choice: &Choice,
        token: &str,
    ) -> Result<Result<Scan, Refusal>> {
        let (mut facts, rest) = match self.decoder.decode(spooled.path()).await? {
            Ok(Answered { answer: DecoderAnswer::Image(facts), rest }) => (*facts, rest),
            Ok(_) => return Ok(Err(RefusalReason::Corrupt.refuse("It cannot be decoded."))),
            Err(refusal) => return Ok(Err(refusal)),
        };
        facts.identity = match image::identity(facts.identity.take(), upload) {
            Ok(identity) => identity,
            Err(refusal) => {
                let equipment = facts.equipment.clone();
                return Ok(Err(refusal.of_known(KnownOfRefused { equipment, kind: None })));
            }
        };
        let header = image::header(&facts, spooled, upload);
        if let Some(refusal) = self.refuse_erased(&header, token).await? {
            let equipment = facts.equipment.clone();
            return Ok(Err(refusal.of_known(KnownOfRefused { equipment, kind: None })));
        }
        let (not_picked, series) = (choice.not_picked(), choice.message());
        let header = AcceptHeader { not_picked, series, ..header };
        let (parts, receiver) = mpsc::channel(PARTS);
        let mut accepted = Box::pin(self.accept(ReceiverStream::new(receiver), token));
        let sent = tokio::select! {
            // Storage answers before the end only to refuse.
            scan = &mut accepted => return scan.map(Ok),
            sent = image::send(header, facts, rest, spooled.path(), &parts) => sent,
        };
        if let Err(error) = sent {
            // In this order: a stream whose sender is gone would look complete.
            drop(accepted);
            drop(parts);
            return Err(error);
        }
        drop(parts);
        accepted.await.map(Ok)
    }

    async fn accept(&self, parts: ReceiverStream<AcceptPart>, token: &str) -> Result<Scan> {
        let mut request = vouched(authorised(parts, token), &self.own.get().await?);
        request.set_timeout(ACCEPT);
        Ok(self.storage.clone().accept(request).await?.into_inner())
    }
}
