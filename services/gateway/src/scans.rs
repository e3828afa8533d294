use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use domain::{Answer, Priority};
use proto::ingest::upload_answer;
use proto::storage;
use serde::{Deserialize, Serialize};
use service::wire;
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::batches::Batch;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::problem::{INTERNAL, INVALID, Problem};
use crate::upload;

const PAGE: u32 = 50;
const PAGE_LARGEST: u32 = 200;

/// One uploaded scan, and how far its analysis is.
#[derive(Serialize, ToSchema)]
pub struct Scan {
    pub id: String,
    #[schema(value_type = StateName)]
    pub state: &'static str,
    /// What medseg says of it; `null` until it is done.
    #[schema(value_type = Option<AnswerName>)]
    pub answer: Option<Answer>,
    /// Why, when the answer is `not_analysable` or `failed`.
    pub reason: Option<String>,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: i64,
    /// When it was done, in milliseconds since 1970.
    pub completed_ms: Option<i64>,
    /// `png`, `jpeg`, `tiff`, `webp`, `dicom`, `nifti` or `zip`.
    pub format: String,
    /// `MR` or `CT`, when the upload says.
    pub modality: Option<String>,
    /// Slices, rows, columns.
    pub shape: Vec<u32>,
    /// SHA-256 of the file as it was uploaded, in hexadecimal.
    pub original_sha256: String,
    /// SHA-256 of the voxels that are analysed, in hexadecimal.
    pub volume_sha256: String,
    /// How urgent its analysis is.
    #[schema(value_type = PriorityName)]
    pub priority: Priority,
    /// How often the analysis was begun.
    pub attempt: u32,
    /// Whether an upload found this scan by its `Idempotency-Key` instead of making a new one.
    pub repeated: bool,
}

/// How far a scan is.
#[derive(ToSchema)]
#[schema(as = State, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum StateName {
    Queued,
    Running,
    Done,
}

/// How urgent the analysis is: `stat` goes before everything `routine`. DICOM's words for a requested procedure.
#[derive(ToSchema)]
#[schema(as = Priority, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum PriorityName {
    Routine,
    Stat,
}

/// What an upload asks for beside its file.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wishes {
    /// How urgent the analysis is.
    #[serde(default)]
    #[param(value_type = Option<PriorityName>)]
    pub priority: Priority,
}

/// One of four, never confused with one another.
#[derive(ToSchema)]
#[schema(as = Answer, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the API")]
enum AnswerName {
    Found,
    NoneFound,
    NotAnalysable,
    Failed,
}

impl Scan {
    pub fn is_done(&self) -> bool {
        self.state == DONE
    }
}

const DONE: &str = "done";

impl TryFrom<storage::Scan> for Scan {
    type Error = Problem;

    fn try_from(scan: storage::Scan) -> Result<Scan, Problem> {
        let state = match scan.state() {
            storage::State::Queued => "queued",
            storage::State::Running => "running",
            storage::State::Done => DONE,
            storage::State::Unspecified => return Err(unclear(&scan)),
        };
        let answer = match scan.answer() {
            storage::Answer::Unspecified => None,
            storage::Answer::Found => Some(Answer::Found),
            storage::Answer::NoneFound => Some(Answer::NoneFound),
            storage::Answer::NotAnalysable => Some(Answer::NotAnalysable),
            storage::Answer::Failed => Some(Answer::Failed),
        };
        let priority = wire::priority_of(scan.priority());
        // Never a silent number: a scan that is done has an answer, and only then.
        if answer.is_some() != (state == DONE) {
            return Err(unclear(&scan));
        }
        Ok(Scan {
            id: scan.id,
            state,
            answer,
            reason: some(scan.reason),
            accepted_ms: scan.accepted_ms,
            completed_ms: (scan.completed_ms != 0).then_some(scan.completed_ms),
            format: scan.format,
            modality: some(scan.modality),
            shape: scan.shape,
            original_sha256: scan.original_sha256,
            volume_sha256: scan.volume_sha256,
            priority,
            attempt: scan.attempt,
            repeated: scan.repeated,
        })
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn unclear(scan: &storage::Scan) -> Problem {
    tracing::error!(scan.id, scan.state, scan.answer, "storage tells of a scan that cannot be");
    INTERNAL.problem("internal error")
}

/// Takes a scan
///
/// The body is the file itself, or a form with files: PNG, JPEG, TIFF, WebP, DICOM, NIfTI, or a zip of the slices of one
/// volume. Several files in one form are one scan when they are the slices of one series (DICOM files say so themselves,
/// pictures by their numbered names), else a batch. Label maps are never slices: they are left out, with a remark in the
/// result.
#[utoipa::path(
    operation_id = "upload_scan", post, path = "/v1/scans", tag = "scans",
    params(Wishes, ("Idempotency-Key" = Option<String>, Header, description = "Names this upload: the same key finds the same scan instead of making a second one")),
    request_body(
        description = "The file",
        content((Binary = "application/octet-stream"), (Form = "multipart/form-data")),
    ),
    responses(
        (status = 202, description = "Accepted and kept: the scan will be analysed, or each of a batch", body = Accepted,
            headers(("Location" = String, description = "Where the scan or the batch is"))),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The file does not meet an input requirement; `type` says which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(wishes): Query<Wishes>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Accepted>), Problem> {
    let mut ingest = gateway.ingest.clone();
    let answer =
        upload::forward(&gateway, &caller, wishes, request, |parts| ingest.upload(parts)).await?;
    match answer.answer {
        Some(upload_answer::Answer::Scan(scan)) => {
            let location = format!("/v1/scans/{}", scan.id);
            let scan = Accepted::Scan(Box::new(scan.try_into()?));
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(scan)))
        }
        Some(upload_answer::Answer::Batch(batch)) => {
            let location = format!("/v1/batches/{}", batch.id);
            let batch = Accepted::Batch(Batch::look(&mut gateway, &caller, batch).await?);
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(batch)))
        }
        Some(upload_answer::Answer::Refusal(refusal)) => Err(refusal.into()),
        None => Err(upload::unanswered()),
    }
}

/// What an upload has become: one scan, or a batch where several files are more than one.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Accepted {
    Scan(Box<Scan>),
    Batch(Batch),
}

/// The file's bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes the API")]
pub struct Binary(Vec<u8>);

/// A form with one file or several, in fields of any name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the API")]
pub struct Form {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Scans, newest first.
#[derive(Serialize, ToSchema)]
pub struct Scans {
    scans: Vec<Scan>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Lists the hospital's scans, newest first
#[utoipa::path(
    operation_id = "list_scans", get, path = "/v1/scans", tag = "scans", params(Page),
    responses((status = 200, description = "One page of scans", body = Scans,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(Page { limit, cursor }): Query<Page>,
) -> Result<(HeaderMap, Json<Scans>), Problem> {
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_LARGEST).contains(&limit) {
        return Err(INVALID.problem(format!("limit is a number from 1 to {PAGE_LARGEST}")));
    }
    let message = storage::ListScans { limit, cursor: cursor.unwrap_or_default() };
    let page = gateway.scans.list(caller.says(message)).await?.into_inner();
    let scans = page.scans.into_iter().map(Scan::try_from).collect::<Result<_, _>>()?;
    let next_cursor = some(page.next_cursor);
    Ok((
        next_cursor.as_deref().map(|next| link(limit, next)).unwrap_or_default(),
        Json(Scans { scans, next_cursor }),
    ))
}

fn link(limit: u32, cursor: &str) -> HeaderMap {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let query =
        query.append_pair("limit", &limit.to_string()).append_pair("cursor", cursor).finish();
    let link = format!("</v1/scans?{query}>; rel=\"next\"").parse();
    link.map(|link| HeaderMap::from_iter([(header::LINK, link)])).unwrap_or_default()
}

/// Shows how far a scan is
#[utoipa::path(
    operation_id = "get_scan", get, path = "/v1/scans/{id}", tag = "scans", params(("id" = String, Path, description = "The scan's id")),
    responses(
        (status = 200, description = "The scan", body = Scan),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Scan>, Problem> {
    let scan = gateway.scans.get(caller.says(storage::ScanRef { id })).await?;
    Ok(Json(scan.into_inner().try_into()?))
}
