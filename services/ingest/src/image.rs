//! A decoded scan on its way to storage: streamed from the decoder's pipe and from the spool.

use std::path::Path;

use bytes::Bytes;
use domain::{Error, ErrorKind, Identity, Result};
use futures::StreamExt;
use imaging::Refusal;
use jail::answer::ScanFacts;
use proto::ingest::UploadHeader;
use proto::storage::accept_part::Part;
use proto::storage::{AcceptHeader, AcceptPart};
use service::{CHUNK_BYTES, wire};
use tokio::sync::mpsc::Sender;

use crate::process::Rest;
use crate::spool::Spooled;

/// The header of a scan's acceptance.
pub fn header(facts: &ScanFacts, spooled: &Spooled, upload: &UploadHeader) -> Result<AcceptHeader> {
    let identity_json = facts.identity.as_ref().map(wire::identity_json).transpose()?;
    let patient = facts.identity.as_ref().and_then(|identity| identity.patient_key());
    let keys = facts.identity.as_ref().map(|identity| identity.keys());
    let [patient_id, accession_number, study_uid] = keys.unwrap_or_default();
    Ok(AcceptHeader {
        idempotency_key: upload.idempotency_key.clone(),
        format: facts.format.clone(),
        modality: facts.modality.clone(),
        shape: facts.shape.to_vec(),
        original_sha256: spooled.sha256.clone(),
        volume_sha256: facts.volume_sha256.clone(),
        identity_json: identity_json.unwrap_or_default(),
        patient: patient.unwrap_or_default(),
        priority: upload.priority,
        patient_id,
        accession_number,
        study_uid,
        reference: upload.reference.clone(),
        stated: stated(upload),
        identity: facts.identity.clone().map(wire::identity),
    })
}

/// All that the sender stated beside the file, as one text; empty: nothing.
fn stated(upload: &UploadHeader) -> String {
    let all = [&upload.reference, &upload.patient_id, &upload.accession_number];
    if all.iter().all(|one| one.is_empty()) {
        return String::new();
    }
    // The gateway lets no control characters through.
    all.map(String::as_str).join("\u{1f}")
}

/// The identity that the file has, together with what its sender states; refused where the two disagree.
pub fn identity(
    own: Option<Identity>,
    upload: &UploadHeader,
) -> std::result::Result<Option<Identity>, Refusal> {
    let UploadHeader { patient_id, accession_number, .. } = upload;
    if patient_id.is_empty() && accession_number.is_empty() {
        return Ok(own);
    }
    Ok(Some(own.unwrap_or_default().stated(patient_id, accession_number)?))
}

/// Sends the header, the preview, the volume and the original. A receiver that is gone is its own business.
pub async fn send(
    header: AcceptHeader,
    facts: ScanFacts,
    mut rest: Rest,
    original: &Path,
    to: &Sender<AcceptPart>,
) -> Result<()> {
    put(to, Part::Header(header)).await?;
    decoded(&mut rest, facts.preview_bytes, Part::Preview, to).await?;
    decoded(&mut rest, facts.volume_bytes, Part::Volume, to).await?;
    // The decoder has said everything: the next upload may have its turn.
    drop(rest);
    let file = tokio::fs::File::open(original).await.map_err(gone)?;
    let mut chunks = tokio_util::io::ReaderStream::with_capacity(file, CHUNK_BYTES);
    while let Some(chunk) = chunks.next().await {
        put(to, Part::Original(chunk.map_err(gone)?)).await?;
    }
    Ok(())
}

async fn decoded(
    rest: &mut Rest,
    bytes: u64,
    part: impl Fn(Bytes) -> Part,
    to: &Sender<AcceptPart>,
) -> Result<()> {
    let mut left = bytes as usize;
    while left > 0 {
        let chunk = rest.read(left.min(CHUNK_BYTES)).await?;
        left -= chunk.len();
        put(to, part(chunk)).await?;
    }
    Ok(())
}

async fn put(to: &Sender<AcceptPart>, part: Part) -> Result<()> {
    let gone = |_| ErrorKind::Unavailable.error("storage stopped listening");
    to.send(AcceptPart { part: Some(part) }).await.map_err(gone)
}

fn gone(error: std::io::Error) -> Error {
    ErrorKind::Internal.error("a spooled upload is gone").because(error)
}
