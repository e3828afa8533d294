use std::time::Duration;

use bytes::Bytes;
use domain::{Error, Result};
use futures::Stream;
use imaging::{Problem, Refusal};
use proto::ingest::UploadHeader;
use proto::storage::scans_client::ScansClient;
use proto::storage::{AcceptPart, Scan};
use service::Peer;
use service::claims::authorised;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::answer::Answer;
use crate::decoder::Decoder;
use crate::image;
use crate::process::Answered;
use crate::spool::{Spool, Spooled};

/// How long storage may take to keep the largest volume.
const ACCEPT: Duration = Duration::from_secs(300);
/// Parts under way between the decoder and storage; each is at most a chunk.
const PARTS: usize = 4;

/// The way of an upload from its bytes to a kept scan.
#[derive(Clone)]
pub struct Uploads {
    pub spool: Spool,
    pub decoder: Decoder,
    pub storage: ScansClient<Peer>,
}

impl Uploads {
    /// Spools `body`, has it decoded and checked, and hands it to storage in the name of `token`'s bearer.
    pub async fn take<E>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>>,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Result<Scan, Refusal>>
    where
        Error: From<E>,
    {
        match self.spool.keep(body).await? {
            Ok(spooled) => self.hand_on(&spooled, upload, token).await,
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// The same for what is on disk already.
    pub async fn hand_on(
        &self,
        spooled: &Spooled,
        upload: &UploadHeader,
        token: &str,
    ) -> Result<Result<Scan, Refusal>> {
        let (facts, rest) = match self.decoder.decode(spooled.path()).await? {
            Ok(Answered { answer: Answer::Image(facts), rest }) => (*facts, rest),
            Ok(_) => return Ok(Err(Problem::Corrupt.refuse("It cannot be decoded."))),
            Err(refusal) => return Ok(Err(refusal)),
        };
        let header = image::header(&facts, spooled, upload)?;
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
        let mut request = authorised(parts, token);
        request.set_timeout(ACCEPT);
        Ok(self.storage.clone().accept(request).await?.into_inner())
    }
}
