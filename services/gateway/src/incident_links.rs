//! The door through which patients say what went wrong: links that users make and take back, and the page that they lead to.
//!
//! The page needs no account, no cookie and no script. It reads nothing: not whose the link is, nor whether it is valid, until words are
//! sent.

use axum::extract::{DefaultBodyLimit, RawQuery, State};
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
use crate::paging::{WantedPage, next_page};
use crate::problem::{INVALID, Problem};
use crate::scans::some;
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
    /// By which it is revoked.
    #[schema(format = "uuid")]
    id: String,
    /// Where it leads, on this gateway.
    #[schema(pattern = "^/tell/[0-9a-f]{64}$")]
    path: String,
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// A link that is valid. Where it leads was told once.
#[derive(Serialize, ToSchema)]
pub struct MadeIncidentLink {
    #[schema(format = "uuid")]
    id: String,
    /// `null`: its reports are about the system.
    #[schema(format = "uuid")]
    scan_id: Option<String>,
    /// The user's name when they made it.
    maker: String,
    #[schema(format = "date-time")]
    made_at: Option<String>,
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// Links that are valid, newest first.
#[derive(Serialize, ToSchema)]
pub struct MadeIncidentLinks {
    links: Vec<MadeIncidentLink>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

impl From<storage::MadeLink> for MadeIncidentLink {
    fn from(link: storage::MadeLink) -> MadeIncidentLink {
        MadeIncidentLink {
            id: link.id,
            scan_id: some(link.scan_id),
            maker: link.maker,
            made_at: rfc3339(link.made_ms),
            expires_at: rfc3339(link.expires_ms),
        }
    }
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
/// nor a script; they read nothing by it. What they write is among the incidents, marked as a patient's. It can be revoked, and is not
/// valid while the hospital is suspended or closed. For the roles `clinician`, `integrator` and `admin`; one person may make 60 within
/// an hour.
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
    Ok((StatusCode::CREATED, Json(IncidentLink { id: made.id, path, expires_at })))
}

/// Lists the links for patients that are valid, newest first
///
/// For the roles `clinician` and `integrator` those that they have made themselves, for the role `admin` all of the hospital. Where a
/// link leads is told to whoever makes it and never again.
#[utoipa::path(
    operation_id = "list_incident_links", get, path = "/v1/incident-links", tag = "incidents", params(WantedPage),
    responses((status = 200, description = "One page", body = MadeIncidentLinks,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    RawQuery(query): RawQuery,
    Query(wanted): Query<WantedPage>,
) -> Result<(HeaderMap, Json<MadeIncidentLinks>), Problem> {
    let (limit, cursor) = wanted.checked()?;
    let asked = caller.request(storage::ListMadeLinks { limit, cursor });
    let page = gateway.incidents.list_incident_links(asked).await?.into_inner();
    let links = page.links.into_iter().map(MadeIncidentLink::from).collect();
    let (link, next_cursor) = next_page("/v1/incident-links", query, page.next_cursor);
    Ok((link, Json(MadeIncidentLinks { links, next_cursor })))
}

/// Revokes a link for a patient: nobody writes through it any more, and what was written stays
///
/// For whoever has made it, and for the role `admin`.
#[utoipa::path(
    operation_id = "revoke_incident_link", delete, path = "/v1/incident-links/{id}", tag = "incidents",
    params(("id" = String, Path, description = "The link's id")),
    responses(
        (status = 204, description = "It is not valid any more"),
        (status = 404, description = "No such link, or none that is valid", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub async fn revoke(
    State(mut gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    gateway.incidents.revoke_incident_link(caller.request(storage::MadeLinkRef { id })).await?;
    Ok(StatusCode::NO_CONTENT)
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
