use std::error::Error as StdError;
use std::iter::successors;

use axum::BoxError;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use domain::{Error, ErrorKind};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tonic::Status;

use super::door::{Caller, Door, SOON};
use super::memory::Room;
use super::signature::{FP32, Output, TILE};
use super::{BareModels, EXTENSIONS, Metadata, REQUEST_BYTES};

/// How long the JSON is behind which bytes follow, by the binary tensor extension.
const JSON_BYTES: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Everything under `/v2`. Whether it lives and is ready is told to anybody.
pub fn routes(models: BareModels, door: Door) -> Router {
    let about = |routes: Router<BareModels>, path: &str| {
        routes
            .route(path, get(model))
            .route(&format!("{path}/ready"), get(model_ready))
            .route(&format!("{path}/infer"), post(infer))
    };
    let paths = ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"];
    let guarded = paths
        .into_iter()
        .fold(Router::new().route("/v2", get(server)), about)
        .route_layer(from_fn_with_state(door, guarded));
    Router::new()
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/{*unknown}", any(unknown))
        .merge(guarded)
        .method_not_allowed_fallback(not_that_way)
        .route_layer(map_response(kept_nowhere))
        // Outside of whatever refuses early.
        .route_layer(from_fn(service::drain))
        .with_state(models)
}

/// Which model, and which version of it (empty: whichever serves).
#[derive(Deserialize)]
struct Named {
    model: String,
    #[serde(default)]
    version: String,
}

async fn guarded(State(door): State<Door>, request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > REQUEST_BYTES as u64 {
        return Refused::too_large().into_response();
    }
    let refused = |error| Refused::from(error).into_response();
    door.admit(request, next, 1).await.unwrap_or_else(refused)
}

async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

async fn ready(State(models): State<BareModels>) -> Response {
    let ready = models.serving.check().is_ok();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready}))).into_response()
}

async fn server() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({"name": "medseg", "version": version, "extensions": EXTENSIONS}))
}

async fn model_ready(
    State(models): State<BareModels>,
    Path(Named { model, version }): Path<Named>,
) -> Result<Json<Value>, Refused> {
    models.ready(&model, &version)?;
    Ok(Json(json!({"name": model, "ready": true})))
}

async fn model(
    State(models): State<BareModels>,
    Path(Named { model, version }): Path<Named>,
) -> Result<Json<Value>, Refused> {
    Ok(Json(metadata(&models.metadata(&model, &version)?)))
}

/// What the protocol asks for, and how slices become tiles.
fn metadata(model: &Metadata) -> Value {
    let Metadata { info, versions, signature } = model;
    let facts = &info.facts;
    let output = |output: Output| json!({"name": output.name(), "datatype": FP32, "shape": signature.output_shape(output)});
    let channels: &[&str] =
        if signature.channels == 3 { &["before", "slice", "after"] } else { &["slice"] };
    let kinds: Vec<_> = facts.classes.iter().map(|kind| kind.name()).collect();
    json!({
        "name": facts.name,
        "versions": versions,
        "platform": model.platform(),
        "inputs": [{"name": TILE, "datatype": FP32, "shape": signature.input_shape()}],
        "outputs": signature.outputs().into_iter().map(output).collect::<Vec<_>>(),
        "parameters": {
            "preprocessing": facts.preprocessing,
            "sides": signature.sides,
            "channels": channels,
            "kinds": kinds,
            "sha256": info.sha256,
        },
    })
}

async fn infer(
    State(models): State<BareModels>,
    Extension(caller): Extension<Caller>,
    Path(Named { model, version }): Path<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let served = models.serving.named(&model, &version)?;
    let json_bytes = json_bytes(&headers)?;
    let body = whole(&headers, body).await?;
    let read = move |room: &Room| {
        room.take(super::json::bytes_of(&body, json_bytes))?;
        super::json::read(body, json_bytes)
    };
    let (asked, form) = caller.room.blocking(read).await?;
    let said = models.infer(&caller, served, asked).await?;
    let written = caller.room.blocking(move |_| form.written(&said)).await?;
    let media = match written.json_bytes {
        None => "application/json",
        Some(_) => "application/octet-stream",
    };
    let mut response = ([(header::CONTENT_TYPE, media)], written.body).into_response();
    if let Some(json_bytes) = written.json_bytes {
        response.headers_mut().insert(JSON_BYTES, HeaderValue::from(json_bytes));
    }
    Ok(response)
}

fn json_bytes(headers: &HeaderMap) -> Result<Option<usize>, Refused> {
    let Some(told) = headers.get(JSON_BYTES) else { return Ok(None) };
    let length = told.to_str().ok().and_then(|length| length.parse().ok());
    let none = || ErrorKind::Invalid.error(format!("{JSON_BYTES} is no length"));
    Ok(Some(length.ok_or_else(none)?))
}

/// The whole body, if it is not too long and not packed.
async fn whole(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    let packed = headers.get(header::CONTENT_ENCODING);
    if packed.is_some_and(|packing| packing != "identity") {
        let message = "a packed body is not taken: send it as it is".to_owned();
        return Err(Refused { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message });
    }
    let read = Limited::new(body, REQUEST_BYTES).collect().await;
    Ok(read.map_err(unread)?.to_bytes())
}

/// Why a body could not be read: it is too long, there is no room for it, or it broke off.
fn unread(error: BoxError) -> Refused {
    if error.is::<LengthLimitError>() {
        return Refused::too_large();
    }
    let mut causes =
        successors(Some(&*error as &(dyn StdError + 'static)), |&cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<Status>()).cloned() {
        Some(no_room) => Error::from(no_room).into(),
        None => ErrorKind::Invalid.error("the body broke off").because(error).into(),
    }
}

async fn unknown() -> Refused {
    let message = "the protocol has nothing at this address".to_owned();
    Refused { status: StatusCode::NOT_FOUND, message }
}

async fn not_that_way() -> Refused {
    let message = "the protocol has no such method at this address".to_owned();
    Refused { status: StatusCode::METHOD_NOT_ALLOWED, message }
}

/// What the model says of a patient's slices is for its caller alone.
async fn kept_nowhere(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A refusal or failure, in the protocol's own form.
struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn too_large() -> Refused {
        let message = format!("a request has {} MiB at most", REQUEST_BYTES >> 20);
        Refused { status: StatusCode::PAYLOAD_TOO_LARGE, message }
    }
}

impl From<Error> for Refused {
    /// The error stops here, so its cause is logged here, as where it becomes a gRPC status.
    fn from(error: Error) -> Refused {
        if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable) {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a request failed");
        }
        let status = match error.kind() {
            // Of memory: others may have taken it, and 429 would say that this caller asks too often.
            ErrorKind::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            kind => kind.http_status(),
        };
        Refused { status, message: error.to_string() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused { status, message } = self;
        let mut response = (status, Json(json!({"error": message}))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(SOON));
        }
        response
    }
}
