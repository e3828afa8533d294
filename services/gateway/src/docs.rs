use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

use crate::problem::{
    FORBIDDEN, INTERNAL, INVALID, Kind, MEDIA_TYPE, PAYLOAD_TOO_LARGE, Problem, TIMEOUT,
    TOO_MANY_REQUESTS, UNAUTHENTICATED, UNAVAILABLE, UNPROCESSABLE, UNSUPPORTED_MEDIA_TYPE,
};

/// The docs page's own scripts and styles, and nothing else.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "medseg",
        description = "Finds brain tumours in head scans: upload a scan, get the mask, the box and the size. For research; not a medical device.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "This gateway")),
    tags(
        (name = "token", description = "Signing in and out"),
        (name = "scans", description = "Uploading scans, and watching them"),
        (name = "uploads", description = "Uploads that may be interrupted"),
        (name = "results", description = "What was found"),
        (name = "feedback", description = "What readers say of results; for the roles `clinician` and `admin`"),
        (name = "dataset", description = "What readers have confirmed, for the next model; for the roles `scientist` and `admin`, with the hospital's consent"),
        (name = "incidents", description = "What went wrong, as people report it"),
        (name = "batches", description = "Many images at once"),
        (name = "account", description = "One's own account, and the links that set its password"),
        (name = "users", description = "Who may sign in; for the role `admin`"),
        (name = "tenants", description = "Hospitals; for the role `operator`, who belongs to none of them"),
        (name = "audit", description = "Who did what, when, from where and why; for the role `admin`"),
        (name = "models", description = "Which models there are, which of them serve, and who decided so; for the roles `scientist` and `admin`"),
        (name = "drift", description = "Whether the model still sees what it was trained on; for the roles `scientist` and `admin`"),
        (name = "deliveries", description = "Where results are pushed, and what went where; destinations for the role `admin`, deliveries for the role `integrator`, too"),
        (name = "erasures", description = "What a hospital forgets, keeps for so long, and may not forget yet; for the role `admin`"),
        (name = "quality", description = "How good the answers are, by what readers say of them and as measured offline, and when a model answers no more; for the roles `clinician`, `scientist` and `admin`"),
    ),
    components(schemas(Problem)),
    modifiers(&Bearer),
)]
struct About;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let scheme = scheme.description(Some("The access token from `/v1/token`"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme.build()));
    }
}

/// The document that the routes are added to.
pub fn about() -> Document {
    About::openapi()
}

/// The document with what is true of every route: each may be refused, or fail.
pub fn complete(mut document: Document) -> Document {
    for path in document.paths.paths.values_mut() {
        for operation in operations(path) {
            let (secured, has_body) =
                (operation.security.is_some(), operation.request_body.is_some());
            add(operation, true, &[INVALID, TOO_MANY_REQUESTS, INTERNAL, UNAVAILABLE, TIMEOUT]);
            add(operation, secured, &[UNAUTHENTICATED, FORBIDDEN]);
            add(operation, has_body, &[PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, UNPROCESSABLE]);
        }
    }
    document
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn add(operation: &mut Operation, applies: bool, kinds: &[Kind]) {
    for kind in kinds.iter().filter(|_| applies) {
        let status = kind.status.as_u16().to_string();
        operation.responses.responses.entry(status).or_insert_with(|| problem(kind.title).into());
    }
}

/// An answer that is a problem.
pub fn problem(words: &str) -> ResponseBuilder {
    let schema = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(words).content(MEDIA_TYPE, schema)
}

/// `/openapi.json`, and the page that shows it.
pub fn routes(document: Document) -> Router {
    let docs = SwaggerUi::new("/docs").url("/openapi.json", complete(document));
    Router::from(docs).layer(from_fn(policy))
}

async fn policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    response
}
