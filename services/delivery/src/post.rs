//! What is sent over HTTP, and what comes back of it: bounded in time and size, to nobody that the guard does not let through.

use std::error::Error as StdError;
use std::fs;
use std::time::Duration;

use domain::{ErrorKind, Result};
use guard::{Guard, Purpose};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode};

use crate::Rules;

/// What the guard says of a destination that may not be.
pub const DESTINATIONS: Purpose = Purpose { of: "a destination", setting: "DELIVERY_NETWORKS" };

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most of an answer that is looked at.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The most words that are kept of what went wrong.
const WORDS_CHARS_MAX: usize = 300;

/// Sends; cheap to clone.
#[derive(Clone)]
pub struct Post {
    client: Client,
    pub guard: Guard,
}

/// What the receiver has answered.
pub struct Answered {
    pub status: StatusCode,
    /// The first of it.
    pub body: Vec<u8>,
}

impl Post {
    /// `Invalid` where the authorities cannot be read.
    pub fn new(rules: &Rules) -> Result<Post> {
        service::choose_tls();
        let guard = Guard::new(DESTINATIONS, &rules.delivery_networks);
        let unusable = |error: reqwest::Error| {
            ErrorKind::Invalid
                .error("cannot prepare to push results (DELIVERY_AUTHORITIES)")
                .because(error)
        };
        let mut client = Client::builder()
            .user_agent(concat!("medseg/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // A proxy would look up names by itself.
            .no_proxy()
            .dns_resolver(guard.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(1);
        if let Some(pem) = authorities(rules)? {
            client = client.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(unusable)?);
        }
        Ok(Post { client: client.build().map_err(unusable)?, guard })
    }

    /// The answer to `body`, or in words why there is none.
    pub async fn send(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Answered, String> {
        let url = self.guard.checked(url).map_err(|error| error.to_string())?;
        let sent = self.client.post(url).headers(headers).body(body).timeout(within).send().await;
        let mut response = sent.map_err(|error| unanswered(error, within))?;
        let status = response.status();
        let mut body = Vec::new();
        // Whoever has taken it may break off what else is said.
        while let Ok(Some(part)) = response.chunk().await {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&part[..part.len().min(room)]);
            if body.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(Answered { status, body })
    }
}

/// Why there was no answer, without the address: it is in the destination's row.
fn unanswered(error: reqwest::Error, within: Duration) -> String {
    if error.is_timeout() && !error.is_connect() {
        return format!("it did not answer within {} s", within.as_secs());
    }
    let error = error.without_url();
    let mut cause: &dyn StdError = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let what = if error.is_connect() { "it cannot be reached" } else { "it broke off" };
    clipped(&format!("{what}: {cause}"))
}

/// The value of a header.
pub fn value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| {
        ErrorKind::Internal.error("a header of a request cannot be written").because(error)
    })
}

/// A destination's secret as the value of `Authorization`; None where it has none.
pub fn authorization(secret: &str) -> Result<Option<HeaderValue>> {
    if secret.is_empty() {
        return Ok(None);
    }
    let mut secret = value(secret)?;
    secret.set_sensitive(true);
    Ok(Some(secret))
}

/// Authorities, beside those of the system, that destinations' certificates may be signed by (PEM); None where none are named.
pub fn authorities(rules: &Rules) -> Result<Option<Vec<u8>>> {
    let Some(path) = &rules.delivery_authorities else { return Ok(None) };
    let read = fs::read(path).map_err(|error| {
        ErrorKind::Invalid.error(format!("cannot read {}", path.display())).because(error)
    })?;
    Ok(Some(read))
}

/// The beginning of `words`, in one line.
pub fn clipped(words: &str) -> String {
    let plain = words.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(WORDS_CHARS_MAX).collect()
}
