//! What a provider is asked: bounded in time and size, at no address that the guard does not let through.

use std::error::Error as StdError;
use std::fs;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use guard::{Guard, Purpose};
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use url::Url;

use crate::Rules;

const PROVIDERS: Purpose = Purpose { of: "a provider", setting: "PROVIDER_NETWORKS" };

/// Somebody waits before a page.
const WITHIN: Duration = Duration::from_secs(5);

/// A provider with more keys than this has none for us.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Asks providers; cheap to clone.
#[derive(Clone)]
pub struct Web {
    client: Client,
    guard: Guard,
}

impl Web {
    /// `Invalid` where the authorities cannot be read.
    pub fn new(rules: &Rules) -> Result<Web> {
        service::choose_tls();
        let guard = Guard::new(PROVIDERS, &rules.provider_networks);
        let unusable = |error: reqwest::Error| {
            let words = "cannot prepare to ask providers (PROVIDER_AUTHORITIES)";
            ErrorKind::Invalid.error(words).because(error)
        };
        let mut client = Client::builder()
            .user_agent(concat!("medseg/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // A proxy would look up names by itself.
            .no_proxy()
            .dns_resolver(guard.clone())
            .timeout(WITHIN)
            .pool_max_idle_per_host(1);
        if let Some(path) = &rules.provider_authorities {
            let pem = fs::read(path).map_err(|error| {
                ErrorKind::Invalid.error(format!("cannot read {}", path.display())).because(error)
            })?;
            client = client.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(unusable)?);
        }
        Ok(Web { client: client.build().map_err(unusable)?, guard })
    }

    /// That address, if it may be asked.
    pub fn checked(&self, url: &str) -> Result<Url> {
        self.guard.checked(url)
    }

    /// The document there.
    pub async fn get(&self, url: &str) -> Result<Vec<u8>> {
        let request = self.client.get(self.checked(url)?);
        match self.answer(request).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(away().because(format!("{url} has answered {status}"))),
        }
    }

    /// The answer to a form; `basic`: whose, by HTTP Basic.
    pub async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<(StatusCode, Vec<u8>)> {
        let mut request = self.client.post(self.checked(url)?).form(form);
        if let Some((id, secret)) = basic {
            // RFC 6749, section 2.3.1: each is written as in a form first.
            request = request.basic_auth(form_encoded(id), Some(form_encoded(secret)));
        }
        self.answer(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>)> {
        let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        let mut response = request.send().await.map_err(unanswered)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unanswered)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(away().because("its answer is too long"));
            }
            body.extend_from_slice(&part);
        }
        Ok((status, body))
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn unanswered(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut cause: &dyn StdError = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    away().because(cause.to_string())
}

/// What whoever signs in is told; the cause is for the log.
pub fn away() -> Error {
    ErrorKind::Unavailable.error("the hospital's provider does not answer as it should")
}
