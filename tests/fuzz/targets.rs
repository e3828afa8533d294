//! What reads bytes of strangers. Each of these takes any bytes whatsoever: it answers, and neither panics nor goes on for ever. What
//! else holds of the answer is asserted. Also for libFuzzer: `fuzz/`.

use std::io::Cursor;
use std::sync::LazyLock;

use domain::TenantId;
use futures::executor::block_on;
use futures::stream;
use imaging::{Archive, Grouping, Limits, decode, instance, instance_of, marked, segmentation};
use imaging::{decode_flat, series_of};
use multer::Multipart;
use prost::Message;
use proto::events::{
    DriftCleared, DriftDetected, FeedbackGiven, IncidentReported, ScanCompleted, UploadRefused,
};
use proto::{auth, delivery, ingest, storage};
use service::claims::testing::Issuer;
use service::claims::{Role, Verifier};
use service::{CloudEvent, topics};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

/// Reads some bytes.
pub type Target = fn(&[u8]);

/// Enough for every file of the corpus, and little to fill.
const LIMITS: Limits = Limits { bytes: 4 << 20, voxels: 1 << 20, side: 1024, slices: 64 };
/// What a peer may send at once (PS3.8, 9.3.1).
const PDU_BYTES_MAX: u32 = 128 * 1024;

/// A file that is to be a scan.
pub fn image(bytes: &[u8]) {
    if let Ok(decoded) = decode(bytes, &LIMITS) {
        assert_eq!(decoded.volume.voxels.len(), decoded.volume.shape.len());
        assert!(decoded.volume.voxels.iter().all(|voxel| voxel.is_finite()));
        let _ = imaging::check(&decoded.volume, &[]);
    }
}

/// What is only looked at of a DICOM file.
pub fn header(bytes: &[u8]) {
    let _ = instance(bytes, &LIMITS);
    let _ = instance_of(bytes, &LIMITS);
    let _ = series_of(bytes, &LIMITS);
}

/// What a reader has drawn.
pub fn mask(bytes: &[u8]) {
    if let Ok(Some((_, pixels))) = segmentation(bytes, &LIMITS) {
        assert!(pixels.iter().all(|pixel| *pixel <= 1));
    }
    let _ = decode_flat(bytes, &LIMITS);
    if let Ok(decoded) = decode(bytes, &LIMITS) {
        let _ = marked(&decoded.volume);
    }
}

/// An archive of several scans.
pub fn archive(bytes: &[u8]) {
    for grouping in [Grouping::Alone, Grouping::Numbered] {
        if let Ok(mut archive) = Archive::open(Cursor::new(bytes), LIMITS) {
            let entries = archive.len();
            if let Ok(groups) = archive.groups(grouping) {
                assert!(
                    groups.iter().flat_map(|group| &group.places).all(|place| *place < entries)
                );
            }
        }
    }
}

/// What the queue carries.
pub fn event(bytes: &[u8]) {
    let _ = CloudEvent::<ScanCompleted>::parse(topics::SCAN_COMPLETED, bytes);
    let _ = CloudEvent::<FeedbackGiven>::parse(topics::FEEDBACK_GIVEN, bytes);
    let _ = CloudEvent::<IncidentReported>::parse(topics::INCIDENT_REPORTED, bytes);
    let _ = CloudEvent::<DriftDetected>::parse(topics::DRIFT_DETECTED, bytes);
    let _ = CloudEvent::<DriftCleared>::parse(topics::DRIFT_CLEARED, bytes);
    let _ = CloudEvent::<UploadRefused>::parse(topics::UPLOAD_REFUSED, bytes);
}

/// What services send each other.
pub fn message(bytes: &[u8]) {
    let _ = auth::SignInRequest::decode(bytes);
    let _ = auth::RevocationList::decode(bytes);
    let _ = delivery::Destination::decode(bytes);
    let _ = ingest::StorePart::decode(bytes);
    let _ = storage::AcceptHeader::decode(bytes);
    let _ = storage::RefusedUpload::decode(bytes);
}

/// Who signs here, and who verifies it.
static ISSUER: LazyLock<Issuer> = LazyLock::new(Issuer::new);
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| ISSUER.verifier(service::system_clock()));
/// The one token that is good.
pub static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let tenant: TenantId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("a UUID");
    ISSUER.token(tenant, &[Role::Clinician])
});

/// An access token: whatever is not letter by letter one that was signed is refused.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(bearer) = format!("Bearer {text}").parse::<MetadataValue<Ascii>>() else { return };
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", bearer);
    if block_on(VERIFIER.claims(&metadata)).is_ok() {
        assert_eq!(text.trim(), *TOKEN, "a token that nobody has signed");
    }
}

/// What comes over DICOM's network: PDUs, command sets, requests for a commitment.
pub fn dicom_network(bytes: &[u8]) {
    let mut unread = bytes;
    while let Ok(Some(_)) = dicom_ul::pdu::read_pdu(&mut unread, PDU_BYTES_MAX, true) {}
    ::ingest::read_of_strangers(bytes);
}

/// What an information system answers to a message (HL7 v2 over MLLP).
pub fn acknowledgment(bytes: &[u8]) {
    ::delivery::read_of_strangers(bytes);
}

/// What a browser says that a security key has made or answered (WebAuthn): nobody has asked it, so that none is believed.
pub fn security_key(bytes: &[u8]) {
    assert!(!::auth::read_of_strangers(bytes).is_believed, "a key that nobody has asked");
}

/// A body of several parts, as STOW-RS and forms bring it, in pieces as they come.
pub fn parts(bytes: &[u8]) {
    let pieces: Vec<_> =
        bytes.chunks(7).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let mut parts = Multipart::new(stream::iter(pieces), "boundary");
    block_on(async {
        while let Ok(Some(mut part)) = parts.next_field().await {
            while let Ok(Some(_)) = part.chunk().await {}
        }
    });
}
