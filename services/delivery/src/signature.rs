//! Signatures of webhooks, as the Standard Webhooks convention has them (HMAC-SHA256, `v1`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{ErrorKind, Random, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret begins with, and how many bytes it may have.
const PREFIX: &str = "whsec_";
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that nobody has had.
pub fn new_secret(random: &Random) -> String {
    format!("{PREFIX}{}", STANDARD.encode(random.bytes::<32>()))
}

/// The key that a secret is. `Invalid` for what is none.
pub fn key(secret: &str) -> Result<Vec<u8>> {
    let key = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    key.filter(|key| BYTES.contains(&key.len())).ok_or_else(|| {
        let words = "a webhook's secret is `whsec_` and 24 to 64 bytes in base64, or left out";
        ErrorKind::Invalid.error(words)
    })
}

/// The value of the header `webhook-signature`: of the message's id, the moment of sending in seconds since 1970, and the body.
pub fn signature(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|error| {
        ErrorKind::Internal.error("a webhook's secret signs nothing").because(error)
    })?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_conventions_own_example() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_could_be_guessed_or_read_otherwise_is_none() {
        assert_eq!(key(&new_secret(&Random::new(|bytes| bytes.fill(7)))).unwrap(), [7; 32]);
        for bad in ["", "secret", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert_eq!(key(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        assert!(key(&long).is_err());
    }
}
