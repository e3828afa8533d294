//! Keys of what is kept encrypted, and who keeps the key that all others are wrapped with.
//!
//! A port of its own, because that key is kept apart from the rows and the objects that it protects: in a file, or in Google's KMS,
//! which never hands it out.

mod file;
mod kms;
#[cfg(feature = "testsuite")]
pub mod testsuite;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Error, ErrorKind, Random, Result, hex};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use secrecy::{ExposeSecret, SecretBox};
use url::Url;

pub use file::make;

/// The length of a key: AES-256.
pub const KEY_BYTES: usize = 32;

/// What keys are derived for: each use of one key has a key of its own.
const WRAPPING: &[u8] = b"medseg wrapping 1";
const TEXT: &[u8] = b"medseg text 1";
const OBJECT: &[u8] = b"medseg object 1";

/// A secret key; cheap to clone. Nothing prints it, and its memory is wiped when the last clone goes.
#[derive(Clone)]
pub struct DataKey(Arc<SecretBox<[u8; KEY_BYTES]>>);

impl DataKey {
    /// A key that nobody has.
    pub fn drawn(random: &Random) -> DataKey {
        DataKey::of(random.bytes())
    }

    fn of(bytes: [u8; KEY_BYTES]) -> DataKey {
        DataKey(Arc::new(SecretBox::new(Box::new(bytes))))
    }

    /// Wraps `key` with this one, as a row keeps it: it opens as the key of `whose`, and of nobody else.
    pub fn wrap(&self, key: &DataKey, whose: &str, random: &Random) -> Result<String> {
        sealed(&self.derived(WRAPPING, b"")?, key.0.expose_secret(), whose, random)
    }

    /// The key of `whose` that was wrapped so. `Internal` where it was wrapped with another key, for somebody else, or altered.
    pub fn open(&self, wrapped: &str, whose: &str) -> Result<DataKey> {
        let bytes = opened(&self.derived(WRAPPING, b"")?, wrapped, whose)?;
        <[u8; KEY_BYTES]>::try_from(&bytes[..]).map(DataKey::of).map_err(|_| unopened())
    }

    /// Encrypts `text`, as a row keeps it: it is read as what is of `whose`, and of nobody else.
    pub fn seal(&self, text: &str, whose: &str, random: &Random) -> Result<String> {
        sealed(&self.derived(TEXT, b"")?, text.as_bytes(), whose, random)
    }

    /// The text of `whose` that was encrypted so. `Internal` where it was encrypted with another key, for somebody else, or altered.
    pub fn read(&self, sealed: &str, whose: &str) -> Result<String> {
        String::from_utf8(opened(&self.derived(TEXT, b"")?, sealed, whose)?).map_err(|_| unopened())
    }

    /// A digest of `text` that whoever has not the key can neither make nor try, in hexadecimal. `what` keeps those of one thing from
    /// those of another.
    pub fn digest(&self, what: &str, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret());
        let mut mac = hmac::Context::with_key(&key);
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        hex(mac.sign().as_ref())
    }

    /// The key of the one object that has drawn that salt.
    pub(crate) fn of_object(&self, salt: &str) -> Result<LessSafeKey> {
        self.derived(OBJECT, salt.as_bytes())
    }

    /// HKDF (RFC 5869).
    fn derived(&self, purpose: &[u8], salt: &[u8]) -> Result<LessSafeKey> {
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(self.0.expose_secret())
            .expand(&[purpose], &AES_256_GCM)
            .map(|key| LessSafeKey::new(UnboundKey::from(key)))
            .map_err(|_| ErrorKind::Internal.error("cannot derive a key"))
    }
}

/// `bytes` in AES-256-GCM with a nonce that is drawn, and `whose` they are.
fn sealed(key: &LessSafeKey, bytes: &[u8], whose: &str, random: &Random) -> Result<String> {
    let nonce = random.bytes::<NONCE_LEN>();
    let mut sealed = bytes.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(whose.as_bytes()),
        &mut sealed,
    )
    .map_err(|_| ErrorKind::Internal.error("cannot encrypt what a row is to keep"))?;
    Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
}

fn opened(key: &LessSafeKey, sealed: &str, whose: &str) -> Result<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| unopened())?;
    let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or_else(unopened)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unopened())?;
    let aad = Aad::from(whose.as_bytes());
    key.open_in_place(nonce, aad, sealed).map(|bytes| bytes.to_vec()).map_err(|_| unopened())
}

fn unopened() -> Error {
    ErrorKind::Internal
        .error("what a row keeps encrypted does not open: it was altered, or is another's")
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// A key that a ring has wrapped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrapped {
    /// With which key of the ring, or which version of its key.
    pub by: String,
    /// The wrapped key.
    pub text: String,
}

/// A handle to whoever keeps the key that others are wrapped with; cheap to clone.
#[derive(Clone)]
pub struct KeyRing(Arc<dyn Backend>);

/// Opens the ring at `url`: `file:///PATH`, or
/// `gcp-kms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY`.
///
/// KMS may be elsewhere than Google's (`?endpoint=http://HOST:PORT`): a private gateway, or a double.
pub async fn connect(url: &str, random: Random) -> Result<KeyRing> {
    let url =
        Url::parse(url).map_err(|error| ErrorKind::Invalid.error("bad key URL").because(error))?;
    match url.scheme() {
        "file" => file::connect(&url, random).map(KeyRing),
        "gcp-kms" => {
            crate::choose_tls();
            kms::connect(&url).map(KeyRing)
        }
        scheme => Err(ErrorKind::Invalid.error(format!(
            "no key ring `{scheme}://` is built in: use file:///… or gcp-kms://projects/…"
        ))),
    }
}

impl KeyRing {
    /// Wraps the key of `whose` with the newest key of the ring.
    pub async fn wrap(&self, key: &DataKey, whose: &str) -> Result<Wrapped> {
        self.0.wrap(key, whose).await
    }

    /// The key that was wrapped so for `whose`. `Internal` where the ring does not have the key that it was wrapped with, or it is
    /// somebody else's, or was altered; `Unavailable` where the ring does not answer.
    pub async fn open(&self, wrapped: &Wrapped, whose: &str) -> Result<DataKey> {
        self.0.open(wrapped, whose).await
    }
}

/// An adapter to one kind of ring.
#[async_trait]
trait Backend: Send + Sync + 'static {
    async fn wrap(&self, key: &DataKey, whose: &str) -> Result<Wrapped>;
    async fn open(&self, wrapped: &Wrapped, whose: &str) -> Result<DataKey>;
}

fn invalid(why: impl fmt::Display) -> Error {
    ErrorKind::Invalid.error(format!("bad key URL: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another byte each time.
    fn random() -> Random {
        let next = std::sync::atomic::AtomicU8::new(0);
        Random::new(move |bytes| {
            bytes.fill(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        })
    }

    #[test]
    fn a_wrapped_key_opens_for_whom_it_was_wrapped_with_the_same_key_alone() {
        let random = random();
        let [ours, theirs, key] = [(); 3].map(|()| DataKey::drawn(&random));
        let wrapped = ours.wrap(&key, "a patient", &random).unwrap();
        assert_eq!(
            ours.open(&wrapped, "a patient").unwrap().0.expose_secret(),
            key.0.expose_secret()
        );
        assert!(ours.open(&wrapped, "another").is_err());
        assert!(theirs.open(&wrapped, "a patient").is_err());
        for damaged in ["", "AA", &wrapped[1..], &format!("{wrapped}AAAA")] {
            assert!(ours.open(damaged, "a patient").is_err(), "{damaged}");
        }
        assert_ne!(ours.wrap(&key, "a patient", &random).unwrap(), wrapped);
        let sealed = ours.seal("Doe^Jane", "a scan", &random).unwrap();
        assert!(!sealed.contains("Doe"));
        assert_eq!(ours.read(&sealed, "a scan").unwrap(), "Doe^Jane");
        assert!(ours.read(&sealed, "another").is_err() && theirs.read(&sealed, "a scan").is_err());
        // Each use has a key of its own.
        assert!(ours.read(&wrapped, "a patient").is_err());
    }

    #[test]
    fn a_digest_is_of_one_key_and_of_one_thing() {
        let random = random();
        let [ours, theirs] = [(); 2].map(|()| DataKey::drawn(&random));
        let digest = ours.digest("patient", "4711");
        assert_eq!((digest.len(), &digest), (64, &ours.digest("patient", "4711")));
        assert_ne!(digest, theirs.digest("patient", "4711"));
        assert_ne!(digest, ours.digest("study", "4711"));
        assert_eq!(format!("{ours:?}"), "DataKey(…)");
    }
}
