//! A security key, as browsers bring them, with the browser that stands before it (WebAuthn Level 3, CTAP 2.1).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Somebody was there.
const USER_PRESENT: u8 = 1;
/// A key comes with it.
const ATTESTED: u8 = 0x40;

#[derive(Clone)]
pub struct Authenticator {
    pub pair: Arc<Pair>,
    pub credential: Vec<u8>,
    /// Of the signatures so far.
    pub counter: u32,
    /// Where the browser is.
    pub origin: String,
    /// Which page's key it says that it is.
    pub rp_id: String,
    /// As the page has called its user.
    pub user: Value,
}

pub enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl Authenticator {
    pub fn ed25519(number: u8) -> Authenticator {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap();
        Authenticator::of(Pair::Ed25519(pair), number)
    }

    pub fn p256(number: u8) -> Authenticator {
        Authenticator::of(ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING), number)
    }

    pub fn p384(number: u8) -> Authenticator {
        Authenticator::of(ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING), number)
    }

    fn of(pair: Pair, number: u8) -> Authenticator {
        Authenticator {
            pair: Arc::new(pair),
            credential: vec![number; 32],
            counter: 0,
            origin: "https://medseg.hospital.example".into(),
            rp_id: "medseg.hospital.example".into(),
            user: Value::Null,
        }
    }

    /// `navigator.credentials.create`, as JSON.
    pub fn create(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        self.user = options["user"]["id"].clone();
        let client = self.client_data("webauthn.create", &options);
        let mut data = self.data(USER_PRESENT | ATTESTED);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential.len()).unwrap().to_be_bytes());
        data.extend(&self.credential);
        data.extend(self.public_key());
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(u8::try_from(data.len()).unwrap());
        attestation.extend(&data);
        self.answer(json!({
            "clientDataJSON": text(&client), "authenticatorData": text(&data),
            "attestationObject": text(&attestation), "transports": ["usb"],
        }))
    }

    /// `navigator.credentials.get`, as JSON.
    pub fn get(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        let client = self.client_data("webauthn.get", &options);
        self.counter += 1;
        let data = self.data(USER_PRESENT);
        let signed = [data.as_slice(), &Sha256::digest(&client)].concat();
        let signature = match &*self.pair {
            Pair::Ed25519(pair) => pair.sign(&signed).as_ref().to_vec(),
            Pair::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), &signed).unwrap().as_ref().to_vec()
            }
        };
        self.answer(json!({
            "clientDataJSON": text(&client), "authenticatorData": text(&data),
            "signature": text(&signature), "userHandle": self.user,
        }))
    }

    fn answer(&self, response: Value) -> String {
        let id = text(&self.credential);
        json!({
            "id": id, "rawId": id, "type": "public-key", "authenticatorAttachment": "cross-platform",
            "response": response, "clientExtensionResults": {},
        })
        .to_string()
    }

    /// In the order that section 5.8.1.1 gives.
    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let (challenge, origin) = (&options["challenge"], &self.origin);
        format!(
            r#"{{"type":"{kind}","challenge":{challenge},"origin":"{origin}","crossOrigin":false}}"#
        )
        .into_bytes()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(&self.rp_id).to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// As COSE writes it (RFC 9053, section 7), in CTAP's canonical CBOR.
    fn public_key(&self) -> Vec<u8> {
        match &*self.pair {
            Pair::Ed25519(pair) => {
                let mut key = b"\xa4\x01\x01\x03\x27\x20\x06\x21\x58\x20".to_vec();
                key.extend(pair.public_key().as_ref());
                key
            }
            Pair::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let (mut key, length): (Vec<u8>, u8) = match x.len() {
                    32 => (b"\xa5\x01\x02\x03\x26\x20\x01".to_vec(), 32),
                    _ => (b"\xa5\x01\x02\x03\x38\x22\x20\x02".to_vec(), 48),
                };
                for (name, coordinate) in [(0x21, x), (0x22, y)] {
                    key.extend([name, 0x58, length]);
                    key.extend(coordinate);
                }
                key
            }
        }
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Pair {
    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap())
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
