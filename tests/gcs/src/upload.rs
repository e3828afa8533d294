//! The JSON interface's two ways to upload: in one piece, and resumable.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State as Shared};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt;
use http::{HeaderMap, StatusCode, header};
use memchr::memmem;
use serde::Deserialize;
use tempfile::NamedTempFile;

use crate::json::{described, failed, refused};
use crate::{State, lock};

/// No object that is sent in one piece is larger.
const ONE_PIECE_MAX: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub struct Sessions {
    begun: u64,
    open: HashMap<String, Unfinished>,
    /// What finished sessions came to: who has not heard it asks again.
    finished: HashMap<String, serde_json::Value>,
}

/// An object of which not all bytes are there.
struct Unfinished {
    name: String,
    if_absent: bool,
    crc32c_declared: Option<u32>,
    file: NamedTempFile,
    size: u64,
    crc32c: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    upload_type: Option<String>,
    name: Option<String>,
    if_generation_match: Option<i64>,
    #[serde(rename = "upload_id")]
    upload_id: Option<String>,
}

/// What is said of an object before its bytes.
#[derive(Default, Deserialize)]
struct Declared {
    /// Where the address does not say it.
    name: Option<String>,
    crc32c: Option<String>,
}

pub async fn begin(
    Shared(state): Shared<Arc<State>>,
    Path(bucket): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(refused) = refused(&state, &bucket) {
        return refused;
    }
    // Both ways to send the bytes of a session are Google's.
    if asked.upload_id.is_some() {
        return resume(Shared(state), Path(bucket), Query(asked), headers, body).await;
    }
    let kind = asked.upload_type.clone().unwrap_or_default();
    let begun = match kind.as_str() {
        "multipart" => in_one_piece(&state, asked, &headers, body).await,
        "resumable" => open(&state, asked, body).await,
        other => Err(anyhow::anyhow!("the double knows no upload of type `{other}`")),
    };
    begun.unwrap_or_else(failed)
}

async fn in_one_piece(
    state: &State,
    asked: Asked,
    headers: &HeaderMap,
    body: Body,
) -> anyhow::Result<Response> {
    let kind = headers.get(header::CONTENT_TYPE).context("no content type")?.to_str()?;
    let (_, boundary) = kind.split_once("boundary=").context("no boundary")?;
    let boundary = boundary.trim_matches('"');
    let body = to_bytes(body, ONE_PIECE_MAX).await?;
    let parts = parts(&body, boundary);
    let [declared, media, ..] = parts.as_slice() else {
        anyhow::bail!("an upload has its description and its bytes");
    };
    let mut unfinished = Unfinished::new(state, asked, declared)?;
    unfinished.write(state, media)?;
    finish(state, unfinished, None)
}

/// The parts of a `multipart/related` body (RFC 2387), without their headers. gcsfs ends lines with a line feed alone, and
/// Google takes it.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<&'b [u8]> {
    let line = format!("--{boundary}");
    let starts: Vec<usize> = memmem::find_iter(body, line.as_bytes()).collect();
    let between = starts.windows(2).filter_map(|pair| {
        let part = body.get(pair[0] + line.len()..pair[1])?;
        let end: &[u8] = if part.starts_with(b"\r\n") { b"\r\n" } else { b"\n" };
        let headers = memmem::find(part, &end.repeat(2))? + 2 * end.len();
        part.get(headers..)?.strip_suffix(end)
    });
    between.collect()
}

async fn open(state: &State, asked: Asked, body: Body) -> anyhow::Result<Response> {
    let declared = to_bytes(body, ONE_PIECE_MAX).await?;
    let unfinished = Unfinished::new(state, asked, &declared)?;
    if let Some(refused) = unfinished.refused(state) {
        return Ok(refused);
    }
    let mut sessions = lock(&state.sessions);
    sessions.begun += 1;
    let id = format!("session-{}", sessions.begun);
    sessions.open.insert(id.clone(), unfinished);
    let (address, bucket) = (state.address, &state.bucket);
    let location = format!("http://{address}/upload/storage/v1/b/{bucket}/o?upload_id={id}");
    Ok([(header::LOCATION, location)].into_response())
}

pub async fn resume(
    Shared(state): Shared<Arc<State>>,
    Path(bucket): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(refused) = refused(&state, &bucket) {
        return refused;
    }
    let range = headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let id = asked.upload_id.unwrap_or_default();
    resumed(&state, &id, range.unwrap_or_default(), body).await.unwrap_or_else(failed)
}

async fn resumed(state: &State, id: &str, range: &str, body: Body) -> anyhow::Result<Response> {
    if let Some(object) = lock(&state.sessions).finished.get(id) {
        return Ok(Json(object.clone()).into_response());
    }
    let Some(mut unfinished) = lock(&state.sessions).open.remove(id) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    // `bytes */*` only asks how far it has come; `bytes */0` sends an empty object.
    let asks = range == "bytes */*";
    if !asks {
        let first = range.strip_prefix("bytes ").and_then(|range| range.split_once('-'));
        let first = first.and_then(|(first, _)| first.parse::<u64>().ok()).unwrap_or(0);
        anyhow::ensure!(first == unfinished.size, "bytes are missing before {range}");
    }
    let cut = !asks && lock(&state.failing).cuts_upload();
    let mut pieces = body.into_data_stream();
    let mut whole = !asks;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) if !cut => unfinished.write(state, &piece)?,
            Ok(piece) => {
                unfinished.write(state, &piece[..piece.len() / 2])?;
                whole = false;
                break;
            }
            // The connection is gone, and what came is kept.
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    if whole {
        return finish(state, unfinished, Some(id));
    }
    let size = unfinished.size;
    lock(&state.sessions).open.insert(id.to_owned(), unfinished);
    if cut {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let incomplete = StatusCode::PERMANENT_REDIRECT;
    Ok(match size {
        0 => incomplete.into_response(),
        size => (incomplete, [(header::RANGE, format!("bytes=0-{}", size - 1))]).into_response(),
    })
}

impl Unfinished {
    fn new(state: &State, asked: Asked, declared: &[u8]) -> anyhow::Result<Unfinished> {
        let declared: Declared = serde_json::from_slice(declared).unwrap_or_default();
        let crc32c_declared = match declared.crc32c {
            None => None,
            Some(text) => {
                let bytes = BASE64_STANDARD.decode(text)?;
                Some(u32::from_be_bytes(bytes.as_slice().try_into()?))
            }
        };
        Ok(Unfinished {
            name: asked.name.or(declared.name).context("an object has a name")?,
            if_absent: asked.if_generation_match == Some(0),
            crc32c_declared,
            file: lock(&state.objects).unfinished()?,
            size: 0,
            crc32c: 0,
        })
    }

    fn write(&mut self, state: &State, bytes: &[u8]) -> anyhow::Result<()> {
        let mut bytes = bytes.to_vec();
        lock(&state.failing).damage(self.size, &mut bytes);
        self.file.write_all(&bytes)?;
        self.size += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        Ok(())
    }

    /// Why this object may not be put.
    fn refused(&self, state: &State) -> Option<Response> {
        let there = self.if_absent && lock(&state.objects).get(&self.name).is_some();
        there.then(|| StatusCode::PRECONDITION_FAILED.into_response())
    }
}

/// Puts the object, and answers what the client is to hear.
fn finish(
    state: &State,
    unfinished: Unfinished,
    session: Option<&str>,
) -> anyhow::Result<Response> {
    if let Some(refused) = unfinished.refused(state) {
        return Ok(refused);
    }
    let Unfinished { name, crc32c_declared, file, size, crc32c, .. } = unfinished;
    if crc32c_declared.is_some_and(|declared| declared != crc32c) {
        return Ok((StatusCode::BAD_REQUEST, "the checksum differs").into_response());
    }
    let meta = lock(&state.objects).put(&name, file, size, crc32c)?;
    let object = described(state, &name, &meta);
    if let Some(session) = session {
        lock(&state.sessions).finished.insert(session.to_owned(), object.clone());
    }
    if lock(&state.failing).loses_answer() {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    Ok(Json(object).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_whichever_way_lines_end() {
        for end in ["\r\n", "\n"] {
            let lines = ["--b", "A: 1", "", "{}", "--b", "B: 2", "", "by\r\ntes\n", "--b--"];
            let body = lines.join(end);
            assert_eq!(parts(body.as_bytes(), "b"), [&b"{}"[..], b"by\r\ntes\n"], "{end:?}");
        }
    }
}
