use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use proto::storage::{ArtefactRef, ScanRef};
use tonic::{Code, Status};

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Path;
use crate::problem::{NOT_READY, Problem, RANGE_NOT_SATISFIABLE};
use crate::range::{self, Asked, content_range};
use crate::scans::{Binary, Scan};
use crate::summary::{self, AnyResult};

/// Storage's name of the file as it was uploaded.
const ORIGINAL: &str = "original";
/// For what names a patient's illness: no cache but the reader's own keeps it.
const PRIVATE: &str = "private, no-cache";

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
    operation_id = "get_result", get, path = "/v1/scans/{id}/result", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The result; `answer` is one of the four. `findings` have a `role`, `main` or `lesser`, and `totals` include main ones alone; `image.kind` says what kind of image it was taken for and who said so; `model` names the look, cut and calibration that were used", body = AnyResult),
        (status = 206, description = "The bytes that `Range` asks for"),
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

/// Shows the scan as radiologists look at it
///
/// The patient's right is at the left and the front or the head above, with letters at the edges (R or L, A or P, H or F);
/// where the file does not say which way the patient lies it is as stored, marked "side unknown". Of a volume it is the middle slice, at most 1,024 pixels a side; once there is a result it is the very slice, in the
/// scan's own pixels, that `mask.png` and `overlay.png` show.
#[utoipa::path(
    operation_id = "get_image", get, path = "/v1/scans/{id}/image.png", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The image", body = Binary, content_type = "image/png"),
        (status = 206, description = "The bytes that `Range` asks for"),
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
    operation_id = "get_mask", get, path = "/v1/scans/{id}/mask.png", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The mask: white in main findings, grey (127) in lesser ones, black elsewhere", body = Binary, content_type = "image/png"),
        (status = 206, description = "The bytes that `Range` asks for"),
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
    operation_id = "get_overlay", get, path = "/v1/scans/{id}/overlay.png", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The image with main findings outlined in yellow and boxed in blue, lesser ones outlined in purple", body = Binary, content_type = "image/png"),
        (status = 206, description = "The bytes that `Range` asks for"),
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
///
/// It has the grid and the storage order of the file that was uploaded, whatever way up pictures show it: result.json's
/// `image.own_grid` says how slices, rows and columns of the pictures run through it. As all NIfTI files it counts
/// millimetres to the right, the front and the head (RAS); result.json counts to the left, the back and the head (LPS).
#[utoipa::path(
    operation_id = "get_mask_volume", get, path = "/v1/scans/{id}/mask.nii.gz", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The mask as NIfTI, gzipped: 1 in main findings, 2 in lesser ones, 0 elsewhere", body = Binary, content_type = "application/gzip"),
        (status = 206, description = "The bytes that `Range` asks for"),
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
    operation_id = "get_original", get, path = "/v1/scans/{id}/original", tag = "results", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The file", body = Binary, content_type = "application/octet-stream"),
        (status = 206, description = "The bytes that `Range` asks for"),
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
    let original = Artefact::kept(ORIGINAL, "application/octet-stream");
    serve(gateway, caller, id, headers, original).await
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
    let answer = Answer { headers, scan, media_type: artefact.media_type };
    if let Some(finally) = artefact.finally.filter(|_| answer.scan.is_done()) {
        match read(&mut gateway, &caller, &answer.scan.id, finally).await {
            Err(status) if status.code() == Code::NotFound => {}
            kept => return Ok(answer.with(finally, artefact.name, kept?)),
        }
    }
    match read(&mut gateway, &caller, &answer.scan.id, artefact.name).await {
        Err(status) if status.code() == Code::NotFound && artefact.name == RESULT => {
            let summary = Kept::from(summary::of(&answer.scan));
            Ok(answer.with(artefact.name, artefact.name, summary))
        }
        kept => Ok(answer.with(artefact.name, artefact.name, kept?)),
    }
}

/// What one artefact of a scan is answered with.
struct Answer {
    /// Of the request.
    headers: HeaderMap,
    scan: Scan,
    media_type: &'static str,
}

impl Answer {
    /// The bytes of the artefact `name`, those of them that are asked for, or that the caller has them already.
    fn with(self, name: &str, asked_as: &str, kept: Kept) -> Response {
        // Artefacts never change once they are there, so their names tell them apart.
        let tag = format!("\"{}/{name}\"", self.scan.id);
        // A browser may keep it, and asks each time whether its reader may still see it.
        let about = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, PRIVATE.to_owned())];
        if matches(&self.headers, &tag) {
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
        let shown = [
            (header::CONTENT_TYPE, self.media_type.to_owned()),
            (header::CONTENT_DISPOSITION, self.disposition(asked_as, &kept)),
        ];
        let Some(size) = kept.size else {
            return (about, shown, Body::from_stream(kept.bytes)).into_response();
        };
        let ranges = [(header::ACCEPT_RANGES, "bytes")];
        match range::asked(&self.headers, &tag, size) {
            Asked::All => {
                let length = [(header::CONTENT_LENGTH, size)];
                (about, shown, ranges, length, Body::from_stream(kept.bytes)).into_response()
            }
            Asked::Part(part) => {
                let (from, to) = (*part.start(), *part.end());
                let which = content_range(format_args!("{from}-{to}/{size}"));
                let which = [(header::CONTENT_RANGE, which)];
                let length = [(header::CONTENT_LENGTH, to - from + 1)];
                let body = Body::from_stream(range::cut(kept.bytes, part));
                (StatusCode::PARTIAL_CONTENT, about, shown, ranges, which, length, body)
                    .into_response()
            }
            Asked::Beyond => {
                let which = [(header::CONTENT_RANGE, content_range(format_args!("*/{size}")))];
                let problem = RANGE_NOT_SATISFIABLE.problem(format!("there are {size} bytes"));
                (which, problem).into_response()
            }
        }
    }

    /// What a browser is to do with it, and under which name it is kept: the scan's, never a patient's.
    fn disposition(&self, asked_as: &str, kept: &Kept) -> String {
        let id = &self.scan.id;
        match asked_as {
            // Whoever has sent it may have put anything into it.
            ORIGINAL => {
                let extension = extension_of(&self.scan.format, &kept.beginning);
                format!("attachment; filename=\"{id}.{extension}\"")
            }
            name => format!("inline; filename=\"{id}-{name}\""),
        }
    }
}

/// How files of that format are called.
fn extension_of(format: &str, beginning: &[u8]) -> &'static str {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    match format {
        "png" => "png",
        "jpeg" => "jpg",
        "tiff" => "tif",
        "webp" => "webp",
        "dicom" => "dcm",
        "nifti" if beginning.starts_with(GZIP) => "nii.gz",
        "nifti" => "nii",
        "zip" => "zip",
        _ => "bin",
    }
}

/// An artefact as it comes from storage.
pub struct Kept {
    /// How large it is; None where storage does not tell.
    size: Option<u64>,
    /// Its first bytes, which are among the bytes too.
    beginning: Bytes,
    pub bytes: BoxStream<'static, Result<Bytes, Status>>,
}

impl From<String> for Kept {
    fn from(text: String) -> Kept {
        let beginning = Bytes::from(text);
        let size = Some(beginning.len() as u64);
        Kept { size, bytes: stream::iter([Ok(beginning.clone())]).boxed(), beginning }
    }
}

/// The bytes of an artefact, as they come.
///
/// Waits for the first of them: an artefact that is not there, or cannot be read, is told as such.
pub async fn read(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    name: &str,
) -> Result<Kept, Status> {
    let artefact = ArtefactRef { id: id.to_owned(), name: name.to_owned() };
    let mut chunks = gateway.scans.read(caller.says(artefact)).await?.into_inner();
    let Some(first) = chunks.message().await? else { return Ok(Kept::from(String::new())) };
    let (size, beginning) = (Some(first.size_bytes).filter(|size| *size > 0), first.data);
    // What breaks from here on breaks the answer off, so that nobody takes it for whole.
    let told = |status: &Status| tracing::error!(code = ?status.code(), "an artefact broke off");
    let rest = chunks.map_ok(|chunk| chunk.data).inspect_err(told);
    Ok(Kept { size, bytes: stream::iter([Ok(beginning.clone())]).chain(rest).boxed(), beginning })
}

/// Whether the caller has what is tagged so.
pub fn matches(headers: &HeaderMap, tag: &str) -> bool {
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
