//! The addresses at which instances are handed out (WADO-RS: PS3.18, 10.4), with their descriptions.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accept::Wanted;
use super::{DicomJson, Target, pictures, retrieve};
use crate::Gateway;
use crate::caller::Caller;
use crate::extract::{Path, Query};
use crate::problem::Problem;
use crate::scans::Binary;

/// Which values are black and white.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Window {
    /// Center, width and `linear`, as in `40,400,linear`; the scan's own unless set.
    window: Option<String>,
}

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(retrieve_study))
        .routes(routes!(retrieve_series))
        .routes(routes!(retrieve_instance))
        .routes(routes!(study_metadata))
        .routes(routes!(series_metadata))
        .routes(routes!(instance_metadata))
        .routes(routes!(retrieve_frames))
        .routes(routes!(retrieve_bulk))
        .routes(routes!(render_instance))
        .routes(routes!(render_frame))
        .routes(routes!(study_thumbnail))
        .routes(routes!(series_thumbnail))
        .routes(routes!(instance_thumbnail))
}

/// Gives all instances of a study (WADO-RS)
///
/// The images as they came, byte for byte, and what results are as DICOM objects: `multipart/related; type="application/dicom"`. None is
/// written anew in another transfer syntax. For the roles `clinician` and `integrator`; each scan whose identity is told is noted in the
/// audit trail. Another hospital's study is as one that never was. Images of scans that came before medseg kept an index of them are left
/// out, which a header `Warning` says.
#[utoipa::path(
    operation_id = "retrieve_study", get, path = "/dicomweb/studies/{study}", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
    ),
    responses(
        (status = 200, description = "The instances", body = Binary, content_type = "multipart/related"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn retrieve_study(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::instances(gateway, caller, Target::study(study), &headers).await
}

/// Gives all instances of a series (WADO-RS)
///
/// As `retrieve_study`.
#[utoipa::path(
    operation_id = "retrieve_series", get, path = "/dicomweb/studies/{study}/series/{series}", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
    ),
    responses(
        (status = 200, description = "The instances", body = Binary, content_type = "multipart/related"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn retrieve_series(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::instances(gateway, caller, Target::series(study, series), &headers).await
}

/// Gives one instance (WADO-RS)
///
/// As `retrieve_study`; as `application/dicom`, without parts, where `Accept` says so.
#[utoipa::path(
    operation_id = "retrieve_instance", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
    ),
    responses(
        (status = 200, description = "The instance", body = Binary, content_type = "multipart/related"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn retrieve_instance(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::instances(gateway, caller, Target::instance(study, series, instance), &headers).await
}

/// Says all attributes of the instances of a study, without pixels (WADO-RS)
///
/// As `retrieve_study`. What is long has an address in its place, `BulkDataURI`.
#[utoipa::path(
    operation_id = "retrieve_study_metadata", get, path = "/dicomweb/studies/{study}/metadata", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
    ),
    responses(
        (status = 200, description = "The instances, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn study_metadata(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::metadata(gateway, caller, Target::study(study), &headers).await
}

/// Says all attributes of the instances of a series, without pixels (WADO-RS)
///
/// As `retrieve_study_metadata`.
#[utoipa::path(
    operation_id = "retrieve_series_metadata", get, path = "/dicomweb/studies/{study}/series/{series}/metadata", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
    ),
    responses(
        (status = 200, description = "The instances, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn series_metadata(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::metadata(gateway, caller, Target::series(study, series), &headers).await
}

/// Says all attributes of an instance, without pixels (WADO-RS)
///
/// As `retrieve_study_metadata`.
#[utoipa::path(
    operation_id = "retrieve_instance_metadata", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/metadata", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
    ),
    responses(
        (status = 200, description = "The instance, in the DICOM JSON model", body = DicomJson, content_type = "application/dicom+json"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn instance_metadata(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::metadata(gateway, caller, Target::instance(study, series, instance), &headers).await
}

/// Gives frames of an instance (WADO-RS)
///
/// A part for each, as they are stored: octets in little endian, or compressed as the instance is, where `Accept` takes that
/// (`transfer-syntax=*`). None is decompressed here.
#[utoipa::path(
    operation_id = "retrieve_frames", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
        ("frames" = String, Path, description = "Numbers from 1 on, each once, as in `1,2,7`", pattern = r"^[1-9][0-9]*(,[1-9][0-9]*)*$"),
    ),
    responses(
        (status = 200, description = "The frames", body = Binary, content_type = "multipart/related"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn retrieve_frames(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance, frames)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::frames(gateway, caller, Target::instance(study, series, instance), &frames, &headers)
        .await
}

/// Gives a long value of an instance (WADO-RS)
///
/// What `BulkDataURI` in the metadata leads to.
#[utoipa::path(
    operation_id = "retrieve_bulkdata", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag}", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
        ("tag" = String, Path, description = "The attribute's tag, as eight hexadecimal digits", pattern = "^[0-9A-F]{8}$"),
    ),
    responses(
        (status = 200, description = "The value", body = Binary, content_type = "multipart/related"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn retrieve_bulk(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance, tag)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    retrieve::bulk(gateway, caller, Target::instance(study, series, instance), &tag, &headers).await
}

/// Shows an instance as a picture (WADO-RS)
///
/// The slice as radiologists look at it, in its own pixels and without letters, as a PNG. Of what results are there is a picture of the
/// secondary capture alone.
#[utoipa::path(
    operation_id = "render_instance", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/rendered", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
        Window,
    ),
    responses(
        (status = 200, description = "The picture", body = Binary, content_type = "image/png"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn render_instance(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance)): Path<(String, String, String)>,
    Query(window): Query<Window>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let window = window.window.as_deref();
    pictures::rendered(
        gateway,
        caller,
        Target::instance(study, series, instance),
        1,
        window,
        &headers,
    )
    .await
}

/// Shows a frame of an instance as a picture (WADO-RS)
///
/// As `render_instance`.
#[utoipa::path(
    operation_id = "render_frame", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
        ("frames" = u32, Path, description = "Its number, from 1"),
        Window,
    ),
    responses(
        (status = 200, description = "The picture", body = Binary, content_type = "image/png"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn render_frame(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance, frame)): Path<(String, String, String, u32)>,
    Query(window): Query<Window>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let window = window.window.as_deref();
    pictures::rendered(
        gateway,
        caller,
        Target::instance(study, series, instance),
        frame,
        window,
        &headers,
    )
    .await
}

/// Shows a study, small (WADO-RS)
///
/// One slice of its newest scan, as a PNG of at most 96 pixels a side.
#[utoipa::path(
    operation_id = "get_study_thumbnail", get, path = "/dicomweb/studies/{study}/thumbnail", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
    ),
    responses(
        (status = 200, description = "The picture", body = Binary, content_type = "image/png"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn study_thumbnail(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(study): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    pictures::thumbnail(gateway, caller, Target::study(study), &headers).await
}

/// Shows a series, small (WADO-RS)
///
/// As `get_study_thumbnail`; of a result the scan that it is of.
#[utoipa::path(
    operation_id = "get_series_thumbnail", get, path = "/dicomweb/studies/{study}/series/{series}/thumbnail", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
    ),
    responses(
        (status = 200, description = "The picture", body = Binary, content_type = "image/png"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn series_thumbnail(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    pictures::thumbnail(gateway, caller, Target::series(study, series), &headers).await
}

/// Shows an instance, small (WADO-RS)
///
/// As `get_series_thumbnail`.
#[utoipa::path(
    operation_id = "get_instance_thumbnail", get, path = "/dicomweb/studies/{study}/series/{series}/instances/{instance}/thumbnail", tag = "results",
    params(
        Wanted,
        ("study" = String, Path, description = "The study's UID"),
        ("series" = String, Path, description = "The series' UID"),
        ("instance" = String, Path, description = "The instance's UID"),
    ),
    responses(
        (status = 200, description = "The picture", body = Binary, content_type = "image/png"),
        (status = 404, description = "No such study, series or instance", body = Problem, content_type = "application/problem+json"),
        (status = 406, description = "It cannot be had in the form that is asked for: `detail` says in which", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn instance_thumbnail(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    pictures::thumbnail(gateway, caller, Target::instance(study, series, instance), &headers).await
}
