//! Signatures of others' tokens (RFC 7515), by the keys that they publish (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 32 * 1024;
/// The keys of one provider that are kept.
const KEYS_MAX: usize = 64;

/// How a provider may sign. What is not here is not verified: no `none`, and nothing whose key is a shared secret.
#[derive(Clone, Copy, Debug, Deserialize, EnumString, Eq, IntoStaticStr, PartialEq, Serialize)]
pub enum Algorithm {
    RS256,
    ES256,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Why a token is not believed.
#[derive(Debug, Eq, PartialEq)]
pub enum Refused {
    /// It names a key that is not there: the provider may have another one now.
    UnknownKey,
    Because(&'static str),
}

/// The public keys of a provider that can be used here.
#[derive(Default)]
pub struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    public: Public,
}

enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point, uncompressed.
    P256(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl KeySet {
    /// Reads a JWK set. Keys of other kinds, and for other uses, are passed over, as the standard has it.
    pub fn parse(json: &[u8]) -> Option<KeySet> {
        let set: Jwks = serde_json::from_slice(json).ok()?;
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Some(KeySet(jwks.filter_map(Jwk::read).take(KEYS_MAX).collect()))
    }

    /// The keys that a token may mean which names that one, or none.
    fn meant(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&Key> {
        let fits = |key: &&Key| {
            key.public.algorithm() == algorithm && (id.is_none() || key.id.as_deref() == id)
        };
        self.0.iter().filter(fits).collect()
    }
}

impl Jwk {
    fn read(self) -> Option<Key> {
        if self.r#use.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let public = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Public::Rsa { n: number(&self.n?)?, e: number(&self.e?)? },
            ("EC", Some("P-256")) => Public::P256(point(&self.x?, &self.y?)?),
            _ => return None,
        };
        let named = self.alg.as_deref();
        let fits = named.is_none_or(|named| named == public.algorithm().name());
        fits.then_some(Key { id: self.kid, public })
    }
}

impl Public {
    /// Said by the kind of key, and by nothing that a token says.
    fn algorithm(&self) -> Algorithm {
        match self {
            Public::Rsa { .. } => Algorithm::RS256,
            Public::P256(_) => Algorithm::ES256,
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Public::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Public::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(message, signature)
                .is_ok(),
        }
    }
}

/// What `token` says, if one of `keys` has signed it by one of the algorithms that are `allowed`.
pub fn verified(token: &str, allowed: &[Algorithm], keys: &KeySet) -> Result<Value, Refused> {
    let bad = Refused::Because;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(bad("it is too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(bad("it is no signed token"))?;
    let (header, payload) = message.split_once('.').ok_or(bad("it is no signed token"))?;
    let header: Header = json(header).ok_or(bad("its header cannot be read"))?;
    if header.crit.is_some() {
        return Err(bad("its header asks for what is not known here"));
    }
    let algorithm = allowed.iter().copied().find(|allowed| allowed.name() == header.alg);
    let algorithm = algorithm.ok_or(bad("it is signed by an algorithm that is not allowed"))?;
    let signature = decoded(signature).ok_or(bad("its signature cannot be read"))?;
    let keys = match (keys.meant(header.kid.as_deref(), algorithm), &header.kid) {
        (keys, Some(_)) if keys.is_empty() => return Err(Refused::UnknownKey),
        // Without a name the key must be plain (Core 1.0, section 10.1).
        (keys, None) if keys.len() != 1 => {
            return Err(bad("it does not say which key has signed it"));
        }
        (keys, _) => keys,
    };
    if !keys.iter().any(|key| key.public.has_signed(message.as_bytes(), &signature)) {
        return Err(bad("its signature is wrong"));
    }
    json(payload).filter(Value::is_object).ok_or(bad("what it says cannot be read"))
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&decoded(part)?).ok()
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// A number without leading zeros, which some providers write.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = decoded(text)?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}

fn point(x: &str, y: &str) -> Option<Vec<u8>> {
    let (x, y) = (decoded(x)?, decoded(y)?);
    (x.len() == 32 && y.len() == 32).then(|| [&[4][..], &x, &y].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 7515, appendix A.3: ES256.
    const KEY: (&str, &str) = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    );
    const TOKEN: &str = concat!(
        "eyJhbGciOiJFUzI1NiJ9.",
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );

    /// Made with openssl, and the modulus of a key that nobody has kept.
    const RSA_TOKEN: &str = concat!(
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UifQ.",
        "VIuxdIqfcvG-urIpVu11x4KA-MWERY-eQdD22tVl81Ttr7TK0fKfNXCBIm6n7pLVBBpYMA9jA2G81bhdhSC_GkINcCY-aPv00Fn4",
        "Jz9M4bicSiC7BhMIKCRjquqmFJpOxAxmHtAY4FBGAq985LLabDHOdcqHa92yed2jqYWDC1u_fSX0eUJvKUGb49YqMFP6wZd2SQlc",
        "2FM7R4X8m0LDUs7TxWx8A6pn3u_enI-GjGcg5SEAEf_xxE7tYreA-NL5HBhieJLmGcRIwcFRD2BNeovVWkLCjW_o1XRLlM1tvUj6",
        "PIfIdQSCntGmNqSW_IglJU1E7NMebaD3ZU4qvLls0w"
    );
    const MODULUS: &str = concat!(
        "8bzZOUiSHuQaonCP2bKY_reNCNQ50qyFXLc7Tc-NT5NWNtYwCRz0DfXFHAJB0Q8e4yeIQQat6ObNEqVvu9HBUl2ze7HkWQUGLO2_",
        "8Wp7k1EuneWbY4in9m8abLa4n82LuP8AlvtzDB3Tsn4cQxKwAcbJWjUeeKG1_h0ArBHidJh5W78BY6yBYzXdV7em5R8nCt7b2GZF",
        "4w-Pct64l50zucjhmd6lLSvmgB4NDTFhBirleL8kDqMNx7siGkuMPzfPfG95lFHdE-kU74XiZa0LNRw70rDzn9VWGoxtPul37hVF",
        "q2HfCQ9NBNG2XQwVwwJwnew7plFeD8-PacnjrVVboQ"
    );

    #[test]
    fn rs256_is_verified_by_a_key_of_that_kind_alone() {
        let rsa = json!({"kty": "RSA", "n": MODULUS, "e": "AQAB"});
        // With a leading zero, as some providers write it.
        let zeros = URL_SAFE_NO_PAD.encode([&[0][..], &decoded(MODULUS).unwrap()].concat());
        for key in [rsa.clone(), json!({"kty": "RSA", "n": zeros, "e": "AQAB"})] {
            let claims = verified(RSA_TOKEN, &[Algorithm::RS256], &set(json!([key]))).unwrap();
            assert_eq!(claims["iss"], "joe");
        }
        let both = set(json!([rsa, key()]));
        assert!(verified(RSA_TOKEN, &[Algorithm::RS256, Algorithm::ES256], &both).is_ok());
        assert!(verified(RSA_TOKEN, &[Algorithm::ES256], &both).is_err());
        assert!(verified(RSA_TOKEN, &[Algorithm::RS256], &set(json!([key()]))).is_err());
        let mut changed = RSA_TOKEN.to_owned();
        changed.replace_range(changed.len() - 10..changed.len() - 9, "A");
        assert!(verified(&changed, &[Algorithm::RS256], &both).is_err());
    }

    fn set(keys: Value) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn key() -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": KEY.0, "y": KEY.1})
    }

    #[test]
    fn the_standards_own_example_is_verified_and_nothing_else() {
        let keys = set(json!([key()]));
        let claims = verified(TOKEN, &[Algorithm::ES256], &keys).unwrap();
        assert_eq!(claims["iss"], "joe");
        let why = |token: &str, allowed: &[Algorithm], keys: &KeySet| {
            verified(token, allowed, keys).unwrap_err()
        };
        let not_allowed = Refused::Because("it is signed by an algorithm that is not allowed");
        assert_eq!(why(TOKEN, &[Algorithm::RS256], &keys), not_allowed);
        assert_eq!(why(TOKEN, &[], &keys), not_allowed);
        let changed = TOKEN.replacen("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqb3Ui", 1);
        let wrong = Refused::Because("its signature is wrong");
        assert_eq!(why(&changed, &[Algorithm::ES256], &keys), wrong);
        let two = set(json!([key(), key()]));
        assert!(matches!(why(TOKEN, &[Algorithm::ES256], &two), Refused::Because(_)));
        assert!(matches!(why(TOKEN, &[Algorithm::ES256], &set(json!([]))), Refused::Because(_)));
        for broken in ["", ".", "..", "a.b", &TOKEN.replace('.', ""), &format!("{TOKEN}.")] {
            assert!(matches!(why(broken, &[Algorithm::ES256], &keys), Refused::Because(_)));
        }
    }

    #[test]
    fn neither_none_nor_a_shared_secret_is_an_algorithm() {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for alg in ["none", "None", "HS256", "RS384", "EdDSA", ""] {
            let token = format!("{}.{}.", part(json!({ "alg": alg })), part(json!({"iss": "joe"})));
            let refused =
                verified(&token, &[Algorithm::RS256, Algorithm::ES256], &set(json!([key()])));
            let words = "it is signed by an algorithm that is not allowed";
            assert_eq!(refused.unwrap_err(), Refused::Because(words), "{alg}");
        }
        let critical = part(json!({"alg": "ES256", "crit": ["b64"], "b64": false}));
        let token = format!("{critical}.e30.AA");
        assert!(verified(&token, &[Algorithm::ES256], &set(json!([key()]))).is_err());
    }

    #[test]
    fn keys_for_other_uses_and_of_other_kinds_are_passed_over() {
        let with = |name: &str, value: &str| {
            let mut changed = key();
            changed[name] = value.into();
            set(json!([changed])).0.len()
        };
        assert_eq!((with("use", "sig"), with("use", "enc")), (1, 0));
        assert_eq!((with("alg", "ES256"), with("alg", "RS256")), (1, 0));
        assert_eq!((with("crv", "P-384"), with("kty", "oct"), with("x", "AAAA")), (0, 0, 0));
        assert!(KeySet::parse(b"{}").is_none());
        let unknown = json!({"kty": "EC", "kid": "a", "crv": "P-256", "x": KEY.0, "y": KEY.1});
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "kid": "b"}).to_string());
        let token = format!("{header}.e30.AA");
        let refused = verified(&token, &[Algorithm::ES256], &set(json!([unknown])));
        assert_eq!(refused.unwrap_err(), Refused::UnknownKey);
    }
}
