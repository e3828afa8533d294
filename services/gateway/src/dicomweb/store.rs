//! STOW-RS (PS3.18, 10.5): instances come in, each of them is answered, and those of a series become a scan.

use axum::Json;
use axum::body::HttpBody;
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use proto::ingest::store_part::Part;
use proto::ingest::{
    StoreHeader, StoreInstance, StorePart, StoredInstance, StudyToComplete, UploadEnd,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::accept::{self, Wanted};
use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{JsonBody, Path, Query};
use crate::intake::Upload;
use crate::layers::Worded;
use crate::pour::{Telling, pour_upload};
use crate::problem::Problem;
use crate::scans::Binary;
use crate::stated::{self, Identifier};

const DICOM_JSON: &str = "application/dicom+json";
/// Error Comment is a text of so many characters at most (PS3.7, annex C).
const FAILURE_WORDS_MAX: usize = 64;

/// What a request says beside its instances.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StoreOptions {
    /// Where the scans were made, in place of what the instances say, as at `/v1/scans`.
    #[param(inline, value_type = Option<Identifier>)]
    site: Option<String>,
}

/// Which instances are stored and which are not: one data set as JSON has it (PS3.18, annex F and 10.5.3).
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "describes the API")]
pub struct StoreAnswer(Value);

/// How many instances there must be.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyExpectation {
    /// So many in all of its series; left out: however many there are.
    #[schema(minimum = 1)]
    instances: Option<u64>,
}

/// What there is of a study.
#[derive(Serialize, ToSchema)]
pub struct CompletedStudy {
    /// Its series of which instances are here, done or not.
    series: u32,
    /// Their instances.
    instances: u64,
}

/// Stores instances of any study (STOW-RS)
///
/// The body is one DICOM file (`application/dicom`) or several as parts of `multipart/related; type="application/dicom"`, each with a
/// `transfer-syntax` or without. Each is answered: those in `00081199` (Referenced SOP Sequence) are safe, those in `00081198` (Failed
/// SOP Sequence) are not stored, for the reason in `00081197` and in words. A series of which nothing has come for a while is a scan,
/// as if its files had been uploaded; what is sent twice is one scan, whichever way it came. The answer is JSON, not XML.
#[utoipa::path(
    operation_id = "store_instances", post, path = "/dicomweb/studies", tag = "scans", params(StoreOptions, Wanted),
    request_body(content = Binary, content_type = "application/dicom", description = "An instance; several are the parts of `multipart/related; type=\"application/dicom\"`, which generated clients do not write"),
    responses(
        (status = 200, description = "All are stored", body = StoreAnswer, content_type = "application/dicom+json"),
        (status = 202, description = "Some are stored, and some are not", body = StoreAnswer, content_type = "application/dicom+json"),
        (status = 406, description = "Another answer than JSON is asked for", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "None is stored", body = StoreAnswer, content_type = "application/dicom+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn store(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(options): Query<StoreOptions>,
    request: Request,
) -> Result<Response, Problem> {
    stored(&gateway, &caller, String::new(), options, request).await
}

/// Stores instances of one study (STOW-RS)
///
/// As `POST /dicomweb/studies`; instances of other studies are not stored.
#[utoipa::path(
    operation_id = "store_instances_of_study", post, path = "/dicomweb/studies/{study}", tag = "scans",
    params(StoreOptions, Wanted, ("study" = String, Path, description = "The Study Instance UID", pattern = r"^[0-9]+(\.[0-9]+)*$", max_length = 64)),
    request_body(content = Binary, content_type = "application/dicom", description = "An instance; several are the parts of `multipart/related; type=\"application/dicom\"`, which generated clients do not write"),
    responses(
        (status = 200, description = "All are stored", body = StoreAnswer, content_type = "application/dicom+json"),
        (status = 202, description = "Some are stored, and some are not", body = StoreAnswer, content_type = "application/dicom+json"),
        (status = 406, description = "Another answer than JSON is asked for", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "None is stored", body = StoreAnswer, content_type = "application/dicom+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn store_study(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    Query(options): Query<StoreOptions>,
    request: Request,
) -> Result<Response, Problem> {
    stored(&gateway, &caller, study, options, request).await
}

/// Says that all of a study has come
///
/// Its series need not be quiet any longer: what has come of them by STOW-RS or C-STORE, of whichever sender of the hospital, is
/// analysed now. With a number of `instances` only where there are so many. What comes later makes new scans, as it always does.
#[utoipa::path(
    operation_id = "complete_study", post, path = "/v1/studies/{study}/complete", tag = "scans",
    params(("study" = String, Path, description = "The Study Instance UID", pattern = r"^[0-9]+(\.[0-9]+)*$", max_length = 64)),
    request_body(content = Option<StudyExpectation>, description = "How many instances there must be, where somebody knows"),
    responses(
        (status = 202, description = "Its series will be scans", body = CompletedStudy),
        (status = 404, description = "Nothing of it has come, or it has long been done", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are more or fewer instances; the detail says how many", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn complete(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<CompletedStudy>), Problem> {
    let StudyExpectation { instances } = expectation(request).await?;
    let asked = caller.request(StudyToComplete { study_uid: study, instances });
    let completed = gateway.inbox.complete_study(asked).await?.into_inner();
    let proto::ingest::StudyCompleted { series, instances } = completed;
    Ok((StatusCode::ACCEPTED, Json(CompletedStudy { series, instances })))
}

/// The body, which may be left out.
async fn expectation(request: Request) -> Result<StudyExpectation, Problem> {
    if request.body().is_end_stream() {
        return Ok(StudyExpectation::default());
    }
    let JsonBody(expectation) = JsonBody::from_request(request, &()).await?;
    Ok(expectation)
}

async fn stored(
    gateway: &Gateway,
    caller: &Caller,
    study_uid: String,
    options: StoreOptions,
    request: Request,
) -> Result<Response, Problem> {
    accept::require_json(request.headers())?;
    let site = stated::text("site", options.site)?;
    let header = Some(StoreHeader { study_uid: study_uid.clone(), site });
    let upload = Upload::of_instances(request, gateway.max_upload_bytes)?;
    let mut inbox = gateway.inbox.clone();
    let call = |parts| async move { inbox.store_instances(parts).await };
    let stored = pour_upload(gateway, caller, upload, Instances { header }, call).await?;
    Ok(answer(&stored.instances, &study_uid))
}

/// Tells ingest of instances.
struct Instances {
    /// Taken when the first begins.
    header: Option<StoreHeader>,
}

fn part(part: Part) -> StorePart {
    StorePart { part: Some(part) }
}

impl Telling for Instances {
    type Part = StorePart;

    /// Each is begun by its transfer syntax.
    fn file(&mut self, transfer_syntax: &str) -> Vec<StorePart> {
        let instance = StoreInstance { transfer_syntax: transfer_syntax.to_owned() };
        let header = self.header.take().map(Part::Header);
        header.into_iter().chain([Part::Instance(instance)]).map(part).collect()
    }

    fn bytes(&mut self, bytes: Bytes) -> StorePart {
        part(Part::Data(bytes))
    }

    fn end(&mut self, size_bytes: u64) -> StorePart {
        part(Part::End(UploadEnd { size_bytes }))
    }
}

/// The Store Instances Response (PS3.18, 10.5.3).
fn answer(instances: &[StoredInstance], study: &str) -> Response {
    let (stored, failed): (Vec<_>, Vec<_>) = instances.iter().partition(|one| one.failure == 0);
    let status = match (stored.is_empty(), failed.is_empty()) {
        (_, true) => StatusCode::OK,
        (false, false) => StatusCode::ACCEPTED,
        (true, false) => StatusCode::CONFLICT,
    };
    let mut said = Map::new();
    if let Some(first) = stored.first() {
        let study = if study.is_empty() { first.study_uid.as_str() } else { study };
        // Of several studies there is no address of all.
        if stored.iter().all(|one| one.study_uid == study) {
            said.insert("00081190".into(), value("UR", format!("/dicomweb/studies/{study}")));
        }
    }
    let sequences = [
        ("00081198", failed.into_iter().map(failure).collect::<Vec<_>>()),
        ("00081199", stored.into_iter().map(reference).collect()),
    ];
    for (tag, items) in sequences {
        if !items.is_empty() {
            said.insert(tag.into(), json!({ "vr": "SQ", "Value": items }));
        }
    }
    let body = Value::Object(said).to_string();
    let mut response = (status, [(header::CONTENT_TYPE, DICOM_JSON)], body).into_response();
    response.extensions_mut().insert(Worded);
    response
}

/// An instance that is stored.
fn reference(one: &StoredInstance) -> Value {
    let StoredInstance { study_uid, series_uid, sop_instance, .. } = one;
    let url = format!("/dicomweb/studies/{study_uid}/series/{series_uid}/instances/{sop_instance}");
    let mut item = named(one);
    item.insert("00081190".into(), value("UR", url));
    Value::Object(item)
}

/// An instance that is not.
fn failure(one: &StoredInstance) -> Value {
    let mut item = named(one);
    item.insert("00081197".into(), value("US", one.failure));
    let words: String = one.comment.chars().take(FAILURE_WORDS_MAX).collect();
    if !words.is_empty() {
        item.insert("00000902".into(), value("LO", words));
    }
    Value::Object(item)
}

/// Class and instance, as far as they could be read.
fn named(one: &StoredInstance) -> Map<String, Value> {
    let uids = [("00081150", &one.sop_class), ("00081155", &one.sop_instance)];
    let known = uids.into_iter().filter(|(_, uid)| !uid.is_empty());
    known.map(|(tag, uid)| (tag.to_owned(), value("UI", uid.as_str()))).collect()
}

fn value(vr: &str, value: impl Into<Value>) -> Value {
    json!({ "vr": vr, "Value": [value.into()] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_whether_all_some_or_none_is_stored() {
        let one = |failure: u32, study: &str| StoredInstance {
            sop_class: "1.1".into(),
            sop_instance: "1.2".into(),
            study_uid: study.into(),
            series_uid: "1.3".into(),
            failure,
            comment: "why".into(),
        };
        let status = |all: &[StoredInstance]| answer(all, "").status().as_u16();
        assert_eq!(status(&[one(0, "1"), one(0, "1")]), 200);
        assert_eq!(status(&[one(0, "1"), one(0xc000, "1")]), 202);
        assert_eq!(status(&[one(0xc000, "1")]), 409);
        assert_eq!(failure(&one(0xa900, "1"))["00081197"]["Value"][0], 0xa900);
        let url = &reference(&one(0, "1"))["00081190"]["Value"][0];
        assert_eq!(url, "/dicomweb/studies/1/series/1.3/instances/1.2");
    }
}
