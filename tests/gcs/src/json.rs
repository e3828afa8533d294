//! The JSON interface's reads and lists, and what its answers have in common.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State as Shared};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::Meta;
use crate::{State, lock};

/// Why a request is answered no further: because the double was told to fail, or knows no such bucket.
pub fn refused(state: &State, bucket: &str) -> Option<Response> {
    if lock(&state.failing).refuses() {
        return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    (bucket != state.bucket).then(|| StatusCode::NOT_FOUND.into_response())
}

pub fn base64_of(crc32c: u32) -> String {
    BASE64_STANDARD.encode(crc32c.to_be_bytes())
}

pub fn failed(error: impl std::fmt::Display) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
}

/// An object as Google describes it.
pub fn described(state: &State, name: &str, meta: &Meta) -> Value {
    json!({
        "name": name,
        "bucket": state.bucket,
        "generation": meta.generation.to_string(),
        "metageneration": "1",
        "size": meta.size.to_string(),
        "crc32c": base64_of(meta.crc32c),
        "etag": format!("etag-{}", meta.generation),
    })
}

pub async fn bucket(Shared(state): Shared<Arc<State>>, Path(bucket): Path<String>) -> Response {
    let described = || Json(json!({ "name": bucket, "id": bucket })).into_response();
    refused(&state, &bucket).unwrap_or_else(described)
}

/// What is listed, and where a page begins.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    #[serde(default)]
    prefix: String,
    /// Names that go on after it are told as one prefix.
    delimiter: Option<String>,
    #[serde(default)]
    page_token: String,
    max_results: Option<usize>,
}

/// The most that Google puts on a page.
const PAGE: usize = 1000;

pub async fn list(
    Shared(state): Shared<Arc<State>>,
    Path(bucket): Path<String>,
    Query(listed): Query<Listed>,
) -> Response {
    if let Some(refused) = refused(&state, &bucket) {
        return refused;
    }
    let Listed { prefix, delimiter, page_token, max_results } = listed;
    let count = max_results.unwrap_or(PAGE).clamp(1, PAGE);
    let page = lock(&state.objects).page(&prefix, &page_token, count);
    let next = page.last().filter(|_| page.len() == count).map(|(name, _)| name.clone());
    let (mut items, mut prefixes) = (Vec::new(), Vec::new());
    for (name, meta) in &page {
        let behind = delimiter.as_ref().filter(|delimiter| !delimiter.is_empty()).and_then(|it| {
            let at = name[prefix.len()..].find(it.as_str())?;
            Some(&name[..prefix.len() + at + it.len()])
        });
        match behind {
            Some(below) if prefixes.last() != Some(&below) => prefixes.push(below),
            Some(_) => {}
            None => items.push(described(&state, name, meta)),
        }
    }
    Json(json!({ "items": items, "prefixes": prefixes, "nextPageToken": next })).into_response()
}

/// Whether the bytes of an object are asked for, or what is said of it.
#[derive(Deserialize)]
pub struct Alternative {
    alt: Option<String>,
}

pub async fn read(
    shared: Shared<Arc<State>>,
    path: Path<(String, String)>,
    Query(Alternative { alt }): Query<Alternative>,
    headers: HeaderMap,
) -> Response {
    if alt.as_deref() == Some("media") {
        return download(shared, path, headers).await;
    }
    let (Shared(state), Path((bucket, name))) = (shared, path);
    if let Some(refused) = refused(&state, &bucket) {
        return refused;
    }
    match lock(&state.objects).get(&name) {
        Some(meta) => Json(described(&state, &name, meta)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

pub async fn download(
    Shared(state): Shared<Arc<State>>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&state, &bucket) {
        return refused;
    }
    let late = lock(&state.failing).faults.reads_late;
    tokio::time::sleep(late).await;
    let found = {
        let objects = lock(&state.objects);
        objects.get(&name).cloned().map(|meta| (meta, objects.read(&name)))
    };
    match found {
        None => StatusCode::NOT_FOUND.into_response(),
        Some((_, Err(error))) => failed(error),
        Some((meta, Ok(bytes))) => {
            let cut = lock(&state.failing).cuts_read();
            answer(&meta, bytes.into(), headers.get(header::RANGE), cut).unwrap_or_else(failed)
        }
    }
}

fn answer(
    meta: &Meta,
    bytes: Bytes,
    range: Option<&http::HeaderValue>,
    cut: bool,
) -> anyhow::Result<Response> {
    let mut response = http::Response::builder()
        .header("x-goog-generation", meta.generation)
        .header("x-goog-metageneration", 1)
        .header("x-goog-stored-content-length", meta.size)
        .header("x-goog-hash", format!("crc32c={}", base64_of(meta.crc32c)));
    let range =
        range.and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let bytes = match range {
        None => bytes,
        Some((first, last)) => {
            let first: usize = first.parse()?;
            let last = last.parse().unwrap_or(bytes.len().saturating_sub(1));
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", bytes.len()));
            bytes.slice(first..=last)
        }
    };
    let response = response.header(header::CONTENT_LENGTH, bytes.len());
    let body = match cut {
        false => Body::from(bytes),
        true => {
            let half = Ok(bytes.slice(..bytes.len() / 2));
            Body::from_stream(stream::iter([half, Err(std::io::Error::other("told to"))]))
        }
    };
    Ok(response.body(body)?)
}
