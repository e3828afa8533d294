//! A running medseg, as its REST API shows it.

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use domain::Artefact;
use reqwest::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use service::claims::PublicKeys;

/// How long a server may take to be reached, and to say who somebody is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a medseg answers, and who asks.
#[derive(clap::Args)]
pub struct Api {
    /// Where medseg answers.
    #[arg(long, env = "MEDSEG_URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: Url,

    /// The user who signs in.
    #[arg(long, env = "MEDSEG_USER", default_value = "admin", global = true)]
    user: String,

    /// That user's password: by the environment, where other users of the machine do not see it.
    #[arg(long, env = "MEDSEG_PASSWORD", hide_env_values = true, hide = true, global = true)]
    password: Option<SecretString>,

    /// The API client that signs in, in place of a user.
    #[arg(long, env = "MEDSEG_CLIENT_ID", global = true)]
    client_id: Option<String>,

    /// That client's secret: by the environment, too.
    #[arg(long, env = "MEDSEG_CLIENT_SECRET", hide_env_values = true, global = true)]
    client_secret: Option<SecretString>,
}

/// Somebody who has signed in.
pub struct Session {
    client: Client,
    url: Url,
    token: SecretString,
}

/// An answer that is no success.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// How long whoever answers wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Why (RFC 9457); null where it is no JSON.
    pub problem: Value,
    /// Whether it is medseg that answers, and nobody on the way to it.
    pub is_problem: bool,
}

impl Refusal {
    async fn of(answer: Response) -> Refusal {
        let status = answer.status();
        let header =
            |name: HeaderName| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok());
        let is_problem =
            header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/problem+json"));
        let problem = answer.json().await.unwrap_or_default();
        Refusal { status, retry_after: retry_after.map(Duration::from_secs), problem, is_problem }
    }
}

/// Why, as a problem says it (RFC 9457).
pub fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap_or("it does not say why")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = detail(&self.problem);
        match self.status {
            StatusCode::UNAUTHORIZED => write!(f, "not signed in: {detail}"),
            status => write!(f, "{detail} ({status})"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Api {
    /// The medseg at that address, for that user.
    pub fn of(url: Url, user: String, password: Option<SecretString>) -> Api {
        Api { url, user, password, client_id: None, client_secret: None }
    }

    /// The same for an API client, where one is named.
    #[must_use]
    pub fn for_client(self, id: Option<String>, secret: Option<SecretString>) -> Api {
        Api { client_id: id, client_secret: secret, ..self }
    }

    /// Signs in.
    pub async fn sign_in(&self) -> anyhow::Result<Session> {
        let form = self.grant()?;
        let client = Client::builder().connect_timeout(PATIENCE).build();
        let client = client.context("no client for HTTP")?;
        let request = client.post(self.address("v1/token")?).timeout(PATIENCE).form(&form);
        let answer = self.sent(request).await?;
        let answer: Value = understood(answer).await?.json().await.context("no token came")?;
        let token = answer["access_token"].as_str().context("no token came")?;
        Ok(Session { client, url: self.url.clone(), token: token.to_owned().into() })
    }

    /// The public keys that it signs results with, or did; for anybody.
    pub async fn result_keys(&self) -> anyhow::Result<PublicKeys> {
        let client = Client::builder().connect_timeout(PATIENCE).build();
        let client = client.context("no client for HTTP")?;
        let request = client.get(self.address(".well-known/result-keys.json")?).timeout(PATIENCE);
        let keys = understood(self.sent(request).await?).await?.text().await;
        Ok(PublicKeys::from_jwks(&keys.context("no keys came")?)?)
    }

    /// Where it answers.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What is said to sign in; an error where that is not known. A setting that is empty, as in compose files, is none.
    pub fn grant(&self) -> anyhow::Result<[(&str, &str); 3]> {
        if let Some(id) = self.client_id.as_deref().filter(|id| !id.is_empty()) {
            let secret = self.client_secret.as_ref();
            let secret =
                secret.context("no secret: set MEDSEG_CLIENT_SECRET to that of the client")?;
            return Ok([
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("client_secret", secret.expose_secret()),
            ]);
        }
        let password = self
            .password
            .as_ref()
            .context("no password: set MEDSEG_PASSWORD to that of the user (--user)")?;
        Ok([
            ("grant_type", "password"),
            ("username", self.user.as_str()),
            ("password", password.expose_secret()),
        ])
    }

    async fn sent(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        request.send().await.with_context(|| format!("medseg does not answer at {}", self.url))
    }

    fn address(&self, path: &str) -> anyhow::Result<Url> {
        self.url.join(path).with_context(|| format!("{} is no address of medseg", self.url))
    }
}

impl Session {
    /// A request to the path of those segments.
    pub fn request(&self, method: Method, segments: &[&str]) -> anyhow::Result<RequestBuilder> {
        let mut url = self.url.clone();
        let mut path = url
            .path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{} is no address of medseg", self.url))?;
        path.pop_if_empty().push("v1").extend(segments);
        drop(path);
        Ok(self.client.request(method, url).bearer_auth(self.token.expose_secret()))
    }

    /// The bytes of a scan's artefact; None where there is no such artefact.
    pub async fn artefact(&self, scan: &str, artefact: &Artefact) -> anyhow::Result<Option<Bytes>> {
        let Some(published) = artefact.published else { return Ok(None) };
        let request = self.request(Method::GET, &["scans", scan, published.path])?;
        let answer = self.answer(request).await?;
        // Of a scan that is known: what it says of itself is asked first.
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let bytes = understood(answer).await?.bytes().await;
        Ok(Some(bytes.context("a file broke off")?))
    }

    /// The answer of a request that was understood.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        understood(self.answer(request).await?).await
    }

    /// The answer of a request, also where it is a problem.
    pub async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.send().await;
        answer.with_context(|| format!("medseg does not answer at {}", self.url))
    }

    /// What is at that path, as JSON.
    pub async fn get(&self, segments: &[&str]) -> anyhow::Result<Value> {
        let answer = self.send(self.request(Method::GET, segments)?).await?;
        answer.json().await.context("the answer is no JSON")
    }

    /// What `body` does at that path, as JSON.
    pub async fn post(&self, segments: &[&str], body: &Value) -> anyhow::Result<Value> {
        let answer = self.send(self.request(Method::POST, segments)?.json(body)).await?;
        answer.json().await.context("the answer is no JSON")
    }
}

/// The answer, unless it is a problem (RFC 9457): then in its own words.
pub async fn understood(answer: Response) -> anyhow::Result<Response> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let refusal = Refusal::of(answer).await;
    for check in refusal.problem["checks"].as_array().into_iter().flatten() {
        println!("{}", check_line(check));
    }
    Err(refusal.into())
}

/// One of the gate's checks as a line: what it found, of the version and of the one that serves.
pub fn check_line(check: &Value) -> String {
    let figure = |name: &str| check[name].as_f64().map_or("-".to_owned(), |it| format!("{it:.4}"));
    let about: Vec<_> =
        ["name", "image_kind"].into_iter().filter_map(|it| check[it].as_str()).collect();
    let verdict = match (&check["advisory"], &check["passed"]) {
        (Value::Bool(true), _) => "noted ",
        (_, Value::Bool(true)) => "passed",
        _ => "FAILED",
    };
    format!(
        "{verdict} {:16} {:>10} {:>10}  {}",
        about.join(" "),
        figure("candidate"),
        figure("serving"),
        check["words"].as_str().unwrap_or_default()
    )
}
