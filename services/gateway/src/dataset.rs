use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::ErrorKind;
use domain::feedback::{
    FindingVerdict, JudgedFinding, MaskSource, Reason, Truth, Unconfirmed, Verdict,
};
use imaging::{ImageKind, StoredGrid};
use proto::storage::{self, ListConfirmedScans, ScanRef};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Gateway;
use crate::artefacts::going_on;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::masks::BYTES_MAX;
use crate::paging::{WantedPage, next_page};
use crate::pour::ANSWER_TIME;
use crate::problem::{INTERNAL, NO_CONSENT, Problem};
use crate::scans::Binary;
use crate::volumes;

/// A scan that readers have confirmed, without a name.
#[derive(Serialize, ToSchema)]
pub struct ConfirmedScan {
    /// For fetching image and mask; it stands in no data set.
    #[schema(format = "uuid")]
    scan_id: String,
    /// A keyed digest, the same each time, and of each hospital its own.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// The same for all scans of one patient.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    patient: String,
    /// Whether the upload said whose it is; else each scan of the patient counts as another's.
    patient_known: bool,
    /// What the image was read as.
    kind: ImageKind,
    verdict: Verdict,
    truth: Truth,
    /// Where the mask is from.
    mask_source: MaskSource,
    /// Another mask has another one; empty where nothing is marked.
    #[schema(pattern = "^([0-9a-f]{64})?$")]
    mask_sha256: String,
    /// Another image has another one.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    volume_sha256: String,
    /// Slices, rows, columns.
    #[schema(min_items = 3, max_items = 3)]
    shape: Vec<u32>,
    /// What readers make of single findings of the result, by each of the words that count. What they note is left out: it is free text.
    #[schema(max_items = 100)]
    findings: Vec<JudgedFinding>,
    /// Where the image is, on this gateway.
    image: String,
    /// Where the mask is, on this gateway.
    mask: String,
}

/// A scan that was judged and is not to be learned from.
#[derive(Serialize, ToSchema)]
pub struct UnconfirmedScan {
    /// As that of a confirmed one.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    why: Unconfirmed,
}

/// Scans that somebody has judged, newest first.
#[derive(Serialize, ToSchema)]
pub struct DatasetPage {
    scans: Vec<ConfirmedScan>,
    left_out: Vec<UnconfirmedScan>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Lists the scans that readers have confirmed, and why others are left out, newest first
///
/// For the roles `scientist` and `admin`, and only with the hospital's consent (`/v1/consent`). Confirmed is a scan whose readers
/// all agree with the result, have corrected it with one outline, or say that there is no tumour in what was found; a conflict is
/// none until it is settled.
#[utoipa::path(
    operation_id = "list_dataset", get, path = "/v1/dataset", tag = "dataset", params(WantedPage),
    responses((status = 200, description = "One page of scans", body = DatasetPage,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedPage>,
) -> Result<(HeaderMap, Json<DatasetPage>), Problem> {
    let (limit, cursor) = wanted.checked()?;
    let asked = caller.request(ListConfirmedScans { limit, cursor });
    let page = gateway.learning.list_confirmed(asked).await?.into_inner();
    if !page.consented {
        return Err(NO_CONSENT.problem("this hospital does not let its scans be learned from"));
    }
    let scans =
        page.confirmed.into_iter().map(ConfirmedScan::try_from).collect::<Result<_, _>>()?;
    let left_out = page.left_out.into_iter().map(UnconfirmedScan::try_from);
    let left_out = left_out.collect::<Result<_, _>>()?;
    let (link, next_cursor) = next_page("/v1/dataset", query, page.next_cursor);
    Ok((link, Json(DatasetPage { scans, left_out, next_cursor })))
}

/// Gives the image of a confirmed scan, as NIfTI
///
/// Made of the voxels that were analysed, turned as pictures show them: never the upload itself, and nothing that its header says
/// but where the voxels lie. The pixels are as they are: a head's volume shows a face. Each reading is in the audit trail.
#[utoipa::path(
    operation_id = "get_dataset_image", get, path = "/v1/scans/{id}/dataset-image", tag = "dataset", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The image", body = Binary, content_type = "application/octet-stream"),
        (status = 404, description = "No such scan, or none that is confirmed", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn image(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let chunks = gateway.learning.read_image(caller.request(ScanRef { id })).await?.into_inner();
    let about = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"image.nii\""),
    ];
    Ok((about, volumes::nifti(chunks, "an image").await?).into_response())
}

/// Gives the mask that readers have confirmed, as NIfTI on the image's grid, gzipped: 1 where there is tumour, else 0
#[utoipa::path(
    operation_id = "get_dataset_mask", get, path = "/v1/scans/{id}/dataset-mask", tag = "dataset", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "The mask", body = Binary, content_type = "application/gzip"),
        (status = 404, description = "No such scan, or none that is confirmed", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn mask(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let asked = caller.request(ScanRef { id });
    let mut chunks = gateway.learning.read_truth(asked).await?.into_inner();
    let (mut file, mut beginning, mut is_marked) = (Vec::new(), Bytes::new(), false);
    while let Some(chunk) = chunks.message().await? {
        if chunk.size_bytes > BYTES_MAX {
            return Err(unsound(&ErrorKind::Internal.error("a mask is too large to be one")));
        }
        is_marked |= !chunk.name.is_empty();
        if !chunk.volume_beginning.is_empty() {
            beginning = chunk.volume_beginning;
        }
        file.extend_from_slice(&chunk.data);
    }
    let made = gateway.masks.calculate(caller.tenant(), move || {
        let unfinished = || ErrorKind::Invalid.error("a stored volume ends within its header");
        let grid = StoredGrid::read(&beginning)?.ok_or_else(unfinished)?;
        if is_marked { grid.mask(&file) } else { grid.empty_mask() }
    });
    let made = made.await.map_err(|error| unsound(&error))?;
    let about = [
        (header::CONTENT_TYPE, "application/gzip"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"mask.nii.gz\""),
    ];
    Ok((about, made).into_response())
}

/// Gives the DICOM images of a confirmed scan without whose they are, as a zip with a report
///
/// The files that were uploaded, written anew by the Basic Profile of PS3.15: kept are numbers and standard terms that say how an image
/// was taken and where it lies; UIDs and the patient are called by keyed digests, which are the same each time, dates are shifted, and all
/// else is gone. The patient is called as `/v1/dataset` says. What may have text in its pixels stays, and `report.json` says what was
/// done. The pixels are as they are: a head's volume shows a face. Each reading is in the audit trail.
#[utoipa::path(
    operation_id = "get_dataset_dicom", get, path = "/v1/scans/{id}/dataset-dicom", tag = "dataset", params(("id" = String, Path, description = "The scan's id", format = "uuid")),
    responses(
        (status = 200, description = "A zip: `series/instance.dcm` and `report.json`", body = Binary, content_type = "application/zip"),
        (status = 404, description = "No such scan, or none that is confirmed", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "None of its files can leave so: it did not come as DICOM, or its pixels may have text in them", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn dicom(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let mut asked = caller.request(ScanRef { id });
    asked.set_timeout(ANSWER_TIME);
    let mut parts = gateway.ingest.deidentify(asked).await?.into_inner();
    let unanswered = || ErrorKind::Internal.error("ingest answered with no zip");
    let first = parts.message().await?.ok_or_else(|| unsound(&unanswered()))?;
    if let Some(refusal) = first.refusal {
        return Err(refusal.into());
    }
    let about = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"images.zip\"".to_owned()),
        (header::CONTENT_LENGTH, first.size_bytes.to_string()),
    ];
    let bytes = going_on(vec![first.data], parts, |part| part.data, "a zip of images");
    Ok((about, Body::from_stream(bytes)).into_response())
}

/// What storage keeps was made here: anything wrong with it is ours to mend.
fn unsound(error: &domain::Error) -> Problem {
    tracing::error!(%error, "a confirmed scan cannot be read");
    INTERNAL.problem("internal error")
}

/// What storage calls by a name that nobody knows.
fn unknown(what: &str) -> Problem {
    tracing::error!(what, "storage tells of a confirmed scan by a name that nobody knows");
    INTERNAL.problem("internal error")
}

impl TryFrom<storage::Confirmed> for ConfirmedScan {
    type Error = Problem;

    fn try_from(scan: storage::Confirmed) -> Result<ConfirmedScan, Problem> {
        let verdict = Verdict::named(&scan.verdict).ok_or_else(|| unknown("verdict"))?;
        let truth = Truth::named(&scan.truth).ok_or_else(|| unknown("truth"))?;
        let mask_source = MaskSource::named(&scan.mask).ok_or_else(|| unknown("mask"))?;
        let at = |what: &str| format!("/v1/scans/{}/dataset-{what}", scan.scan_id);
        Ok(ConfirmedScan {
            image: at("image"),
            mask: at("mask"),
            id: scan.id,
            patient: scan.patient,
            patient_known: scan.patient_known,
            kind: scan.image_kind.parse().unwrap_or_default(),
            verdict,
            truth,
            mask_source,
            mask_sha256: scan.mask_sha256,
            volume_sha256: scan.volume_sha256,
            shape: scan.shape,
            findings: scan.findings.into_iter().map(judged).collect::<Result<_, _>>()?,
            scan_id: scan.scan_id,
        })
    }
}

fn judged(finding: storage::ConfirmedFinding) -> Result<JudgedFinding, Problem> {
    let verdict = FindingVerdict::named(&finding.verdict);
    let verdict = verdict.ok_or_else(|| unknown("a finding's verdict"))?;
    let reason = Reason::named(&finding.reason);
    Ok(JudgedFinding { reason, ..JudgedFinding::bare(finding.label, verdict) })
}

impl TryFrom<storage::Unconfirmed> for UnconfirmedScan {
    type Error = Problem;

    fn try_from(scan: storage::Unconfirmed) -> Result<UnconfirmedScan, Problem> {
        let why = Unconfirmed::named(&scan.why).ok_or_else(|| unknown("why"))?;
        Ok(UnconfirmedScan { id: scan.id, why })
    }
}
