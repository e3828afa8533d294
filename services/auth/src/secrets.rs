use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Random, hex};
use sha2::{Digest, Sha256};

/// 256 random bits, as text.
pub fn secret(random: &Random) -> String {
    text(&random.bytes::<32>())
}

/// `bytes` as text without anything that a URL or a shell would mind.
pub fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How a 256-bit secret is kept: SHA-256 is enough for what cannot be guessed.
///
/// Comparing two of these need not take constant time: what leaks is about a hash that nobody can steer.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// A password that can be read over the telephone: 100 random bits in five groups of four.
pub fn readable_password(random: &Random) -> String {
    // 32 letters and digits, none of which looks like another.
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let symbols = random.bytes::<20>().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    let groups: Vec<String> = symbols.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_its_sha256() {
        // FIPS 180-4's own example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), abc);
    }

    #[test]
    fn a_readable_password_has_five_groups() {
        let random = Random::new(|bytes| (0..).zip(bytes).for_each(|(n, byte)| *byte = n));
        assert_eq!(readable_password(&random), "abcd-efgh-ijkm-npqr-stuv");
    }
}
