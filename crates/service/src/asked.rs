//! From where a call comes, and why: what each service tells the next, so that an entry of the audit trail can say it.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use domain::{ErrorKind, Result};
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::trail::{self, Asker, Circumstances};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tonic::service::Routes;

use crate::claims::{Claims, ORIGIN, REASON};

/// What is kept of a reason, each character being four bytes at most, percent-encoded.
const TOLD_BYTES_MAX: usize = 6000;

/// The metadata by which the gateway shows who it is.
pub(crate) const GATEWAY: &str = "medseg-gateway-secret";

/// By what a service knows the gateway, where it takes no other's word of the address that a call comes from.
#[derive(Clone)]
pub struct GatewayProof(Option<[u8; 32]>);

impl GatewayProof {
    /// By this secret. Without one, every call over the network comes from where its connection comes from.
    pub fn by(secret: Option<&SecretString>) -> GatewayProof {
        GatewayProof(secret.map(|secret| Sha256::digest(secret.expose_secret()).into()))
    }

    /// Whether there is a secret to show.
    pub(crate) fn is_possible(&self) -> bool {
        self.0.is_some()
    }

    /// Puts the connection's own address in the place of what the call says of it, unless the gateway says it.
    fn locate(&self, request: &mut Request) {
        let shown = request.headers_mut().remove(GATEWAY);
        let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
        // A call within the process has none.
        let Some(ConnectInfo(address)) = connection.copied() else { return };
        // Digests: how long they take to compare tells nothing of the secret.
        let digest = shown.map(|shown| <[u8; 32]>::from(Sha256::digest(shown.as_bytes())));
        if digest.is_some() && digest == self.0 {
            return;
        }
        if let Ok(own) = HeaderValue::try_from(address.ip().to_canonical().to_string()) {
            request.headers_mut().insert(ORIGIN, own);
        }
    }
}

/// The gateway's secret as a call shows it. `Invalid` where no header can carry it.
pub(crate) fn shown(secret: &SecretString) -> Result<HeaderValue> {
    let value = HeaderValue::try_from(secret.expose_secret());
    let mut value = value.map_err(|_| {
        ErrorKind::Invalid.error("GATEWAY_SECRET has characters that a header cannot carry")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The same routes; whatever is done for a call knows from where it comes, and why. Where there is a proof of the gateway, no other's word
/// is taken of the former.
pub(crate) fn told(grpc: Routes, gateway: Option<GatewayProof>) -> Routes {
    let layer = from_fn(move |request: Request, next: Next| within(gateway.clone(), request, next));
    grpc.into_axum_router().layer(layer).into()
}

async fn within(gateway: Option<GatewayProof>, mut request: Request, next: Next) -> Response {
    if let Some(gateway) = gateway {
        gateway.locate(&mut request);
    }
    let [origin, reason] = [ORIGIN, REASON].map(|name| said(request.headers(), name));
    trail::asked(Circumstances::new(origin, reason), next.run(request)).await
}

/// Tells a peer what the call says that is being answered, unless the message says it itself.
pub(crate) fn inject(headers: &mut HeaderMap) {
    let Some(asked) = trail::current() else { return };
    let told = [(ORIGIN, &asked.origin), (REASON, &asked.reason)];
    for (name, text) in told.into_iter().filter(|(_, text)| !text.is_empty()) {
        if let Ok(value) = HeaderValue::try_from(encoded(text)) {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
}

/// Says who asks, as their verified token says it.
pub(crate) fn known(claims: &Claims) {
    let roles: Vec<&str> = claims.roles.iter().map(|role| role.name()).collect();
    let (subject, name) = (claims.subject.clone(), claims.name.clone());
    trail::known(Asker { subject, name, roles: roles.join(" ") });
}

/// A header's text; empty where there is none.
fn said(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    decoded(value.get(..TOLD_BYTES_MAX).unwrap_or(value))
}

/// Text as a header can carry it: what is not printable ASCII, percent-encoded (RFC 3986, 2.1).
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The text that was [`encoded`]; a percent sign that begins no code stands for itself, and control characters are blanks.
pub fn decoded(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let code = (byte == b'%').then(|| after.get(..2).and_then(code)).flatten();
        text.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    let blank = |character: char| if character.is_control() { ' ' } else { character };
    String::from_utf8_lossy(&text).trim().chars().map(blank).collect()
}

fn code(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(digits[at]).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_language_travel_in_a_header() {
        for text in ["urgence neurologique, appelé à 3 h", "100 % sure", "", "a%b", "日本"] {
            let travelling = encoded(text);
            assert!(HeaderValue::from_str(&travelling).is_ok(), "{travelling}");
            assert_eq!(decoded(travelling.as_bytes()), text);
        }
        assert_eq!(decoded(b"100% %zz %4"), "100% %zz %4");
        assert_eq!(decoded(b" two%0Alines "), "two lines");
    }

    #[tokio::test]
    async fn what_a_call_says_is_told_to_the_next() {
        let asked = Circumstances::new("PACS (10.0.0.7)".into(), "appelé".into());
        let headers = trail::asked(asked, async {
            let mut headers = HeaderMap::new();
            inject(&mut headers);
            headers
        })
        .await;
        let told = [ORIGIN, REASON].map(|name| said(&headers, name));
        assert_eq!(told, ["PACS (10.0.0.7)", "appelé"]);

        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty(), "nobody asked");
    }
}
