//! Uploads that a lost line or a closed page does not lose: the protocol tus 1.0.0, with its extensions creation,
//! expiration and termination.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::options;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::limits::ENTRY_NAME_CHARS_MAX;
use domain::{Priority, rfc3339};
use proto::ingest::append_part::Part;
use proto::ingest::partial_upload::Outcome;
use proto::ingest::{
    self, AppendHeader, AppendPart, PartialUploadRef, UploadBeginning, UploadContents, UploadEnd,
    UploadHeader,
};
use proto::storage::ScanRef;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::batches::{Batch, EntryRefusal};
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::layers::timely;
use crate::pour::{ANSWER_TIME, Telling, pour};
use crate::problem::{INVALID, PAYLOAD_TOO_LARGE, Problem, TUS_VERSION, UNSUPPORTED_MEDIA_TYPE};
use crate::scans::{Binary, Scan};
use crate::stated::Identifier;
use crate::times::http_date;
use crate::upload;
use crate::upload_options::{UploadOptions, WantedSeries};

const SPOKEN: &str = "1.0.0";
const VERSION: HeaderValue = HeaderValue::from_static(SPOKEN);
const EXTENSIONS: HeaderValue = HeaderValue::from_static("creation,expiration,termination");
/// What the body of each request that brings bytes is.
const BYTES: &str = "application/offset+octet-stream";

pub const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub const TUS_VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// The routes, which all speak one version of the protocol and say so.
pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(show, append, abandon))
        .route("/v1/uploads", options(discover))
        .layer(from_fn(speak))
}

/// An upload that comes in as many requests as it takes.
#[derive(Serialize, ToSchema)]
pub struct PartialUpload {
    #[schema(format = "uuid")]
    id: String,
    /// Of the whole.
    size_bytes: u64,
    /// So many have come, and are safe: the next request goes on there.
    kept_bytes: u64,
    /// When it is forgotten, unless more comes; in milliseconds since 1970.
    expires_ms: i64,
    /// The same as RFC 3339 writes it.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
    /// What has become of it, once it was whole.
    scan: Option<Scan>,
    /// The same, where it is more than one scan.
    batch: Option<Batch>,
    /// Why it is neither: the input requirement that it does not meet.
    refusal: Option<EntryRefusal>,
}

/// What an upload says beside its bytes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PartialUploadOptions {
    /// What the bytes are: one file, as `POST /v1/scans` takes it; a zip of several files, taken as if they had come in one form
    /// there; or a zip as `POST /v1/batches` takes it.
    #[serde(default)]
    #[param(inline, required = false)]
    contents: Contents,
    /// How urgent the analysis is.
    #[serde(default)]
    #[param(required = false)]
    priority: Priority,
    /// What the sender calls the scan; kept with its identity, and found again by it.
    #[param(inline, value_type = Option<Identifier>)]
    reference: Option<String>,
    /// Whose scan it is, where the file does not say so itself. A file that says otherwise is refused.
    #[param(inline, value_type = Option<Identifier>)]
    patient_id: Option<String>,
    /// Of which examination it is, where the file does not say so itself. A file that says otherwise is refused.
    #[param(inline, value_type = Option<Identifier>)]
    accession_number: Option<String>,
    /// Where the scan was made, such as a hospital's branch: what `/v1/quality` groups by, in place of the institution that a DICOM
    /// file names. It travels in the event `scan.completed`, so that it must name nobody.
    #[param(inline, value_type = Option<Identifier>)]
    site: Option<String>,
    /// Which DICOM series of a study are analysed, where several come at once; those that fit, where nothing is said. All of them are
    /// kept, and told with what speaks for each and against it. Only where it is said is one zip taken that holds several series of a
    /// study: one file is one scan else, and such a zip is refused as `mixed-series`.
    #[param(inline)]
    series: Option<WantedSeries>,
}

/// What the bytes of an upload are.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Contents {
    #[default]
    File,
    Files,
    Batch,
}

impl From<Contents> for UploadContents {
    fn from(contents: Contents) -> UploadContents {
        match contents {
            Contents::File => UploadContents::File,
            Contents::Files => UploadContents::Files,
            Contents::Batch => UploadContents::Batch,
        }
    }
}

/// Begins an upload that may be interrupted
///
/// The protocol is tus 1.0.0 with creation, expiration and termination, so that its clients can be used. The bytes follow with
/// `PATCH` at `Location`, in as many requests as it takes; after an interruption `HEAD` says where to go on. With the last bytes it
/// becomes what it would have become in one request. Only whoever began it, user or API client, knows of it.
#[utoipa::path(
    operation_id = "begin_upload", post, path = "/v1/uploads", tag = "uploads",
    params(PartialUploadOptions,
        ("Upload-Length" = u64, Header, description = "How many bytes there are in all", minimum = 1),
        ("Upload-Metadata" = Option<String>, Header, description = "Of tus: `filename` and its value in Base64 is a hint for messages; other keys are passed over"),
        ("Tus-Resumable" = Option<String>, Header, description = "The version that is spoken, 1.0.0", pattern = "^1\\.0\\.0$"),
        ("Idempotency-Key" = Option<String>, Header, description = "Names what comes of it: the same key finds the same scan instead of making a second one", min_length = 1, max_length = 255, pattern = "^[ -~]+$")),
    responses(
        (status = 201, description = "Begun: nothing of it is there yet", body = PartialUpload,
            headers(("Location" = String, description = "Where its bytes go"),
                ("Upload-Expires" = String, description = "When it is forgotten, unless more comes"))),
        (status = 412, description = "Another version of tus is spoken", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is larger than an upload may be", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn begin(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(options): Query<PartialUploadOptions>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let size_bytes = number(&headers, UPLOAD_LENGTH)?;
    if size_bytes > gateway.max_upload_bytes {
        return Err(PAYLOAD_TOO_LARGE
            .problem(format!("an upload may have {} bytes at most", gateway.max_upload_bytes)));
    }
    let PartialUploadOptions { contents, priority, reference, site, series, .. } = options;
    let PartialUploadOptions { patient_id, accession_number, .. } = options;
    let options = UploadOptions { priority, reference, patient_id, accession_number, site, series };
    let file_name = file_name(&headers)?;
    let header = UploadHeader { file_name, ..upload::header_of(options, &headers)? };
    let contents = UploadContents::from(contents).into();
    let beginning = UploadBeginning { header: Some(header), size_bytes, contents };
    let request = caller.request(beginning);
    let begin = async { Ok::<_, Problem>(gateway.ingest.begin_upload(request).await?) };
    let begun = timely(begin).await?.into_inner();
    let location = location(&begun.id)?;
    let mut headers = stand(&begun);
    headers.insert(header::LOCATION, location);
    let begun = PartialUpload::with_outcome(&mut gateway, &caller, begun).await?;
    Ok((StatusCode::CREATED, headers, Json(begun)).into_response())
}

/// Says how much of an upload is there, and what has become of it
///
/// To `HEAD` the headers say how much. A request that still sends bytes of it is ended, and what it brought is kept: asked is after
/// an interruption. An upload that is whole, but could not be looked at yet, is looked at before this is answered.
#[utoipa::path(
    operation_id = "get_upload", get, path = "/v1/uploads/{id}", tag = "uploads", params(("id" = String, Path, description = "The upload's id", format = "uuid")),
    responses(
        (status = 200, description = "The upload", body = PartialUpload,
            headers(("Upload-Offset" = u64, description = "So many bytes are there"),
                ("Upload-Length" = u64, description = "So many there are in all"),
                ("Upload-Expires" = String, description = "When it is forgotten, unless more comes"))),
        (status = 404, description = "No such upload, or it has expired, or somebody else has begun it", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another version of tus is spoken", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut request = caller.request(PartialUploadRef { id });
    request.set_timeout(ANSWER_TIME);
    let upload = gateway.ingest.get_upload(request).await?.into_inner();
    let headers = stand(&upload);
    let upload = PartialUpload::with_outcome(&mut gateway, &caller, upload).await?;
    Ok((headers, Json(upload)).into_response())
}

/// Sends the next bytes of an upload
///
/// From `Upload-Offset` on, which must be where those that are there end. What comes before an interruption is kept. With the last
/// bytes it is looked at: then `Location` leads to the scan or the batch, and a file that does not meet an input requirement is
/// refused as `POST /v1/scans` refuses it.
#[utoipa::path(
    operation_id = "append_upload", patch, path = "/v1/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The upload's id", format = "uuid"),
        ("Upload-Offset" = u64, Header, description = "Where these bytes begin"),
        ("Tus-Resumable" = Option<String>, Header, description = "The version that is spoken, 1.0.0", pattern = "^1\\.0\\.0$")),
    request_body(description = "The next bytes", content((Binary = "application/offset+octet-stream"))),
    responses(
        (status = 204, description = "They are kept",
            headers(("Upload-Offset" = u64, description = "So many bytes are there"),
                ("Upload-Expires" = String, description = "When it is forgotten, unless more comes"),
                ("Location" = String, description = "Where the scan or the batch is that it has become"))),
        (status = 404, description = "No such upload, or it has expired, or somebody else has begun it", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "They do not begin where those that are there end", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another version of tus is spoken", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The file does not meet an input requirement; `type` says which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn append(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers();
    let media = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if !media.trim_ascii().eq_ignore_ascii_case(BYTES.as_bytes()) {
        return Err(UNSUPPORTED_MEDIA_TYPE.problem(format!("the next bytes are sent as {BYTES}")));
    }
    let header = AppendHeader { id, offset_bytes: number(headers, UPLOAD_OFFSET)? };
    let mut ingest = gateway.ingest.clone();
    let call = |parts| async move { ingest.append_upload(parts).await };
    let limit = gateway.max_upload_bytes;
    let kept = pour(&gateway, &caller, limit, Further { header }, request, call).await?;
    let mut headers = stand(&kept);
    match kept.outcome {
        None => {}
        Some(Outcome::ScanId(id)) => place(&mut headers, &format!("/v1/scans/{id}")),
        Some(Outcome::BatchId(id)) => place(&mut headers, &format!("/v1/batches/{id}")),
        Some(Outcome::Refusal(refusal)) => return Err(refusal.into()),
    }
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Forgets an upload
///
/// Its bytes are deleted. A scan that it has become already stays.
#[utoipa::path(
    operation_id = "abandon_upload", delete, path = "/v1/uploads/{id}", tag = "uploads",
    params(("id" = String, Path, description = "The upload's id", format = "uuid"),
        ("Tus-Resumable" = Option<String>, Header, description = "The version that is spoken, 1.0.0", pattern = "^1\\.0\\.0$")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "No such upload, or it has expired, or somebody else has begun it", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Another version of tus is spoken", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn abandon(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let request = caller.request(PartialUploadRef { id });
    timely(async { Ok::<_, Problem>(gateway.ingest.drop_upload(request).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what of the protocol is spoken here: to anybody, as tus has it.
async fn discover(State(gateway): State<Gateway>) -> impl IntoResponse {
    let size = HeaderValue::from(gateway.max_upload_bytes);
    let headers = [(TUS_VERSIONS, VERSION), (TUS_EXTENSION, EXTENSIONS), (TUS_MAX_SIZE, size)];
    (StatusCode::NO_CONTENT, headers)
}

/// Refuses another version of the protocol, and says in each answer which one is spoken.
async fn speak(request: Request, next: Next) -> Response {
    let asked = request.headers().get(TUS_RESUMABLE);
    let other = request.method() != Method::OPTIONS
        && asked.is_some_and(|asked| asked.as_bytes() != SPOKEN.as_bytes());
    let mut response = if other {
        let mut refused = TUS_VERSION.problem("tus 1.0.0 is spoken here").into_response();
        refused.headers_mut().insert(TUS_VERSIONS, VERSION);
        refused
    } else {
        next.run(request).await
    };
    response.headers_mut().insert(TUS_RESUMABLE, VERSION);
    response
}

impl PartialUpload {
    /// The upload, with the scan or the batch that it has become, as it is now.
    async fn with_outcome(
        gateway: &mut Gateway,
        caller: &Caller,
        upload: ingest::PartialUpload,
    ) -> Result<PartialUpload, Problem> {
        let ingest::PartialUpload { id, size_bytes, kept_bytes, expires_ms, outcome } = upload;
        let (mut scan, mut batch, mut refusal) = (None, None, None);
        match outcome {
            None => {}
            Some(Outcome::ScanId(id)) => {
                let found = gateway.scans.get(caller.request(ScanRef { id })).await?;
                scan = Some(Scan::try_from(found.into_inner())?);
            }
            Some(Outcome::BatchId(id)) => batch = Some(Batch::get(gateway, caller, id).await?),
            Some(Outcome::Refusal(why)) => refusal = Some(why.into()),
        }
        let expires_at = rfc3339(expires_ms);
        Ok(PartialUpload {
            id,
            size_bytes,
            kept_bytes,
            expires_ms,
            expires_at,
            scan,
            batch,
            refusal,
        })
    }
}

/// How far the upload is, in the protocol's headers.
fn stand(upload: &ingest::PartialUpload) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(UPLOAD_OFFSET, upload.kept_bytes.into());
    headers.insert(UPLOAD_LENGTH, upload.size_bytes.into());
    if let Some(expires) = http_date(upload.expires_ms).and_then(|date| date.parse().ok()) {
        headers.insert(UPLOAD_EXPIRES, expires);
    }
    headers
}

fn place(headers: &mut HeaderMap, path: &str) {
    if let Ok(path) = path.parse() {
        headers.insert(header::LOCATION, path);
    }
}

fn location(id: &str) -> Result<HeaderValue, Problem> {
    format!("/v1/uploads/{id}").parse().map_err(|_| upload::unanswered())
}

/// The whole number that the one header of that name says.
fn number(headers: &HeaderMap, name: HeaderName) -> Result<u64, Problem> {
    let mut values = headers.get_all(&name).iter();
    let number = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().filter(|text| is_number(text)),
        _ => None,
    };
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| INVALID.problem(format!("the header `{name}` is one whole number of bytes")))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What the metadata call the file; empty where they do not.
fn file_name(headers: &HeaderMap) -> Result<String, Problem> {
    let bad =
        || INVALID.problem("`Upload-Metadata` is a list of keys, each with a value in Base64");
    let Some(metadata) = headers.get(UPLOAD_METADATA) else { return Ok(String::new()) };
    for pair in metadata.to_str().map_err(|_| bad())?.split(',') {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = STANDARD.decode(value.trim()).map_err(|_| bad())?;
        if key == "filename" {
            let name = String::from_utf8_lossy(&value);
            return Ok(name.chars().take(ENTRY_NAME_CHARS_MAX).collect());
        }
    }
    Ok(String::new())
}

/// Tells ingest of an upload's next bytes.
struct Further {
    header: AppendHeader,
}

impl Telling for Further {
    type Part = AppendPart;

    fn file(&mut self, _: &str) -> Vec<AppendPart> {
        vec![part(Part::Header(self.header.clone()))]
    }

    fn bytes(&mut self, bytes: Bytes) -> AppendPart {
        part(Part::Data(bytes))
    }

    fn end(&mut self, size_bytes: u64) -> AppendPart {
        part(Part::End(UploadEnd { size_bytes }))
    }
}

fn part(part: Part) -> AppendPart {
    AppendPart { part: Some(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_number_of_bytes_is_digits_once() {
        let said = |values: &[&str]| number(&headers(UPLOAD_OFFSET, values), UPLOAD_OFFSET).ok();
        assert_eq!(said(&["0"]), Some(0));
        assert_eq!(said(&["18446744073709551615"]), Some(u64::MAX));
        let none: [&[&str]; 7] =
            [&[], &[""], &["-1"], &["+1"], &["1.0"], &["1", "1"], &["18446744073709551616"]];
        for none in none {
            assert_eq!(said(none), None, "{none:?}");
        }
    }

    #[test]
    fn of_the_metadata_the_files_name_is_read() {
        let said = |value: &str| file_name(&headers(UPLOAD_METADATA, &[value])).ok();
        assert_eq!(said("filename aGVhZC5uaWk="), Some("head.nii".into()));
        assert_eq!(said("is_confidential,filetype YQ==, filename w7w="), Some("ü".into()));
        assert_eq!(said("filetype YQ=="), Some(String::new()));
        assert_eq!(said("filename head.nii"), None);
        assert_eq!(file_name(&HeaderMap::new()).ok(), Some(String::new()));
    }
}
