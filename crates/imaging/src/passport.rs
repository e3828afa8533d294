//! What the deployment signs of a result: which bytes of which scan were made by which model.

use domain::artefact::{MASK, MASK_VOLUME, RESULT};
use domain::{Artefact, Error, ErrorKind, Result, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{DocumentHeader, ModelInfo};

/// The form of the document; a change that could break a reader changes the number.
const SCHEMA: &str = "medseg.passport/1";

/// The artefact `passport.json`: a statement about a result, and the deployment's signature of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Passport {
    /// What is signed.
    pub statement: PassportStatement,
    /// By which key, and the signature.
    pub signature: StatementSignature,
}

/// What is signed of a result. Digests are SHA-256, in hex.
// Fields stand in the order of their names: what is signed is this, as canonical JSON has it (RFC 8785).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PassportStatement {
    /// The digest that ties the result to tenant, scan and patient.
    pub binding: String,
    /// Of the file of the mask: `mask.nii.gz`, or `mask.png` where there is no volume; missing where nothing was marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub mask_sha256: Option<String>,
    /// The model's name.
    pub model_name: String,
    /// Of its weights; empty of an engine that has none.
    pub model_sha256: String,
    /// Its version.
    pub model_version: String,
    /// Of the bytes of `result.json`.
    pub result_sha256: String,
    /// The id that the upload was answered with.
    pub scan_id: String,
    /// The document's form.
    pub schema: String,
    /// Name and version of the software that made the result.
    pub software: String,
    /// Of the decoded volume.
    pub volume_sha256: String,
}

/// An Ed25519 signature (RFC 8032).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementSignature {
    /// The key, as `/.well-known/result-keys.json` names it.
    pub key_id: String,
    /// The signature's 64 bytes, in hex: of the statement's purpose, a byte 0 and its canonical JSON.
    pub value: String,
}

impl PassportStatement {
    /// Of a result with those files, in any order: `Internal` without `result.json`.
    pub fn new(
        scan_id: String,
        [binding, volume_sha256]: [String; 2],
        model: &ModelInfo,
        files: &[(Artefact, impl AsRef<[u8]>)],
    ) -> Result<PassportStatement> {
        let digest = |wanted: Artefact| {
            let file = files.iter().find(|(artefact, _)| *artefact == wanted);
            file.map(|(_, bytes)| hex(&Sha256::digest(bytes.as_ref())))
        };
        let no_result = || ErrorKind::Internal.error("a passport is of a result: there is none");
        Ok(PassportStatement {
            binding,
            mask_sha256: digest(MASK_VOLUME).or_else(|| digest(MASK)),
            model_name: model.facts.name.clone(),
            model_sha256: model.sha256.clone(),
            model_version: model.facts.version.clone(),
            result_sha256: digest(RESULT).ok_or_else(no_result)?,
            scan_id,
            schema: SCHEMA.to_owned(),
            software: DocumentHeader::default().software,
            volume_sha256,
        })
    }

    /// The bytes that are signed: its JSON without white space, fields in the order of their names (RFC 8785).
    pub fn canonical(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a statement is plain data")
    }
}

impl Passport {
    /// Reads the artefact; `Invalid` where it is none.
    pub fn from_json(bytes: &[u8]) -> Result<Passport> {
        let no_passport = |error: serde_json::Error| -> Error {
            ErrorKind::Invalid.error("a passport cannot be read").because(error)
        };
        let passport: Passport = serde_json::from_slice(bytes).map_err(no_passport)?;
        match passport.statement.schema == SCHEMA {
            true => Ok(passport),
            false => Err(ErrorKind::Invalid.error(format!(
                "a passport of the form `{}` cannot be read: this software knows `{SCHEMA}`",
                passport.statement.schema
            ))),
        }
    }

    /// The bytes of `passport.json`.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a passport is plain data")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{ModelFacts, OperatingPoint, Reading, Readings};

    fn model() -> ModelInfo {
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
        ModelInfo { facts, sha256: "aa".into(), device: "cpu".into() }
    }

    fn statement(files: &[(Artefact, &[u8])]) -> PassportStatement {
        let digests = ["b".to_owned(), "v".to_owned()];
        PassportStatement::new("7".into(), digests, &model(), files).unwrap()
    }

    #[test]
    fn what_is_signed_is_canonical_json() {
        for files in [&[(RESULT, &b"abc"[..])][..], &[(MASK, &b"m"[..]), (RESULT, &b"abc"[..])]] {
            let statement = statement(files);
            let canonical = String::from_utf8(statement.canonical()).unwrap();
            let fields: serde_json::Map<String, Value> = serde_json::from_str(&canonical).unwrap();
            let mut names: Vec<&String> = fields.keys().collect();
            let places = names.iter().map(|name| canonical.find(&format!("\"{name}\":")).unwrap());
            let mut in_order: Vec<usize> = places.collect();
            names.sort();
            in_order.sort_unstable();
            let sorted = names.iter().map(|name| canonical.find(&format!("\"{name}\":")).unwrap());
            assert_eq!(sorted.collect::<Vec<_>>(), in_order, "{canonical}");
            assert!(!canonical.contains(": ") && !canonical.contains('\n'), "{canonical}");
        }
    }

    #[test]
    fn digests_are_of_the_very_files_and_a_volumes_mask_goes_first() {
        // FIPS 180-4's own example.
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let all = statement(&[(RESULT, &b"x"[..]), (MASK, &b"y"[..]), (MASK_VOLUME, &b"abc"[..])]);
        assert_eq!(all.mask_sha256.as_deref(), Some(of_abc));
        let alone = statement(&[(RESULT, &b"abc"[..])]);
        assert_eq!((alone.result_sha256.as_str(), alone.mask_sha256), (of_abc, None));
        let none: [(Artefact, &[u8]); 0] = [];
        let digests = ["b".to_owned(), "v".to_owned()];
        assert!(PassportStatement::new("7".into(), digests, &model(), &none).is_err());
    }

    #[test]
    fn a_passport_is_read_as_it_was_written_and_one_of_tomorrow_is_refused() {
        let statement = statement(&[(RESULT, &b"abc"[..])]);
        let signature = StatementSignature { key_id: "k".into(), value: "00".into() };
        let mut passport = Passport { statement, signature };
        assert_eq!(Passport::from_json(&passport.to_json()).unwrap(), passport);
        passport.statement.schema = "medseg.passport/2".into();
        assert!(Passport::from_json(&passport.to_json()).is_err());
        assert!(Passport::from_json(b"{}").is_err());
    }
}
