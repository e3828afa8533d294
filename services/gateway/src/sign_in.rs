//! Sign-in through a hospital's own provider of identities: there, back, and what the provider says later.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use proto::auth;
use serde::Deserialize;
use tonic::{Code, Status};
use url::form_urlencoded;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{JsonBody, Path};
use crate::problem::{INVALID, NOT_FOUND, Problem, TokenError};
use crate::token::{Fields, Token, located};

/// Binds a sign-in to the browser that has begun it: where the page is reached by TLS under a name that browsers let nobody but this
/// very host set (RFC 6265bis, 4.1.3.2), and for a page on this machine under another.
const SECURE_COOKIE: &str = "__Host-medseg-sign-in";
const COOKIE: &str = "medseg-sign-in";

/// What of a provider's answer goes on to the page.
const BROUGHT: [&str; 4] = ["code", "state", "iss", "error"];
const BROUGHT_CHARS_MAX: usize = 4096;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(begin, finish)).routes(routes!(log_out))
}

/// Where a provider sends browsers back to. Not described: it is for no program, and a provider adds to its query what it likes.
pub fn way_back() -> Router {
    Router::new().route("/v1/sign-in/{name}/callback", get(bring_back))
}

/// What a provider has sent a browser back with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderAnswer {
    /// As it was given.
    #[schema(max_length = 4096)]
    state: String,
    #[schema(max_length = 4096)]
    code: String,
    /// Who says that it has given the code (RFC 9207).
    iss: Option<String>,
}

/// What a provider says when a session there has ended (OpenID Connect Back-Channel Logout 1.0).
#[derive(Deserialize, ToSchema)]
pub struct ProviderLogout {
    logout_token: String,
}

/// Sends a browser to the hospital's own provider
///
/// The answer sets a cookie: the sign-in is finished by that browser, within ten minutes, or by none.
#[utoipa::path(
    operation_id = "begin_provider_sign_in", get, path = "/v1/sign-in/{name}", tag = "token",
    params(("name" = String, Path, description = "The name of the sign-in, as the hospital's administrator has chosen it")),
    responses(
        (status = 303, description = "To the provider"),
        (status = 404, description = "There is no sign-in of that name", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "This installation does not know where browsers reach it", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn begin(
    State(mut gateway): State<Gateway>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let begun = gateway.providers.begin(auth::BeginProviderSignIn { name }).await?.into_inner();
    let auth::ProviderSignInBegun { location, binding, lasts_s, secure } = begun;
    let (name, kept) =
        if secure { (SECURE_COOKIE, "Path=/; Secure") } else { (COOKIE, "Path=/v1/sign-in") };
    let cookie = format!("{name}={binding}; {kept}; Max-Age={lasts_s}; HttpOnly; SameSite=Strict");
    let unusable = |_| NOT_FOUND.problem("the provider's address cannot be used");
    let cookie = HeaderValue::try_from(cookie).map_err(unusable)?;
    let location = HeaderValue::try_from(location).map_err(unusable)?;
    let headers = [(header::LOCATION, location), (header::SET_COOKIE, cookie)];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Signs in with what a provider has sent a browser back with
///
/// The session is as one that was begun with a password, and ends when the hospital says that the provider is to be asked again.
#[utoipa::path(
    operation_id = "finish_provider_sign_in", post, path = "/v1/sign-in/{name}", tag = "token", request_body = ProviderAnswer,
    params(("name" = String, Path, description = "The name of the sign-in")),
    responses(
        (status = 200, description = "Signed in", body = Token),
        (status = 401, description = "The sign-in has ended, was begun elsewhere, or the provider's word is not believed", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The hospital does not let them in", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no sign-in of that name", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The user name is taken, or the hospital has as many users as it may", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn finish(
    State(mut gateway): State<Gateway>,
    caller: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    JsonBody(ProviderAnswer { state, code, iss }): JsonBody<ProviderAnswer>,
) -> Result<Json<Token>, Problem> {
    let (binding, secure) = binding(&headers);
    let binding = binding.unwrap_or_default().to_owned();
    let issuer = iss.unwrap_or_default();
    let message = auth::FinishProviderSignIn { name, state, code, issuer, binding, secure };
    let request = located(caller, tonic::Request::new(message));
    let tokens = gateway.providers.finish(request).await?.into_inner();
    Ok(Json(tokens.into()))
}

/// Ends sessions by the word of the hospital's provider
#[utoipa::path(
    operation_id = "end_sessions_of_provider", post, path = "/v1/sign-in/{name}/logout", tag = "token",
    request_body(content = ProviderLogout, content_type = "application/x-www-form-urlencoded",
        description = "A form (OpenID Connect Back-Channel Logout 1.0); JSON with this field, and no other, is understood too"),
    params(("name" = String, Path, description = "The name of the sign-in")),
    responses(
        (status = 200, description = "They have ended: nothing of them works a minute later"),
        (status = 400, description = "The token is not believed", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no sign-in of that name", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn log_out(
    State(mut gateway): State<Gateway>,
    caller: Option<Extension<ConnectInfo<SocketAddr>>>,
    Path(name): Path<String>,
    Fields(ProviderLogout { logout_token }): Fields<ProviderLogout>,
) -> Result<StatusCode, Problem> {
    let logout = auth::ProviderLogout { name, logout_token };
    let request = located(caller, tonic::Request::new(logout));
    gateway.providers.log_out(request).await.map_err(not_logged_out)?;
    Ok(StatusCode::OK)
}

/// Of a token that is not believed (section 2.8): it is no sign-in that was refused.
fn not_logged_out(status: Status) -> Problem {
    match status.code() {
        Code::Unauthenticated => {
            INVALID.problem("the logout token is not believed").named(TokenError::InvalidRequest)
        }
        _ => status.into(),
    }
}

/// Brings what the provider says to the page, which finishes the sign-in: behind a `#`, so that it is in no server's log, and is
/// sent nowhere but to where the page sends it.
async fn bring_back(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let is_name = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-';
    if !name.bytes().all(is_name) {
        return Err(NOT_FOUND.problem("there is no sign-in of that name"));
    }
    let location = format!("/#/signed-in/{name}?{}", brought(&query.unwrap_or_default()));
    let location = HeaderValue::try_from(location)
        .map_err(|_| NOT_FOUND.problem("there is no sign-in of that name"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

fn brought(query: &str) -> String {
    let mut brought = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if BROUGHT.contains(&name.as_ref()) && value.len() <= BROUGHT_CHARS_MAX {
            brought.append_pair(&name, &value);
        }
    }
    brought.finish()
}

/// What binds a sign-in to this browser, and whether nobody but this host can have set it.
fn binding(headers: &HeaderMap) -> (Option<&str>, bool) {
    match cookie(headers, SECURE_COOKIE) {
        None => (cookie(headers, COOKIE), false),
        secure => (secure, true),
    }
}

/// The value of the cookie of that name; of two nobody can say which is meant.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut own = pairs.filter(|(of, _)| *of == name).map(|(_, value)| value);
    match (own.next(), own.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others_and_only_once() {
        let of = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line)));
            let mut headers = HeaderMap::new();
            lines.for_each(|(name, value)| {
                headers.append(name, value);
            });
            let (value, secure) = binding(&headers);
            (value.map(str::to_owned), secure)
        };
        let some = |value: &str, secure| (Some(value.to_owned()), secure);
        assert_eq!(of(&["a=b; medseg-sign-in=x=y; c=d"]), some("x=y", false));
        assert_eq!(of(&["a=b", "medseg-sign-in=x"]), some("x", false));
        assert_eq!(of(&["medseg-sign-in=x; __Host-medseg-sign-in=y"]), some("y", true));
        let twice = ["medseg-sign-in=x; medseg-sign-in=y", "xmedseg-sign-in=x"];
        for none in twice {
            assert_eq!(of(&[none]), (None, false), "{none}");
        }
        assert_eq!(of(&[]), (None, false));
    }

    #[test]
    fn a_logout_token_that_is_not_believed_is_a_bad_request_and_no_refused_sign_in() {
        let of = |status: Status| not_logged_out(status).status();
        assert_eq!(of(Status::unauthenticated("no")), 400);
        assert_eq!((of(Status::not_found("no")), of(Status::unavailable("no"))), (404, 503));
    }

    #[test]
    fn what_a_provider_adds_goes_no_further() {
        let query = "code=a%20b&state=s&session_state=z&iss=https%3A%2F%2Fidp.example&x=%23";
        assert_eq!(brought(query), "code=a+b&state=s&iss=https%3A%2F%2Fidp.example");
        assert_eq!(brought(&format!("code={}", "x".repeat(5000))), "");
    }
}
