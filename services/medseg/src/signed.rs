//! What the deployment has signed, verified.

use anyhow::{Context, ensure};
use domain::hex;
use imaging::{Passport, StatementSignature};
use service::claims::{PublicKeys, RESULT_PURPOSE};
use sha2::{Digest, Sha256};

/// Whether one of the keys has signed the statement for that purpose.
pub fn is_signed(
    keys: &PublicKeys,
    purpose: &str,
    statement: &[u8],
    signature: &StatementSignature,
) -> bool {
    bytes_of(&signature.value)
        .is_some_and(|value| keys.have_signed(&signature.key_id, purpose, statement, &value))
}

/// The key that has signed the passport of a scan's result with those files; an error where the signature does not fit, or what
/// is signed is another result.
pub fn signed_by(
    passport: &[u8],
    keys: &PublicKeys,
    scan: &str,
    (result, mask): (&[u8], Option<&[u8]>),
) -> anyhow::Result<String> {
    let Passport { statement, signature } = Passport::from_json(passport)?;
    ensure!(
        is_signed(keys, RESULT_PURPOSE, &statement.canonical(), &signature),
        "the passport of the result is not signed by any key of this deployment (it names {})",
        signature.key_id
    );
    ensure!(statement.scan_id == scan, "the passport is of the scan {}", statement.scan_id);
    let digest = |bytes: &[u8]| hex(&Sha256::digest(bytes));
    ensure!(
        statement.result_sha256 == digest(result),
        "the result is not the one that was signed: somebody has changed it"
    );
    ensure!(
        statement.mask_sha256 == mask.map(digest),
        "the mask is not the one that was signed: somebody has changed it"
    );
    Ok(signature.key_id)
}

/// The public half of the private key in a PEM, as a set.
pub fn public_half(key: &service::claims::SigningKey) -> anyhow::Result<PublicKeys> {
    let set = serde_json::json!({ "keys": [key.public_jwk()] }).to_string();
    PublicKeys::from_jwks(&set).context("the key cannot be used")
}

fn bytes_of(hex: &str) -> Option<[u8; 64]> {
    if hex.len() != 128 || !hex.is_ascii() {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).ok();
    (0..128).step_by(2).map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use domain::artefact::{MASK, RESULT};
    use imaging::{ModelFacts, ModelInfo, OperatingPoint, PassportStatement, Reading, Readings};
    use service::claims::SigningKey;

    use super::*;

    fn passport(key: &SigningKey) -> Passport {
        let operating_point = OperatingPoint { threshold: 0.5, minimum_pixels: 1 };
        let facts = ModelFacts {
            name: "m".into(),
            version: "1".into(),
            data_version: String::new(),
            preprocessing: "p".into(),
            modalities: Vec::new(),
            classes: Vec::new(),
            readings: Readings::alike(Reading::plain(64, operating_point)),
        };
        let model = ModelInfo { facts, sha256: "aa".into(), device: "cpu".into() };
        let digests = ["b".to_owned(), "v".to_owned()];
        let files = [(RESULT, &b"result"[..]), (MASK, &b"mask"[..])];
        let statement = PassportStatement::new("7".into(), digests, &model, &files).unwrap();
        let value = hex(&key.sign_statement(RESULT_PURPOSE, &statement.canonical()));
        Passport { statement, signature: StatementSignature { key_id: key.id().into(), value } }
    }

    #[test]
    fn a_passport_fits_the_very_files_of_its_scan_and_no_other() {
        let random = service::system_random();
        let [key, other] = [(); 2].map(|()| SigningKey::generate(&random));
        let (keys, passport) = (public_half(&key).unwrap(), passport(&key));
        let signed = passport.to_json();
        let is_so = |passport: &[u8], keys: &PublicKeys, scan: &str, files| {
            signed_by(passport, keys, scan, files).map_err(|error| error.to_string())
        };
        let (result, mask) = (&b"result"[..], Some(&b"mask"[..]));
        assert_eq!(is_so(&signed, &keys, "7", (result, mask)).unwrap(), key.id());
        let refused = |passport: &[u8], keys: &PublicKeys, scan: &str, files| {
            is_so(passport, keys, scan, files).unwrap_err()
        };
        assert!(refused(&signed, &keys, "8", (result, mask)).contains("of the scan 7"));
        assert!(refused(&signed, &keys, "7", (&b"other"[..], mask)).contains("the result is not"));
        assert!(refused(&signed, &keys, "7", (result, None)).contains("the mask is not"));
        let others = public_half(&other).unwrap();
        assert!(refused(&signed, &others, "7", (result, mask)).contains("not signed by any key"));
        let mut forged = passport;
        forged.statement.model_version = "2".into();
        assert!(refused(&forged.to_json(), &keys, "7", (result, mask)).contains("not signed"));
        forged.signature.value = "é".repeat(64);
        assert!(refused(&forged.to_json(), &keys, "7", (result, mask)).contains("not signed"));
    }
}
