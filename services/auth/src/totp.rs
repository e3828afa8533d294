//! One-time passwords by the clock (RFC 6238), as every authenticator app makes them: six digits, half a minute, HMAC-SHA-1.

use ring::hmac;

/// RFC 4226, section 4: 160 bits are recommended.
pub const SECRET_BYTES: usize = 20;
const STEP_MS: i64 = 30_000;
const DIGITS: usize = 6;
/// Clocks of telephones differ, and somebody types slowly.
const SKEW_STEPS: i64 = 1;
/// Whom an app shows the account to be of.
const ISSUER: &str = "medseg";

/// The step that `code` is of, among those that may be meant now and come after `last`; None: it is of none of them.
pub fn step_of(secret: &[u8], code: &str, now_ms: i64, last: i64) -> Option<i64> {
    let now = now_ms.div_euclid(STEP_MS);
    let mut found = None;
    // All are looked at, whichever it is.
    for step in now - SKEW_STEPS..=now + SKEW_STEPS {
        if crate::secrets::same(&code_at(secret, step), code) && step > last {
            found = Some(step);
        }
    }
    found
}

/// Whether that may be a code of an app, and is none for recovery.
pub fn is_code(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|sign| sign.is_ascii_digit())
}

/// RFC 4226, section 5.3.
fn code_at(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let digest = tag.as_ref();
    let offset = usize::from(digest[digest.len() - 1] & 0xf);
    let bytes = [digest[offset], digest[offset + 1], digest[offset + 2], digest[offset + 3]];
    let number = u32::from_be_bytes(bytes) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// What an app reads as an address: the account, and its secret.
pub fn address(user_name: &str, secret: &str) -> String {
    let account: String = url::form_urlencoded::byte_serialize(user_name.as_bytes()).collect();
    format!("otpauth://totp/{ISSUER}:{account}?secret={secret}&issuer={ISSUER}")
}

/// As apps read a secret: base32 (RFC 4648, section 6), without padding.
pub fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut padded = [0; 8];
        padded[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(padded);
        for sign in 0..(chunk.len() * 8).div_ceil(5) {
            let five = (bits >> (35 - 5 * sign)) & 31;
            text.push(char::from(ALPHABET[five as usize]));
        }
    }
    text
}

/// The bytes of that text; None where it is none of ours.
pub fn of_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for sign in text.bytes() {
        let five = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'2'..=b'7' => sign - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(five);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_the_standards() {
        // RFC 6238, appendix B, of which these are the last six digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_at(SECRET, second / 30), code);
            assert_eq!(step_of(SECRET, code, second * 1000, 0), Some(second / 30));
        }
    }

    #[test]
    fn a_code_is_taken_a_step_before_and_after_its_own_and_no_step_twice() {
        let at = |step: i64| step * STEP_MS;
        let code = code_at(SECRET, 100);
        for (now_ms, last, taken) in [
            (at(100), 0, true),
            (at(99), 0, true),
            (at(101), 0, true),
            (at(102) - 1, 0, true),
            (at(102), 0, false),
            (at(99) - 1, 0, false),
            (at(100), 99, true),
            (at(100), 100, false),
            (at(100), 101, false),
        ] {
            assert_eq!(step_of(SECRET, &code, now_ms, last).is_some(), taken, "{now_ms} {last}");
        }
        for none in ["", "000000000", "abcdef", &code[..5]] {
            assert_eq!(step_of(SECRET, none, at(100), 0), None, "{none}");
        }
    }

    #[test]
    fn a_secret_is_written_as_apps_read_it() {
        // RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
            assert_eq!(of_base32(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(of_base32("MZX1"), None);
        let address = address("ada@hospital.example", &base32(SECRET));
        let written = "otpauth://totp/medseg:ada%40hospital.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=medseg";
        assert_eq!(address, written);
    }
}
