//! The deployment's signature of a version: Ed25519 (RFC 8032).

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use domain::{Error, ErrorKind, Random, Result, hex};
use durable::{Draft, flush_folder, folder_of};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey};

use crate::versions::Kept;

/// What is signed begins with this: a signature of something else of ours is none of a model.
const PURPOSE: &str = "medseg-model-1";

/// The key that signs versions, and that they are verified with.
#[derive(Clone)]
pub struct Signer(SigningKey);

impl Signer {
    /// The key at `path` (PKCS#8 PEM); where there is none, a new one is made.
    pub fn open(path: &Path, random: &Random) -> Result<Signer> {
        match read(path)? {
            Some(signer) => Ok(signer),
            None => create(path, random),
        }
    }

    /// The signature of a version with these files, in hex.
    pub fn sign(&self, name: &str, version: &str, files: &[Kept]) -> String {
        hex(&self.0.sign(&message(name, version, files)).to_bytes())
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
        self.0.verify_strict(&message, &Signature::from_bytes(&bytes)).map_err(|_| refused())
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
    // The cause is dropped on purpose: a parser's message may quote what it read.
    let key =
        SigningKey::from_pkcs8_pem(&pem).map_err(|_| unusable(path, "is no Ed25519 key in PEM"))?;
    Ok(Some(Signer(key)))
}

/// Makes the file whole or not at all, and never replaces one that another registry has just made: what that one signs must
/// stay true.
fn create(path: &Path, random: &Random) -> Result<Signer> {
    let key = SigningKey::from_bytes(&random.bytes());
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
            Ok(Signer(key))
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
