use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Error, ErrorKind, Random, Result};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// More keys than rotation ever needs.
const MAX_KEYS: usize = 8;

/// What statements about results are signed for.
pub const RESULT_PURPOSE: &str = "medseg-result-1";

/// What receipts of erasures are signed for: none passes for a result.
pub const ERASURE_PURPOSE: &str = "medseg-erasure-1";

/// What anchors of the audit trail are signed for.
pub const ANCHOR_PURPOSE: &str = "medseg-anchor-1";

/// The private key that access tokens are signed with: Ed25519 (RFC 8032), the only algorithm.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    id: String,
}

impl SigningKey {
    /// A new key.
    pub fn generate(random: &Random) -> SigningKey {
        SigningKey::new(ed25519_dalek::SigningKey::from_bytes(&random.bytes()))
    }

    /// Reads a PKCS#8 PEM, such as `openssl genpkey -algorithm ed25519` writes.
    pub fn from_pem(pem: &str) -> Result<SigningKey> {
        // The cause is dropped on purpose: a parser's message may quote what it read.
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
            .map_err(|_| ErrorKind::Invalid.error("the signing key is no Ed25519 key in PEM"))?;
        Ok(SigningKey::new(key))
    }

    /// The key as PKCS#8 PEM. A secret.
    pub fn to_pem(&self) -> Result<String> {
        // Without the public half: with it the form is version 2 (RFC 5958), which OpenSSL 3.0 cannot read.
        let key = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        let pem = key.to_pkcs8_pem(LineEnding::LF);
        let pem =
            pem.map_err(|error| ErrorKind::Internal.error("cannot write a key").because(error))?;
        Ok(pem.to_string())
    }

    fn new(key: ed25519_dalek::SigningKey) -> SigningKey {
        let id = thumbprint(&key.verifying_key());
        SigningKey { key, id }
    }

    /// The key's `kid`: its JWK thumbprint (RFC 7638), so that equal keys have equal ids.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half, as a JWK (RFC 8037).
    pub fn public_jwk(&self) -> Value {
        let x = encode(self.key.verifying_key().as_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": x})
    }

    /// The key itself, 32 bytes. A secret.
    pub(super) fn seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The 64-byte signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    /// The 64-byte signature of a statement that is no token, made for `purpose`: of another purpose, or as a token, it is none.
    ///
    /// `purpose` ends in a NUL, which no token contains.
    pub fn sign_statement(&self, purpose: &str, statement: &[u8]) -> [u8; 64] {
        self.sign(&stated(purpose, statement))
    }

    /// A secret that follows from `input` and can be computed only by who holds this key.
    ///
    /// Ed25519 signatures are deterministic; `purpose` ends in a NUL, which no token contains.
    pub fn derive(&self, purpose: &str, input: &[u8]) -> [u8; 32] {
        let message = [purpose.as_bytes(), b"\0", input].concat();
        Sha256::digest(self.sign(&message)).into()
    }
}

/// The public keys that tokens may be signed with, by `kid`.
pub struct PublicKeys(HashMap<String, VerifyingKey>);

impl PublicKeys {
    /// Reads a JWK set (RFC 7517).
    ///
    /// Keys for other algorithms are passed over, as the standard has it; a set in which two keys
    /// share an id, or with none that we could use, is refused as a whole.
    pub fn from_jwks(json: &str) -> Result<PublicKeys> {
        let bad = || ErrorKind::Internal.error("auth's key set is not valid");
        let set: JwkSet = serde_json::from_str(json).map_err(|error| bad().because(error))?;
        let mut keys = HashMap::new();
        for jwk in set.keys.into_iter().filter(Jwk::is_ours) {
            let (id, key) = jwk.read().ok_or_else(bad)?;
            if keys.insert(id, key).is_some() {
                return Err(bad().because("two keys have the same id"));
            }
        }
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(bad().because("it has no key, or too many"));
        }
        Ok(PublicKeys(keys))
    }

    /// Whether the key of that id has signed the statement for `purpose`
    /// ([`sign_statement`](SigningKey::sign_statement)); also where there is no such key, it has not.
    pub fn have_signed(
        &self,
        id: &str,
        purpose: &str,
        statement: &[u8],
        signature: &[u8; 64],
    ) -> bool {
        let signature = Signature::from_bytes(signature);
        let fits =
            |key: &VerifyingKey| key.verify_strict(&stated(purpose, statement), &signature).is_ok();
        self.get(id).is_some_and(fits)
    }

    pub(super) fn get(&self, id: &str) -> Option<&VerifyingKey> {
        self.0.get(id)
    }
}

fn stated(purpose: &str, statement: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), b"\0", statement].concat()
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    x: Option<String>,
}

impl Jwk {
    fn is_ours(&self) -> bool {
        self.kty == "OKP"
            && self.crv.as_deref() == Some("Ed25519")
            && self.alg.as_deref() == Some("EdDSA")
    }

    fn read(self) -> Option<(String, VerifyingKey)> {
        let x: [u8; 32] = decode(&self.x?).ok()?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&x).ok()?;
        // A weak key has signatures that fit many messages.
        (!key.is_weak()).then_some((self.kid?, key))
    }
}

#[cfg(any(test, feature = "testing"))]
impl SigningKey {
    /// Whatever header and payload, soundly signed; to forge with.
    pub(super) fn sign_parts(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let signature = encode(&self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    #[cfg(test)]
    pub(super) fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }
}

fn thumbprint(key: &VerifyingKey) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(key.as_bytes()));
    encode(&Sha256::digest(canonical))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| ErrorKind::Unauthenticated.error("not base64url").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_signed_by_one_key_for_one_purpose() {
        let random = crate::system_random();
        let [key, other] = [(); 2].map(|()| SigningKey::generate(&random));
        let keys = json!({ "keys": [key.public_jwk(), other.public_jwk()] }).to_string();
        let keys = PublicKeys::from_jwks(&keys).unwrap();
        let signature = key.sign_statement("result", b"it is so");
        assert!(keys.have_signed(key.id(), "result", b"it is so", &signature));
        for (id, purpose, statement) in [
            (other.id(), "result", &b"it is so"[..]),
            ("nobody", "result", &b"it is so"[..]),
            (key.id(), "model", &b"it is so"[..]),
            (key.id(), "result", &b"it is not so"[..]),
            (key.id(), "resul", &b"t\0it is so"[..]),
        ] {
            assert!(!keys.have_signed(id, purpose, statement, &signature), "{id} {purpose}");
        }
    }

    #[test]
    fn the_key_id_is_the_standards_thumbprint() {
        // RFC 8037, appendix A.3.
        let x = decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = VerifyingKey::from_bytes(&x.try_into().unwrap()).unwrap();
        assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = SigningKey::generate(&Random::new(|bytes| bytes.fill(7)));
        let read = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!((read.id(), read.sign(b"same")), (key.id(), key.sign(b"same")));
        // As RFC 8410 writes it (section 10.3): a PrivateKeyInfo of version 0.
        let pem = key.to_pem().unwrap();
        let body = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
        assert_eq!((der.len(), &der[..5]), (48, &[0x30, 46, 2, 1, 0][..]));
    }

    #[test]
    fn a_set_with_two_keys_of_one_id_is_refused() {
        let [mut one, two] = [7, 8].map(|fill| {
            SigningKey::generate(&Random::new(move |bytes| bytes.fill(fill))).public_jwk()
        });
        let both = json!({"keys": [one, two]}).to_string();
        assert_eq!(PublicKeys::from_jwks(&both).unwrap().0.len(), 2);
        one["kid"] = two["kid"].clone();
        assert!(PublicKeys::from_jwks(&json!({"keys": [one, two]}).to_string()).is_err());
    }

    #[test]
    fn a_weak_or_foreign_key_is_never_used() {
        let weak = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "w", "x": encode(&[0; 32])});
        let foreign = json!({"kty": "oct", "alg": "HS256", "kid": "h", "k": "AAAA"});
        for key in [weak, foreign] {
            assert!(PublicKeys::from_jwks(&json!({"keys": [key]}).to_string()).is_err());
        }
    }
}
