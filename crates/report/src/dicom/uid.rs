//! Names that are unique in the world, and the same whenever the same result is written again.

use sha2::{Digest, Sha256};

/// Characters that a UID holds (PS3.5 9.1).
const LENGTH_MAX: usize = 64;

/// The UID of what these words name: that of its UUID (PS3.5 B.2).
pub fn uid(words: &[&str]) -> String {
    format!("2.25.{}", uuid(words))
}

/// The same name as the 128 bits of a UUID of version 8, which a digest of the words fills (RFC 9562, 5.8).
pub fn uuid(words: &[&str]) -> u128 {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0x3 << 62;
    let mut digest = Sha256::new();
    for word in words {
        // Each with its length, so that no two lists are the same text.
        digest.update((word.len() as u64).to_le_bytes());
        digest.update(word);
    }
    let digest = digest.finalize();
    let bits = digest.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    bits & !VERSION & !VARIANT | 0x8 << 76 | 0x2 << 62
}

/// Whether a text can be a UID (PS3.5, 9.1).
pub fn is_uid(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    !text.is_empty() && text.len() <= LENGTH_MAX && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_have_one_uid_and_others_another() {
        let one = uid(&["scan", "seg.dcm"]);
        assert_eq!(one, uid(&["scan", "seg.dcm"]));
        assert!(is_uid(&one), "{one}");
        for other in [["scan", "sr.dcm"], ["scans", "eg.dcm"], ["", "scanseg.dcm"]] {
            assert_ne!(one, uid(&other));
        }
    }

    #[test]
    fn what_is_no_uid_is_told() {
        for bad in ["", "1.2.x", "1.2 ", &"1".repeat(65)] {
            assert!(!is_uid(bad), "{bad}");
        }
    }
}
