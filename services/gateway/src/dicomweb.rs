//! DICOMweb (PS3.18): takes instances (STOW-RS), searches for what is here (QIDO-RS) and hands it out (WADO-RS), as viewers and
//! archives ask for it.
//!
//! Scans that came as DICOM are their studies' images; their results stand beside them as DICOM objects. Whose a scan is, storage tells
//! the caller's own token or refuses, and notes it; everything else is read with that same token. Nothing of an upload is parsed here:
//! its index was made in the jail, and says which of its bytes are what.

mod accept;
mod addresses;
mod budget;
mod frames;
mod held;
mod index;
mod json;
mod media_type;
mod parts;
mod pictures;
mod query;
pub mod related;
mod retrieve;
mod search;
mod store;
mod uploaded;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use domain::ErrorKind;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::problem::Problem;

pub use budget::Memory;

/// The addresses that are searches, whose queries name attributes in several ways.
const SEARCHES: [&str; 6] = [
    "/dicomweb/studies",
    "/dicomweb/series",
    "/dicomweb/instances",
    "/dicomweb/studies/{study}/series",
    "/dicomweb/studies/{study}/instances",
    "/dicomweb/studies/{study}/series/{series}/instances",
];

/// Studies, series or instances, as objects of attributes by their tags (PS3.18, F).
#[derive(ToSchema)]
#[schema(value_type = Vec<Object>)]
#[expect(dead_code, reason = "describes the API")]
pub struct DicomJson(Vec<Value>);

/// What of a study is meant.
pub struct Target {
    pub study: String,
    /// None: all of its series.
    pub series: Option<String>,
    /// None: all of its instances.
    pub instance: Option<String>,
}

impl Target {
    fn study(study: String) -> Target {
        Target { study, series: None, instance: None }
    }

    fn series(study: String, series: String) -> Target {
        Target { study, series: Some(series), instance: None }
    }

    fn instance(study: String, series: String, instance: String) -> Target {
        Target { study, series: Some(series), instance: Some(instance) }
    }
}

/// Every address that searches or hands out, with its description.
pub fn router() -> OpenApiRouter<Gateway> {
    let routes = OpenApiRouter::new().merge(search::routes()).merge(addresses::routes());
    routes.layer(from_fn(accept::from_query))
}

/// What takes instances, for as long as they take.
pub fn uploads() -> OpenApiRouter<Gateway> {
    let routes = OpenApiRouter::new();
    let routes = routes.routes(routes!(store::store)).routes(routes!(store::store_study));
    routes.layer(from_fn(accept::from_query))
}

/// What is asked of studies that came instance by instance.
pub fn studies() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(store::complete))
}

/// Whether the address, as it is described, is a search.
pub fn is_search(path: &str) -> bool {
    SEARCHES.contains(&path)
}

/// What addresses in answers begin with: as the caller has found us, where the request says how.
fn base(headers: &HeaderMap) -> String {
    let said = |name: header::HeaderName| headers.get(name)?.to_str().ok();
    let is_host = |host: &&str| {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b".-:[]".contains(&letter);
        !host.is_empty() && host.bytes().all(fits)
    };
    let Some(host) = said(header::HOST).filter(is_host) else { return "/dicomweb".to_owned() };
    let forwarded = said(header::HeaderName::from_static("x-forwarded-proto"));
    let scheme = if forwarded == Some("https") { "https" } else { "http" };
    format!("{scheme}://{host}/dicomweb")
}

/// An answer in the DICOM JSON model.
fn answered(all: &[Value]) -> Result<Response, Problem> {
    let json = serde_json::to_vec(all)
        .map_err(|error| ErrorKind::Internal.error("an answer cannot be written").because(error))?;
    Ok(([(header::CONTENT_TYPE, "application/dicom+json")], json).into_response())
}

/// Adds a header that says something about the answer (RFC 9111 has made them rare; PS3.18 names them).
fn warn(response: &mut Response, words: &str) {
    if let Ok(value) = HeaderValue::try_from(format!("299 medseg \"{words}\"")) {
        response.headers_mut().append(header::WARNING, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_begin_as_the_caller_has_found_us_and_never_with_what_is_no_host() {
        let with = |host: &str, proto: Option<&str>| {
            let mut headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            if let Some(proto) = proto {
                headers.insert("x-forwarded-proto", proto.parse().unwrap());
            }
            base(&headers)
        };
        assert_eq!(
            with("medseg.example:8443", Some("https")),
            "https://medseg.example:8443/dicomweb"
        );
        assert_eq!(with("[::1]:8080", None), "http://[::1]:8080/dicomweb");
        assert_eq!(with("a/b", None), "/dicomweb");
        assert_eq!(base(&HeaderMap::new()), "/dicomweb");
    }

    #[test]
    fn every_search_is_described_and_nothing_else_takes_any_query() {
        let (_, document) = router().split_for_parts();
        for search in SEARCHES {
            assert!(document.paths.paths.contains_key(search), "{search}");
        }
        assert!(!is_search("/dicomweb/studies/{study}/metadata"));
    }
}
