//! Models: their versions, which of them serve, and who decided so.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::rfc3339;
use futures::{StreamExt, TryStreamExt};
use proto::drift::ConfirmedRequest;
use proto::registry::{
    self, Change, FileRef, ListEventsRequest, ListVersions, Promotion, VersionRef,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::caller::Caller;
use crate::confirmed::{self, ConfirmedReport};
use crate::extract::{JsonBody, Path, Query};
use crate::gate_check::GateCheck;
use crate::problem::{GATE, NOT_FOUND, Problem};
use crate::scans::{Binary, Form, some};
use crate::{said, version_upload};

/// What a version does at the moment.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelState {
    /// It waits.
    Registered,
    /// It sees what is served, after the answer is out.
    Shadow,
    /// It answers.
    Serving,
    /// It never answers again; old results can still be made anew.
    Retired,
}

/// One version of a model.
#[derive(Serialize, ToSchema)]
pub struct ModelVersion {
    name: String,
    version: String,
    state: ModelState,
    /// SHA-256 of the weights, in hexadecimal.
    sha256: String,
    files: Vec<ModelFile>,
    /// What it is made for, as DICOM's Modality (0008,0060) names it.
    modalities: Vec<String>,
    /// What is done to pixels before the network sees them.
    preprocessing: String,
    /// Where it comes from: `mlflow:NAME/VERSION`, or as the sender says it.
    source: Option<String>,
    git_commit: Option<String>,
    /// Which version of the data it was trained on.
    data_version: Option<String>,
    registered_ms: i64,
    #[schema(format = "date-time")]
    registered_at: Option<String>,
    /// The id of the user or client.
    registered_by: String,
    /// What it came to on the gate set; `null` until a worker has evaluated it.
    evaluation: Option<ModelEvaluation>,
    /// Why it serves although the gate refused it.
    forced_because: Option<String>,
    /// The scans that it answers.
    serves: Vec<ModelRoute>,
    /// The kind of image at which it looks on as a shadow; `null`: any, or it is none.
    shadow_kind: Option<String>,
}

/// Scans that a version answers.
#[derive(Serialize, ToSchema)]
pub struct ModelRoute {
    /// As DICOM's Modality (0008,0060) names it.
    modality: String,
    /// `flair` or `t1_contrast`; `null`: every kind that has no model of its own.
    image_kind: Option<String>,
}

/// A file of a version.
#[derive(Serialize, ToSchema)]
pub struct ModelFile {
    name: String,
    sha256: String,
    size_bytes: u64,
}

/// What a version came to on the gate set: the bundled phantoms.
#[derive(Serialize, ToSchema)]
pub struct ModelEvaluation {
    gate_set: String,
    /// Where the worker ran it.
    device: String,
    /// Why it could not be evaluated.
    failure: Option<String>,
    scans_with_tumour: u32,
    scans_without_tumour: u32,
    dice: ModelFigure,
    /// False acceptance rate: of the scans without tumour, those in which one was found.
    far: ModelFigure,
    /// False rejection rate: of the scans with tumour, those in which none was found.
    frr: ModelFigure,
    /// The same of each kind of image by itself; empty: evaluated before figures were told by kind.
    kinds: Vec<KindEvaluation>,
    /// Kinds of image that the version was made for and the gate set has no case of: how it reads them is not measured.
    kinds_without_cases: Vec<String>,
    /// The median.
    ms_per_slice: f64,
    /// Between the golden phantom's mask and the one that came with the version.
    golden_dice: Option<f64>,
    #[schema(format = "date-time")]
    evaluated_at: Option<String>,
}

/// What a version came to on the gate set's cases of one kind of image.
#[derive(Serialize, ToSchema)]
pub struct KindEvaluation {
    /// `flair` or `t1_contrast`, as headers say it; `unknown`: all cases, with headers that say nothing of their kind.
    image_kind: String,
    scans_with_tumour: u32,
    scans_without_tumour: u32,
    dice: ModelFigure,
    /// False acceptance rate.
    far: ModelFigure,
    /// False rejection rate.
    frr: ModelFigure,
}

/// A figure with its 95 % interval.
#[derive(Serialize, ToSchema)]
pub struct ModelFigure {
    value: f64,
    low: f64,
    high: f64,
}

/// Versions, the newest first.
#[derive(Serialize, ToSchema)]
pub struct ModelVersions {
    versions: Vec<ModelVersion>,
}

/// Which versions to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfModel {
    /// Only of the model of that name.
    #[serde(default)]
    name: String,
}

/// Where a version comes from.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Origin {
    /// Such as `mlflow:NAME/VERSION`.
    #[serde(default)]
    #[param(max_length = 400)]
    source: String,
    /// The commit that it was trained with.
    #[serde(default)]
    #[param(max_length = 64)]
    git_commit: String,
    /// Which version of the data it was trained on.
    #[serde(default)]
    #[param(max_length = 190)]
    data_version: String,
}

/// Whether, and why.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPromotion {
    /// Also where the gate refuses: then there is a reason.
    #[serde(default)]
    force: bool,
    /// It stands in the audit trail, and where the gate was forced in every result.
    #[serde(default)]
    #[schema(max_length = 800)]
    reason: String,
    /// For scans of this kind only, `flair` or `t1_contrast`, as far as their headers say it; without it, for every kind that has
    /// no model of its own.
    #[serde(default)]
    #[schema(pattern = "^(flair|t1_contrast)$")]
    image_kind: Option<String>,
}

/// Why.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelChange {
    /// It stands in the audit trail.
    #[serde(default)]
    #[schema(max_length = 800)]
    reason: String,
    /// The kind of image that is meant, `flair` or `t1_contrast`. What is retired of a kind only ceases to serve that: what
    /// serves the modality does.
    #[serde(default)]
    #[schema(pattern = "^(flair|t1_contrast)$")]
    image_kind: Option<String>,
}

/// What the gate found.
#[derive(Serialize, ToSchema)]
pub struct GateDecision {
    promoted: bool,
    checks: Vec<GateCheck>,
    version: Option<ModelVersion>,
}

/// Who did what with models, the newest first.
#[derive(Serialize, ToSchema)]
pub struct ModelEvents {
    events: Vec<ModelEvent>,
}

/// Who did what, and why.
#[derive(Serialize, ToSchema)]
pub struct ModelEvent {
    at_ms: i64,
    #[schema(format = "date-time")]
    at: Option<String>,
    /// The id of the user or client.
    subject: String,
    /// `registered`, `promoted`, `forced`, `refused`, `rolled_back`, `shadowed`, `withdrawn` or `retired`.
    action: String,
    /// The kind of image that was meant; `null`: any.
    image_kind: Option<String>,
    name: String,
    version: String,
    reason: String,
}

/// What would have changed if a shadow had served.
#[derive(Serialize, ToSchema)]
pub struct ShadowReport {
    /// Scans that both have judged, of all hospitals.
    scans: u64,
    /// Of these those with another answer.
    answers_changed: u64,
    /// Between the two masks.
    dice_mean: Option<f64>,
    /// The hospital's own scans on which the two differ most.
    furthest: Vec<ShadowScan>,
    /// Both on the hospital's own scans that readers have confirmed; `null` where that could not be told.
    confirmed: Option<ConfirmedReport>,
}

/// A scan that a shadow has judged.
#[derive(Serialize, ToSchema)]
pub struct ShadowScan {
    #[schema(format = "uuid")]
    scan_id: String,
    answer: String,
    /// What the version said that served.
    serving_answer: String,
    serving_name: String,
    serving_version: String,
    dice: Option<f64>,
    volume_ml: Option<f64>,
    serving_volume_ml: Option<f64>,
}

/// Lists the versions of models, the newest first
#[utoipa::path(
    operation_id = "list_models", get, path = "/v1/models", tag = "models", params(OfModel),
    responses((status = 200, description = "The versions", body = ModelVersions)),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(OfModel { name }): Query<OfModel>,
) -> Result<Json<ModelVersions>, Problem> {
    let versions = gateway.models.list(caller.request(ListVersions { name })).await?.into_inner();
    let versions = versions.versions.into_iter().map(ModelVersion::from).collect();
    Ok(Json(ModelVersions { versions }))
}

/// Registers a version of a model: a form with its files
///
/// `model.json` and the weights that it names, and as far as there are `card.md`, `reference.json`, `reliability.svg` and
/// `golden.pbm`. The files are compared with each other and signed; the same version again changes nothing.
#[utoipa::path(
    operation_id = "register_model", post, path = "/v1/models", tag = "models", params(Origin),
    request_body(content = Form, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The version", body = ModelVersion),
        (status = 408, description = "The bytes stopped, or came too slowly", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "That version is there with other files", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn register(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(Origin { source, git_commit, data_version }): Query<Origin>,
    request: Request,
) -> Result<(StatusCode, Json<ModelVersion>), Problem> {
    let header = registry::RegisterHeader { source, git_commit, data_version };
    let version = version_upload::forward(&gateway, &caller, header, request).await?;
    Ok((StatusCode::CREATED, Json(version.into())))
}

/// Shows a version
#[utoipa::path(
    operation_id = "get_model", get, path = "/v1/models/{name}/{version}", tag = "models",
    params(("name" = String, Path, description = "The model's name"), ("version" = String, Path, description = "Its version")),
    responses(
        (status = 200, description = "The version", body = ModelVersion),
        (status = 404, description = "No such version", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn show(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ModelVersion>, Problem> {
    let version = gateway.models.get(caller.request(VersionRef { name, version })).await?;
    Ok(Json(version.into_inner().into()))
}

/// Gives a file of a version
#[utoipa::path(
    operation_id = "get_model_file", get, path = "/v1/models/{name}/{version}/files/{file}", tag = "models",
    params(("name" = String, Path, description = "The model's name"), ("version" = String, Path, description = "Its version"),
        ("file" = String, Path, description = "The file's name")),
    responses(
        (status = 200, description = "Its bytes, as they were signed", body = Binary, content_type = "application/octet-stream"),
        (status = 404, description = "No such file", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn file(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((name, version, file)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let disposition = format!("attachment; filename=\"{name}-{version}-{file}\"");
    let of = FileRef { name, version, file };
    let mut chunks = gateway.models.read(caller.request(of)).await?.into_inner();
    // What is wrong with it is told before the answer begins; what breaks later breaks the answer off.
    let first = chunks.message().await?.ok_or_else(|| NOT_FOUND.problem("the file is empty"))?;
    let length = first.size_bytes;
    let rest = chunks.map_ok(|chunk| chunk.data);
    let bytes = futures::stream::iter([Ok(first.data)]).chain(rest);
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    // The names are the registry's, which lets in no quotes.
    let disposition = [(header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, disposition, Body::from_stream(bytes)).into_response())
}

/// Lets a version serve, if the gate lets it through
///
/// It must have been evaluated on the gate set, give its golden phantom's mask, be quick enough, and be no worse than
/// what serves, as far as its 95 % intervals tell: for one kind of image on the cases of that kind, else on all cases and on
/// those of each kind. What the gate set has no case of is named (`cases`). Beside these checks stand figures of the hospital's own
/// confirmed scans, which refuse nothing (`advisory`). `force` lets it serve all the same, for a reason that is kept.
#[utoipa::path(
    operation_id = "promote_model", post, path = "/v1/models/{name}/{version}/promote", tag = "models",
    params(("name" = String, Path, description = "The model's name"), ("version" = String, Path, description = "Its version")),
    request_body = ModelPromotion,
    responses(
        (status = 200, description = "It serves", body = GateDecision),
        (status = 404, description = "No such version", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The gate refused it, and `checks` says why; or it is retired, is not as it was signed, is for a kind of image of what nothing serves as a whole, or somebody else changes what serves", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn promote(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((name, version)): Path<(String, String)>,
    JsonBody(ModelPromotion { force, reason, image_kind }): JsonBody<ModelPromotion>,
) -> Result<Json<GateDecision>, Problem> {
    let image_kind = said::something("image_kind", image_kind)?;
    let promotion = Promotion { name, version, force, reason, image_kind };
    let of = ConfirmedRequest { name: promotion.name.clone(), version: promotion.version.clone() };
    let kind = promotion.image_kind.clone();
    let decision = gateway.models.promote(caller.request(promotion)).await?.into_inner();
    let mut checks: Vec<_> = decision.checks.into_iter().map(GateCheck::from).collect();
    let confirmed = confirmed::ask(&mut gateway, &caller, of).await;
    checks.extend(confirmed.iter().flat_map(|report| report.checks(&kind)));
    if decision.promoted {
        let version = decision.version.map(ModelVersion::from);
        return Ok(Json(GateDecision { promoted: true, checks, version }));
    }
    let failed = checks.iter().filter(|check| !check.passed && !check.advisory);
    let why: Vec<_> = failed.map(GateCheck::sentence).collect();
    Err(GATE.problem(why.join("; ")).with_checks(checks))
}

macro_rules! changes {
    ($($function:ident, $id:literal, $path:literal, $title:literal, $description:literal;)*) => { $(
        #[doc = $title]
        #[utoipa::path(
            operation_id = $id, post, path = $path, tag = "models",
            params(("name" = String, Path, description = "The model's name"), ("version" = String, Path, description = "Its version")),
            request_body = ModelChange,
            responses(
                (status = 200, description = $description, body = ModelVersion),
                (status = 404, description = "No such version", body = Problem, content_type = "application/problem+json"),
                (status = 409, description = "What the version is now does not allow it", body = Problem, content_type = "application/problem+json"),
            ),
            security(("bearer" = [])),
        )]
        pub async fn $function(
            State(mut gateway): State<Gateway>,
            caller: Caller,
            Path((name, version)): Path<(String, String)>,
            JsonBody(ModelChange { reason, image_kind }): JsonBody<ModelChange>,
        ) -> Result<Json<ModelVersion>, Problem> {
            let image_kind = said::something("image_kind", image_kind)?;
            let change = Change { name, version, reason, image_kind };
            let version = gateway.models.$function(caller.request(change)).await?;
            Ok(Json(version.into_inner().into()))
        }
    )* };
}

changes! {
    roll_back, "roll_back_model", "/v1/models/{name}/{version}/roll-back",
        "Lets the version serve again that served before this one", "The version that serves now";
    shadow, "shadow_model", "/v1/models/{name}/{version}/shadow",
        "Lets a version see what is served, after the answer is out", "The version";
    retire, "retire_model", "/v1/models/{name}/{version}/retire",
        "Ends a version's life, or only its service of one kind of image; old results can still be made anew", "The version";
}

/// Tells what would have changed if a version had served
#[utoipa::path(
    operation_id = "get_shadow_report", get, path = "/v1/models/{name}/{version}/shadow", tag = "models",
    params(("name" = String, Path, description = "The model's name"), ("version" = String, Path, description = "Its version")),
    responses(
        (status = 200, description = "What the shadow said beside what served", body = ShadowReport),
        (status = 404, description = "No such version", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn shadow_report(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<ShadowReport>, Problem> {
    let of = VersionRef { name: name.clone(), version: version.clone() };
    let told = gateway.models.list_comparisons(caller.request(of)).await?.into_inner();
    let confirmed = confirmed::ask(&mut gateway, &caller, ConfirmedRequest { name, version }).await;
    Ok(Json(ShadowReport {
        scans: told.count,
        answers_changed: told.answers_changed,
        dice_mean: told.dice_mean,
        furthest: told.furthest.into_iter().map(ShadowScan::from).collect(),
        confirmed,
    }))
}

/// Tells who did what with models, the newest first
#[utoipa::path(
    operation_id = "list_model_events", get, path = "/v1/model-events", tag = "models", params(OfModel),
    responses((status = 200, description = "The newest hundred", body = ModelEvents)),
    security(("bearer" = [])),
)]
pub async fn events(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Query(OfModel { name }): Query<OfModel>,
) -> Result<Json<ModelEvents>, Problem> {
    let asked = ListEventsRequest { name, limit: 0 };
    let events = gateway.models.list_events(caller.request(asked)).await?.into_inner().events;
    Ok(Json(ModelEvents { events: events.into_iter().map(ModelEvent::from).collect() }))
}

impl From<registry::State> for ModelState {
    fn from(state: registry::State) -> ModelState {
        match state {
            registry::State::Shadow => ModelState::Shadow,
            registry::State::Serving => ModelState::Serving,
            registry::State::Retired => ModelState::Retired,
            registry::State::Registered | registry::State::Unspecified => ModelState::Registered,
        }
    }
}

impl From<registry::Version> for ModelVersion {
    fn from(version: registry::Version) -> ModelVersion {
        ModelVersion {
            state: version.state().into(),
            files: version.files.into_iter().map(ModelFile::from).collect(),
            evaluation: version.evaluation.map(ModelEvaluation::from),
            registered_at: rfc3339(version.registered_ms),
            source: some(version.source),
            git_commit: some(version.git_commit),
            data_version: some(version.data_version),
            forced_because: some(version.forced_because),
            serves: version.serves.into_iter().map(ModelRoute::from).collect(),
            shadow_kind: some(version.shadow_kind),
            name: version.name,
            version: version.version,
            sha256: version.sha256,
            modalities: version.modalities,
            preprocessing: version.preprocessing,
            registered_ms: version.registered_ms,
            registered_by: version.registered_by,
        }
    }
}

impl From<registry::Served> for ModelRoute {
    fn from(registry::Served { modality, image_kind }: registry::Served) -> ModelRoute {
        ModelRoute { modality, image_kind: some(image_kind) }
    }
}

impl From<registry::File> for ModelFile {
    fn from(registry::File { name, sha256, size_bytes }: registry::File) -> ModelFile {
        ModelFile { name, sha256, size_bytes }
    }
}

fn figure(value: f64, low: f64, high: f64) -> ModelFigure {
    ModelFigure { value, low, high }
}

impl From<registry::Evaluation> for ModelEvaluation {
    fn from(it: registry::Evaluation) -> ModelEvaluation {
        ModelEvaluation {
            dice: figure(it.dice_mean, it.dice_low, it.dice_high),
            far: figure(it.far, it.far_low, it.far_high),
            frr: figure(it.frr, it.frr_low, it.frr_high),
            kinds: it.kinds.into_iter().map(KindEvaluation::from).collect(),
            kinds_without_cases: it.kinds_without_cases,
            evaluated_at: rfc3339(it.evaluated_ms),
            failure: some(it.failure),
            gate_set: it.gate_set,
            device: it.device,
            scans_with_tumour: it.scans_with_tumour,
            scans_without_tumour: it.scans_without_tumour,
            ms_per_slice: it.ms_per_slice,
            golden_dice: it.golden_dice,
        }
    }
}

impl From<registry::KindFigures> for KindEvaluation {
    fn from(it: registry::KindFigures) -> KindEvaluation {
        KindEvaluation {
            dice: figure(it.dice_mean, it.dice_low, it.dice_high),
            far: figure(it.far, it.far_low, it.far_high),
            frr: figure(it.frr, it.frr_low, it.frr_high),
            image_kind: it.image_kind,
            scans_with_tumour: it.scans_with_tumour,
            scans_without_tumour: it.scans_without_tumour,
        }
    }
}

impl From<registry::Event> for ModelEvent {
    fn from(event: registry::Event) -> ModelEvent {
        let registry::Event { at_ms, subject, action, name, version, reason, image_kind } = event;
        let (at, image_kind) = (rfc3339(at_ms), some(image_kind));
        ModelEvent { at_ms, at, subject, action, image_kind, name, version, reason }
    }
}

impl From<registry::Comparison> for ShadowScan {
    fn from(it: registry::Comparison) -> ShadowScan {
        ShadowScan {
            scan_id: it.scan_id,
            answer: it.answer,
            serving_answer: it.serving_answer,
            serving_name: it.serving_name,
            serving_version: it.serving_version,
            dice: it.dice,
            volume_ml: it.volume_ml,
            serving_volume_ml: it.serving_volume_ml,
        }
    }
}
