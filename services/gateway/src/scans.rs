use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use domain::feedback::ReviewState;
use domain::{Answer, Priority, rfc3339};
use imaging::picker::{KindModel, SeriesChoice};
use proto::ingest::upload_answer;
use proto::storage::{self, SeriesFit};
use serde::{Deserialize, Serialize};
use service::wire;
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::batches::Batch;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::paging::{limit_of, next_page};
use crate::problem::{INTERNAL, Problem};
use crate::stated::{self, Identifier};
use crate::upload_options::UploadOptions;
use crate::{times, upload};

/// One uploaded scan, and how far its analysis is.
#[derive(Serialize, ToSchema)]
pub struct Scan {
    #[schema(format = "uuid")]
    pub id: String,
    #[schema(value_type = StateName)]
    pub state: &'static str,
    /// What medseg says of it; `null` until it is done.
    pub answer: Option<Answer>,
    /// Why, when the answer is `not_analysable` or `failed`.
    pub reason: Option<String>,
    /// When it was accepted, in milliseconds since 1970.
    pub accepted_ms: i64,
    /// The same as RFC 3339 writes it.
    #[schema(format = "date-time")]
    pub accepted_at: Option<String>,
    /// When it was done, in milliseconds since 1970.
    pub completed_ms: Option<i64>,
    /// The same as RFC 3339 writes it.
    #[schema(format = "date-time")]
    pub completed_at: Option<String>,
    /// `png`, `jpeg`, `tiff`, `webp`, `dicom`, `nifti` or `zip`.
    pub format: String,
    /// `MR` or `CT`, when the upload says.
    pub modality: Option<String>,
    /// Slices, rows, columns.
    #[schema(min_items = 3, max_items = 3)]
    pub shape: Vec<u32>,
    /// SHA-256 of the file as it was uploaded, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub original_sha256: String,
    /// SHA-256 of the voxels that are analysed, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub volume_sha256: String,
    /// How urgent its analysis is.
    pub priority: Priority,
    /// How often the analysis was begun.
    pub attempt: u32,
    /// Whether an upload found this scan by its `Idempotency-Key` instead of making a new one.
    pub repeated: bool,
    /// What its study is called here: the same for all scans of one study, and nobody's number. `null` where the upload says of none, to
    /// whoever may not know whose scans are, and in the answers to an upload and of priors.
    pub study: Option<String>,
    /// The batch that it came in; `null`: none, or as above.
    #[schema(format = "uuid")]
    pub batch: Option<String>,
    /// Where it was made, as its upload says; `null`: it does not.
    pub site: Option<String>,
    /// How well it fits the registered models, of a DICOM series that came with others of its study; `null`: it was compared with none.
    pub series: Option<SeriesChoice>,
    /// Of its main findings together, in millilitres, as its result says; `null`: nothing was found, the result says of none, or it is from
    /// before this was kept and nobody has read it since.
    #[schema(minimum = 0)]
    pub volume_ml: Option<f64>,
}

/// How far a scan is.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = State)]
enum StateName {
    Queued,
    Running,
    Done,
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
        let completed_ms = (scan.completed_ms != 0).then_some(scan.completed_ms);
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
            accepted_at: rfc3339(scan.accepted_ms),
            completed_ms,
            completed_at: completed_ms.and_then(rfc3339),
            format: scan.format,
            modality: some(scan.modality),
            shape: scan.shape,
            original_sha256: scan.original_sha256,
            volume_sha256: scan.volume_sha256,
            priority,
            attempt: scan.attempt,
            repeated: scan.repeated,
            study: some(scan.study),
            batch: some(scan.batch),
            site: some(scan.site),
            series: scan.series.map(choice),
            volume_ml: scan.volume_ml,
        })
    }
}

/// How well a series fits, as it is shown.
pub fn choice(fit: SeriesFit) -> SeriesChoice {
    SeriesChoice {
        kind_model: KindModel::named(fit.kind_model_name, fit.kind_model_version),
        ..SeriesChoice::named(fit.score_permille, fit.picked, &fit.reasons)
    }
}

/// The text, unless it is empty: messages have no other way to leave one out.
pub fn some(text: String) -> Option<String> {
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
    params(UploadOptions, ("Idempotency-Key" = Option<String>, Header, description = "Names this upload: the same key finds the same scan instead of making a second one", min_length = 1, max_length = 255, pattern = "^[ -~]+$")),
    request_body(
        description = "The file",
        content((Binary = "application/octet-stream"), (Form = "multipart/form-data")),
    ),
    responses(
        (status = 202, description = "Accepted and kept: the scan will be analysed, or each of a batch", body = Accepted,
            headers(("Location" = String, description = "Where the scan or the batch is"),
                ("RateLimit-Policy" = Option<String>, description = "The limits that hold for the caller, where there are some"),
                ("RateLimit" = Option<String>, description = "What is left of each of them"))),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The file does not meet an input requirement; `type` says which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn create(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(options): Query<UploadOptions>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Accepted>), Problem> {
    let mut ingest = gateway.ingest.clone();
    let answer =
        upload::forward(&gateway, &caller, options, request, |parts| ingest.upload(parts)).await?;
    match answer.answer {
        Some(upload_answer::Answer::Scan(scan)) => {
            let location = format!("/v1/scans/{}", scan.id);
            let scan = Accepted::Scan(Box::new((*scan).try_into()?));
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(scan)))
        }
        Some(upload_answer::Answer::Batch(batch)) => {
            let location = format!("/v1/batches/{}", batch.id);
            let batch = Accepted::Batch(Batch::with_scans(&mut gateway, &caller, batch).await?);
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

/// A form with the file, or with several. What the query says of them, no field says.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the API")]
pub struct Form {
    /// Each file is a field of its own.
    #[schema(min_items = 1)]
    file: Vec<Binary>,
}

/// Which scans, and which part of the list of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")]
    cursor: Option<String>,
    /// Only this patient's. To find scans by whose they are takes the role `clinician` or `integrator`.
    #[param(inline, value_type = Option<Identifier>)]
    patient_id: Option<String>,
    /// Only those of this examination.
    #[param(inline, value_type = Option<Identifier>)]
    accession_number: Option<String>,
    /// Only those of this DICOM study.
    #[param(inline, value_type = Option<Identifier>)]
    study_uid: Option<String>,
    /// Only what its sender called so.
    #[param(inline, value_type = Option<Identifier>)]
    reference: Option<String>,
    /// Only those with this answer.
    answer: Option<Answer>,
    /// Only those that are so far.
    state: Option<StateName>,
    /// Only those that are so urgent.
    priority: Option<Priority>,
    /// Only those that there is a result of and whose review has come so far, for the roles `clinician` and `admin`. Of any state but
    /// `unreviewed`, whoever is no `admin` is shown the scans that they have judged themselves; an `adjudicator` those of the state
    /// `conflict`, too.
    review: Option<ReviewState>,
    /// Only those made there.
    #[param(inline, value_type = Option<Identifier>)]
    site: Option<String>,
    /// Only those made so: `MR` or `CT`.
    #[param(inline, value_type = Option<Identifier>)]
    modality: Option<String>,
    /// Only those accepted then or later.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Only those accepted before.
    #[param(format = "date-time")]
    to: Option<String>,
}

impl Wanted {
    /// In the words of storage.
    fn message(self) -> Result<storage::ListScans, Problem> {
        let limit = limit_of(self.limit)?;
        Ok(storage::ListScans {
            limit,
            cursor: self.cursor.unwrap_or_default(),
            patient_id: stated::text("patient_id", self.patient_id)?,
            accession_number: stated::text("accession_number", self.accession_number)?,
            study_uid: stated::text("study_uid", self.study_uid)?,
            reference: stated::text("reference", self.reference)?,
            answer: self.answer.map(answer_asked).unwrap_or_default().into(),
            state: self.state.map(state_asked).unwrap_or_default().into(),
            priority: self.priority.map(wire::priority).unwrap_or_default().into(),
            from_ms: times::ms_if_given("from", self.from.as_deref())?,
            to_ms: times::ms_if_given("to", self.to.as_deref())?,
            review: self.review.map(wire::review_state).unwrap_or_default().into(),
            site: stated::text("site", self.site)?,
            modality: stated::text("modality", self.modality)?,
        })
    }
}

fn answer_asked(answer: Answer) -> storage::Answer {
    match answer {
        Answer::Found => storage::Answer::Found,
        Answer::NoneFound => storage::Answer::NoneFound,
        Answer::NotAnalysable => storage::Answer::NotAnalysable,
        Answer::Failed => storage::Answer::Failed,
    }
}

fn state_asked(state: StateName) -> storage::State {
    match state {
        StateName::Queued => storage::State::Queued,
        StateName::Running => storage::State::Running,
        StateName::Done => storage::State::Done,
    }
}

/// Scans, newest first.
#[derive(Serialize, ToSchema)]
pub struct Scans {
    scans: Vec<Scan>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Lists the hospital's scans, newest first
///
/// All of them, or those for which everything holds that is asked for: what cannot hold together lists none.
#[utoipa::path(
    operation_id = "list_scans", get, path = "/v1/scans", tag = "scans", params(Wanted),
    responses((status = 200, description = "One page of scans", body = Scans,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<Wanted>,
) -> Result<(HeaderMap, Json<Scans>), Problem> {
    let page = gateway.scans.list(caller.request(wanted.message()?)).await?.into_inner();
    let scans = page.scans.into_iter().map(Scan::try_from).collect::<Result<_, _>>()?;
    let (link, next_cursor) = next_page("/v1/scans", query, page.next_cursor);
    Ok((link, Json(Scans { scans, next_cursor })))
}

/// Shows how far a scan is
#[utoipa::path(
    operation_id = "get_scan", get, path = "/v1/scans/{id}", tag = "scans", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
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
    let scan = gateway.scans.get(caller.request(storage::ScanRef { id })).await?;
    Ok(Json(scan.into_inner().try_into()?))
}
