//! Real files: pixel by pixel what pydicom 3 (with pylibjpeg) reads from them, as digests of its arrays.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::*;
use crate::RefusalReason::{self, NotAHead, Truncated, UnknownOrientation, Unsupported};

/// pydicom's `pixel_array` as little-endian 32 bit integers, if it decodes the file.
const CT: &str = "f956baa39f6a3ac1b5b2026222bf5f0579b954079ce5457653f9f99e77620294";
const SMALL: &str = "b8d9a6cee6ff2ea9edbe8b476e54b80cfab8c6a15aff4d431b6c38840a20f7df";
const HAND: &str = "147dc159154527a05f6a06e30501dbea42c60fe375f427f10e7e61534a8c73c4";
const MR1: &str = "46c65722c079f08b2f1af5e60c6c0c6103b386c22a2c09a079cb2bd618a30013";
const MR1_LOSSY: &str = "a163dea9c5dcf00198ea3731ef367d69314a1f7d8278124a8793ea43d8d18a7a";
const MR1_NEAR: &str = "23480e064c4529f6fce786bbfc353d5157fd19c6db63a08d21405b6feef98160";
const MR4: &str = "b5c9df142a1d965b311052fb903760d9e35f8bd5fd9e0c883293b1b5bfc91fc5";
const ENHANCED: &str = "8be61098d4942b61e899bb8316673dc949d7daa8fbbaee02918e4c21214baa4d";

/// Name, what pydicom reads, and why we refuse the file as a scan (if we do).
const FILES: [(&str, Option<&str>, Option<RefusalReason>); 22] = [
    ("693_J2KR.dcm", Some(CT), None),
    ("693_UNCR.dcm", Some(CT), None),
    // 20 x 20 mm of some vessel.
    ("MR_small_bigendian.dcm", Some(SMALL), Some(NotAHead)),
    ("MR_truncated.dcm", None, Some(Truncated)),
    ("RG3_hand_MONOCHROME1_J2KR.dcm", Some(HAND), Some(NotAHead)),
    ("WG04_MR1_J2KI.dcm", Some(MR1_LOSSY), None),
    ("WG04_MR1_J2KR.dcm", Some(MR1), None),
    ("WG04_MR1_JLSL.dcm", Some(MR1), None),
    ("WG04_MR1_JLSN.dcm", Some(MR1_NEAR), None),
    ("WG04_MR1_JPLL.dcm", Some(MR1), None),
    // 12 bit lossy JPEG with a scan header that its standard does not allow; pydicom's decoders refuse it too.
    ("WG04_MR1_JPLY.dcm", None, Some(Unsupported)),
    ("WG04_MR1_RLE.dcm", Some(MR1), None),
    ("WG04_MR1_UNC.dcm", Some(MR1), None),
    ("WG04_MR4_J2KR.dcm", Some(MR4), None),
    ("WG04_MR4_JLSL.dcm", Some(MR4), None),
    ("WG04_MR4_JPLL.dcm", Some(MR4), None),
    ("WG04_MR4_RLE.dcm", Some(MR4), None),
    ("WG04_MR4_UNC.dcm", Some(MR4), None),
    // Ten frames without functional groups: nothing says where they lie.
    ("emri_small.dcm", Some(ENHANCED), Some(UnknownOrientation)),
    ("emri_small_RLE.dcm", Some(ENHANCED), Some(UnknownOrientation)),
    ("emri_small_jpeg_2k_lossless.dcm", Some(ENHANCED), Some(UnknownOrientation)),
    ("emri_small_jpeg_2k_lossless_too_short.dcm", None, Some(Truncated)),
];

/// The digest of the stored values, before the modality LUT.
fn stored(bytes: &[u8]) -> Result<String, Refusal> {
    let limits = Limits::default();
    let file = File::read(bytes, &limits)?;
    let set = file.data_set()?;
    let format = PixelFormat::read(&set, &limits)?;
    let values = pixels::stored_values(&set, &file.transfer_syntax, &format)?;
    let integers: Vec<u8> = values.iter().flat_map(|value| (*value as i32).to_le_bytes()).collect();
    Ok(Sha256::digest(integers).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn outcome(bytes: &[u8]) -> Result<(), Refusal> {
    let registered = [Modality::MagneticResonance, Modality::ComputedTomography];
    let decoded = crate::decode(bytes, &Limits::default())?;
    crate::check(&decoded.volume, &registered)
}

#[test]
fn every_real_file_has_pydicoms_pixels_and_ends_in_a_volume_or_in_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/dicom-head");
    let mut wrong = Vec::new();
    for (name, pixels, problem) in FILES {
        let Ok(bytes) = std::fs::read(folder.join(name)) else {
            println!("skipped: no shared data");
            return;
        };
        let outcome = outcome(&bytes).err();
        println!("{name}: {}", outcome.as_ref().map_or("a head".into(), Refusal::to_string));
        let stored = stored(&bytes);
        if pixels.is_some_and(|pixels| stored.as_deref() != Ok(pixels)) {
            wrong.push(format!("{name}: other pixels, {stored:?}"));
        }
        if outcome.as_ref().map(|refusal| refusal.problem) != problem {
            wrong.push(format!("{name}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
