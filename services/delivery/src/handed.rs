//! What storage hands out of one scan, in the name of delivery.

use domain::artefact::{RESULT, VOLUME};
use domain::{Answer, ErrorKind, Identity, Result, ScanId, TenantId};
use imaging::{ResultDocument, StoredGrid};
use proto::storage::handover_client::HandoverClient;
use proto::storage::{DeliveryNote, HandoverFile, HandoverRef, Scan};
use service::claims::{ServiceToken, authorised};
use service::{Peer, wire};
use tonic::{Code, Streaming};

use crate::webhook::Document;

/// The largest file that is taken into memory: masks and pictures are compressed, and far smaller.
const FILE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The way to storage; cheap to clone.
#[derive(Clone)]
pub struct Handed {
    pub storage: HandoverClient<Peer>,
    pub token: ServiceToken,
}

/// Which scan, of which hospital.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    pub tenant: TenantId,
    pub scan: ScanId,
}

impl Of {
    fn message(self) -> HandoverRef {
        HandoverRef { tenant_id: self.tenant.to_string(), scan_id: self.scan.to_string() }
    }

    fn file(self, name: &str) -> HandoverFile {
        let HandoverRef { tenant_id, scan_id } = self.message();
        HandoverFile { tenant_id, scan_id, name: name.to_owned() }
    }
}

impl Handed {
    /// The result's document, which is of this very scan and of these very voxels; of a scan that was given up, one that says why.
    pub async fn document(&self, of: Of) -> Result<Document> {
        let request = authorised(of.message(), &self.token.get().await?);
        let scan = self.storage.clone().get_scan(request).await?.into_inner();
        let answer = answer(&scan)?;
        let bytes = match self.file(of, RESULT.name).await? {
            Some(bytes) => bytes,
            None if answer == Answer::Failed => failed(&scan).to_json(),
            None => return Err(ErrorKind::Internal.error("a scan that is done has no result")),
        };
        let result: ResultDocument = serde_json::from_slice(&bytes).map_err(|error| {
            ErrorKind::Internal.error("a stored result cannot be read").because(error)
        })?;
        if !result.is_of(&scan.id, answer, &scan.volume_sha256) {
            return Err(ErrorKind::Internal.error("a stored result is of another scan"));
        }
        Ok(Document { bytes, result, completed_ms: scan.completed_ms })
    }

    /// One file of the scan; None where it has none of that name.
    pub async fn file(&self, of: Of, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(mut chunks) = self.opened(of, name).await? else { return Ok(None) };
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            if bytes.len() + chunk.data.len() > FILE_BYTES_MAX {
                return Err(ErrorKind::Invalid.error(format!("{name} is too large to be pushed")));
            }
            bytes.extend_from_slice(&chunk.data);
        }
        Ok(Some(bytes))
    }

    /// The grid of the stored volume, which its first bytes tell.
    pub async fn grid(&self, of: Of) -> Result<StoredGrid> {
        let unsound =
            || ErrorKind::Internal.error("a stored volume is missing, or ends in its header");
        let mut chunks = self.opened(of, VOLUME.name).await?.ok_or_else(unsound)?;
        let mut first = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            first.extend_from_slice(&chunk.data);
            if let Some(grid) = StoredGrid::read(&first)? {
                return Ok(grid);
            }
        }
        Err(unsound())
    }

    /// Whose scan it is. Storage has compared it with what was bound together, and noted the reading.
    pub async fn patient(&self, of: Of) -> Result<Identity> {
        let request = authorised(of.message(), &self.token.get().await?);
        let kept = self.storage.clone().get_patient(request).await?.into_inner();
        Ok(kept.identity.map(wire::identity_of).unwrap_or_default())
    }

    /// Writes into the hospital's audit trail.
    pub async fn note(&self, note: DeliveryNote) -> Result<()> {
        let request = authorised(note, &self.token.get().await?);
        self.storage.clone().note(request).await?;
        Ok(())
    }

    async fn opened(&self, of: Of, name: &str) -> Result<Option<Streaming<proto::storage::Chunk>>> {
        let request = authorised(of.file(name), &self.token.get().await?);
        match self.storage.clone().read_file(request).await {
            Ok(chunks) => Ok(Some(chunks.into_inner())),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }
}

fn answer(scan: &Scan) -> Result<Answer> {
    use proto::storage::Answer as Wire;
    match scan.answer() {
        Wire::Found => Ok(Answer::Found),
        Wire::NoneFound => Ok(Answer::NoneFound),
        Wire::NotAnalysable => Ok(Answer::NotAnalysable),
        Wire::Failed => Ok(Answer::Failed),
        // It is analysed anew since: what that comes to is what goes out.
        Wire::Unspecified => Err(ErrorKind::Unavailable.error("the scan is being analysed again")),
    }
}

/// The result of a scan that was given up: nobody came to write one.
fn failed(scan: &Scan) -> ResultDocument {
    let reason = Some(scan.reason.clone()).filter(|reason| !reason.is_empty());
    ResultDocument::failed(scan.id.clone(), reason, scan.accepted_ms, scan.completed_ms)
}
