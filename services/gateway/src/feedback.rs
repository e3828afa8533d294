use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::artefact::{MASK, MASK_VOLUME};
use domain::feedback::{JudgedFinding, Place, Reason, ReviewState, Truth, Verdict, Word};
use domain::rfc3339;
use futures::stream;
use proto::events::ModelIdentity;
use proto::storage::feedback_part::Part;
use proto::storage::{
    self, FeedbackEntry, FeedbackHeader, FeedbackPart, FeedbackRef, ScanRef, feedback_answer,
};
use serde::Serialize;
use service::wire;
use utoipa::ToSchema;

use crate::artefacts::{PRIVATE, going_on, matches};
use crate::caller::Caller;
use crate::extract::{JsonBody, Path};
use crate::overlaps::FeedbackOverlap;
use crate::problem::{INTERNAL, MISFIT, NOT_FOUND, Problem};
use crate::scans::{Binary, some};
use crate::{CONTROL_BODY_BYTES, Gateway, feedback_upload, form, layers, overlaps, upload};

/// What one reader has said of one result.
#[derive(Serialize, ToSchema)]
pub struct Feedback {
    #[schema(format = "uuid")]
    pub id: String,
    #[schema(format = "uuid")]
    pub scan_id: String,
    /// The user's name when they said it.
    reader: String,
    #[schema(format = "date-time")]
    given_at: Option<String>,
    verdict: Verdict,
    /// Whether the head has a tumour; `null`: not said.
    truth: Option<Truth>,
    reason: Option<Reason>,
    note: String,
    findings: Vec<JudgedFinding>,
    missed: Vec<Place>,
    /// Whether the reader has drawn an outline of their own.
    pub mask: bool,
    /// Of that mask beside the result's main findings.
    #[schema(minimum = 0, maximum = 1)]
    dice: Option<f64>,
    /// That made the result; `null` where none did.
    model: Option<FeedbackModel>,
    /// The same reader's word before, which stands as it was; `null`: this is their first.
    #[schema(format = "uuid")]
    pub supersedes: Option<String>,
    /// The ids of what others have said that this word settles: it stands as it was, and counts no more.
    pub adjudicates: Vec<String>,
}

/// A model, as the results that it has made name it.
#[derive(Serialize, ToSchema)]
pub struct FeedbackModel {
    name: String,
    version: String,
    /// Of its weights, in hexadecimal; empty for an engine that has none.
    sha256: String,
}

/// What readers have said of one result.
#[derive(Serialize, ToSchema)]
pub struct ScanFeedback {
    /// The newest first.
    feedback: Vec<Feedback>,
    /// What the latest words of all readers come to; `null` while words are hidden.
    state: Option<ReviewState>,
    /// How many words the caller is shown only once they have given their own.
    hidden: u32,
    /// How far the outlines that count mark the same, each two of them.
    overlaps: Vec<FeedbackOverlap>,
}

/// A form with what the reader says, and then the outline that they have drawn.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes the API")]
pub struct FeedbackForm {
    /// As JSON, and before the file.
    feedback: Word,
    /// A PNG on the grid of the scan's `mask.png`, where that is of one slice, or NIfTI on that of its `mask.nii.gz`; what is
    /// not 0 is tumour. Or a DICOM segmentation (SEG, BINARY or FRACTIONAL) that is drawn on the scan's own series, for the role
    /// `clinician`: its frames lie on the scan's slices, in any order, slices without a frame are empty, all segments are
    /// tumour, and of fractions what is above half.
    mask: Binary,
}

impl TryFrom<FeedbackEntry> for Feedback {
    type Error = Problem;

    fn try_from(entry: FeedbackEntry) -> Result<Feedback, Problem> {
        let Word { verdict, truth, reason, note, findings, missed, adjudicates } =
            word_of(entry.word)?;
        let model = |ModelIdentity { name, version, sha256 }: ModelIdentity| FeedbackModel {
            name,
            version,
            sha256,
        };
        Ok(Feedback {
            id: entry.id,
            scan_id: entry.scan_id,
            reader: entry.reader,
            given_at: rfc3339(entry.given_ms),
            verdict,
            truth,
            reason,
            note,
            findings,
            missed,
            mask: entry.has_mask,
            dice: entry.dice,
            model: entry.model.map(model),
            supersedes: some(entry.supersedes),
            adjudicates,
        })
    }
}

/// What a reader has said, as storage tells it.
pub fn word_of(said: Option<storage::Word>) -> Result<Word, Problem> {
    wire::word_of(said.unwrap_or_default()).map_err(|error| {
        tracing::error!(%error, "storage tells of feedback that cannot be");
        INTERNAL.problem("internal error")
    })
}

/// Says what a reader makes of a result
///
/// As JSON, or as a form with the field `feedback` (that JSON) and then a file `mask`: the reader's own outline, with the
/// verdict `correct`. A correction shows what is right: that outline, places that were missed, or which findings are none; one
/// that leaves no tumour says in `truth` whether there is one, and an outline that marks nothing that there is none. A later word
/// of the same reader stands beside the earlier one; nothing is overwritten. A reader with the role `adjudicator` settles a conflict by
/// a word that names the others' in `adjudicates`, unless they have given a verdict on the scan that settles nothing: then another does.
#[utoipa::path(
    operation_id = "give_feedback", post, path = "/v1/scans/{id}/feedback", tag = "feedback",
    params(("id" = String, Path, description = "The scan's id", format = "uuid"), ("Idempotency-Key" = Option<String>, Header, description = "Names this feedback: the same reader's same key finds it instead of giving it again", min_length = 1, max_length = 255, pattern = "^[ -~]+$")),
    request_body(
        description = "What the reader says",
        content((Word = "application/json"), (FeedbackForm = "multipart/form-data")),
    ),
    responses(
        (status = 201, description = "Kept", body = Feedback),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The scan has no result yet, or none to speak of; or the key was used with other feedback", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It does not go with the result, or the mask cannot be read; `type` says which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn give(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Feedback>), Problem> {
    let key = upload::idempotency_key(request.headers())?;
    let given = match form::is_form(request.headers()) {
        true => feedback_upload::forward(&gateway, &caller, id, key, request).await?,
        false => layers::timely(give_word(gateway, &caller, id, key, request)).await?,
    };
    Ok((StatusCode::CREATED, Json(given.try_into()?)))
}

/// Hands a word without a mask to storage.
async fn give_word(
    mut gateway: Gateway,
    caller: &Caller,
    scan_id: String,
    idempotency_key: String,
    mut request: Request,
) -> Result<FeedbackEntry, Problem> {
    DefaultBodyLimit::max(CONTROL_BODY_BYTES).apply(&mut request);
    let JsonBody(word) = JsonBody::<Word>::from_request(request, &()).await?;
    let word = Some(wire::word(word));
    let header = FeedbackHeader { scan_id, idempotency_key, word, mask: None };
    let parts = stream::iter([FeedbackPart { part: Some(Part::Header(header)) }]);
    match gateway.feedback.give(caller.request(parts)).await?.into_inner().answer {
        Some(feedback_answer::Answer::Feedback(entry)) => Ok(entry),
        Some(feedback_answer::Answer::Misfit(why)) => Err(MISFIT.problem(why)),
        None => {
            tracing::error!("storage answered neither with feedback nor with a misfit");
            Err(INTERNAL.problem("internal error"))
        }
    }
}

/// Shows what readers have said of a result, the newest first
///
/// Whoever has not said anything yet sees how many words there are, and none of them, unless they are an `admin`, or an `adjudicator`
/// of a scan whose readers differ: readers judge without knowing what others think.
#[utoipa::path(
    operation_id = "list_feedback", get, path = "/v1/scans/{id}/feedback", tag = "feedback", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "What readers have said", body = ScanFeedback),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ScanFeedback>, Problem> {
    let of_scan = gateway.feedback.list_of_scan(caller.request(ScanRef { id })).await?;
    let storage::FeedbackOfScan { feedback, state, hidden } = of_scan.into_inner();
    let state = storage::ReviewState::try_from(state).unwrap_or_default();
    let feedback = feedback.into_iter().map(Feedback::try_from).collect::<Result<Vec<_>, _>>()?;
    let overlaps = overlaps::of(&gateway, &caller, &feedback).await?;
    Ok(Json(ScanFeedback { feedback, state: wire::review_state_of(state), hidden, overlaps }))
}

/// Gives a reader's own outline back, as it was checked
///
/// On the grid of the result's own mask: a PNG with 255 in what the reader marked and 0 elsewhere, or NIfTI, gzipped, with 1 and 0.
#[utoipa::path(
    operation_id = "get_feedback_mask", get, path = "/v1/scans/{id}/feedback/{feedback_id}/mask", tag = "feedback",
    params(("id" = String, Path, description = "The scan's id", format = "uuid"), ("feedback_id" = String, Path, description = "The feedback's id", format = "uuid")),
    responses(
        (status = 200, description = "The mask", content((Binary = "image/png"), (Binary = "application/gzip")),
            headers(("ETag" = String, description = "Of these very bytes, which never change"))),
        (status = 304, description = "The caller has it already"),
        (status = 404, description = "No such mask", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn mask(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((scan_id, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = FeedbackRef { scan_id, id: id.clone() };
    let mut chunks = gateway.feedback.read_mask(caller.request(asked)).await?.into_inner();
    let first = chunks.message().await?;
    let first = first.ok_or_else(|| NOT_FOUND.problem("no such mask"))?;
    let tag = format!("\"{id}/{}\"", first.name);
    let about = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, PRIVATE.to_owned())];
    if matches(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let kind = if first.name == MASK.name { MASK } else { MASK_VOLUME };
    let shown = [
        (header::CONTENT_TYPE, kind.media_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"{id}-{}\"", kind.name)),
        (header::CONTENT_LENGTH, first.size_bytes.to_string()),
    ];
    let bytes = going_on(vec![first.data], chunks, |chunk| chunk.data, "a mask");
    Ok((about, shown, Body::from_stream(bytes)).into_response())
}
