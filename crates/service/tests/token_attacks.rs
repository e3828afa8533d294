//! Every known way to forge, bend or reuse an access token, against the verifier: none is let in.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::{ErrorKind, ManualClock, TenantId};
use serde_json::{Value, json};
use service::claims::testing::Issuer;
use service::claims::{LIFETIME_S, Role, Verifier};

const NOW: i64 = 1_790_000_000;
const LEEWAY_S: i64 = 30;

struct Setting {
    issuer: Issuer,
    verifier: Verifier,
    clock: ManualClock,
    tenant: TenantId,
    other: TenantId,
}

impl Setting {
    fn new() -> Setting {
        let clock = ManualClock::at(NOW * 1000);
        let issuer = Issuer::at(clock.clock());
        let [tenant, other] =
            [(); 2].map(|()| TenantId::new(&clock.clock(), &service::system_random()));
        Setting { verifier: issuer.verifier(clock.clock()), issuer, clock, tenant, other }
    }

    fn good(&self) -> String {
        self.issuer.token(self.tenant, &[Role::Clinician])
    }

    fn header(&self) -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.issuer.key().id()})
    }

    fn payload(&self) -> Value {
        json!({
            "iss": "medseg/auth", "aud": "medseg", "sub": "tester", "tenant": self.tenant.to_string(),
            "roles": ["clinician"], "iat": NOW, "nbf": NOW, "exp": NOW + LIFETIME_S, "name": "tester",
        })
    }

    /// Soundly signed, with some header parameters replaced (null: left out).
    fn with_header(&self, changes: Value) -> String {
        self.issuer.sign(&merged(self.header(), changes), &self.payload().to_string())
    }

    /// Soundly signed, with some claims replaced (null: left out).
    fn with_claims(&self, changes: Value) -> String {
        self.issuer.sign(&self.header().to_string(), &merged(self.payload(), changes))
    }

    /// With raw texts instead of JSON values, for what JSON values cannot say.
    fn raw_payload(&self, find: &str, replace: &str) -> String {
        let payload = self.payload().to_string();
        assert!(payload.contains(find), "{find} is not in {payload}");
        self.issuer.sign(&self.header().to_string(), &payload.replacen(find, replace, 1))
    }

    async fn kind(&self, token: &str) -> Option<ErrorKind> {
        self.verifier.verify(token).await.err().map(|error| error.kind())
    }
}

fn merged(mut base: Value, changes: Value) -> String {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(base.as_object_mut().unwrap().remove(name)),
            value => base[name] = value.clone(),
        }
    }
    base.to_string()
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

/// Alike but for one part, which is what `change` makes of it.
fn with_part(token: &str, part: usize, change: impl FnOnce(&str) -> String) -> String {
    let mut parts = parts(token);
    parts[part] = change(&parts[part]);
    parts.join(".")
}

#[tokio::test]
async fn what_the_issuer_signs_is_let_in() {
    let setting = Setting::new();
    for token in [
        setting.good(),
        setting.with_header(json!({})),
        setting.with_claims(json!({})),
        // A later version may say more.
        setting.with_claims(json!({"jti": "new"})),
    ] {
        let claims = setting.verifier.verify(&token).await.unwrap();
        assert_eq!(claims, setting.issuer.claims(setting.tenant, &[Role::Clinician]));
    }
    let of_the_version_before = setting.with_claims(json!({"name": null}));
    let claims = setting.verifier.verify(&of_the_version_before).await.unwrap();
    assert_eq!((&*claims.subject, &*claims.name), ("tester", ""));
}

#[tokio::test]
async fn no_forged_or_bent_token_is_let_in() {
    let setting = Setting::new();
    let attacks = [
        algorithms(&setting),
        signatures(&setting),
        headers(&setting),
        times(&setting),
        identities(&setting),
        shapes(&setting),
    ]
    .concat();
    assert!(attacks.len() >= 100, "{} attacks", attacks.len());
    for (name, token) in &attacks {
        assert_eq!(setting.kind(token).await, Some(ErrorKind::Unauthenticated), "{name}");
    }
}

type Attacks = Vec<(String, String)>;

fn named(name: &str, token: String) -> (String, String) {
    (name.to_owned(), token)
}

fn algorithms(setting: &Setting) -> Attacks {
    let payload = b64(setting.payload().to_string());
    let mut attacks = Attacks::new();
    for none in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let header = b64(merged(setting.header(), json!({"alg": none})));
        attacks.push((format!("alg {none:?}, no signature"), format!("{header}.{payload}.")));
        attacks.push((
            format!("alg {none:?}, its signature"),
            format!("{header}.{payload}.{}", parts(&setting.good())[2]),
        ));
        attacks.push((format!("alg {none:?}, signed"), setting.with_header(json!({"alg": none}))));
    }
    for other in
        ["HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES256K", "Ed448", "eddsa", "EDDSA"]
    {
        attacks.push((format!("alg {other}"), setting.with_header(json!({"alg": other}))));
    }
    // HS256 with the public key as the secret, in each form that it is published in.
    let jwk = setting.issuer.key().public_jwk();
    let x = jwk["x"].as_str().unwrap().to_owned();
    let der = [
        b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec(),
        URL_SAFE_NO_PAD.decode(&x).unwrap(),
    ]
    .concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    let header = b64(merged(setting.header(), json!({"alg": "HS256"})));
    let message = format!("{header}.{payload}");
    for (form, key) in [
        ("JWK", jwk.to_string().into_bytes()),
        ("x", x.clone().into_bytes()),
        ("raw", URL_SAFE_NO_PAD.decode(&x).unwrap()),
        ("DER", der),
        ("PEM", pem.into_bytes()),
    ] {
        let mac = hmac_sha256(&key, message.as_bytes());
        attacks.push((
            format!("HS256 with the public key as {form}"),
            format!("{message}.{}", b64(mac)),
        ));
    }
    attacks
}

/// RFC 2104, here only to forge with.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let mut block = [0_u8; 64];
    let hashed;
    let key = if key.len() > 64 {
        hashed = Sha256::digest(key);
        &hashed[..]
    } else {
        key
    };
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36)[..], message].concat());
    Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner[..]].concat()).into()
}

fn signatures(setting: &Setting) -> Attacks {
    let good = setting.good();
    let stranger = Issuer::at(setting.clock.clock());
    let header = setting.header().to_string();
    let mut attacks = vec![
        named("empty signature", with_part(&good, 2, |_| String::new())),
        named("zero signature", with_part(&good, 2, |_| b64([0; 64]))),
        named("truncated signature", with_part(&good, 2, |signature| signature[..85].into())),
        named(
            "63 bytes of signature",
            with_part(&good, 2, |signature| b64(&URL_SAFE_NO_PAD.decode(signature).unwrap()[..63])),
        ),
        named(
            "one byte more",
            with_part(&good, 2, |signature| {
                b64([URL_SAFE_NO_PAD.decode(signature).unwrap(), vec![0]].concat())
            }),
        ),
        named("padded signature", with_part(&good, 2, |signature| format!("{signature}=="))),
        named("trailing bits", with_part(&good, 2, last_bit_flipped)),
        named("S + L: the same signature in another form", with_part(&good, 2, plus_group_order)),
        named("another's key under our id", stranger.sign(&header, &setting.payload().to_string())),
        named("another's key", stranger.token(setting.tenant, &[Role::Clinician])),
        named(
            "another payload's signature",
            with_part(&good, 1, |_| {
                b64(merged(setting.payload(), json!({"tenant": setting.other.to_string()})))
            }),
        ),
        named(
            "another role's signature",
            with_part(&good, 1, |_| b64(merged(setting.payload(), json!({"roles": ["admin"]})))),
        ),
        named("another header's signature", with_part(&good, 0, |_| b64(format!(" {header}")))),
    ];
    for byte in [0, 31, 32, 63] {
        attacks.push((
            format!("a bit flipped in byte {byte}"),
            with_part(&good, 2, |signature| {
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
                bytes[byte] ^= 1;
                b64(bytes)
            }),
        ));
    }
    attacks
}

/// 64 bytes leave four bits unused in the last of 86 characters.
fn last_bit_flipped(signature: &str) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (most, last) = signature.split_at(85);
    let value = ALPHABET.find(last).unwrap() ^ 1;
    format!("{most}{}", &ALPHABET[value..=value])
}

/// Adds the group's order to S, which a verifier that does not insist on S < L would take.
fn plus_group_order(signature: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    b64(bytes)
}

fn headers(setting: &Setting) -> Attacks {
    let id = setting.issuer.key().id();
    let own = Issuer::at(setting.clock.clock());
    let mut attacks = vec![
        named("unknown kid", setting.with_header(json!({"kid": "unknown"}))),
        named("no kid", setting.with_header(json!({"kid": null}))),
        named("empty kid", setting.with_header(json!({"kid": ""}))),
        named("kid of 100 kB", setting.with_header(json!({"kid": "k".repeat(100_000)}))),
        named("kid with a path", setting.with_header(json!({"kid": "../../../../dev/null"}))),
        named("kid with SQL", setting.with_header(json!({"kid": "' OR '1'='1"}))),
        named("kid with NUL", setting.with_header(json!({"kid": format!("{id}\0")}))),
        named("kid of two", setting.with_header(json!({"kid": [id, id]}))),
        named("kid as number", setting.with_header(json!({"kid": 1}))),
        named(
            "duplicate kid",
            setting.issuer.sign(
                &format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"other","kid":"{id}"}}"#),
                &setting.payload().to_string(),
            ),
        ),
        named(
            "duplicate alg",
            setting.issuer.sign(
                &format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{id}"}}"#),
                &setting.payload().to_string(),
            ),
        ),
        named("no alg", setting.with_header(json!({"alg": null}))),
        named("alg as list", setting.with_header(json!({"alg": ["EdDSA"]}))),
        named(
            "its own key in jwk",
            own.sign(
                &merged(own_header(&own), json!({"jwk": own.key().public_jwk()})),
                &setting.payload().to_string(),
            ),
        ),
    ];
    for typ in [
        json!(null),
        json!("JWT"),
        json!("at+JWT"),
        json!("id_token"),
        json!("refresh"),
        json!("application/at+jwt"),
        json!("logout+jwt"),
        json!(7),
    ] {
        attacks.push((format!("typ {typ}"), setting.with_header(json!({"typ": typ}))));
    }
    for (name, value) in [
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("https://attacker.example/cert")),
        ("jwk", setting.issuer.key().public_jwk()),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("thumb")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("nonce", json!("n")),
    ] {
        attacks.push((format!("header {name}"), setting.with_header(json!({name: value}))));
    }
    attacks
}

fn own_header(issuer: &Issuer) -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": issuer.key().id()})
}

fn times(setting: &Setting) -> Attacks {
    let mut attacks = vec![
        named("expired just beyond the leeway", setting.with_claims(json!({
            "iat": NOW - LIFETIME_S - LEEWAY_S, "nbf": NOW - LIFETIME_S - LEEWAY_S, "exp": NOW - LEEWAY_S,
        }))),
        named("not yet valid", setting.with_claims(json!({"nbf": NOW + LEEWAY_S + 1}))),
        named("issued in the future", setting.with_claims(json!({"iat": NOW + LEEWAY_S + 1}))),
        named("an hour long", setting.with_claims(json!({"exp": NOW + 3600}))),
        named("for ever", setting.with_claims(json!({"exp": i64::MAX}))),
        named("ends before it begins", setting.with_claims(json!({"exp": NOW - 5, "nbf": NOW}))),
        named("two exp", setting.raw_payload("{", &format!(r#"{{"exp":{},"#, NOW + 1))),
    ];
    for claim in ["exp", "nbf", "iat"] {
        let text = (NOW + 60).to_string();
        for value in [
            json!(null),
            json!(text),
            json!(NOW as f64 + 60.5),
            json!([NOW + 60]),
            json!({}),
            json!(true),
            json!(-1),
            json!(0),
        ] {
            // Zero is a time in the past; only an expiry is spoilt by that alone.
            if (claim, &value) == ("nbf", &json!(0)) {
                continue;
            }
            attacks
                .push((format!("{claim} = {value}"), setting.with_claims(json!({claim: value}))));
        }
        let sent = format!(r#""{claim}":{}"#, setting.payload()[claim]);
        for value in [
            "1e308",
            "1.79e9",
            "179000006000000000000000000",
            "null",
            "NaN",
            "-0.0",
            "0x6AB",
            "01790000060",
        ] {
            let raw = setting.raw_payload(&sent, &format!(r#""{claim}":{value}"#));
            attacks.push((format!("{claim} = {value}"), raw));
        }
    }
    attacks
}

fn identities(setting: &Setting) -> Attacks {
    let tenant = setting.tenant.to_string();
    let nil = "00000000-0000-0000-0000-000000000000";
    let operators = service::claims::operator_tenant().to_string();
    let delivery = service::claims::delivery_tenant().to_string();
    let claims = [
        ("no aud", json!({"aud": null})),
        ("wrong aud", json!({"aud": "other"})),
        ("aud as list", json!({"aud": ["medseg"]})),
        ("aud in a list", json!({"aud": ["other", "medseg"]})),
        ("empty aud", json!({"aud": ""})),
        ("no iss", json!({"iss": null})),
        ("wrong iss", json!({"iss": "https://attacker.example"})),
        ("iss as list", json!({"iss": ["medseg/auth"]})),
        ("no sub", json!({"sub": null})),
        ("empty sub", json!({"sub": ""})),
        ("sub as number", json!({"sub": 7})),
        ("no tenant", json!({"tenant": null})),
        ("empty tenant", json!({"tenant": ""})),
        ("tenant of many", json!({"tenant": [tenant, setting.other.to_string()]})),
        ("tenant in upper case", json!({"tenant": tenant.to_uppercase()})),
        ("tenant without hyphens", json!({"tenant": tenant.replace('-', "")})),
        ("tenant as URN", json!({"tenant": format!("urn:uuid:{tenant}")})),
        ("tenant in braces", json!({"tenant": format!("{{{tenant}}}")})),
        ("any tenant", json!({"tenant": "*"})),
        ("tenant with SQL", json!({"tenant": "' OR 1=1 --"})),
        ("the workers' tenant", json!({"tenant": nil})),
        ("no roles", json!({"roles": null})),
        ("not one role", json!({"roles": []})),
        ("role as text", json!({"roles": "admin"})),
        ("unknown role", json!({"roles": ["clinician", "root"]})),
        ("a hospital's worker", json!({"roles": ["service"]})),
        ("a worker and more", json!({"roles": ["service", "admin"]})),
        ("a worker and more, nowhere", json!({"roles": ["service", "admin"], "tenant": nil})),
        ("the operators' tenant", json!({"tenant": operators})),
        ("a hospital's operator", json!({"roles": ["operator"]})),
        ("an operator and more", json!({"roles": ["operator", "admin"], "tenant": operators})),
        ("a worker among operators", json!({"roles": ["service"], "tenant": operators})),
        ("an operator among workers", json!({"roles": ["operator"], "tenant": nil})),
        ("the tenant of delivery", json!({"tenant": delivery})),
        ("a hospital's delivery", json!({"roles": ["delivery"]})),
        ("delivery among workers", json!({"roles": ["delivery"], "tenant": nil})),
        ("a worker in delivery", json!({"roles": ["service"], "tenant": delivery})),
        ("delivery and more", json!({"roles": ["delivery", "service"], "tenant": delivery})),
        ("epoch as text", json!({"epoch": "7"})),
        ("no epoch", json!({"epoch": []})),
        ("scope as list", json!({"scope": ["scans"]})),
    ];
    let mut attacks: Attacks =
        claims.into_iter().map(|(name, change)| named(name, setting.with_claims(change))).collect();
    let twice = format!(r#"{{"tenant":"{}","#, setting.other);
    attacks.push(named("two tenants", setting.raw_payload("{", &twice)));
    attacks.push(named("two lists of roles", setting.raw_payload("{", r#"{"roles":["admin"],"#)));
    attacks
}

fn shapes(setting: &Setting) -> Attacks {
    let good = setting.good();
    let [header, payload, signature] = parts(&good);
    let id = setting.header().to_string();
    vec![
        named("nothing", String::new()),
        named("dots", "..".into()),
        named("one part", header.clone()),
        named("two parts", format!("{header}.{payload}")),
        named("four parts", format!("{good}.{signature}")),
        named("five parts, as a JWE", format!("{header}..{payload}.{signature}.{signature}")),
        named("trailing garbage", format!("{good}x")),
        named("trailing dot", format!("{good}.")),
        named("a space before", format!(" {good}")),
        named("a line break within", good.replacen('.', ".\n", 1)),
        named("standard base64", with_part(&good, 0, |part| format!("{part}="))),
        named("1 MB", format!("{header}.{}.{signature}", "A".repeat(1_000_000))),
        named("payload is no JSON", setting.issuer.sign(&id, "not JSON")),
        named("payload is a list", setting.issuer.sign(&id, "[]")),
        named("payload and more", setting.issuer.sign(&id, &format!("{} {{}}", setting.payload()))),
        named("payload is a token", setting.issuer.sign(&id, &good)),
        named("payload is empty", setting.issuer.sign(&id, "")),
        named("payload is deep", setting.issuer.sign(&id, &"[".repeat(2000))),
        named("header is a list", setting.issuer.sign("[]", &setting.payload().to_string())),
        named(
            "header and more",
            setting.issuer.sign(&format!("{id}x"), &setting.payload().to_string()),
        ),
        named(
            "header with a BOM",
            setting.issuer.sign(&format!("\u{feff}{id}"), &setting.payload().to_string()),
        ),
        named("an opaque refresh token", b64([7; 32])),
        named(
            "a JSON serialisation",
            json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
        ),
    ]
}

#[tokio::test]
async fn a_token_lives_five_minutes_and_the_leeway() {
    let setting = Setting::new();
    let token = setting.good();
    setting.clock.advance((LIFETIME_S + LEEWAY_S) * 1000 - 1);
    assert_eq!(setting.kind(&token).await, None);
    setting.clock.advance(1);
    assert_eq!(setting.kind(&token).await, Some(ErrorKind::Unauthenticated));
    setting.clock.advance(-(LIFETIME_S + LEEWAY_S) * 1000 - LEEWAY_S * 1000);
    assert_eq!(setting.kind(&token).await, None);
    setting.clock.advance(-1000);
    assert_eq!(setting.kind(&token).await, Some(ErrorKind::Unauthenticated));
}

#[tokio::test]
async fn the_answer_to_a_forgery_does_not_say_what_was_wrong() {
    let setting = Setting::new();
    let say = async |token: String| setting.verifier.verify(&token).await.unwrap_err().to_string();
    let unknown = say(setting.with_header(json!({"kid": "unknown"}))).await;
    let bent = say(setting.with_claims(json!({"aud": "other"}))).await;
    assert_eq!(
        (unknown.as_str(), bent.as_str()),
        ("the access token is not valid", unknown.as_str())
    );
}
