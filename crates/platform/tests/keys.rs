//! Every key ring against the one suite.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Path as AxumPath, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use domain::{ErrorKind, Random};
use platform::keys::{DataKey, Wrapped, connect, make, testsuite};
use serde_json::{Value, json};

const KEY: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/medseg";

/// Other bytes each time.
fn random() -> Random {
    let next = AtomicU8::new(1);
    Random::new(move |bytes| bytes.fill(next.fetch_add(1, Ordering::Relaxed)))
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[tokio::test]
async fn file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, random) = (dir.path().join("data-keys"), random());
    make(&path, &random).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let made = fs::read(&path).unwrap();
    make(&path, &random).unwrap();
    assert!(fs::read(&path).unwrap() == made, "one that is there stays");
    testsuite::run(connect(&url(&path), random.clone()).await.unwrap(), random).await;
}

#[tokio::test]
async fn a_new_first_line_wraps_and_those_behind_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let (path, random) = (dir.path().join("data-keys"), random());
    let key = DataKey::drawn(&random);
    let lines = |lines: &[&str]| fs::write(&path, lines.join("\n")).unwrap();
    let (old, new) = ("ab".repeat(32), "CD".repeat(32));
    lines(&[old.as_str()]);
    let before = connect(&url(&path), random.clone()).await.unwrap();
    let wrapped = before.wrap(&key, "a hospital").await.unwrap();
    lines(&["# since today", new.as_str(), "", old.as_str()]);
    let both = connect(&url(&path), random.clone()).await.unwrap();
    both.open(&wrapped, "a hospital").await.unwrap();
    let anew = both.wrap(&key, "a hospital").await.unwrap();
    assert_ne!(anew.by, wrapped.by);
    lines(&[new.as_str()]);
    let after = connect(&url(&path), random).await.unwrap();
    after.open(&anew, "a hospital").await.unwrap();
    let lost = after.open(&wrapped, "a hospital").await.unwrap_err();
    assert!(lost.kind() == ErrorKind::Internal && lost.to_string().contains(&wrapped.by), "{lost}");
}

#[tokio::test]
async fn what_is_no_key_is_refused_without_a_word_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data-keys");
    let short = "ab".repeat(31);
    for text in ["", "# nothing", "hunter2", &short, &format!("{short}zz"), &format!("{short}é")] {
        fs::write(&path, text).unwrap();
        let refused = connect(&url(&path), random()).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{text}");
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
    }
    fs::remove_file(&path).unwrap();
    for other in [url(&path), "vault://keys".into(), "gcp-kms://projects/p".into()] {
        let refused = connect(&other, random()).await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{other}");
    }
}

/// A double of KMS: one key, whose version can be raised.
#[derive(Default)]
struct Double {
    version: u32,
    /// What was wrapped, and for whom, by what stands for it.
    wrapped: BTreeMap<String, (Value, Value)>,
    /// Answers nothing else.
    fails: Option<StatusCode>,
}

type Shared = Arc<Mutex<Double>>;

/// CRC-32C, as the interface writes it.
fn checksum(text: &Value) -> String {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_str().expect("text"));
    crc32c::crc32c(&bytes.expect("base64")).to_string()
}

async fn call(
    State(double): State<Shared>,
    AxumPath(path): AxumPath<String>,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let mut double = double.lock().expect("a double");
    if let Some(status) = double.fails {
        return Err(status);
    }
    let aad = asked["additionalAuthenticatedData"].clone();
    match path.strip_prefix(KEY) {
        Some(":encrypt") => {
            assert_eq!(asked["plaintextCrc32c"], checksum(&asked["plaintext"]));
            let number = double.wrapped.len();
            let name = format!("{number:04}{number:036}");
            let ciphertext = json!(name);
            double.wrapped.insert(name, (asked["plaintext"].clone(), aad));
            Ok(Json(json!({
                "name": format!("{KEY}/cryptoKeyVersions/{}", double.version),
                "ciphertextCrc32c": checksum(&ciphertext),
                "ciphertext": ciphertext,
                "verifiedPlaintextCrc32c": true,
            })))
        }
        Some(":decrypt") => {
            let name = asked["ciphertext"].as_str().expect("text");
            let found = double.wrapped.get(name).filter(|(_, whose)| *whose == aad);
            let (plaintext, _) = found.ok_or(StatusCode::BAD_REQUEST)?;
            let crc32c = checksum(plaintext);
            Ok(Json(json!({ "plaintext": plaintext, "plaintextCrc32c": crc32c })))
        }
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn double() -> (Shared, String) {
    let shared = Shared::default();
    let router = Router::new().route("/v1/{*path}", post(call)).with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("gcp-kms://{KEY}?endpoint=http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (shared, url)
}

#[tokio::test]
async fn google_cloud_kms() {
    let (shared, url) = double().await;
    let random = random();
    let ring = connect(&url, random.clone()).await.unwrap();
    testsuite::run(ring.clone(), random.clone()).await;

    let key = DataKey::drawn(&random);
    let wrapped = ring.wrap(&key, "a hospital").await.unwrap();
    shared.lock().unwrap().version += 1;
    let anew = ring.wrap(&key, "a hospital").await.unwrap();
    assert_ne!(anew.by, wrapped.by, "KMS says which version has wrapped it");
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED]
    {
        shared.lock().unwrap().fails = Some(status);
        let away = ring.open(&wrapped, "a hospital").await.unwrap_err();
        assert_eq!(away.kind(), ErrorKind::Unavailable, "{away}");
    }
    shared.lock().unwrap().fails = None;
    let altered = Wrapped { text: "no base64".into(), ..wrapped };
    let refused = ring.open(&altered, "a hospital").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Internal, "{refused}");
}
