mod description;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use domain::artefact::{ALL, Made, ORIGINAL, Published, RESULT};
use domain::{Answer, Artefact};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use imaging::ResultDocument;
use proto::storage::{ArtefactRef, ScanRef};
use tonic::{Code, Status, Streaming};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::Gateway;
use crate::caller::Caller;
use crate::dicom;
use crate::extract::{Path, Query};
use crate::problem::{NOT_READY, Problem, RANGE_NOT_SATISFIABLE};
use crate::range::{self, Asked, content_range};
use crate::scans::Scan;

/// For what names a patient's illness: no cache but the reader's own keeps it.
pub const PRIVATE: &str = "private, no-cache";

/// A route for each artefact that is handed out, described as its row says.
pub fn routes() -> OpenApiRouter<Gateway> {
    ALL.iter().fold(OpenApiRouter::new(), |router, artefact| match artefact.published {
        Some(published) => router.routes(route(artefact, published)),
        None => router,
    })
}

fn route(artefact: &'static Artefact, published: Published) -> UtoipaMethodRouter<Gateway> {
    let (schemas, paths) =
        (description::schemas(artefact), description::paths(artefact, published));
    if artefact.made == Made::Request {
        let show = move |State(gateway): State<Gateway>,
                         caller: Caller,
                         Path(id): Path<String>,
                         Query(wish): Query<dicom::Wish>| {
            dicom::show(gateway, caller, id, wish, artefact)
        };
        return (schemas, paths, get(show));
    }
    let show =
        move |State(gateway): State<Gateway>,
              caller: Caller,
              Path(id): Path<String>,
              headers: HeaderMap| serve(gateway, caller, id, headers, artefact);
    (schemas, paths, get(show))
}

async fn serve(
    mut gateway: Gateway,
    caller: Caller,
    id: String,
    headers: HeaderMap,
    artefact: &'static Artefact,
) -> Result<Response, Problem> {
    let scan = gateway.scans.get(caller.request(ScanRef { id })).await?.into_inner();
    let scan = Scan::try_from(scan)?;
    if artefact.made == Made::Result && !scan.is_done() {
        return Err(NOT_READY.problem(format!("the scan is {}", scan.state)));
    }
    let reply = Reply { headers, scan, artefact };
    if let Some(then) = artefact.then.filter(|_| reply.scan.is_done()) {
        match read(&mut gateway, &caller, &reply.scan.id, then).await {
            Err(status) if status.code() == Code::NotFound => {}
            kept => return Ok(reply.with(then, kept?)),
        }
    }
    match read(&mut gateway, &caller, &reply.scan.id, artefact.name).await {
        Err(status) if status.code() == Code::NotFound && reply.says_why() => {
            let document = failed_result(&reply.scan).to_json();
            Ok(reply.with(artefact.name, document.into()))
        }
        kept => Ok(reply.with(artefact.name, kept?)),
    }
}

/// The result of a scan that was given up, or kept without being analysed: nobody came to write one.
pub fn failed_result(scan: &Scan) -> ResultDocument {
    let Scan { accepted_ms, completed_ms, .. } = *scan;
    let (id, reason) = (scan.id.clone(), scan.reason.clone());
    let finished_ms = completed_ms.unwrap_or(accepted_ms);
    let (answer, series) = (scan.answer.unwrap_or(Answer::Failed), scan.series.clone());
    let failed = ResultDocument::failed(id, reason, accepted_ms, finished_ms);
    ResultDocument { answer, series, ..failed }
}

/// What one artefact of a scan is answered with.
struct Reply {
    /// Of the request.
    headers: HeaderMap,
    scan: Scan,
    /// Which one was asked for.
    artefact: &'static Artefact,
}

impl Reply {
    /// Whether it is the result of a scan that has none but its reason.
    fn says_why(&self) -> bool {
        *self.artefact == RESULT
            && matches!(self.scan.answer, Some(Answer::Failed | Answer::NotAnalysable))
    }

    /// The bytes of the artefact `name`, those of them that are asked for, or that the caller has them already.
    fn with(self, name: &str, kept: StoredArtefact) -> Response {
        // Artefacts never change once they are there, so their names tell them apart.
        let tag = format!("\"{}/{name}\"", self.scan.id);
        // A browser may keep it, and asks each time whether its reader may still see it.
        let about = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, PRIVATE.to_owned())];
        if matches(&self.headers, &tag) {
            return (StatusCode::NOT_MODIFIED, about).into_response();
        }
        let shown = [
            (header::CONTENT_TYPE, self.artefact.media_type.to_owned()),
            (header::CONTENT_DISPOSITION, self.disposition(&kept)),
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
    fn disposition(&self, kept: &StoredArtefact) -> String {
        let id = &self.scan.id;
        if *self.artefact == ORIGINAL {
            // Whoever has sent it may have put anything into it.
            let extension = extension_of(&self.scan.format, &kept.beginning);
            return format!("attachment; filename=\"{id}.{extension}\"");
        }
        format!("inline; filename=\"{id}-{}\"", self.artefact.name)
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
pub struct StoredArtefact {
    /// How large it is; None where storage does not tell.
    size: Option<u64>,
    /// Its first bytes, which are among the bytes too.
    beginning: Bytes,
    pub bytes: BoxStream<'static, Result<Bytes, Status>>,
}

impl From<Vec<u8>> for StoredArtefact {
    fn from(bytes: Vec<u8>) -> StoredArtefact {
        let beginning = Bytes::from(bytes);
        let size = Some(beginning.len() as u64);
        StoredArtefact { size, bytes: stream::iter([Ok(beginning.clone())]).boxed(), beginning }
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
) -> Result<StoredArtefact, Status> {
    let artefact = ArtefactRef { id: id.to_owned(), name: name.to_owned() };
    let mut chunks = gateway.scans.read(caller.request(artefact)).await?.into_inner();
    let Some(first) = chunks.message().await? else { return Ok(StoredArtefact::from(Vec::new())) };
    let (size, beginning) = (Some(first.size_bytes).filter(|size| *size > 0), first.data);
    let bytes = going_on(vec![beginning.clone()], chunks, |chunk| chunk.data, "an artefact");
    Ok(StoredArtefact { size, bytes, beginning })
}

/// What has come, and what still comes. What breaks from here on breaks the answer off, so that nobody takes it for whole.
pub fn going_on<C: Send + 'static>(
    begun: Vec<Bytes>,
    rest: Streaming<C>,
    data: fn(C) -> Bytes,
    what: &'static str,
) -> BoxStream<'static, Result<Bytes, Status>> {
    let told = move |status: &Status| tracing::error!(code = ?status.code(), "{what} broke off");
    let rest = rest.map_ok(data).inspect_err(told);
    stream::iter(begun.into_iter().map(Ok)).chain(rest).boxed()
}

/// How many bytes an artefact has, as far as storage tells, else as many as there may be; None where there is none of that name.
pub async fn size(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    name: &str,
) -> Result<Option<u64>, Problem> {
    match read(gateway, caller, id, name).await {
        Err(status) if status.code() == Code::NotFound => Ok(None),
        kept => Ok(Some(kept?.size.unwrap_or(u64::MAX))),
    }
}

/// All bytes of an artefact; None where there is none of that name.
pub async fn whole(
    gateway: &mut Gateway,
    caller: &Caller,
    id: &str,
    name: &str,
) -> Result<Option<Vec<u8>>, Problem> {
    let mut kept = match read(gateway, caller, id, name).await {
        Err(status) if status.code() == Code::NotFound => return Ok(None),
        kept => kept?,
    };
    let mut bytes = Vec::new();
    while let Some(part) = kept.bytes.try_next().await? {
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes))
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
