use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use imaging::About;
use proto::storage::{ArtefactRef, ScanRef};
use serde_json::json;
use tonic::{Code, Status};

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::{NOT_READY, Problem};
use crate::scans::{Binary, Scan};

/// Storage's name of the document that says everything about a result.
pub const RESULT: &str = "result.json";

/// One of the files that belong to a scan.
struct Artefact {
    name: &'static str,
    media_type: &'static str,
    /// Whether it is there as soon as the scan is accepted.
    from_the_start: bool,
    /// What takes its place once there is a result that brings it.
    finally: Option<&'static str>,
}

impl Artefact {
    /// What is kept when the scan is accepted.
    fn kept(name: &'static str, media_type: &'static str) -> Artefact {
        Artefact { name, media_type, from_the_start: true, finally: None }
    }

    /// What comes with the result.
    fn of_result(name: &'static str, media_type: &'static str) -> Artefact {
        Artefact { from_the_start: false, ..Artefact::kept(name, media_type) }
    }
}

/// Shows the result: the answer, its findings with their measures, and how it came about
#[utoipa::path(
    operation_id = "get_result", get, path = "/v1/scans/{id}/result", tag = "results", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The result; `answer` is one of the four. `findings` have a `role`, `main` or `lesser`, and `totals` include main ones alone; `image.kind` says what kind of image it was taken for and who said so; `model` names the look, cut and calibration that were used", body = Object),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not ready: ask again after `Retry-After` seconds", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn result(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let document = Artefact::of_result(RESULT, "application/json");
    serve(gateway, caller, id, headers, document).await
}

/// Shows the scan as it was uploaded
///
/// Of a volume it is the middle slice, at most 1,024 pixels a side; once there is a result it is the very slice, in the
/// scan's own pixels, that `mask.png` and `overlay.png` show.
#[utoipa::path(
    operation_id = "get_image", get, path = "/v1/scans/{id}/image.png", tag = "results", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The image", body = Binary, content_type = "image/png"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn image(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let image = Artefact { finally: Some("shown.png"), ..Artefact::kept("image.png", "image/png") };
    serve(gateway, caller, id, headers, image).await
}

/// Shows the mask of the slice that `image.png` shows
#[utoipa::path(
    operation_id = "get_mask", get, path = "/v1/scans/{id}/mask.png", tag = "results", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The mask: white in main findings, grey (127) in lesser ones, black elsewhere", body = Binary, content_type = "image/png"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan, or its result has none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not ready: ask again after `Retry-After` seconds", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn mask(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mask = Artefact::of_result("mask.png", "image/png");
    serve(gateway, caller, id, headers, mask).await
}

/// Shows the findings over the image: outline and box
#[utoipa::path(
    operation_id = "get_overlay", get, path = "/v1/scans/{id}/overlay.png", tag = "results", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The image with main findings outlined in yellow and boxed in blue, lesser ones outlined in purple", body = Binary, content_type = "image/png"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan, or its result has none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not ready: ask again after `Retry-After` seconds", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn overlay(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let overlay = Artefact::of_result("overlay.png", "image/png");
    serve(gateway, caller, id, headers, overlay).await
}

/// Gives the mask of the whole volume, in its own geometry
#[utoipa::path(
    operation_id = "get_mask_volume", get, path = "/v1/scans/{id}/mask.nii.gz", tag = "results", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The mask as NIfTI, gzipped: 1 in main findings, 2 in lesser ones, 0 elsewhere", body = Binary, content_type = "application/gzip"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan, or its result has none", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not ready: ask again after `Retry-After` seconds", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn mask_volume(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mask_volume = Artefact::of_result("mask.nii.gz", "application/gzip");
    serve(gateway, caller, id, headers, mask_volume).await
}

/// Gives the file back as it was uploaded
///
/// Always as a download: whoever uploaded it may have put anything into it.
#[utoipa::path(
    operation_id = "get_original", get, path = "/v1/scans/{id}/original", tag = "results", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The file", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "Unchanged: the `If-None-Match` still matches"),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn original(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let original = Artefact::kept("original", "application/octet-stream");
    let mut response = serve(gateway, caller, id, headers, original).await?;
    response
        .headers_mut()
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

async fn serve(
    mut gateway: Gateway,
    caller: Caller,
    id: String,
    headers: HeaderMap,
    artefact: Artefact,
) -> Result<Response, Problem> {
    let scan = gateway.scans.get(caller.says(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    if !artefact.from_the_start && !scan.is_done() {
        return Err(NOT_READY.problem(format!("the scan is {}", scan.state)));
    }
    let Artefact { name, media_type, finally, .. } = artefact;
    if let Some(finally) = finally.filter(|_| scan.is_done()) {
        match answer(&mut gateway, &caller, &headers, &scan, finally, media_type).await {
            Err(status) if status.code() == Code::NotFound => {}
            answer => return Ok(answer?),
        }
    }
    Ok(answer(&mut gateway, &caller, &headers, &scan, name, media_type).await?)
}

/// One artefact of that scan, or that the caller has it already.
async fn answer(
    gateway: &mut Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    scan: &Scan,
    name: &str,
    media_type: &'static str,
) -> Result<Response, Status> {
    // Artefacts never change once they are there, so their names tell them apart.
    let tag = format!("\"{}/{name}\"", scan.id);
    if matches(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let body = match read(gateway, caller, &scan.id, name).await {
        Ok(bytes) => Body::from_stream(bytes),
        Err(status) if status.code() == Code::NotFound && name == RESULT => summary(scan).into(),
        Err(status) => return Err(status),
    };
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::ETAG, tag)];
    Ok((headers, body).into_response())
}

/// The bytes of an artefact, as they come.
///
/// Waits for the first of them: an artefact that is not there, or cannot be read, is told as such.
pub async fn read(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    name: &str,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + Send + use<>, Status> {
    let artefact = ArtefactRef { id: id.to_owned(), name: name.to_owned() };
    let mut chunks = gateway.scans.read(caller.says(artefact)).await?.into_inner();
    let first = chunks.message().await?;
    // What breaks from here on breaks the answer off, so that nobody takes it for whole.
    let told = |status: &Status| tracing::error!(code = ?status.code(), "an artefact broke off");
    Ok(stream::iter(first.map(Ok)).chain(chunks).map_ok(|chunk| chunk.data).inspect_err(told))
}

/// The result of a scan that nobody could look at: without an analysis there is no document.
fn summary(scan: &Scan) -> String {
    let About { schema: _, software, limits } = About::default();
    let Scan { id, answer, reason, accepted_ms, completed_ms, .. } = scan;
    let document = json!({
        "software": software, "limits": limits, "scan_id": id, "answer": answer, "reason": reason,
        "findings": [], "totals": null, "confidence": null,
        "timing": { "accepted_ms": accepted_ms, "finished_ms": completed_ms },
    });
    document.to_string()
}

fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let known =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let weak = |known: &str| known.trim().trim_start_matches("W/").to_owned();
    known.flat_map(|value| value.split(',')).map(weak).any(|known| known == "*" || known == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_among_others_matches() {
        for (known, expected) in
            [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, known.parse().unwrap())]);
            assert_eq!(matches(&headers, "\"a\""), expected, "{known}");
        }
    }
}
