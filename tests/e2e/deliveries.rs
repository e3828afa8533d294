//! Results that are pushed: a receiver verifies the signature, is sent again what it did not take, and can tell.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::time::{Duration, sleep, timeout};

use tests::client::{Client, id};
use tests::scans;

const PATIENCE: Duration = Duration::from_secs(60);

type Messages = Arc<Mutex<Vec<(HeaderMap, Vec<u8>)>>>;

pub async fn tell(client: &Client) -> anyhow::Result<()> {
    let messages = Messages::default();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let receiver = Router::new().fallback(take).with_state(messages.clone());
    let receiver = tokio::spawn(async move { axum::serve(listener, receiver).await });
    let hook = json!({ "name": "story", "kind": "webhook", "url": url, "formats": ["cloudevent"] });
    let (status, made) = client.post_json("/v1/destinations", &hook).await?;
    ensure!(status == 201, "{status}: {made}");
    let secret = made["secret"].as_str().context("a secret")?;

    let (scan, result) = client.analyse(&scans::png(21, true)).await?;
    // The first attempt is refused.
    let received = until(&messages, &scan["id"], 2).await?;
    for (headers, body) in &received {
        ensure!(verified(secret, headers, body)?, "a signature does not fit: {headers:?}");
        let event: Value = serde_json::from_slice(body)?;
        ensure!(event["data"]["result"] == result && event["subject"] == scan["id"], "{event}");
    }
    let ids: Vec<_> = received.iter().map(|(headers, _)| headers.get("webhook-id")).collect();
    ensure!(ids[0].is_some() && ids[0] == ids[1], "what is sent twice has one id: {ids:?}");
    let listed = format!("/v1/deliveries?scan={}", id(&scan)?);
    let ended = async {
        loop {
            let (_, page) = client.json(&listed).await?;
            if page["deliveries"][0]["state"] == "delivered" {
                return anyhow::Ok(page["deliveries"][0].clone());
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let delivery = timeout(PATIENCE, ended).await??;
    ensure!(delivery["attempts"] == 2 && delivery["destination"] == "story", "{delivery}");

    let path = format!("/v1/destinations/{}", made["id"].as_str().context("an id")?);
    let removed = client
        .http
        .delete(format!("{}{path}", client.url))
        .bearer_auth(&client.token)
        .send()
        .await?;
    ensure!(removed.status() == 204, "{}", removed.status());
    receiver.abort();
    Ok(())
}

async fn take(State(messages): State<Messages>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
    let subject = subject_of(&body);
    // Scans of other stories may be done only now.
    let is_first = messages.iter().all(|(_, other)| subject_of(other) != subject);
    messages.push((headers, body.to_vec()));
    if is_first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

/// Of which scan a message is; null where it says nothing.
fn subject_of(body: &[u8]) -> Value {
    serde_json::from_slice::<Value>(body).map(|event| event["subject"].clone()).unwrap_or_default()
}

async fn until(
    messages: &Messages,
    subject: &Value,
    count: usize,
) -> anyhow::Result<Vec<(HeaderMap, Vec<u8>)>> {
    let all = async {
        loop {
            let mut received = messages.lock().unwrap_or_else(PoisonError::into_inner).clone();
            received.retain(|(_, body)| subject_of(body) == *subject);
            if received.len() >= count {
                return received;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    Ok(timeout(PATIENCE, all).await?)
}

/// As the integrators' manual says.
fn verified(secret: &str, headers: &HeaderMap, body: &[u8]) -> anyhow::Result<bool> {
    let said = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).context("a header is missing")
    };
    let key = STANDARD.decode(secret.strip_prefix("whsec_").context("a secret of webhooks")?)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
    mac.update(format!("{}.{}.", said("webhook-id")?, said("webhook-timestamp")?).as_bytes());
    mac.update(body);
    let signed = said("webhook-signature")?.strip_prefix("v1,").context("a signature")?;
    Ok(mac.verify_slice(&STANDARD.decode(signed)?).is_ok())
}
