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
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret))
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
pub fn same(one: &str, other: &str) -> bool {
    let differing = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differing) == 0 && one.len() == other.len()
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
    fn hashes_are_the_same_when_each_sign_is() {
        for (one, other, equal) in [
            ("ab", "ab", true),
            ("ab", "aa", false),
            ("ab", "abc", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(same(one, other), equal, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_readable_password_has_five_groups() {
        let random = Random::new(|bytes| (0..).zip(bytes).for_each(|(n, byte)| *byte = n));
        assert_eq!(readable_password(&random), "abcd-efgh-ijkm-npqr-stuv");
    }

    #[test]
    fn a_readable_password_has_no_signs_that_look_alike_and_draws_each_as_often() {
        let mut counts = std::collections::BTreeMap::<char, u32>::new();
        for drawn in 0..=u8::MAX {
            let password = readable_password(&Random::new(move |bytes| bytes.fill(drawn)));
            *counts.entry(password.chars().next().unwrap()).or_default() += 1;
        }
        assert!(!counts.keys().any(|sign| "0O1lIo-".contains(*sign)), "{counts:?}");
        assert!(counts.len() == 32 && counts.values().all(|count| *count == 8), "{counts:?}");
    }

    #[test]
    fn a_secret_is_all_of_its_bits_in_signs_that_no_url_escapes() {
        let secret_of = |drawn: u8| secret(&Random::new(move |bytes| bytes.fill(drawn)));
        // RFC 4648, section 5, without padding: 32 bytes are 43 signs, the last with two bits of nought.
        assert_eq!(secret_of(0x00), "A".repeat(43));
        assert_eq!(secret_of(0xff), "_".repeat(42) + "8");
    }
}
