//! A decoded scan on its way to storage: streamed from the decoder's pipe and from the spool.

use std::path::Path;

use bytes::Bytes;
use domain::limits::INDEX_BYTES_MAX;
use domain::{Equipment, Error, ErrorKind, Identity, Result};
use futures::StreamExt;
use imaging::Refusal;
use jail::answer::ScanFacts;
use proto::ingest::UploadHeader;
use proto::storage::accept_part::Part;
use proto::storage::{AcceptHeader, AcceptPart};
use service::{CHUNK_BYTES, wire};
use tokio::sync::mpsc::Sender;

use crate::process::Rest;
use crate::series_choice::ALL;
use crate::spool::Spooled;

/// The header of a scan's acceptance.
pub fn header(facts: &ScanFacts, spooled: &Spooled, upload: &UploadHeader) -> AcceptHeader {
    let patient = facts.identity.as_ref().and_then(|identity| identity.patient_key());
    let keys = facts.identity.as_ref().map(|identity| identity.keys());
    let [patient_id, accession_number, study_uid] = keys.unwrap_or_default();
    let Equipment { site, scanner } = facts.equipment.clone().stated(&upload.site);
    AcceptHeader {
        idempotency_key: upload.idempotency_key.clone(),
        format: facts.format.clone(),
        modality: facts.modality.clone(),
        shape: facts.shape.to_vec(),
        original_sha256: spooled.sha256.clone(),
        volume_sha256: facts.volume_sha256.clone(),
        patient: patient.unwrap_or_default(),
        priority: upload.priority,
        patient_id,
        accession_number,
        study_uid,
        reference: upload.reference.clone(),
        stated: stated(upload),
        identity: facts.identity.clone().map(wire::identity),
        site: site.unwrap_or_default(),
        scanner: scanner.unwrap_or_default(),
        // What was chosen is told by who has chosen.
        not_picked: String::new(),
        series: None,
        received_ms: upload.received_ms,
    }
}

/// All that the sender stated beside the file, as one text; empty: nothing.
fn stated(upload: &UploadHeader) -> String {
    let UploadHeader { reference, patient_id, accession_number, site, series, .. } = upload;
    let mut all = vec![reference.as_str(), patient_id.as_str(), accession_number.as_str()];
    // Without a site, as before there were any: the same key finds the same upload across an update.
    if !site.is_empty() {
        all.push(site);
    }
    // The same key with another wish is another upload. How a scanner's door asks is no wish of anybody's.
    if series == ALL {
        all.push(series);
    }
    if all.iter().all(|one| one.is_empty()) {
        return String::new();
    }
    // The gateway lets no control characters through.
    all.join("\u{1f}")
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

/// Sends the header, the preview, the volume, the index of instances and the original. A receiver that is gone is its own business.
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
    // Where there is none, or it did not come, the scan is one whose instances are not handed out one by one.
    let mut index = rest.last(INDEX_BYTES_MAX).await;
    while !index.is_empty() {
        let chunk = index.split_to(index.len().min(CHUNK_BYTES));
        put(to, Part::Instances(chunk)).await?;
    }
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

#[cfg(test)]
mod tests {
    use imaging::RefusalReason;
    use tempfile::NamedTempFile;

    use super::*;

    fn facts(identity: Option<Identity>) -> ScanFacts {
        ScanFacts {
            format: "dicom".into(),
            modality: "MR".into(),
            shape: [3, 512, 256],
            identity,
            equipment: Equipment { site: Some("General".into()), scanner: None },
            preview_bytes: 1,
            volume_bytes: 2,
            volume_sha256: "of the volume".into(),
        }
    }

    fn header_of(identity: Option<Identity>, upload: &UploadHeader) -> AcceptHeader {
        let path = NamedTempFile::new().unwrap().into_temp_path();
        header(&facts(identity), &Spooled::new(path, "of the original".into()), upload)
    }

    fn of_a_file(patient_id: &str, accession_number: &str) -> Identity {
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Identity {
            patient_id: said(patient_id),
            accession_number: said(accession_number),
            ..Identity::default()
        }
    }

    #[test]
    fn each_digest_and_each_length_goes_where_it_belongs() {
        let said = header_of(None, &UploadHeader::default());
        assert_eq!(said.original_sha256, "of the original");
        assert_eq!(said.volume_sha256, "of the volume");
        assert_eq!((&*said.format, &*said.modality), ("dicom", "MR"));
        assert_eq!((&*said.site, &*said.scanner), ("General", ""));
        assert_eq!(said.shape, [3, 512, 256]);
        let nothing = [&said.patient, &said.patient_id, &said.study_uid];
        assert!(nothing.iter().all(|text| text.is_empty()) && said.identity.is_none());
    }

    #[test]
    fn a_patient_is_a_number_and_who_gave_it_and_is_searched_for_without_padding() {
        let identity = Identity {
            issuer_of_patient_id: Some("HOSPITAL".into()),
            study_instance_uid: Some("1.2.3\0".into()),
            ..of_a_file(" 4711 ", "A-1 ")
        };
        let said = header_of(Some(identity.clone()), &UploadHeader::default());
        assert_eq!(said.patient, "HOSPITAL\\4711");
        assert_eq!(
            [said.patient_id, said.accession_number, said.study_uid],
            ["4711", "A-1", "1.2.3"]
        );
        // What is kept is what the file says.
        assert_eq!(wire::identity_of(said.identity.unwrap()), identity);
        // A number for form's sake names nobody.
        let anonymous = header_of(Some(of_a_file("ANONYMOUS", "")), &UploadHeader::default());
        assert_eq!(anonymous.patient, "");
    }

    #[test]
    fn what_is_stated_is_another_upload_wherever_it_is_stated_otherwise() {
        let stated = |reference: &str, patient_id: &str, accession_number: &str| {
            stated(&UploadHeader {
                reference: reference.into(),
                patient_id: patient_id.into(),
                accession_number: accession_number.into(),
                ..UploadHeader::default()
            })
        };
        let all = [
            stated("", "", ""),
            stated("a", "", ""),
            stated("", "a", ""),
            stated("", "", "a"),
            stated("a", "b", ""),
            stated("ab", "", ""),
            stated("a", "", "b"),
            stated("b", "a", ""),
        ];
        let different: std::collections::HashSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        assert_eq!(all[0], "");
    }

    #[test]
    fn a_sender_fills_in_what_a_file_leaves_out_and_contradicts_nothing() {
        // What the file says, what its sender states, and what is kept; None: refused.
        let cases = [
            (Some(["", ""]), ["4711", "A1"], Some(["4711", "A1"])),
            (None, ["4711", ""], Some(["4711", ""])),
            (Some(["4711", ""]), ["4711", "A1"], Some(["4711", "A1"])),
            (Some(["4711", "A1"]), ["", ""], Some(["4711", "A1"])),
            (Some(["UNKNOWN", ""]), ["4711", ""], Some(["4711", ""])),
            (Some(["4711", ""]), ["4712", ""], None),
            (Some(["", "A1"]), ["4711", "A2"], None),
            // Leading noughts may be another patient's.
            (Some(["04711", ""]), ["4711", ""], None),
        ];
        for (own, [patient_id, accession_number], kept) in cases {
            let upload = UploadHeader {
                patient_id: patient_id.into(),
                accession_number: accession_number.into(),
                ..UploadHeader::default()
            };
            let own = own.map(|[patient_id, accession]| of_a_file(patient_id, accession));
            let said = identity(own.clone(), &upload).map_err(|refusal| refusal.problem);
            let expected = kept
                .map(|[patient_id, accession]| Some(of_a_file(patient_id, accession)))
                .ok_or(RefusalReason::WrongIdentity);
            assert_eq!(said, expected, "{own:?} {upload:?}");
        }
        // Who states nothing makes no identity.
        assert_eq!(identity(None, &UploadHeader::default()), Ok(None));
    }
}
