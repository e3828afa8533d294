use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tests::client::{Client, id};
use tests::scans;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

/// How many different scans are sent, in turn.
const SCANS: u64 = 64;
/// A token lives for five minutes.
const TOKEN: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(120);
/// An upload that is told to come again does so, and its time goes on.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Somebody who sends scans for as long as it takes: phantoms of one slice, 256 x 256 pixels as PNG, each upload with
/// a key of its own.
#[derive(Clone)]
pub struct Uploader(Arc<Inner>);

/// What came of an upload.
pub struct Answered {
    pub status: u16,
    /// Whether it is said when to come again.
    pub told_when: bool,
}

struct Inner {
    scans: Vec<Vec<u8>>,
    password: String,
    signed_in: Mutex<(Client, Instant)>,
}

impl Uploader {
    pub fn new(client: Client, password: &str) -> Uploader {
        let (scans, password) = (small_scans(), password.to_owned());
        let signed_in = Mutex::new((client, Instant::now()));
        Uploader(Arc::new(Inner { scans, password, signed_in }))
    }

    /// Uploads, as the `number`-th of `run`; the status.
    pub async fn upload(&self, run: &str, number: u64) -> anyhow::Result<u16> {
        let (status, _) = self.send(run, number).await?;
        Ok(status)
    }

    /// The same with what the answer says besides.
    pub async fn answered(&self, run: &str, number: u64) -> anyhow::Result<Answered> {
        let (client, scan) = (self.client().await?, self.scan(number).clone());
        let url = format!("{}/v1/scans", client.url);
        let request = client.http.post(url).bearer_auth(&client.token).body(scan);
        let answer = request.header("idempotency-key", format!("{run}-{number}")).send().await?;
        let status = answer.status().as_u16();
        let told_when = answer.headers().contains_key("retry-after");
        answer.bytes().await?;
        Ok(Answered { status, told_when })
    }

    fn scan(&self, number: u64) -> &Vec<u8> {
        &self.0.scans[(number % SCANS) as usize]
    }

    /// Uploads what must be accepted, and answers with the scan.
    pub async fn queue(&self, run: &str, number: u64) -> anyhow::Result<Value> {
        for _ in 0..TRIES {
            let (status, answer) = self.send(run, number).await?;
            match status {
                202 => return Ok(answer),
                429 | 503 => sleep(PAUSE).await,
                _ => bail!("{status}: {answer}"),
            }
        }
        bail!("an upload was put off {TRIES} times")
    }

    /// Uploads, follows the scan's events to the end, and reads the result.
    pub async fn analyse(&self, run: &str, number: u64) -> anyhow::Result<()> {
        let client = self.client().await?;
        let scan = self.queue(run, number).await?;
        let path = format!("/v1/scans/{}", id(&scan)?);
        let events = client.get(&format!("{path}/events")).await?;
        // The stream ends with the scan.
        timeout(PATIENCE, events.bytes()).await??;
        let (_, result) = client.json(&format!("{path}/result")).await?;
        ensure!(result["findings"].is_array(), "no result: {result}");
        Ok(())
    }

    async fn send(&self, run: &str, number: u64) -> anyhow::Result<(u16, Value)> {
        let scan = self.scan(number);
        self.client().await?.upload_once(&format!("{run}-{number}"), scan).await
    }

    async fn client(&self) -> anyhow::Result<Client> {
        let mut signed_in = self.0.signed_in.lock().await;
        let (client, since) = &mut *signed_in;
        if since.elapsed() > TOKEN {
            let again = Client::sign_in(&client.url, "admin", &self.0.password).await;
            client.token = again.context("the next token")?.token;
            *since = Instant::now();
        }
        Ok(client.clone())
    }
}

/// What is uploaded.
pub fn small_scans() -> Vec<Vec<u8>> {
    (0..SCANS).map(|seed| scans::png(seed, true)).collect()
}
