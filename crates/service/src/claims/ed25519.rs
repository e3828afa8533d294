//! What `jsonwebtoken` signs and verifies with: Ed25519 (RFC 8032, RFC 8037) and no other algorithm.
//!
//! The crate's own backends bring RSA and would verify less strictly: signatures that fit several messages, and a panic at
//! a short key.

use std::sync::Once;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Sets of keys are read by `keys.rs`.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes this the process's only cryptography of tokens; to be called before each use.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        PROVIDER.install_default().expect("nothing but this module chooses a provider");
    });
}

struct Signing(SigningKey);

struct Verifying(VerifyingKey);

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    let seed = raw(*algorithm, key.family(), key.as_bytes())?;
    Ok(Box::new(Signing(SigningKey::from_bytes(&seed))))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    let point = raw(*algorithm, key.family(), key.try_get_as_bytes()?)?;
    let key = VerifyingKey::from_bytes(&point).map_err(|_| ErrorKind::InvalidEddsaKey)?;
    if key.is_weak() {
        return Err(ErrorKind::InvalidEddsaKey.into());
    }
    Ok(Box::new(Verifying(key)))
}

/// The key's 32 bytes, as RFC 8032 has them.
fn raw(algorithm: Algorithm, family: AlgorithmFamily, key: &[u8]) -> Result<[u8; 32]> {
    if algorithm != Algorithm::EdDSA || family != AlgorithmFamily::Ed {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(key.try_into().map_err(|_| ErrorKind::InvalidEddsaKey)?)
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        self.0.verify_strict(message, &Signature::from_slice(signature)?)
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: [Algorithm; 11] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
    ];

    #[test]
    fn every_other_algorithm_is_refused() {
        let (signing, verifying) = (EncodingKey::from_ed_der(&[7; 32]), public([7; 32]));
        assert!(signer(&Algorithm::EdDSA, &signing).is_ok());
        assert!(verifier(&Algorithm::EdDSA, &verifying).is_ok());
        for other in OTHERS {
            assert!(signer(&other, &signing).is_err(), "{other:?}");
            assert!(verifier(&other, &verifying).is_err(), "{other:?}");
        }
        assert!(signer(&Algorithm::EdDSA, &EncodingKey::from_secret(&[7; 32])).is_err());
        assert!(verifier(&Algorithm::EdDSA, &DecodingKey::from_secret(&[7; 32])).is_err());
    }

    #[test]
    fn a_short_long_or_weak_key_is_refused() {
        for key in [&[] as &[u8], &[7; 31], &[7; 33], &[0; 32]] {
            assert!(verifier(&Algorithm::EdDSA, &DecodingKey::from_ed_der(key)).is_err());
        }
        assert!(signer(&Algorithm::EdDSA, &EncodingKey::from_ed_der(&[7; 31])).is_err());
    }

    fn public(seed: [u8; 32]) -> DecodingKey {
        DecodingKey::from_ed_der(SigningKey::from_bytes(&seed).verifying_key().as_bytes())
    }
}
