//! Ingest with its real decoder, an issuer of tokens and a storage that remembers.

use domain::{Result, TenantId};
use futures::{StreamExt, stream};
use ingest::{Config, Peers, build};
use proto::ingest::ingest_client::IngestClient;
use proto::ingest::upload_part::Part;
use proto::ingest::{
    BatchAnswer, Refusal, UploadAnswer, UploadEnd, UploadFile, UploadHeader, UploadPart,
    upload_answer,
};
use proto::storage::{Priority, Scan};
use service::claims::testing::Issuer;
use service::claims::{Role, authorised};
use service::{Peer, system_clock, system_random};
use tempfile::TempDir;

use crate::storage::Memory;

pub struct World {
    pub storage: Memory,
    pub token: String,
    pub issuer: Issuer,
    spool: TempDir,
    ingest: IngestClient<Peer>,
}

impl World {
    pub fn new() -> World {
        World::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> World {
        let spool = tempfile::tempdir().unwrap();
        let mut config = Config::at(spool.path(), Issuer::SERVICE_SECRET.into());
        change(&mut config);
        let (storage, issuer) = (Memory::default(), Issuer::new());
        let peers = Peers { storage: storage.peer(), auth: issuer.peer() };
        let service = build(&config, system_clock(), peers).unwrap();
        let tenant = TenantId::new(&system_clock(), &system_random());
        let token = issuer.token(tenant, &[Role::Clinician]);
        World { storage, token, issuer, spool, ingest: IngestClient::new(Peer::within(&service)) }
    }

    pub async fn upload(&self, bytes: &[u8]) -> Result<std::result::Result<Scan, Refusal>> {
        self.upload_stated(bytes, UploadHeader::default()).await
    }

    /// What becomes of a file of which the sender states more than it says.
    pub async fn upload_stated(
        &self,
        bytes: &[u8],
        stated: UploadHeader,
    ) -> Result<std::result::Result<Scan, Refusal>> {
        let request = authorised(parts(bytes, stated), &self.token);
        let answer = self.ingest.clone().upload(request).await?.into_inner();
        Ok(match answer.answer.unwrap() {
            upload_answer::Answer::Scan(scan) => Ok(scan),
            upload_answer::Answer::Refusal(refusal) => Err(refusal),
            upload_answer::Answer::Batch(batch) => panic!("one file became a batch: {batch:?}"),
        })
    }

    /// Sends the files as those of one form.
    pub async fn upload_files(&self, files: &[(String, Vec<u8>)]) -> upload_answer::Answer {
        let file = |(name, bytes): &(String, Vec<u8>)| {
            let begun = Part::File(UploadFile { name: name.clone() });
            std::iter::once(begun).chain([Part::Data(bytes.clone().into())]).collect::<Vec<_>>()
        };
        let header = UploadHeader { file_name: files[0].0.clone(), ..header() };
        let size_bytes = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        // The first file is the header's.
        let parts = files.iter().flat_map(file).skip(1);
        let end = Part::End(UploadEnd { size_bytes });
        let parts: Vec<_> =
            std::iter::once(Part::Header(header)).chain(parts).chain([end]).collect();
        let parts = stream::iter(parts.into_iter().map(|part| UploadPart { part: Some(part) }));
        let answer = self.ingest.clone().upload(authorised(parts, &self.token)).await.unwrap();
        answer.into_inner().answer.unwrap()
    }

    pub async fn upload_as(&self, bytes: &[u8], token: &str) -> Result<UploadAnswer> {
        let request = authorised(parts(bytes, UploadHeader::default()), token);
        Ok(self.ingest.clone().upload(request).await?.into_inner())
    }

    /// What a cancelled stream looks like over HTTP/2: it just stops.
    pub async fn upload_cut(&self, bytes: &[u8]) -> Result<UploadAnswer> {
        let request = authorised(parts_without_end(bytes, UploadHeader::default()), &self.token);
        Ok(self.ingest.clone().upload(request).await?.into_inner())
    }

    pub async fn upload_batch(&self, bytes: &[u8]) -> Result<BatchAnswer> {
        let request = authorised(parts(bytes, UploadHeader::default()), &self.token);
        Ok(self.ingest.clone().upload_batch(request).await?.into_inner())
    }

    /// How many files lie in the spool.
    pub fn spooled(&self) -> usize {
        std::fs::read_dir(self.spool.path()).unwrap().count()
    }
}

fn header() -> UploadHeader {
    UploadHeader {
        idempotency_key: "key".into(),
        file_name: "x".into(),
        priority: Priority::Stat.into(),
        ..UploadHeader::default()
    }
}

fn parts(
    bytes: &[u8],
    stated: UploadHeader,
) -> impl futures::Stream<Item = UploadPart> + Send + 'static {
    let end = Part::End(UploadEnd { size_bytes: bytes.len() as u64 });
    parts_without_end(bytes, stated).chain(stream::once(async { UploadPart { part: Some(end) } }))
}

fn parts_without_end(
    bytes: &[u8],
    stated: UploadHeader,
) -> impl futures::Stream<Item = UploadPart> + Send + 'static {
    let UploadHeader { idempotency_key, file_name, priority, .. } = header();
    let header = UploadHeader { idempotency_key, file_name, priority, ..stated };
    let chunks = bytes.chunks(100_000).map(|chunk| Part::Data(chunk.to_vec().into()));
    let parts: Vec<_> = std::iter::once(Part::Header(header)).chain(chunks).collect();
    stream::iter(parts.into_iter().map(|part| UploadPart { part: Some(part) }))
}
