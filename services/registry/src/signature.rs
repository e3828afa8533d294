//! The deployment's signature of versions and of results: Ed25519 (RFC 8032).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{Error, ErrorKind, Random, Result, hex};
use durable::{Draft, flush_folder, folder_of};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde_json::json;
use service::claims;

use crate::versions::Kept;

/// What is signed begins with this: a signature of something else of ours is none of a model.
const PURPOSE: &str = "medseg-model-1";

/// A statement about a result is some hundred bytes.
const STATEMENT_BYTES_MAX: usize = 4096;
/// A receipt names each object of each scan of a patient; a message has no more.
const RECEIPT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// SHA-256, in hex.
const DIGEST_BYTES: usize = 64;
/// More keys than rotation ever needs; whoever reads them takes as many.
const KEYS_MAX: usize = 8;

/// The key that signs versions and results, and those that they are verified with.
#[derive(Clone)]
pub struct Signer {
    key: SigningKey,
    /// The same key, as statements are signed with it.
    statements: Arc<claims::SigningKey>,
    /// Those that signed before: what they have signed stays true.
    earlier: Vec<(VerifyingKey, Arc<claims::SigningKey>)>,
}

impl Signer {
    /// The key at `path` (PKCS#8 PEM); where there is none, a new one is made.
    pub fn open(path: &Path, random: &Random) -> Result<Signer> {
        match read(path)? {
            Some(signer) => Ok(signer),
            None => create(path, random),
        }
    }

    /// With the keys at `paths`, which signed before it.
    pub fn with_earlier(mut self, paths: &[PathBuf]) -> Result<Signer> {
        if paths.len() >= KEYS_MAX {
            let most = KEYS_MAX - 1;
            return Err(
                ErrorKind::Invalid.error(format!("there may be {most} earlier keys at most"))
            );
        }
        for path in paths {
            let Signer { key, statements, .. } =
                read(path)?.ok_or_else(|| unusable(path, "is not there"))?;
            let mut known = std::iter::once(&self.statements)
                .chain(self.earlier.iter().map(|(_, earlier)| earlier));
            // A rotation that forgot to change the key is no reason to refuse to start.
            if !known.any(|known| known.id() == statements.id()) {
                self.earlier.push((key.verifying_key(), statements));
            }
        }
        Ok(self)
    }

    /// The signature of a version with these files, in hex.
    pub fn sign(&self, name: &str, version: &str, files: &[Kept]) -> String {
        hex(&self.key.sign(&message(name, version, files)).to_bytes())
    }

    /// The key's id and the signature, in hex, of what is stated of a result. `Invalid` where that is too long.
    pub fn sign_result(&self, statement: &[u8]) -> Result<(String, String)> {
        self.sign_for(claims::RESULT_PURPOSE, statement, STATEMENT_BYTES_MAX)
    }

    /// The same of what an erasure came to.
    pub fn sign_receipt(&self, statement: &[u8]) -> Result<(String, String)> {
        self.sign_for(claims::ERASURE_PURPOSE, statement, RECEIPT_BYTES_MAX)
    }

    /// The same of an anchor of the audit trail, by its digest.
    pub fn sign_anchor(&self, sha256: &str) -> Result<(String, String)> {
        self.sign_for(claims::ANCHOR_PURPOSE, sha256.as_bytes(), DIGEST_BYTES)
    }

    fn sign_for(&self, purpose: &str, statement: &[u8], most: usize) -> Result<(String, String)> {
        if statement.len() > most {
            let message = format!("a statement has {most} bytes at most");
            return Err(ErrorKind::Invalid.error(message));
        }
        let signature = self.statements.sign_statement(purpose, statement);
        Ok((self.statements.id().to_owned(), hex(&signature)))
    }

    /// The public keys that have signed results, the present one first, as a JWK set (RFC 7517).
    pub fn jwks(&self) -> String {
        let earlier = self.earlier.iter().map(|(_, earlier)| earlier.public_jwk());
        let keys: Vec<_> = std::iter::once(self.statements.public_jwk()).chain(earlier).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Refuses (`Internal`) a version whose rows are not what was signed.
    pub fn verify(&self, name: &str, version: &str, files: &[Kept], signature: &str) -> Result<()> {
        let refused = || {
            ErrorKind::Internal.error(format!(
                "the model {name} {version} is not what was registered: its signature does not fit"
            ))
        };
        let bytes = bytes_of(signature).ok_or_else(refused)?;
        let message = message(name, version, files);
        let signature = Signature::from_bytes(&bytes);
        let own = self.key.verifying_key();
        let mut keys = std::iter::once(&own).chain(self.earlier.iter().map(|(earlier, _)| earlier));
        match keys.any(|key| key.verify_strict(&message, &signature).is_ok()) {
            true => Ok(()),
            false => Err(refused()),
        }
    }

    /// The key of a PKCS#8 PEM; None where it is none.
    fn of(pem: &str) -> Option<Signer> {
        // Causes are dropped on purpose: a parser's message may quote what it read.
        let key = SigningKey::from_pkcs8_pem(pem).ok()?;
        let statements = Arc::new(claims::SigningKey::from_pem(pem).ok()?);
        Some(Signer { key, statements, earlier: Vec::new() })
    }
}

fn unusable(path: &Path, why: &str) -> Error {
    ErrorKind::Invalid.error(format!("the models' key {} {why}", path.display()))
}

fn read(path: &Path) -> Result<Option<Signer>> {
    let pem = match fs::read_to_string(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, "cannot be read").because(error)),
    };
    Signer::of(&pem).map(Some).ok_or_else(|| unusable(path, "is no Ed25519 key in PEM"))
}

/// Makes the file whole or not at all, and never replaces one that another registry has just made: what that one signs must
/// stay true.
fn create(path: &Path, random: &Random) -> Result<Signer> {
    // Without the public half: with it the form is version 2 (RFC 5958), which OpenSSL 3.0 cannot read.
    let key = KeypairBytes { secret_key: random.bytes(), public_key: None };
    let pem = key
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| ErrorKind::Internal.error("cannot write a key").because(error))?;
    match write(path, pem.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| unusable(path, "came and went"))
        }
        written => {
            written
                .and_then(|()| flush_folder(folder_of(path)))
                .map_err(|error| unusable(path, "cannot be made").because(error))?;
            Signer::of(&pem).ok_or_else(|| unusable(path, "cannot be read as it was written"))
        }
    }
}

fn write(path: &Path, pem: &[u8]) -> io::Result<()> {
    let mut draft = Draft::private(path)?;
    draft.write_all(pem)?;
    draft.finish()?.create(path)
}

/// No two versions have the same: names hold no line break, and digests and sizes have a line each.
fn message(name: &str, version: &str, files: &[Kept]) -> Vec<u8> {
    let mut lines = vec![PURPOSE.to_owned(), name.to_owned(), version.to_owned()];
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    lines.extend(files.iter().map(|file| format!("{} {} {}", file.name, file.size, file.sha256)));
    lines.join("\n").into_bytes()
}

fn bytes_of(hex: &str) -> Option<[u8; 64]> {
    let pairs = hex.as_bytes().chunks_exact(2);
    if hex.len() != 128 {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kept(name: &str, sha256: &str) -> Kept {
        Kept { name: name.into(), key: String::new(), sha256: sha256.into(), size: 7 }
    }

    #[test]
    fn whatever_is_swapped_does_not_fit_the_signature() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model-key.pem");
        let random = service::system_random();
        let signer = Signer::open(&path, &random).unwrap();
        let files = [kept("model.json", "aa"), kept("weights.safetensors", "bb")];
        let signature = signer.sign("m", "1", &files);
        let again = Signer::open(&path, &random).unwrap();
        let [first, second] = files.clone();
        again.verify("m", "1", &[second.clone(), first.clone()], &signature).unwrap();

        let larger = Kept { size: 8, ..second.clone() };
        for (name, version, files, signature) in [
            ("n", "1", vec![first.clone(), second.clone()], signature.clone()),
            ("m", "2", vec![first.clone(), second.clone()], signature.clone()),
            ("m", "1", vec![first.clone()], signature.clone()),
            ("m", "1", vec![first.clone(), larger], signature.clone()),
            ("m", "1", vec![first.clone(), kept("weights.safetensors", "bc")], signature.clone()),
            ("m", "1", vec![first.clone(), second.clone()], signature.replace('a', "b")),
            ("m", "1", vec![first.clone(), second.clone()], String::new()),
        ] {
            assert!(signer.verify(name, version, &files, &signature).is_err());
        }
        let another = Signer::open(&folder.path().join("another.pem"), &random).unwrap();
        assert!(another.verify("m", "1", &files, &signature).is_err());
    }

    #[test]
    fn what_an_earlier_key_has_signed_stays_true() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let random = service::system_random();
        let first = Signer::open(&at("first.pem"), &random).unwrap();
        let version = first.sign("m", "1", &[]);
        let (id, result) = first.sign_result(b"so").unwrap();

        let second = Signer::open(&at("second.pem"), &random).unwrap();
        assert!(second.verify("m", "1", &[], &version).is_err());
        let second = second.with_earlier(&[at("first.pem"), at("second.pem")]).unwrap();
        second.verify("m", "1", &[], &version).unwrap();
        assert_ne!(second.sign_result(b"so").unwrap().0, id, "it is no more signed with");
        let keys = claims::PublicKeys::from_jwks(&second.jwks()).unwrap();
        let signature = bytes_of(&result).unwrap();
        assert!(keys.have_signed(&id, claims::RESULT_PURPOSE, b"so", &signature));
        assert!(!keys.have_signed(&id, claims::RESULT_PURPOSE, b"not so", &signature));
        assert!(second.sign_result(&[0; STATEMENT_BYTES_MAX + 1]).is_err());
        // A receipt is none of a result, and may be longer.
        let (id, receipt) = second.sign_receipt(&[0; STATEMENT_BYTES_MAX + 1]).unwrap();
        let (said, signature) = ([0; STATEMENT_BYTES_MAX + 1], bytes_of(&receipt).unwrap());
        assert!(keys.have_signed(&id, claims::ERASURE_PURPOSE, &said, &signature));
        assert!(!keys.have_signed(&id, claims::RESULT_PURPOSE, &said, &signature));
        let (id, anchor) = second.sign_anchor("ab").unwrap();
        let signature = bytes_of(&anchor).unwrap();
        assert!(keys.have_signed(&id, claims::ANCHOR_PURPOSE, b"ab", &signature));
        assert!(!keys.have_signed(&id, claims::RESULT_PURPOSE, b"ab", &signature));

        let missing = first.clone().with_earlier(&[at("third.pem")]).err().unwrap().to_string();
        assert!(missing.contains("third.pem"), "{missing}");
        assert!(first.with_earlier(&vec![at("second.pem"); KEYS_MAX]).is_err());
    }

    #[test]
    fn a_second_registry_takes_the_key_of_the_first_which_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model-key.pem");
        let random = service::system_random();
        let [first, second] = [(); 2].map(|()| create(&path, &random).unwrap());
        assert_eq!(first.sign("m", "1", &[]), second.sign("m", "1", &[]));
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn a_key_that_is_none_is_refused_by_name_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model-key.pem");
        fs::write(&path, "secret").unwrap();
        let said = Signer::open(&path, &service::system_random()).err().unwrap().to_string();
        assert!(said.contains("model-key.pem") && !said.contains("secret"), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
    }
}
