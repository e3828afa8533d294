//! Originals on their way to whoever makes models: without whose they are, as the jail has written them anew.

use bytes::Bytes;
use domain::{ErrorKind, Result};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use imaging::Refusal;
use jail::answer::DecoderAnswer;
use jail::export::Names;
use proto::storage::{NamesOfOriginal, ScanRef};
use service::CHUNK_BYTES;
use service::claims::{authorised, vouched};
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tonic::Status;

use crate::batch::unpacked;
use crate::process::{Answered, crashed, internal};
use crate::spool::{Spooled, unusable};
use crate::upload::Uploads;

/// A zip of images that name nobody, with a report.
pub struct Export {
    pub bytes: u64,
    pub zip: BoxStream<'static, Result<Bytes>>,
}

impl Uploads {
    /// The images of a confirmed scan, without whose they are. Storage hands the original out to this service alone, in the name of
    /// `token`'s bearer, who never sees it.
    pub async fn export(&self, scan_id: &str, token: &str) -> Result<Result<Export, Refusal>> {
        let asked = authorised(ScanRef { id: scan_id.to_owned() }, token);
        let asked = vouched(asked, &self.own.get().await?);
        let mut chunks = self.learning.clone().read_original(asked).await?.into_inner();
        let first = chunks.message().await?.and_then(|first| first.names);
        let unnamed = || ErrorKind::Internal.error("storage does not say what a scan is called");
        let line = line_of(first.ok_or_else(unnamed)?)?;
        let line = stream::iter([Ok::<Bytes, Status>(line)]);
        let file = line.chain(chunks.map_ok(|chunk| chunk.data));
        let spooled = match self.spool.keep(file).await? {
            Ok(spooled) => spooled,
            Err(refusal) => return Ok(Err(refusal)),
        };
        match self.decoder.export(spooled.path()).await? {
            Ok(Answered { answer: DecoderAnswer::Entry { bytes }, rest }) => {
                // On disk first: who reads slowly holds up a file, and no decoder.
                match self.spool.keep(unpacked(rest, bytes)).await? {
                    Ok(zip) => Ok(Ok(Export { bytes, zip: read(zip).await? })),
                    Err(refusal) => Ok(Err(refusal)),
                }
            }
            Ok(_) => Ok(Err(crashed())),
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// The bytes of a spooled file, which is gone when they are read.
async fn read(spooled: Spooled) -> Result<BoxStream<'static, Result<Bytes>>> {
    let file = File::open(spooled.path()).await.map_err(unusable)?;
    let pieces = stream::try_unfold((file, spooled), |(mut file, spooled)| async move {
        let mut piece = vec![0; CHUNK_BYTES];
        let length = file.read(&mut piece).await.map_err(unusable)?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), (file, spooled))))
    });
    Ok(pieces.boxed())
}

fn line_of(NamesOfOriginal { patient, whose, key }: NamesOfOriginal) -> Result<Bytes> {
    let line = Names { patient, whose, key }.to_line();
    line.map(Bytes::from).map_err(|error| internal("the names of a scan cannot be written", error))
}
