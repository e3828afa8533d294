//! The JSON interface's read, and what its answers have in common.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, StatusCode, header};

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

pub async fn read(
    Shared(state): Shared<Arc<State>>,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&state, &bucket) {
        return refused;
    }
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
