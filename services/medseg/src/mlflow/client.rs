use std::fmt;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// An answer of MLflow is small; a longer one is somebody else's.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// No file of a model is larger.
const FILE_BYTES_MAX: usize = 256 << 20;
/// What a line carries at the least: a file may take as long as it then takes.
const BYTES_PER_SECOND: u64 = 256 << 10;
/// How MLflow's servers name what they keep themselves.
const KEPT_HERE: &str = "mlflow-artifacts:";

/// A server of MLflow.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    login: Login,
    patience: Duration,
}

/// As whom a server is asked.
#[derive(Clone, Debug, Default)]
pub enum Login {
    #[default]
    Nobody,
    Token(SecretString),
    User(String, SecretString),
}

/// Why a server did not do what it was asked for.
#[derive(Debug)]
pub enum Fault {
    /// It understood, and says no.
    Refused { code: String, message: String },
    /// It does not answer, or in no way that MLflow answers.
    Away(String),
}

impl Fault {
    /// Whether it is the refusal that MLflow gives that name.
    pub fn is(&self, name: &str) -> bool {
        matches!(self, Fault::Refused { code, .. } if code == name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused { message, .. } => write!(f, "{}", line_of(message)),
            Fault::Away(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

impl Client {
    /// Of the server at that address, each of whose answers is waited for that long.
    pub fn new(url: Url, login: Login, patience: Duration) -> Result<Client, Fault> {
        // Which client speaks with a server of one's own is no secret, and helps whoever reads its log.
        let http = reqwest::Client::builder()
            .user_agent(concat!("medseg/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience)
            .build();
        let http = http.map_err(|error| Fault::Away(error.to_string()))?;
        Ok(Client { http, url, login, patience })
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks for what is at that path of the API.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Fault> {
        let request = self.request(Method::GET, "mlflow", path)?.query(query);
        self.answered(request.timeout(self.patience)).await
    }

    /// Tells what `body` says at that path of the API.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        let request = self.request(Method::POST, "mlflow", path)?.json(body);
        self.answered(request.timeout(self.patience)).await
    }

    /// Brings a file into the folder of that URI.
    pub async fn put_file(&self, folder: &str, name: &str, bytes: Vec<u8>) -> Result<(), Fault> {
        let path = format!("artifacts/{}/{name}", kept_at(folder)?);
        let timeout = self.patience + Duration::from_secs(bytes.len() as u64 / BYTES_PER_SECOND);
        let request = self.request(Method::PUT, "mlflow-artifacts", &path)?.body(bytes);
        let answer = self.sent(request.timeout(timeout)).await?;
        understood(answer).await.map(drop)
    }

    /// The names of the files in the folder of that URI.
    pub async fn files(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let request = self.request(Method::GET, "mlflow-artifacts", "artifacts")?;
        let request = request.query(&[("path", kept_at(folder)?)]).timeout(self.patience);
        let answer = self.answered(request).await?;
        let files = answer["files"].as_array().into_iter().flatten();
        let name = |file: &Value| Some(file["path"].as_str()?.rsplit('/').next()?.to_owned());
        Ok(files.filter_map(name).collect())
    }

    /// A file of the folder of that URI.
    pub async fn file(&self, folder: &str, name: &str) -> Result<Vec<u8>, Fault> {
        let path = format!("artifacts/{}/{name}", kept_at(folder)?);
        let largest = Duration::from_secs(FILE_BYTES_MAX as u64 / BYTES_PER_SECOND);
        let request = self.request(Method::GET, "mlflow-artifacts", &path)?;
        let answer = self.sent(request.timeout(self.patience + largest)).await?;
        limited(understood(answer).await?, FILE_BYTES_MAX).await
    }

    fn request(&self, method: Method, api: &str, path: &str) -> Result<RequestBuilder, Fault> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| Fault::Away(format!("{} is no address of a server", self.url)))?
            .pop_if_empty()
            .extend(["api", "2.0", api])
            .extend(path.split('/'));
        let request = self.http.request(method, url);
        Ok(match &self.login {
            Login::Nobody => request,
            Login::Token(token) => request.bearer_auth(token.expose_secret()),
            Login::User(name, password) => request.basic_auth(name, Some(password.expose_secret())),
        })
    }

    async fn answered(&self, request: RequestBuilder) -> Result<Value, Fault> {
        let answer = understood(self.sent(request).await?).await?;
        let bytes = limited(answer, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|_| nonsense("no JSON"))
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, Fault> {
        // Its address stands in what is said already, and may hold a password.
        request.send().await.map_err(|error| away(&error.without_url()))
    }
}

/// The answer, unless it is a refusal.
async fn understood(answer: Response) -> Result<Response, Fault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let bytes = limited(answer, ANSWER_BYTES_MAX).await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = said["error_code"].as_str().unwrap_or_default().to_owned();
    let message = match said["message"].as_str() {
        Some(message) => format!("it says: {message}"),
        None => format!("it answers {status}"),
    };
    Err(Fault::Refused { code, message })
}

async fn limited(mut answer: Response, most: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| away(&error.without_url()))? {
        if bytes.len() + chunk.len() > most {
            return Err(nonsense("far too much"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn away(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::Away("it does not answer in time".to_owned());
    }
    // What lies at the bottom says most: refused, no such host, no such certificate.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Fault::Away(format!("it does not answer ({})", line_of(&cause.to_string())))
}

/// Of an answer that no MLflow gives.
pub fn nonsense(what: &str) -> Fault {
    Fault::Away(format!("it answers {what}: is it MLflow?"))
}

/// Where the server itself keeps the folder of that URI. What lies elsewhere, such as in a bucket of its own, only MLflow's
/// own client reaches.
fn kept_at(uri: &str) -> Result<&str, Fault> {
    let elsewhere = || {
        let uri = line_of(uri);
        Fault::Away(format!(
            "its files are at {uri}, and not with the server: start it with --artifacts-destination"
        ))
    };
    let rest = uri.strip_prefix(KEPT_HERE).ok_or_else(elsewhere)?;
    let path = match rest.strip_prefix("//") {
        Some(with_host) => with_host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Ok(path.trim_matches('/'))
}

/// As much of a strange text as fits a line.
fn line_of(text: &str) -> String {
    const MOST: usize = 300;
    text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_asked_of_the_server_only_where_it_keeps_them() {
        assert_eq!(kept_at("mlflow-artifacts:/1/run/artifacts").unwrap(), "1/run/artifacts");
        assert_eq!(kept_at("mlflow-artifacts://host:5000/1/run").unwrap(), "1/run");
        for elsewhere in ["s3://bucket/1", "/var/lib/mlflow/1", "file:///mlruns"] {
            let why = kept_at(elsewhere).unwrap_err().to_string();
            assert!(why.contains(elsewhere) && why.contains("--artifacts-destination"), "{why}");
        }
    }

    #[test]
    fn what_a_stranger_says_fits_a_line() {
        assert_eq!(line_of("a\nb"), "a b");
        assert_eq!(line_of(&"x".repeat(1000)).len(), 300);
    }
}
