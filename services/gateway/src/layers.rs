use std::any::Any;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header,
};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use domain::{Random, ScanId};
use service::{deadline, trace};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;
use tracing::field::Empty;

use crate::limits;
use crate::partial_uploads::{
    TUS_EXTENSION, TUS_MAX_SIZE, TUS_RESUMABLE, TUS_VERSIONS, UPLOAD_EXPIRES, UPLOAD_LENGTH,
    UPLOAD_METADATA, UPLOAD_OFFSET,
};
use crate::problem::{INTERNAL, INVALID, MEDIA_TYPE, Problem, TIMEOUT};
use crate::refusals::{self, Refusals};
use crate::slices;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_LONGEST: usize = 128;

/// How long a request may take until its answer begins, unless it is an upload.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);

/// Smaller answers fit into a packet as they are.
const WORTH_PACKING: u64 = 1024;

/// For how long a browser need not ask again whether it may call.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(600);

/// Sent with every answer that does not say otherwise.
const CAREFUL: [(HeaderName, HeaderValue); 8] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // Pages of other origins that may call ask by CORS, to which this does not apply.
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

/// Sent besides where callers come by TLS: for two years a browser takes no other way to this host, nor to those below its name (RFC
/// 6797). Where they come by none it would say nothing: browsers believe it by TLS alone.
const BY_TLS_ALONE: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// What is done around every route; the last is the outermost.
pub fn around(router: Router, random: Random, origins: &[HeaderValue], by_tls: bool) -> Router {
    router
        .layer(from_fn(one_host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem_json))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(WORTH_PACKING).and(is_text)))
        .layer(from_fn(head_as_get))
        .layer(from_fn_with_state(by_tls, security_headers))
        .layer(option_layer(cross_origin(origins)))
        .layer(from_fn_with_state(random, request_id))
        .layer(from_fn_with_state(Refusals::new(), refusals::hold_back))
}

/// Lets pages from those origins call, and nobody's page from anywhere else.
///
/// There is nothing that a foreign page could use unasked: a call needs a token, which it must have got itself. The one cookie, of a
/// sign-in at a hospital's provider, is sent for no foreign page (`SameSite=Strict`), and is worth nothing without the provider's code.
fn cross_origin(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let allowed = AllowOrigin::list(origins.iter().cloned());
    let cors = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            // Browsers ask for it where its media types stand in quotes, as DICOMweb writes them.
            header::ACCEPT,
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static(service::claims::REASON),
            HeaderName::from_static("traceparent"),
            TUS_RESUMABLE,
            UPLOAD_LENGTH,
            UPLOAD_METADATA,
            UPLOAD_OFFSET,
            REQUEST_ID,
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            limits::POLICY,
            limits::LEFT,
            header::WWW_AUTHENTICATE,
            slices::WINDOW,
            TUS_RESUMABLE,
            TUS_VERSIONS,
            TUS_EXTENSION,
            TUS_MAX_SIZE,
            UPLOAD_EXPIRES,
            UPLOAD_LENGTH,
            UPLOAD_OFFSET,
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_KEPT);
    (!origins.is_empty()).then_some(cors)
}

/// Answers HEAD as GET in everything but the body, which the router leaves out: so it says the very same length, and none
/// where GET says none beforehand.
async fn head_as_get(mut request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        *request.method_mut() = Method::GET;
    }
    let mut response = next.run(request).await;
    weaken_tag_of_packed(response.headers_mut());
    response
}

/// What is packed is not the same to the byte as what is not: a tag that both have is a weak one (RFC 9110, 8.8.1).
fn weaken_tag_of_packed(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return;
    }
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let weak = tag.filter(|tag| tag.starts_with('"')).map(|tag| format!("W/{tag}"));
    if let Some(weak) = weak.and_then(|weak| weak.parse().ok()) {
        headers.insert(header::ETAG, weak);
    }
}

/// Images and archives are packed already; events must not wait for more of them.
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let media = media.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    media != "text/event-stream"
        && (media.starts_with("text/")
            || media.ends_with("json")
            || media.ends_with("javascript")
            || media.ends_with("svg+xml"))
}

/// The id that a request has in the log, in answers and at the peers.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id of the request with these extensions.
    pub fn of(extensions: &Extensions) -> RequestId {
        extensions.get().cloned().unwrap_or(RequestId(HeaderValue::from_static("none")))
    }

    /// The id as the header's text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The caller's own id, if it is fit for a log; else a new one.
    fn take(request: &Request, random: &Random) -> RequestId {
        let offered = request.headers().get(REQUEST_ID);
        let fit = |id: &&HeaderValue| {
            let bytes = id.as_bytes();
            (1..=REQUEST_ID_LONGEST).contains(&bytes.len())
                && bytes.iter().all(u8::is_ascii_graphic)
        };
        offered.filter(fit).cloned().map_or_else(|| RequestId::new(random), RequestId)
    }

    fn new(random: &Random) -> RequestId {
        let hex = format!("{:032x}", u128::from_be_bytes(random.bytes()));
        RequestId(HeaderValue::try_from(hex).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }
}

/// Gives the request its id, and says in the log what became of it.
async fn request_id(State(random): State<Random>, mut request: Request, next: Next) -> Response {
    let id = RequestId::take(&request, &random);
    request.extensions_mut().insert(id.clone());
    // The route as written: an address may hold what somebody typed.
    let route =
        request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!(
        "request",
        request.id = id.as_str(),
        method = service::method_name(request.method()),
        route,
        user.id = Empty,
        tenant.id = Empty,
        scan.id = Empty
    );
    let named = request.uri().path().to_owned();
    let begun = Instant::now();
    let answered = async {
        let response = next.run(request).await;
        let made = response.headers().get(header::LOCATION).and_then(|made| made.to_str().ok());
        if let Some(scan) = scan_of(made.unwrap_or(&named)) {
            trace::about_scan(scan);
        }
        let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis() as u64);
        tracing::info!(status, ms, "answered");
        response
    };
    let mut response = answered.instrument(span).await;
    response.headers_mut().insert(REQUEST_ID, id.0);
    response
}

/// The id of the scan that a path is about: an id, never what else somebody may type there.
fn scan_of(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/v1/scans/")?.split('/').next()?;
    id.parse::<ScanId>().is_ok().then_some(id)
}

/// Refuses a request that names several hosts: a proxy in front may have believed another of them (RFC 9112, 3.2).
async fn one_host(request: Request, next: Next) -> Response {
    if request.headers().get_all(header::HOST).iter().count() > 1 {
        return INVALID.problem("a request names one host").into_response();
    }
    next.run(request).await
}

async fn security_headers(State(by_tls): State<bool>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in CAREFUL {
        response.headers_mut().entry(name).or_insert(value);
    }
    if by_tls {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, BY_TLS_ALONE);
    }
    response
}

/// Marks a refusal that has words of its own, in the form that a standard has for it.
#[derive(Clone, Copy)]
pub struct Worded;

/// Writes the body of every refusal and failure, ours or the router's, as a [`Problem`]; but those that are [`Worded`].
async fn problem_json(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.extensions());
    let response = next.run(request).await;
    let (mut parts, body) = response.into_parts();
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    // A page for people says by itself what is wrong.
    let refused = failed && !is_page(&parts.headers);
    let wordless = refused && parts.extensions.get::<Worded>().is_none();
    let problem =
        parts.extensions.remove().or_else(|| wordless.then(|| Problem::of_status(parts.status)));
    let Some(problem) = problem else { return Response::from_parts(parts, body) };
    let json = serde_json::to_vec(&problem.at(Some(id.as_str()))).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    Response::from_parts(parts, Body::from(json))
}

fn is_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|media| media.as_bytes().starts_with(b"text/html"))
}

/// Ends a request that takes too long; whatever is done for it, in whichever service, knows until when.
pub async fn in_time(request: Request, next: Next) -> Response {
    timely(async { Ok(next.run(request).await) }).await.into_response()
}

/// Ends work that takes too long, where a route has no such limit of its own; whoever does it knows until when.
pub async fn timely<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let done = tokio::time::timeout(CONTROL_TIMEOUT, work);
    let late = |_| TIMEOUT.problem("the answer took too long");
    deadline::with_deadline(CONTROL_TIMEOUT, done).await.map_err(late)?
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    // The default hook has written where; the words of a panic may hold anything.
    drop(panic);
    INTERNAL.problem("internal error").into_response()
}
