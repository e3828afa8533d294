//! The verifier by hand that `jsonwebtoken` replaced, kept to compare with: no token may be taken now that it refused.

use ed25519_dalek::Signature;
use getrandom::fill;
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_790_000_000;
const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn by_hand(token: &str, key: &VerifyingKey, key_id: &str) -> Result<Claims> {
    if token.len() > MAX_LENGTH {
        return Err(invalid_token("it is too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(|| invalid_token("no parts"))?;
    let (header, payload) = message.split_once('.').ok_or_else(|| invalid_token("two parts"))?;
    let header: Header = read(header)?;
    if (&*header.alg, &*header.typ, &*header.kid) != (ALGORITHM, TYPE, key_id) {
        return Err(invalid_token("another type, algorithm or key"));
    }
    let signature = Signature::from_slice(&decode(signature)?).map_err(invalid_token)?;
    key.verify_strict(message.as_bytes(), &signature).map_err(invalid_token)?;
    let payload: Payload = read(payload)?;
    payload.is_for_us_at(NOW, 0)?;
    payload.claims()
}

fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T> {
    serde_json::from_slice(&decode(part)?).map_err(invalid_token)
}

fn by_library(token: &str, key: &VerifyingKey, key_id: &str) -> Result<Claims> {
    let token = Unverified::parse(token)?;
    if token.key_id != key_id {
        return Err(invalid_token("another key"));
    }
    token.verify(key, "", NOW * 1000, 0)
}

#[test]
fn no_mutant_is_taken_that_was_refused() {
    let key = SigningKey::generate(&crate::system_random());
    let public = key.public();
    let mut dice = Dice::default();
    let (mut taken, mut dropped) = (0, 0);
    for number in 0..100_000 {
        let token = mutant(&key, &mut dice);
        let [now, before] =
            [by_library(&token, &public, key.id()), by_hand(&token, &public, key.id())];
        match (now, before) {
            (Ok(now), Ok(before)) => {
                assert_eq!(now, before, "{number}: {token}");
                taken += 1;
            }
            (Ok(_), Err(why)) => panic!("{number}: {token} was refused: {why}"),
            (Err(_), Ok(_)) => dropped += 1,
            (Err(_), Err(_)) => (),
        }
    }
    // Otherwise it compared refusals only.
    assert!(taken > 1_000, "{taken} of the mutants were sound");
    // Arrays for objects.
    assert!(dropped > 10, "{dropped} are refused now that were taken");
}

/// A token with something bent in header, claims or text; soundly signed for two in three.
fn mutant(key: &SigningKey, dice: &mut Dice) -> String {
    let mut header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": key.id()});
    let mut payload = json!({
        "iss": "medseg/auth", "aud": "medseg", "sub": "tester", "tenant": TENANT,
        "roles": ["clinician"], "iat": NOW, "nbf": NOW, "exp": NOW + LIFETIME_S,
    });
    match dice.below(8) {
        0 => bend(&mut header, dice),
        1..4 => bend(&mut payload, dice),
        _ => (),
    }
    let mut texts = [header.to_string(), payload.to_string()];
    match dice.below(8) {
        // serde writes objects sorted by name or in order; an array of a struct's values is in the struct's.
        0 => texts[0] = json!([header["alg"], header["typ"], header["kid"]]).to_string(),
        1 => {
            let names = ["iss", "aud", "sub", "tenant", "roles", "iat", "nbf", "exp"];
            texts[1] = Value::from_iter(names.map(|name| payload[name].clone())).to_string();
        }
        2 => {
            let text = &mut texts[dice.below(2)];
            flip(text, dice);
        }
        _ => (),
    }
    let [header, payload] = texts;
    let mut token = key.sign_parts(&header, &payload);
    if dice.below(3) == 0 {
        flip(&mut token, dice);
    }
    token
}

/// Replaces, adds or drops one member.
fn bend(object: &mut Value, dice: &mut Dice) {
    let Value::Object(members) = object else { return };
    let names: Vec<String> = members.keys().cloned().collect();
    let name = names[dice.below(names.len())].clone();
    let values = [
        json!(null),
        json!(NOW),
        json!(NOW + 300),
        json!(NOW - 400),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("medseg"),
        json!(["medseg"]),
        json!(["admin", "scientist"]),
        json!([]),
        json!({}),
        json!("HS256"),
        json!(TENANT),
    ];
    match dice.below(3) {
        0 => drop(members.remove(&name)),
        1 => drop(members.insert(name, values[dice.below(values.len())].clone())),
        _ => {
            let more = ["jku", "jwk", "crit", "zip", "b64", "jti", "azp", "EXP"];
            let value = values[dice.below(values.len())].clone();
            members.insert(more[dice.below(more.len())].to_owned(), value);
        }
    }
}

/// Drops, doubles or replaces one character.
fn flip(text: &mut String, dice: &mut Dice) {
    let letters: Vec<char> = text.chars().collect();
    let at = dice.below(letters.len());
    let mut bent = letters.clone();
    match dice.below(3) {
        0 => drop(bent.remove(at)),
        1 => bent.insert(at, letters[at]),
        _ => bent[at] = ['.', '=', 'A', '_', '"', '{', ' '][dice.below(7)],
    }
    *text = bent.into_iter().collect();
}

#[derive(Default)]
struct Dice(Vec<u8>);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        if self.0.is_empty() {
            self.0 = vec![0; 4096];
            fill(&mut self.0).unwrap();
        }
        usize::from(self.0.pop().unwrap()) % count
    }
}

#[test]
fn arrays_are_no_headers_and_no_claims() {
    let key = SigningKey::generate(&crate::system_random());
    let public = key.public();
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": key.id()}).to_string();
    let payload =
        json!(["medseg/auth", "medseg", "tester", TENANT, ["clinician"], NOW, NOW, NOW + 60]);
    let token = key.sign_parts(&header, &payload.to_string());
    assert!(by_hand(&token, &public, key.id()).is_ok(), "a mutant that shows the difference");
    assert!(by_library(&token, &public, key.id()).is_err());
}
