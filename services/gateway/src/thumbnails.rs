use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::artefact::RESULT;
use domain::{Answer, ErrorKind, TenantId};
use proto::storage::ScanRef;
use serde::Deserialize;

use crate::Gateway;
use crate::artefacts;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::Problem;
use crate::scans::{Binary, Scan};
use crate::slices;

/// How long the longer side of a thumbnail is at most: twice what the page shows, for dense screens.
pub const SIDE: usize = 96;
/// How many are kept; each has some kilobytes.
const KEPT: usize = 512;
/// A browser may keep it, and asks each time whether its reader may still see it.
const PRIVATE: &str = "private, no-cache";

/// Thumbnails that were shown last.
///
/// That the caller may see the scan is asked of storage each time, before anything is taken from here.
#[derive(Clone, Default)]
pub struct Thumbnails(Arc<Mutex<VecDeque<(Key, Bytes)>>>);

/// Whose scan's, and which of them: the result of an analysis may show another slice.
type Key = (TenantId, String);

impl Thumbnails {
    fn get(&self, key: &Key) -> Option<Bytes> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|(known, _)| known == key)?;
        let (key, png) = kept.remove(found)?;
        // It is the last to give way.
        kept.push_back((key, png.clone()));
        Some(png)
    }

    fn keep(&self, key: Key, png: Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        kept.push_back((key, png));
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }
}

/// Shows a scan in a list: one slice, small
///
/// The slice that the result shows, else the middle one, as a PNG of at most 96 pixels a side, without letters and without names; from the
/// moment that the scan is accepted.
#[utoipa::path(
    operation_id = "get_thumbnail", get, path = "/v1/scans/{id}/thumbnail.png", tag = "results",
    params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The slice, 8-bit grey", body = Binary, content_type = "image/png"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scan = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    let tag = tag(&scan);
    let about = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, PRIVATE.to_owned())];
    if artefacts::matches(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let key = (caller.tenant(), tag);
    let png = if let Some(png) = gateway.thumbnails.get(&key) {
        png
    } else {
        let png = Bytes::from(drawn(&mut gateway, &caller, &scan).await?);
        gateway.thumbnails.keep(key, png.clone());
        png
    };
    Ok((about, [(header::CONTENT_TYPE, "image/png")], png).into_response())
}

/// Another one once the scan is done, or was analysed anew.
fn tag(scan: &Scan) -> String {
    format!("\"{}/thumbnail/{}\"", scan.id, scan.completed_ms.unwrap_or_default())
}

/// The thumbnail of a scan, drawn anew.
pub async fn drawn(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
) -> Result<Vec<u8>, Problem> {
    let shown = shown_slice(gateway, caller, scan).await?;
    let slices = scan.shape.first().map_or(0, |count| *count as usize);
    let slice = shown.filter(|slice| *slice < slices).unwrap_or(slices / 2);
    let read = slices::one(gateway, caller, scan, slice).await?;
    let drawn = tokio::task::spawn_blocking(move || read.thumbnail(slice, SIDE)).await;
    let drawn = drawn.map_err(|error| {
        ErrorKind::Internal.error("a thumbnail could not be drawn").because(error)
    })?;
    Ok(drawn?)
}

/// Of a result's document: what is read here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    image: Option<Image>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    shown_slice: Option<usize>,
}

/// The slice that the result shows; None where there is none, or it does not say.
async fn shown_slice(
    gateway: &mut Gateway,
    caller: &Caller,
    scan: &Scan,
) -> Result<Option<usize>, Problem> {
    if !matches!(scan.answer, Some(Answer::Found | Answer::NoneFound)) {
        return Ok(None);
    }
    let document = artefacts::whole(gateway, caller, &scan.id, RESULT.name).await?;
    let document = document.and_then(|json| serde_json::from_slice::<Document>(&json).ok());
    Ok(document.and_then(|document| document.image?.shown_slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        ("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(), number.to_string())
    }

    #[test]
    fn what_was_shown_last_is_kept_and_no_more_than_there_is_room_for() {
        let thumbnails = Thumbnails::default();
        for number in 0..KEPT {
            thumbnails.keep(key(number), Bytes::from_static(b"a picture"));
        }
        assert!(thumbnails.get(&key(0)).is_some());
        thumbnails.keep(key(KEPT), Bytes::from_static(b"another"));
        assert!(thumbnails.get(&key(0)).is_some() && thumbnails.get(&key(1)).is_none());
        assert_eq!(thumbnails.get(&key(KEPT)).unwrap(), "another");
        assert_eq!(thumbnails.0.lock().unwrap().len(), KEPT);
    }

    #[test]
    fn another_hospital_finds_nothing_of_the_same_name() {
        let thumbnails = Thumbnails::default();
        thumbnails.keep(key(1), Bytes::from_static(b"a picture"));
        let elsewhere = "01890a5d-ac96-774b-bcce-b302099a8058".parse().unwrap();
        assert!(thumbnails.get(&(elsewhere, "1".to_owned())).is_none());
    }
}
