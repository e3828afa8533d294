use std::time::Duration;

use anyhow::{Context, bail, ensure};
use domain::limits::PAGE_MAX;
use reqwest::header::CONTENT_TYPE;
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// How long a scan may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Somebody signed in at the gateway.
#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub http: reqwest::Client,
    pub token: String,
}

impl Client {
    /// Waits for the gateway to answer, and signs in.
    pub async fn sign_in(url: &str, user: &str, password: &str) -> anyhow::Result<Client> {
        let mut client = Client { url: url.to_owned(), http: http(), token: String::new() };
        answers(url).await?;
        let form = json!({ "grant_type": "password", "username": user, "password": password });
        let answer = client.http.post(format!("{url}/v1/token")).json(&form).send().await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        client.token = answer["access_token"].as_str().context("an access token")?.to_owned();
        // Peers that have just been started anew may not answer yet.
        timeout(PATIENCE, async {
            while client.get("/v1/scans?limit=1").await.is_ok_and(|answer| answer.status() == 503) {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .context("storage does not answer")?;
        Ok(client)
    }

    /// Somebody who has a token already.
    pub fn with_token(url: &str, token: String) -> Client {
        Client { url: url.to_owned(), http: http(), token }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Response> {
        Ok(self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?)
    }

    pub async fn json(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        answer(self.get(path).await?).await
    }

    pub async fn post(&self, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<Response> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        Ok(request.header(CONTENT_TYPE, kind).body(body).send().await?)
    }

    /// Sends JSON; the status and the JSON of the answer.
    pub async fn post_json(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        answer(self.post(path, "application/json", body.to_string().into_bytes()).await?).await
    }

    /// Says of the scan at `path` what a reader makes of it, with an outline; under a key, if there is one.
    pub async fn correct(
        &self,
        path: &str,
        word: &Value,
        (name, mask): (&'static str, Vec<u8>),
        key: Option<&str>,
    ) -> anyhow::Result<(u16, Value)> {
        let file = Part::bytes(mask).file_name(name);
        let form = Form::new().text("feedback", word.to_string()).part("mask", file);
        let mut request = self.http.post(format!("{}{path}/feedback", self.url));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        answer(request.bearer_auth(&self.token).multipart(form).send().await?).await
    }

    /// One more reader of the hospital, signed in.
    pub async fn reader(&self, name: &str) -> anyhow::Result<Client> {
        self.colleague(name, &["clinician"]).await
    }

    /// One more user of the hospital, signed in.
    pub async fn colleague(&self, name: &str, roles: &[&str]) -> anyhow::Result<Client> {
        let password = "a long and right one";
        let user = json!({ "user_name": name, "password": password, "roles": roles });
        let (status, made) = self.post_json("/v1/users", &user).await?;
        ensure!(status == 201, "{status} {made}");
        Client::sign_in(&self.url, name, password).await
    }

    pub async fn upload(&self, body: &[u8]) -> anyhow::Result<(u16, Value)> {
        answer(self.post("/v1/scans", "application/octet-stream", body.to_vec()).await?).await
    }

    /// Uploads with an idempotency key. An error is what a client sees of a crash.
    pub async fn upload_once(&self, key: &str, body: &[u8]) -> anyhow::Result<(u16, Value)> {
        self.upload_with(("idempotency-key", key), body).await
    }

    /// Uploads with one more header.
    pub async fn upload_with(
        &self,
        (name, value): (&str, &str),
        body: &[u8],
    ) -> anyhow::Result<(u16, Value)> {
        let request = self.http.post(format!("{}/v1/scans", self.url)).bearer_auth(&self.token);
        let request = request.header(name, value).header(CONTENT_TYPE, "application/octet-stream");
        answer(request.body(body.to_vec()).send().await?).await
    }

    /// Uploads and waits for the answer: the scan and its result document.
    pub async fn analyse(&self, body: &[u8]) -> anyhow::Result<(Value, Value)> {
        let (status, scan) = self.upload(body).await?;
        if status != 202 {
            bail!("{status}: {scan}");
        }
        let scan = self.until_done(&scan["id"]).await?;
        let (_, result) = self.json(&format!("/v1/scans/{}/result", id(&scan)?)).await?;
        Ok((scan, result))
    }

    pub async fn until_done(&self, scan_id: &Value) -> anyhow::Result<Value> {
        let path = format!("/v1/scans/{}", scan_id.as_str().context("an id")?);
        let poll = async {
            loop {
                let (status, scan) = self.json(&path).await?;
                if status != 200 {
                    bail!("{status}: {scan}");
                }
                if scan["state"] == "done" {
                    return Ok(scan);
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, poll).await.with_context(|| format!("{path} is not done in time"))?
    }

    /// How many scans there are, asked page by page.
    pub async fn count_scans(&self) -> anyhow::Result<usize> {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let path = format!("/v1/scans?limit={PAGE_MAX}&cursor={cursor}");
            let (_, page) = self.json(&path).await?;
            count += page["scans"].as_array().context("a page of scans")?.len();
            match page["next_cursor"].as_str() {
                Some(next) if !next.is_empty() => cursor = next.to_owned(),
                _ => return Ok(count),
            }
        }
    }

    pub async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self.get(path).await?;
        if response.status() != StatusCode::OK {
            bail!("{path}: {}", response.status());
        }
        Ok(response.bytes().await?.to_vec())
    }
}

fn http() -> reqwest::Client {
    service::choose_tls();
    // A service closes what has been idle for ten seconds: a client that takes up such a connection at that very moment gets
    // no answer.
    let idle = Duration::from_secs(5);
    reqwest::Client::builder().pool_idle_timeout(idle).build().expect("settings that always fit")
}

/// Waits until the process whose probes are answered at `url` says that it is ready.
pub async fn ready(url: &str) -> anyhow::Result<()> {
    got(&format!("{url}/readyz")).await
}

/// Waits until the gateway at `url` answers, and all that it calls.
pub async fn answers(url: &str) -> anyhow::Result<()> {
    got(&format!("{url}/.well-known/jwks.json")).await
}

async fn got(url: &str) -> anyhow::Result<()> {
    let http = http();
    let poll = async {
        loop {
            let answer = http.get(url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, poll).await.context("it does not get ready")
}

/// The status and the JSON of an answer.
pub async fn answer(response: Response) -> anyhow::Result<(u16, Value)> {
    let status = response.status().as_u16();
    let body = response.bytes().await?;
    let json = serde_json::from_slice(&body)
        .with_context(|| format!("{status}: {}", String::from_utf8_lossy(&body)))?;
    Ok((status, json))
}

pub fn id(scan: &Value) -> anyhow::Result<&str> {
    scan["id"].as_str().context("a scan has an id")
}
