//! A double of a hospital's provider of identities, on a real socket, that says whatever it is told to say.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::setting::NOW_MS;

pub const CLIENT: &str = "medseg";
pub const SECRET: &str = "what the provider has given: s3cret";

#[derive(Clone)]
pub struct Idp(Arc<Inner>);

struct Inner {
    issuer: String,
    said: Mutex<Said>,
}

/// What it says, and what it was asked.
pub struct Said {
    pub key: Key,
    /// What the key set shows.
    pub shown: Vec<Value>,
    /// Claims of the next ID token, beside and in the place of those that are right.
    pub claims: Value,
    /// In the place of the token that would be signed.
    pub token: Option<String>,
    pub nonce: String,
    /// What the challenge of the sign-in was: a code is for whoever knows what it was made of.
    pub challenge: String,
    pub codes_asked: usize,
    pub keys_asked: usize,
    pub documents_asked: usize,
    /// The document names that issuer.
    pub named: Option<String>,
    /// The document promises that each answer says whose it is (RFC 9207).
    pub names_itself: bool,
}

/// A key of ES256.
pub struct Key {
    pub id: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub fn new(id: &str) -> Key {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
        Key { id: id.to_owned(), pair }
    }

    pub fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": encoded(x), "y": encoded(y)})
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "kid": self.id});
        let message = unsigned(&header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encoded(signature.as_ref()))
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encoded(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

pub fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Idp {
    pub async fn start() -> Idp {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new("first");
        let said = Said {
            shown: vec![key.public()],
            key,
            claims: json!({}),
            token: None,
            nonce: String::new(),
            challenge: String::new(),
            codes_asked: 0,
            keys_asked: 0,
            documents_asked: 0,
            named: None,
            names_itself: false,
        };
        let idp = Idp(Arc::new(Inner { issuer, said: Mutex::new(said) }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .with_state(idp.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        idp
    }

    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// Changes or reads what it says.
    pub fn with<T>(&self, change: impl FnOnce(&mut Said) -> T) -> T {
        change(&mut self.0.said.lock().unwrap())
    }

    /// What a right ID token says.
    pub fn claims(&self) -> Value {
        let now_s = NOW_MS / 1000;
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT, "sub": "0815", "iat": now_s, "exp": now_s + 300,
            "nonce": self.with(|said| said.nonce.clone()), "sid": "session 1",
            "email": "ada@hospital.example", "email_verified": true, "groups": ["readers"],
        });
        let changes = self.with(|said| said.claims.clone());
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }
}

async fn document(State(idp): State<Idp>) -> Json<Value> {
    let issuer = idp.issuer();
    let named = idp.with(|said| {
        said.documents_asked += 1;
        said.named.clone()
    });
    let named = named.unwrap_or_else(|| issuer.to_owned());
    Json(json!({
        "issuer": named,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
        "authorization_response_iss_parameter_supported": idp.with(|said| said.names_itself),
    }))
}

async fn keys(State(idp): State<Idp>) -> Json<Value> {
    Json(idp.with(|said| {
        said.keys_asked += 1;
        json!({ "keys": said.shown })
    }))
}

async fn token(
    State(idp): State<Idp>,
    Form(form): Form<std::collections::HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let is_right = idp.with(|said| {
        said.codes_asked += 1;
        let challenge = encoded(&Sha256::digest(&form["code_verifier"]));
        challenge == said.challenge
            && form["code"] == "a code"
            && form["client_id"] == CLIENT
            && form["client_secret"] == SECRET
    });
    if !is_right {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"})));
    }
    let claims = idp.claims();
    let token = idp.with(|said| said.token.take().unwrap_or_else(|| said.key.sign(&claims)));
    let answer = json!({"id_token": token, "access_token": "opaque", "token_type": "Bearer"});
    (StatusCode::OK, Json(answer))
}
