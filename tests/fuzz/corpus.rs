//! Sound bytes of each kind, all of them made here: what is bent until something breaks.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dicom_ul::pdu::{
    AssociationRQ, PDataValue, PDataValueType, Pdu, PresentationContextProposed, UserVariableItem,
    write_pdu,
};
use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::files;
use crate::targets::TOKEN;

/// MR images and segmentations (PS3.4, B.5).
const MR: &[u8] = b"UI\x1a\x001.2.840.10008.5.1.4.1.1.4\0";
const SEGMENTATION: &[u8] = b"UI\x1c\x001.2.840.10008.5.1.4.1.1.66.4";
/// A public key (RFC 8032, section 7.1, test 1).
const ED25519: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];
/// Where a file of PS3.10 says how long its meta information is.
const META_LENGTH: usize = 140;

/// Files of that kind, and of those whose names begin with it.
pub fn of_kind(kind: &str) -> Vec<Vec<u8>> {
    let named = files::all().into_iter().filter(|(name, _)| name.starts_with(kind));
    named.map(|(_, bytes)| bytes).collect()
}

pub fn dicom() -> Vec<Vec<u8>> {
    vec![files::dicom_slice(), files::dicom_jpeg()]
}

pub fn archives() -> Vec<Vec<u8>> {
    vec![files::png_zip(), files::dicom_zip(&[imaging::encode::Series::of_seed(2)])]
}

pub fn masks() -> Vec<Vec<u8>> {
    let drawn = files::masks().into_iter().map(|(_, bytes)| bytes).take(2);
    drawn.chain(of_kind("nifti")).chain([as_segmentation(&files::dicom_slice())]).collect()
}

/// The file as one that claims to be a segmentation, which sends it to their reader.
fn as_segmentation(file: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), file);
    while let Some(at) = rest.windows(MR.len()).position(|window| window == MR) {
        bytes.extend_from_slice(&rest[..at]);
        bytes.extend_from_slice(SEGMENTATION);
        rest = &rest[at + MR.len()..];
    }
    bytes.extend_from_slice(rest);
    let grown = u8::try_from(SEGMENTATION.len() - MR.len()).unwrap();
    bytes[META_LENGTH] = bytes[META_LENGTH].wrapping_add(grown);
    bytes
}

pub fn events() -> Vec<Vec<u8>> {
    let event = |kind: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"1","source":"/medseg/test","type":"{kind}","subject":"s","data":{data}}}"#
        )
        .into_bytes()
    };
    vec![
        event(
            "scan.completed",
            r#"{"tenant":"t","scan_id":"s","answer":"tumour","completed_ms":1}"#,
        ),
        event(
            "upload.refused",
            r#"{"tenant_id":"t","refused_ms":5,"problem":"not-a-head","site":"A"}"#,
        ),
        event("drift.detected", r#"{"groups":[],"features":[]}"#),
        event("feedback.given", r#"{"verdict":"agree"}"#),
    ]
}

pub fn messages() -> Vec<Vec<u8>> {
    let refused = proto::storage::RefusedUpload {
        problem: "not-a-head".to_owned(),
        site: "North".to_owned(),
        ..Default::default()
    };
    let sign_in = proto::auth::SignInRequest {
        user_name: "ada".to_owned(),
        password: "a long enough sentence".to_owned(),
        ..Default::default()
    };
    let header =
        proto::storage::AcceptHeader { idempotency_key: "k".to_owned(), ..Default::default() };
    vec![refused.encode_to_vec(), sign_in.encode_to_vec(), header.encode_to_vec()]
}

pub fn tokens() -> Vec<Vec<u8>> {
    vec![TOKEN.clone().into_bytes()]
}

pub fn dicom_network() -> Vec<Vec<u8>> {
    let request = AssociationRQ {
        protocol_version: 1,
        calling_ae_title: "NORTH_MR".into(),
        called_ae_title: "MEDSEG".into(),
        application_context_name: "1.2.840.10008.3.1.1.1".into(),
        presentation_contexts: vec![PresentationContextProposed {
            id: 1,
            abstract_syntax: "1.2.840.10008.5.1.4.1.1.4".into(),
            transfer_syntaxes: vec!["1.2.840.10008.1.2".into(), "1.2.840.10008.1.2.1".into()],
        }],
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    };
    let store = command_set();
    let data = PDataValue {
        presentation_context_id: 1,
        value_type: PDataValueType::Command,
        is_last: true,
        data: store.clone(),
    };
    let pdus = [Pdu::AssociationRQ(request), Pdu::PData { data: vec![data] }, Pdu::ReleaseRQ];
    let written = pdus.iter().map(|pdu| {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).unwrap();
        bytes
    });
    written.chain([store, commitment_request()]).collect()
}

/// A C-STORE (PS3.7, 9.3.1): implicit VR, little endian.
fn command_set() -> Vec<u8> {
    let mut bytes = Vec::new();
    element(&mut bytes, [0x0000, 0x0002], b"1.2.840.10008.5.1.4.1.1.4\0");
    element(&mut bytes, [0x0000, 0x0100], &[1, 0]);
    element(&mut bytes, [0x0000, 0x0110], &[7, 0]);
    element(&mut bytes, [0x0000, 0x0800], &[1, 0]);
    element(&mut bytes, [0x0000, 0x1000], b"1.2.3.4\0");
    bytes
}

/// A request that one instance be committed to (PS3.4, J.3.2).
fn commitment_request() -> Vec<u8> {
    let (mut item, mut bytes) = (Vec::new(), Vec::new());
    element(&mut item, [0x0008, 0x1150], b"1.2.840.10008.5.1.4.1.1.4\0");
    element(&mut item, [0x0008, 0x1155], b"1.2.3.4\0");
    let mut sequence = Vec::new();
    element(&mut sequence, [0xfffe, 0xe000], &item);
    element(&mut bytes, [0x0008, 0x1195], b"1.2.3\0");
    element(&mut bytes, [0x0008, 0x1199], &sequence);
    bytes
}

fn element(to: &mut Vec<u8>, [group, number]: [u16; 2], value: &[u8]) {
    to.extend_from_slice(&group.to_le_bytes());
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
    to.extend_from_slice(value);
}

pub fn acknowledgments() -> Vec<Vec<u8>> {
    let ack = |msa: &str| {
        format!("\x0bMSH|^~\\&|HIS||medseg||2026||ACK^R01|9|P|2.5.1\r{msa}\r\x1c\r").into_bytes()
    };
    vec![ack("MSA|AA|c0ffee"), ack("MSA|AE|c0ffee\rERR|||207^Application error^HL70357|E")]
}

/// What a browser says of a key that it has made, and of one that has answered (WebAuthn Level 3, section 5.1): each would be believed by
/// whoever had asked so, but for the signature.
pub fn security_keys() -> Vec<Vec<u8>> {
    const CREDENTIAL: [u8; 32] = [7; 32];
    // Somebody was there; with a key of Ed25519 in COSE (RFC 9053, section 7).
    let head = |flags: u8| {
        let mut head = Sha256::digest("medseg.hospital.example").to_vec();
        head.extend([flags, 0, 0, 0, 0]);
        head
    };
    let cose = [&b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20"[..], &ED25519].concat();
    let attested = [head(0x41).as_slice(), &[0; 16], &[0, 32], &CREDENTIAL, &cose].concat();
    let length = u8::try_from(attested.len()).unwrap();
    let attestation =
        [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"[..], &[length], &attested].concat();
    let client = |kind: &str| {
        text(
            format!(
                r#"{{"type":"webauthn.{kind}","challenge":"AAAAAAAAAAAAAAAAAAAAAA","origin":"https://medseg.hospital.example","crossOrigin":false}}"#
            )
            .as_bytes(),
        )
    };
    let answer = |response: Value| {
        let id = text(&CREDENTIAL);
        let answer = json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "cross-platform",
            "response": response, "clientExtensionResults": {},
        })
        .to_string()
        .into_bytes();
        assert!(::auth::read_of_strangers(&answer).is_answer, "it is no answer at all");
        answer
    };
    let made = json!({
        "clientDataJSON": client("create"), "authenticatorData": text(&attested),
        "attestationObject": text(&attestation), "transports": ["usb", "nfc"],
    });
    let answered = json!({
        "clientDataJSON": client("get"), "authenticatorData": text(&head(1)),
        "signature": text(&[1; 64]), "userHandle": text(b"01890a5d-ac96-774b-bcce-b302099a8057"),
    });
    vec![answer(made), answer(answered)]
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn parts() -> Vec<Vec<u8>> {
    let part =
        "--boundary\r\ncontent-type: application/dicom; transfer-syntax=\"1.2\"\r\n\r\npixels\r\n";
    vec![format!("{part}{part}--boundary--\r\n").into_bytes()]
}
