use std::fmt::Write;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::artefacts;
use crate::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem};

/// The web page as it was built.
#[derive(RustEmbed)]
#[folder = "ui/dist"]
struct Built;

/// Nothing from elsewhere runs or is shown; `blob:` is an image that the page fetched with its token.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

/// Shows the page and its files; everything that is no route ends here.
pub async fn show(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let path = uri.path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let file =
        Built::get(path).ok_or_else(|| NOT_FOUND.problem("there is nothing at this address"))?;
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(METHOD_NOT_ALLOWED.problem("the page can only be read"));
    }
    // The files beside the page have their digest in their names.
    let cached = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Ok(answer(file, &headers, cached, PAGE_POLICY))
}

/// A file that this program carries, unless the caller has it already.
pub fn answer(file: EmbeddedFile, headers: &HeaderMap, cached: &str, policy: &str) -> Response {
    let tag = tag(&file);
    let known = artefacts::matches(headers, &tag);
    let about = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, cached.to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let media = [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned())];
    (about, media, file.data).into_response()
}

fn tag(file: &EmbeddedFile) -> String {
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}
