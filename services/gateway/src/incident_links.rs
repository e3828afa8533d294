//! The door through which patients say what went wrong: a link that a user makes, and the page that it leads to.
//!
//! The page needs no account, no cookie and no script. It reads nothing: not whose the link is, nor whether it is valid, until words are
//! sent.

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Form, Json, Router};
use domain::limits::INCIDENT_CHARS_MAX;
use domain::rfc3339;
use maud::{DOCTYPE, html};
use proto::storage;
use serde::{Deserialize, Serialize};
use tonic::Code;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::extract::{JsonBody, Path, Query};
use crate::incident_words::{Words, words_in};
use crate::problem::{INVALID, Problem};
use crate::{CONTROL_BODY_BYTES, Gateway, layers, said};

/// The page shows one style, sends its form back here, and runs nothing.
const TELL_POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a link is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIncidentLink {
    /// The scan that its reports are about; without one, they are about the system.
    #[serde(default)]
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// For how many days it is valid.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 90, default = 30)]
    days: Option<u32>,
}

/// A link, told once.
#[derive(Serialize, ToSchema)]
pub struct IncidentLink {
    /// Where it leads, on this gateway.
    #[schema(pattern = "^/tell/[0-9a-f]{64}$")]
    path: String,
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// The page that a link leads to.
pub fn page() -> Router<Gateway> {
    Router::new()
        .route("/tell/{token}", get(show).post(tell))
        .layer(DefaultBodyLimit::max(CONTROL_BODY_BYTES))
        .layer(from_fn(layers::in_time))
}

/// Makes a link through which a patient says what went wrong
///
/// Whoever has it may write five reports of free words, until it expires, on a page in English or French that needs neither an account
/// nor a script; they read nothing by it. What they write is among the incidents, marked as a patient's. For the roles `clinician`,
/// `integrator` and `admin`; one person may make 60 within an hour.
#[utoipa::path(
    operation_id = "make_incident_link", post, path = "/v1/incident-links", tag = "incidents", request_body = NewIncidentLink,
    responses(
        (status = 201, description = "The link", body = IncidentLink),
        (status = 404, description = "No such scan", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn make(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    JsonBody(NewIncidentLink { scan_id, days }): JsonBody<NewIncidentLink>,
) -> Result<(StatusCode, Json<IncidentLink>), Problem> {
    let scan_id = said::something("scan_id", scan_id)?;
    let new = storage::NewIncidentLink { scan_id, days: days_of(days)? };
    let made = gateway.incidents.make_incident_link(caller.request(new)).await?.into_inner();
    let (path, expires_at) = (format!("/tell/{}", made.token), rfc3339(made.expires_ms));
    Ok((StatusCode::CREATED, Json(IncidentLink { path, expires_at })))
}

/// As storage takes it, for which 0 says nothing.
fn days_of(days: Option<u32>) -> Result<u32, Problem> {
    match days {
        Some(0) => Err(INVALID.problem("a link is valid for one day at least")),
        days => Ok(days.unwrap_or_default()),
    }
}

/// What the page is asked for.
#[derive(Deserialize)]
struct Asked {
    lang: Option<String>,
}

/// What its form says.
#[derive(Deserialize)]
struct Told {
    words: String,
}

async fn show(Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let words = words_in(asked.lang.as_deref(), &headers);
    answer(StatusCode::OK, words, &form(words, "", None))
}

async fn tell(
    State(mut gateway): State<Gateway>,
    Path(token): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    Form(told): Form<Told>,
) -> Response {
    let words = words_in(asked.lang.as_deref(), &headers);
    // Browsers send a line's end as two characters, and count it as one.
    let said = told.words.replace("\r\n", "\n");
    let report = storage::LinkedReport { token, words: said.clone() };
    match gateway.incidents.report_by_link(report).await {
        Ok(_) => answer(StatusCode::OK, words, &html! { p { (words.kept) } }),
        Err(status) => {
            let (code, why) = why_not(status.code(), words);
            // What is wrong within is for the log, which the conversion writes.
            let _ = Problem::from(status);
            answer(code, words, &form(words, &said, Some(why)))
        }
    }
}

/// Why words were not kept, in the patient's language.
fn why_not(code: Code, words: &Words) -> (StatusCode, &'static str) {
    match code {
        Code::NotFound => (StatusCode::NOT_FOUND, words.over),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, words.enough),
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, words.length),
        _ => (StatusCode::SERVICE_UNAVAILABLE, words.later),
    }
}

/// What was written stays in it, to be sent again.
fn form(words: &Words, said: &str, why: Option<&str>) -> maud::Markup {
    html! {
        @if let Some(why) = why { p role="alert" { strong { (why) } } }
        p { (words.about) }
        form method="post" {
            label for="words" { (words.label) }
            textarea id="words" name="words" rows="10" required maxlength=(INCIDENT_CHARS_MAX) { (said) }
            p { (words.hint) }
            button { (words.send) }
        }
    }
}

fn answer(status: StatusCode, words: &Words, body: &maud::Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang=(words.language) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (words.title) " · medseg" }
                link rel="stylesheet" href="/manual/manual.css";
            }
            body {
                header { a href=(format!("?lang={}", words.other)) lang=(words.other) { (words.in_other) } }
                main { h1 { (words.title) } (body) }
            }
        }
    };
    let about = [(header::CONTENT_SECURITY_POLICY, TELL_POLICY)];
    (status, about, Html(page.into_string())).into_response()
}
