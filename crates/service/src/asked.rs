//! From where a call comes, and why: what each service tells the next, so that an entry of the audit trail can say it.

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use platform::trail::{self, Asker, Circumstances};
use tonic::service::Routes;

use crate::claims::{Claims, ORIGIN, REASON};

/// What is kept of a reason, each character being four bytes at most, percent-encoded.
const TOLD_BYTES_MAX: usize = 6000;

/// The same routes; whatever is done for a call knows from where it comes, and why.
pub(crate) fn told(grpc: Routes) -> Routes {
    grpc.into_axum_router().layer(from_fn(within)).into()
}

async fn within(request: Request, next: Next) -> Response {
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
