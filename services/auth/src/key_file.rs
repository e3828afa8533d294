use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use domain::{ErrorKind, Random, Result};
use durable::{Draft, flush_folder, folder_of};
use serde_json::json;
use service::claims::{PublicKeys, SigningKey};

/// The key that signs, and the public halves of all whose tokens are valid.
pub struct Keys {
    pub signing: Arc<SigningKey>,
    /// The one that was used before, where it is named.
    pub previous: Option<SigningKey>,
    pub public: PublicKeys,
    pub jwks: String,
}

impl Keys {
    /// Reads the keys, making the one that signs when it is absent.
    pub fn open(signing: &Path, previous: Option<&Path>, random: &Random) -> Result<Keys> {
        let signing = match read(signing)? {
            Some(key) => key,
            None => create(signing, random)?,
        };
        let missing = |path: &Path| {
            ErrorKind::Invalid.error(format!("there is no previous key at {}", path.display()))
        };
        let previous = match previous {
            Some(path) => Some(read(path)?.ok_or_else(|| missing(path))?),
            None => None,
        };
        // A rotation that forgot to change the key is no reason to refuse to start.
        let previous = previous.filter(|previous| previous.id() != signing.id());
        let keys: Vec<_> =
            std::iter::once(&signing).chain(&previous).map(SigningKey::public_jwk).collect();
        let jwks = json!({ "keys": keys }).to_string();
        let public = PublicKeys::from_jwks(&jwks)?;
        Ok(Keys { signing: Arc::new(signing), previous, public, jwks })
    }
}

fn read(path: &Path) -> Result<Option<SigningKey>> {
    match fs::read_to_string(path) {
        Ok(pem) => {
            tell_of_open(path);
            SigningKey::from_pem(&pem).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ErrorKind::Invalid
            .error(format!("cannot read the signing key at {}", path.display()))
            .because(error)),
    }
}

/// Warns of a key that every user of the machine can read: whoever has it can be anybody.
fn tell_of_open(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |about| about.permissions().mode());
    if mode & 0o007 != 0 {
        let path = path.display();
        tracing::warn!(file = %path, "everybody on this machine can read the signing key: chmod 600 it");
    }
}

/// Makes the file whole or not at all, and never replaces one that another process has just made.
fn create(path: &Path, random: &Random) -> Result<SigningKey> {
    let key = SigningKey::generate(random);
    match write(path, &key.to_pem()?) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| ErrorKind::Unavailable.error("the signing key came and went"))
        }
        written => {
            written.and_then(|()| flush_folder(folder_of(path))).map_err(|error| {
                ErrorKind::Invalid
                    .error(format!("cannot make a signing key at {}", path.display()))
                    .because(error)
            })?;
            tracing::info!(key.id = key.id(), "made a signing key");
            Ok(key)
        }
    }
}

fn write(path: &Path, pem: &str) -> io::Result<()> {
    let mut draft = Draft::private(path)?;
    draft.write_all(pem.as_bytes())?;
    draft.finish()?.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        let random = service::system_random();
        let made = Keys::open(&path, None, &random).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let again = Keys::open(&path, None, &random).unwrap();
        assert_eq!((mode, again.jwks), (0o600, made.jwks));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a draft was left behind");
    }

    #[test]
    fn a_second_process_takes_the_key_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        let random = service::system_random();
        let first = create(&path, &random).unwrap();
        assert_eq!(create(&path, &random).unwrap().id(), first.id());
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        fs::write(&path, "").unwrap();
        assert!(Keys::open(&path, None, &service::system_random()).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_key_that_was_used_before_is_published_after_the_one_that_signs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let random = service::system_random();
        let ids = |keys: &Keys| -> Vec<String> {
            let jwks: serde_json::Value = serde_json::from_str(&keys.jwks).unwrap();
            let keys = jwks["keys"].as_array().unwrap().iter();
            keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        let before = Keys::open(&at("before.pem"), None, &random).unwrap();
        let after = Keys::open(&at("after.pem"), Some(&at("before.pem")), &random).unwrap();
        assert_eq!(ids(&after), [after.signing.id(), before.signing.id()]);
        // A rotation that forgot to change the key.
        let same = Keys::open(&at("before.pem"), Some(&at("before.pem")), &random).unwrap();
        assert_eq!(ids(&same), [before.signing.id()]);
    }

    #[test]
    fn a_previous_key_that_is_missing_and_a_key_that_is_no_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (path, gone) = (folder.path().join("signing.pem"), folder.path().join("gone.pem"));
        let refused = |signing: &Path, previous: Option<&Path>| {
            let error = Keys::open(signing, previous, &service::system_random()).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            error.to_string()
        };
        let why = refused(&path, Some(&gone));
        assert!(why.contains("no previous key at") && why.contains("gone.pem"), "{why}");
        assert!(!gone.try_exists().unwrap(), "a previous key is never made");
        let why = refused(folder.path(), None);
        assert!(why.contains("cannot read the signing key at"), "{why}");
        let why = refused(&folder.path().join("nowhere/signing.pem"), None);
        assert!(why.contains("cannot make a signing key at"), "{why}");
    }
}
