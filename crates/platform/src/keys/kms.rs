//! Google Cloud KMS, by its REST interface: the key never leaves it, and who may use it is IAM's to say.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Error, ErrorKind, Result};
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials, anonymous};
use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Backend, DataKey, KEY_BYTES, Wrapped, invalid};

const GOOGLES: &str = "https://cloudkms.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of one that is not there whoever asks is told soon.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

struct Kms {
    http: Client,
    credentials: Credentials,
    endpoint: String,
    /// As Google names it: `projects/…/locations/…/keyRings/…/cryptoKeys/…`.
    key: String,
}

pub(super) fn connect(url: &Url) -> Result<Arc<dyn Backend>> {
    let key = key_of(url)?;
    let mut endpoint = None;
    for (name, value) in url.query_pairs() {
        match &*name {
            "endpoint" => {
                Url::parse(&value).map_err(|_| invalid("its endpoint is no URL"))?;
                endpoint = Some(value.trim_end_matches('/').to_owned());
            }
            other => return Err(invalid(format!("`{other}` means nothing; `endpoint` does"))),
        }
    }
    let credentials = match &endpoint {
        Some(_) => anonymous::Builder::new().build(),
        None => Builder::default().with_scopes([SCOPE]).build().map_err(|error| {
            let message =
                "no Google credentials: use workload identity, or GOOGLE_APPLICATION_CREDENTIALS";
            ErrorKind::Invalid.error(message).because(error)
        })?,
    };
    let http =
        Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build().map_err(
            |error| ErrorKind::Invalid.error("cannot make a client for KMS").because(error),
        )?;
    let endpoint = endpoint.unwrap_or_else(|| GOOGLES.to_owned());
    Ok(Arc::new(Kms { http, credentials, endpoint, key }))
}

/// The name of the key: all of the address but its scheme.
fn key_of(url: &Url) -> Result<String> {
    let key = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
    let is_key = matches!(
        key.split('/').collect::<Vec<_>>()[..],
        ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", name]
            if [project, location, ring, name].iter().all(|part| !part.is_empty())
    );
    if is_key {
        return Ok(key);
    }
    Err(invalid("it is to name projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY"))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Encrypt {
    plaintext: String,
    plaintext_crc32c: String,
    additional_authenticated_data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    /// The version of the key that has done it.
    name: String,
    ciphertext: String,
    ciphertext_crc32c: String,
    #[serde(default)]
    verified_plaintext_crc32c: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decrypt {
    ciphertext: String,
    ciphertext_crc32c: String,
    additional_authenticated_data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    plaintext: String,
    plaintext_crc32c: String,
}

#[async_trait]
impl Backend for Kms {
    async fn wrap(&self, key: &DataKey, whose: &str) -> Result<Wrapped> {
        let plaintext = key.0.expose_secret();
        let asked = Encrypt {
            plaintext: STANDARD.encode(plaintext),
            plaintext_crc32c: crc32c::crc32c(plaintext).to_string(),
            additional_authenticated_data: STANDARD.encode(whose),
        };
        let encrypted: Encrypted = self.call("encrypt", &asked).await?;
        let ciphertext = STANDARD.decode(&encrypted.ciphertext).map_err(|_| damaged())?;
        let is_whole = encrypted.verified_plaintext_crc32c
            && crc32c::crc32c(&ciphertext).to_string() == encrypted.ciphertext_crc32c;
        if !is_whole {
            return Err(damaged());
        }
        Ok(Wrapped { by: encrypted.name, text: encrypted.ciphertext })
    }

    async fn open(&self, wrapped: &Wrapped, whose: &str) -> Result<DataKey> {
        let ciphertext = STANDARD.decode(&wrapped.text).map_err(|_| {
            ErrorKind::Internal.error("a wrapped key does not open: it is not what KMS has wrapped")
        })?;
        let asked = Decrypt {
            ciphertext: wrapped.text.clone(),
            ciphertext_crc32c: crc32c::crc32c(&ciphertext).to_string(),
            additional_authenticated_data: STANDARD.encode(whose),
        };
        let decrypted: Decrypted = self.call("decrypt", &asked).await?;
        let plaintext = STANDARD.decode(&decrypted.plaintext).map_err(|_| damaged())?;
        if crc32c::crc32c(&plaintext).to_string() != decrypted.plaintext_crc32c {
            return Err(damaged());
        }
        <[u8; KEY_BYTES]>::try_from(&plaintext[..]).map(DataKey::of).map_err(|_| damaged())
    }
}

impl Kms {
    /// One call of the interface; what it is refused with for good is `Internal`, all else `Unavailable`.
    async fn call<A: DeserializeOwned>(&self, verb: &str, asked: &impl Serialize) -> Result<A> {
        let headers = match self.credentials.headers(Default::default()).await {
            Ok(CacheableResource::New { data, .. }) => data,
            // Only whoever names what it has is told that nothing has changed.
            Ok(CacheableResource::NotModified) => Default::default(),
            Err(error) => {
                let message = "the credentials for KMS cannot be had";
                return Err(ErrorKind::Unavailable.error(message).because(error));
            }
        };
        let url = format!("{}/v1/{}:{verb}", self.endpoint, self.key);
        let sent = self.http.post(url).headers(headers).json(asked).send().await;
        let answer = sent.map_err(silent)?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(silent),
            // What was asked to be opened is not what this key has wrapped, or not for whom it was.
            StatusCode::BAD_REQUEST => Err(ErrorKind::Internal.error(format!(
                "KMS does not {verb} a key: it was altered, or wrapped with another key than {}",
                self.key
            ))),
            status @ (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                Err(ErrorKind::Unavailable.error(format!(
                    "KMS answers {status} for {}: does it exist, and has the service's account roles/cloudkms.cryptoKeyEncrypterDecrypter?",
                    self.key
                )))
            }
            status => {
                Err(ErrorKind::Unavailable.error(format!("KMS answers {status} for {}", self.key)))
            }
        }
    }
}

fn silent(error: reqwest::Error) -> Error {
    ErrorKind::Unavailable.error("KMS does not answer").because(error.without_url())
}

/// Google's client libraries compare these checksums, too.
fn damaged() -> Error {
    ErrorKind::Unavailable.error("what KMS has answered was damaged on the way")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_key_and_nothing_else() {
        let key = "projects/p/locations/europe-west3/keyRings/r/cryptoKeys/K";
        let of = |url: &str| key_of(&Url::parse(url).unwrap());
        assert_eq!(of(&format!("gcp-kms://{key}?endpoint=http://127.0.0.1:1")).unwrap(), key);
        for other in
            ["gcp-kms://projects/p", "gcp-kms:", &format!("gcp-kms://{key}/cryptoKeyVersions/1")]
        {
            assert_eq!(of(other).unwrap_err().kind(), ErrorKind::Invalid, "{other}");
        }
    }
}
