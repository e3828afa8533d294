//! Ingest with its real decoder, the real storage and an issuer of tokens.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{Clock, ManualClock, Result, TenantId};
use futures::{Stream, StreamExt, stream};
use ingest::{Config, Peers, Ports, build};
use proto::ingest::feedback_upload_answer::Answer as GivenFeedback;
use proto::ingest::feedback_upload_part::Part as FeedbackPart;
use proto::ingest::ingest_client::IngestClient;
use proto::ingest::upload_part::Part;
use proto::ingest::{
    AppendHeader, AppendPart, BatchAnswer, FeedbackUploadPart, PartialUpload, PartialUploadRef,
    UploadAnswer, UploadBeginning, UploadContents, UploadEnd, UploadFile, UploadHeader, UploadPart,
    append_part, upload_answer,
};
use proto::storage::{Priority, Refusal, Scan};
use service::claims::testing::Issuer;
use service::claims::{Role, authorised};
use service::{Peer, system_clock, system_random};
use storage::Rules;
use tempfile::TempDir;

use crate::storage::Storage;

/// No machine is expected to have much room, and none has this much.
const ROOM_MIB: u64 = 1;
pub const NO_ROOM_MIB: u64 = u64::MAX >> 20;

pub struct World {
    pub storage: Storage,
    pub token: String,
    /// Of an administrator of the same hospital.
    pub admin: String,
    pub issuer: Issuer,
    spool: TempDir,
    ingest: IngestClient<Peer>,
    uploads: AtomicUsize,
}

impl World {
    pub async fn new() -> World {
        World::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> World {
        World::over(ROOM_MIB, change).await
    }

    /// Whose storage has no room for any scan.
    pub async fn full() -> World {
        World::over(NO_ROOM_MIB, |_| ()).await
    }

    /// By a clock that the test holds.
    pub async fn at(clock: &ManualClock) -> World {
        World::by(clock.clock(), ROOM_MIB, |_| ()).await
    }

    /// Where models are asked what series look like.
    pub async fn asking(inference: Peer) -> World {
        World::beside(Some(inference), system_clock(), ROOM_MIB, |_| ()).await
    }

    async fn over(disk_reserve_mib: u64, change: impl FnOnce(&mut Config)) -> World {
        World::by(system_clock(), disk_reserve_mib, change).await
    }

    async fn by(clock: Clock, disk_reserve_mib: u64, change: impl FnOnce(&mut Config)) -> World {
        World::beside(None, clock, disk_reserve_mib, change).await
    }

    async fn beside(
        inference: Option<Peer>,
        clock: Clock,
        disk_reserve_mib: u64,
        change: impl FnOnce(&mut Config),
    ) -> World {
        let spool = tempfile::tempdir().unwrap();
        let mut config = Config {
            disk_reserve_mib: ROOM_MIB,
            ..Config::at(spool.path(), Issuer::SERVICE_SECRET.into())
        };
        change(&mut config);
        let (random, issuer) = (system_random(), Issuer::at(clock.clone()));
        let tenant = TenantId::new(&clock, &random);
        let [token, admin] =
            [Role::Clinician, Role::Admin].map(|role| issuer.token(tenant, &[role]));
        let rules = Rules { disk_reserve_mib, ..Rules::default() };
        let world = (clock.clone(), random.clone());
        let storage = Storage::open(rules, &issuer, token.clone(), world).await;
        let peers = Peers { storage: storage.peer.clone(), auth: issuer.peer(), inference };
        let service = build(config, Ports { clock, random }, peers).unwrap();
        let ingest = IngestClient::new(Peer::within(&service));
        World { storage, token, admin, issuer, spool, ingest, uploads: AtomicUsize::new(0) }
    }

    pub fn client(&self) -> IngestClient<Peer> {
        self.ingest.clone()
    }

    /// The token of a clinician of another hospital.
    pub fn stranger(&self) -> String {
        self.issuer.token(TenantId::new(&system_clock(), &system_random()), &[Role::Clinician])
    }

    /// What goes before an upload, with a key that no other has.
    pub fn header(&self) -> UploadHeader {
        UploadHeader {
            idempotency_key: format!("key {}", self.uploads.fetch_add(1, Ordering::Relaxed)),
            file_name: "x".into(),
            priority: Priority::Stat.into(),
            ..UploadHeader::default()
        }
    }

    pub async fn upload(&self, bytes: &[u8]) -> Result<std::result::Result<Scan, Refusal>> {
        self.upload_with(bytes, self.header()).await
    }

    pub async fn upload_with(
        &self,
        bytes: &[u8],
        header: UploadHeader,
    ) -> Result<std::result::Result<Scan, Refusal>> {
        let request = authorised(parts(bytes, header), &self.token);
        let answer = self.ingest.clone().upload(request).await?.into_inner();
        Ok(match answer.answer.unwrap() {
            upload_answer::Answer::Scan(scan) => Ok(*scan),
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
        let header = UploadHeader { file_name: files[0].0.clone(), ..self.header() };
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
        let request = authorised(parts(bytes, self.header()), token);
        Ok(self.ingest.clone().upload(request).await?.into_inner())
    }

    /// What that with a header of the test's own is answered.
    pub async fn answer_to(&self, bytes: &[u8], header: UploadHeader) -> Result<UploadAnswer> {
        let request = authorised(parts(bytes, header), &self.token);
        Ok(self.ingest.clone().upload(request).await?.into_inner())
    }

    /// Sends these parts, and that is all.
    pub async fn upload_parts(&self, parts: Vec<Part>) -> Result<UploadAnswer> {
        let parts = stream::iter(parts.into_iter().map(|part| UploadPart { part: Some(part) }));
        Ok(self.ingest.clone().upload(authorised(parts, &self.token)).await?.into_inner())
    }

    /// Sends nothing, not even a header, and waits for the answer.
    pub async fn upload_in_silence(&self) -> Result<UploadAnswer> {
        let request = authorised(stream::pending::<UploadPart>(), &self.token);
        Ok(self.ingest.clone().upload(request).await?.into_inner())
    }

    /// The same for a batch.
    pub async fn upload_batch_in_silence(&self) -> Result<BatchAnswer> {
        let request = authorised(stream::pending::<UploadPart>(), &self.token);
        Ok(self.ingest.clone().upload_batch(request).await?.into_inner())
    }

    /// What a cancelled stream looks like over HTTP/2: it just stops.
    pub async fn upload_cut(&self, bytes: &[u8]) -> Result<UploadAnswer> {
        let request = authorised(parts_without_end(bytes, self.header()), &self.token);
        Ok(self.ingest.clone().upload(request).await?.into_inner())
    }

    pub async fn upload_batch(&self, bytes: &[u8]) -> Result<BatchAnswer> {
        self.upload_batch_with(bytes, self.header()).await
    }

    pub async fn upload_batch_with(
        &self,
        bytes: &[u8],
        header: UploadHeader,
    ) -> Result<BatchAnswer> {
        let request = authorised(parts(bytes, header), &self.token);
        Ok(self.ingest.clone().upload_batch(request).await?.into_inner())
    }

    /// Gives feedback in these parts, and that is all, as that token's bearer.
    pub async fn give_parts(&self, parts: Vec<FeedbackPart>, token: &str) -> Result<GivenFeedback> {
        self.give_slowly(stream::iter(parts), token).await
    }

    /// The same in parts that come as they come.
    pub async fn give_slowly(
        &self,
        parts: impl Stream<Item = FeedbackPart> + Send + 'static,
        token: &str,
    ) -> Result<GivenFeedback> {
        let parts = parts.map(|part| FeedbackUploadPart { part: Some(part) });
        let answer = self.ingest.clone().give_feedback(authorised(parts, token)).await?;
        Ok(answer.into_inner().answer.unwrap())
    }

    /// Begins an upload that comes in parts, with a key that no other has.
    pub async fn begin(&self, size_bytes: usize, contents: UploadContents) -> PartialUpload {
        let (header, size_bytes) = (Some(self.header()), size_bytes as u64);
        let beginning = UploadBeginning { header, size_bytes, contents: contents.into() };
        let request = authorised(beginning, &self.token);
        self.ingest.clone().begin_upload(request).await.unwrap().into_inner()
    }

    /// Sends those bytes from `offset` on, as that token's bearer; `whole` says that the call ends as it should.
    pub async fn append(
        &self,
        (id, offset): (&str, usize),
        bytes: &[u8],
        whole: bool,
        token: &str,
    ) -> Result<PartialUpload> {
        let header = AppendHeader { id: id.to_owned(), offset_bytes: offset as u64 };
        let chunks =
            bytes.chunks(100_000).map(|chunk| append_part::Part::Data(chunk.to_vec().into()));
        let end = append_part::Part::End(UploadEnd { size_bytes: bytes.len() as u64 });
        let parts: Vec<_> = std::iter::once(append_part::Part::Header(header))
            .chain(chunks)
            .chain(whole.then_some(end))
            .map(|part| AppendPart { part: Some(part) })
            .collect();
        let request = authorised(stream::iter(parts), token);
        Ok(self.ingest.clone().append_upload(request).await?.into_inner())
    }

    /// How much of it is kept, and what has come of it, as that token's bearer is told.
    pub async fn partial(&self, id: &str, token: &str) -> Result<PartialUpload> {
        let request = authorised(PartialUploadRef { id: id.to_owned() }, token);
        Ok(self.ingest.clone().get_upload(request).await?.into_inner())
    }

    pub async fn drop_partial(&self, id: &str) -> Result<()> {
        let request = authorised(PartialUploadRef { id: id.to_owned() }, &self.token);
        self.ingest.clone().drop_upload(request).await?;
        Ok(())
    }

    /// How many files lie in the spool.
    pub fn spooled(&self) -> usize {
        let entries = std::fs::read_dir(self.spool.path()).unwrap().flatten();
        // A folder waits for instances, also where none comes.
        entries.filter(|entry| entry.path().is_file()).count()
    }
}

fn parts(bytes: &[u8], header: UploadHeader) -> impl Stream<Item = UploadPart> + Send + 'static {
    let end = Part::End(UploadEnd { size_bytes: bytes.len() as u64 });
    parts_without_end(bytes, header).chain(stream::once(async { UploadPart { part: Some(end) } }))
}

fn parts_without_end(
    bytes: &[u8],
    header: UploadHeader,
) -> impl Stream<Item = UploadPart> + Send + 'static {
    let chunks = bytes.chunks(100_000).map(|chunk| Part::Data(chunk.to_vec().into()));
    let parts: Vec<_> = std::iter::once(Part::Header(header)).chain(chunks).collect();
    stream::iter(parts.into_iter().map(|part| UploadPart { part: Some(part) }))
}
