use anyhow::{Context, bail};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Builder;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use domain::{Artefact, hex};
use durable::Scratch;
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::Service;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::input::Input;
use super::outcome::Problem;
use crate::home::Home;
use crate::serve::Services;

/// How long to wait before a scan is asked for again whose events have broken off.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The services of `medseg serve` on a folder that goes with them. They listen nowhere: the gateway is called as a function,
/// so that whatever is taken, refused and written is what a server takes, refuses and hands out.
pub struct Inside {
    gateway: Router,
    /// Who signs in, and the password.
    user: (String, SecretString),
    token: Mutex<Option<Token>>,
    workers: JoinHandle<anyhow::Result<()>>,
    /// Cancelled when the workers are to stop, and when one of them has failed.
    stop: CancellationToken,
    _home: Home,
    /// Last, so that nobody writes there any more when it is deleted.
    _folder: Scratch,
}

struct Token {
    text: SecretString,
    /// Until when it is used; it is valid for longer.
    fresh_until: Instant,
}

/// What an input holds: a name (empty where the input is one scan), and the scan's id or why it is none.
pub type Part = (String, Result<String, Problem>);

/// What an upload has become: one scan, or one or a refusal for each entry.
#[derive(Deserialize)]
#[serde(untagged)]
enum Accepted {
    Batch { entries: Vec<Entry> },
    Scan(Scan),
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    scan: Option<Scan>,
    refusal: Option<Value>,
}

#[derive(Deserialize)]
struct Scan {
    id: String,
    state: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl Inside {
    /// Builds the services, and runs their workers.
    pub async fn start(services: &Services) -> anyhow::Result<Inside> {
        let folder = Scratch::temporary();
        let folder = folder.context("cannot make a temporary folder (TMPDIR says where)")?;
        let home = Home::open(folder.path())?;
        // Nobody but this process signs in there.
        let password = SecretString::from(hex(&service::system_random().bytes::<32>()));
        let services = Services { first_password: Some(password), ..services.clone() };
        let mut first_start = None;
        let service = services.build(&home, |made| first_start = Some(made)).await?;
        let first_start = first_start.context("an empty folder has users already")?;
        let Service { http: gateway, workers, drain, .. } = service;
        let stop = CancellationToken::new();
        let workers = tokio::spawn(service::run_workers(workers, drain, stop.clone()));
        let user = (first_start.user_name, first_start.password);
        let token = Mutex::new(None);
        let mut inside =
            Inside { gateway, user, token, workers, stop, _home: home, _folder: folder };
        inside.become_reader().await?;
        Ok(inside)
    }

    /// Goes on as somebody who may know whose scans these are, as whoever named the files does: an admin may not.
    async fn become_reader(&mut self) -> anyhow::Result<()> {
        const READER: &str = "reader";
        let user = json!({
            "user_name": READER,
            "password": self.user.1.expose_secret(),
            "roles": ["clinician", "integrator"],
        });
        let request = Request::post("/v1/users").header(header::CONTENT_TYPE, "application/json");
        found(self.call(request, user.to_string().into()).await?)?;
        self.user.0 = READER.to_owned();
        *self.token.get_mut() = None;
        Ok(())
    }

    /// What `work` comes to; None when the services stop before.
    pub async fn while_it_works<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.stop.run_until_cancelled(work).await
    }

    /// Ends the workers; the error is that of one that has failed.
    pub async fn end(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.workers.await?
    }

    /// Hands an input in.
    pub async fn upload(&self, input: &Input) -> anyhow::Result<Vec<Part>> {
        let (media_type, body) = input.form();
        let request = Request::post("/v1/scans").header(header::CONTENT_TYPE, media_type);
        let answer = self.call(request, body).await?;
        if answer.status() != StatusCode::ACCEPTED {
            let status = answer.status().as_u16();
            return Ok(vec![(String::new(), Err(Problem::new(status, read(answer).await?)))]);
        }
        match read(answer).await? {
            Accepted::Scan(scan) => Ok(vec![(String::new(), Ok(scan.id))]),
            Accepted::Batch { entries } => entries.into_iter().map(Entry::named).collect(),
        }
    }

    /// Returns once the scan is done.
    pub async fn until_done(&self, scan_id: &str) -> anyhow::Result<()> {
        loop {
            // They end when it is done, or earlier when they break off.
            let events = self.get(&format!("/v1/scans/{scan_id}/events")).await?;
            let mut events = events.into_body().into_data_stream();
            while let Some(Ok(_)) = events.next().await {}
            let scan: Scan = read(found(self.get(&format!("/v1/scans/{scan_id}")).await?)?).await?;
            if scan.state == "done" {
                return Ok(());
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// The artefact's bytes; None where the scan has none.
    pub async fn artefact(
        &self,
        scan_id: &str,
        artefact: &Artefact,
    ) -> anyhow::Result<Option<Bytes>> {
        let Some(published) = artefact.published else { return Ok(None) };
        let answer = self.get(&format!("/v1/scans/{scan_id}/{}", published.path)).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(bytes(found(answer)?).await?))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.call(Request::get(path), Body::empty()).await
    }

    async fn call(&self, request: Builder, body: Body) -> anyhow::Result<Response> {
        let bearer = format!("Bearer {}", self.token().await?.expose_secret());
        self.answer(request.header(header::AUTHORIZATION, bearer).body(body)?).await
    }

    async fn answer(&self, request: Request<Body>) -> anyhow::Result<Response> {
        let Ok(answer) = self.gateway.clone().oneshot(request).await;
        Ok(answer)
    }

    /// A token that is valid for a while.
    async fn token(&self) -> anyhow::Result<SecretString> {
        let mut held = self.token.lock().await;
        if let Some(token) = held.as_ref().filter(|token| token.fresh_until > Instant::now()) {
            return Ok(token.text.clone());
        }
        let (name, password) = &self.user;
        let fields = json!({
            "grant_type": "password",
            "username": name,
            "password": password.expose_secret(),
        });
        let request = Request::post("/v1/token").header(header::CONTENT_TYPE, "application/json");
        let answer = self.answer(request.body(fields.to_string().into())?).await?;
        let granted: Granted = read(found(answer)?).await?;
        let text = SecretString::from(granted.access_token);
        let fresh_until = Instant::now() + Duration::from_secs(granted.expires_in) / 2;
        *held = Some(Token { text: text.clone(), fresh_until });
        Ok(text)
    }
}

impl Entry {
    fn named(self) -> anyhow::Result<Part> {
        match (self.scan, self.refusal) {
            (Some(scan), _) => Ok((self.name, Ok(scan.id))),
            (None, Some(refusal)) => {
                let refused = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
                Ok((self.name, Err(Problem::new(refused, refusal))))
            }
            (None, None) => bail!("an entry is neither taken nor refused"),
        }
    }
}

/// The answer, unless it is a refusal or a failure, which none of ours should meet.
fn found(answer: Response) -> anyhow::Result<Response> {
    match answer.status() {
        status if status.is_success() => Ok(answer),
        status => bail!("the services answer with {status}"),
    }
}

async fn read<T: DeserializeOwned>(answer: Response) -> anyhow::Result<T> {
    serde_json::from_slice(&bytes(answer).await?).context("the services answer with other JSON")
}

async fn bytes(answer: Response) -> anyhow::Result<Bytes> {
    to_bytes(answer.into_body(), usize::MAX).await.context("an answer broke off")
}
