//! What strangers' browsers say of keys, read as an account's page and a sign-in read it: for whoever bends it until something breaks.

use domain::UserId;
use url::Url;

use super::{Answered, Credential, Made, RelyingParty};

/// What was made of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Read {
    /// They are what a browser says of a key that it has made, or that has answered.
    pub is_answer: bool,
    /// And a key was taken, or its answer, though nobody had asked that.
    pub is_believed: bool,
}

/// Reads those bytes as the answer to questions that were never put.
pub fn read_of_strangers(bytes: &[u8]) -> Read {
    std::str::from_utf8(bytes).ok().and_then(read).unwrap_or_default()
}

/// None where nothing can be asked.
fn read(json: &str) -> Option<Read> {
    let page = Url::parse("https://medseg.hospital.example").ok()?;
    let (party, user) = (RelyingParty::of(&page)?, user()?);
    let (mut is_answer, mut is_believed) = (false, false);
    if let Some(made) = Made::of_json(json) {
        let asked = party.ask_to_make(user, "ada", &[]).ok()?;
        is_answer = made.challenge().is_some();
        is_believed = party.made(&asked.ceremony, &made).is_ok();
    }
    if let Some(answered) = Answered::of_json(json) {
        // Whichever it says that it is.
        let key = key_called(answered.credential());
        let asked = party.ask_to_show(std::slice::from_ref(&key)).ok()?;
        is_answer |= answered.challenge().is_some();
        is_believed |= party.shown(&asked.ceremony, user, &key, &answered).is_ok();
    }
    Some(Read { is_answer, is_believed })
}

fn user() -> Option<UserId> {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().ok()
}

/// A key of Ed25519 (RFC 8032, 7.1, test 1) that has never answered, as rows keep it.
fn key_called(id: Vec<u8>) -> Credential {
    const PUBLIC_KEY: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ];
    let public_key = [&[0][..], &PUBLIC_KEY, &[0, 0]].concat();
    Credential { id, public_key, state: [0; 7], transports: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_asked_is_read_to_its_end_and_not_believed() {
        let page = Url::parse("https://medseg.hospital.example").unwrap();
        let party = RelyingParty::of(&page).unwrap();
        let key = key_called(vec![7; 32]);
        let asked = party.ask_to_show(std::slice::from_ref(&key)).unwrap();
        // What the row of a key says is understood: it is the answer that is not.
        let answer = r#"{"id":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","rawId":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
            "type":"public-key","clientExtensionResults":{},"response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA"}}"#;
        let answered = Answered::of_json(answer).unwrap();
        let why = party.shown(&asked.ceremony, user().unwrap(), &key, &answered).unwrap_err();
        assert!(!why.contains("decod"), "{why}");
        assert_eq!(read_of_strangers(b"{}"), Read::default());
    }
}
