use std::error::Error as StdError;
use std::fmt;

use axum::extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Error, ErrorKind, seconds_said, try_again_in};
use proto::storage::Refusal;
use serde::Serialize;
use serde_json::Value;
use tonic::{Code, Status};
use utoipa::ToSchema;

use crate::gate_check::GateCheck;

/// The media type of every refusal and failure (RFC 9457).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was refused, or failed (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Where this kind of problem is explained, on this gateway: `/problems/<name>`. Stable.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "/problems/too-small")]
    kind: Box<str>,
    /// The kind of problem in words; the same for each problem of that type.
    #[schema(value_type = String, example = "The image is too small")]
    title: Box<str>,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// What is wrong with this very request, and what to do.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// The id of the request, as in the header `x-request-id`; for asking the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    instance: Option<Box<str>>,
    /// At the token endpoint: the error code of RFC 6749, section 5.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    error: Option<TokenError>,
    /// What the gate found of a model that may not serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<GateCheck>>)]
    checks: Option<Box<[GateCheck]>>,
    /// At the token endpoint: what an app is to be told that makes one-time passwords (`otpauth://`), for whoever has no second factor
    /// yet and needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    second_factor: Option<Box<str>>,
    /// At the token endpoint: what a browser is to ask a security key of the account, for `PublicKeyCredential.parseRequestOptionsFromJSON`
    /// (WebAuthn Level 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    security_key: Option<Box<Value>>,
    /// Whether the same request may succeed in a moment.
    #[serde(skip)]
    transient: bool,
    /// Whether there was a token, and it is the problem.
    #[serde(skip)]
    bad_token: bool,
}

/// What is wrong at the token endpoint (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenError {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnsupportedGrantType,
}

/// A kind of problem that is the gateway's own; the input requirements are named by ingest.
pub struct Kind {
    pub name: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    /// What it means and what to do, for the page of this kind.
    pub advice: &'static str,
}

macro_rules! kinds {
    ($($constant:ident = $name:literal, $status:ident, $title:literal, $advice:literal;)*) => {
        $(pub const $constant: Kind =
            Kind { name: $name, status: StatusCode::$status, title: $title, advice: $advice };)*
        /// Every kind.
        pub const KINDS: &[Kind] = &[$($constant),*];
    };
}

kinds! {
    INVALID = "invalid", BAD_REQUEST, "The request is not valid",
        "The detail says what is wrong. The same request will be refused again.";
    UNAUTHENTICATED = "unauthenticated", UNAUTHORIZED, "Sign in first",
        "Send `Authorization: Bearer <access token>`. Access tokens last a few minutes: get a new one from `/v1/token`.";
    FORBIDDEN = "forbidden", FORBIDDEN, "Your role does not allow this",
        "Ask an administrator of your hospital for the role that you need.";
    PASSWORD_CHANGE = "password-change", FORBIDDEN, "The password must be changed first",
        "Sign in once more, with `new_password` beside the password of the first start. Nothing else works before.";
    SECOND_FACTOR = "second-factor", FORBIDDEN, "A second factor is asked for",
        "Sign in once more, with `one_time_code` beside the password, or where `security_key` is said with what the key answers to it. Where `second_factor` is said, there is none yet: show that address to an app that makes one-time passwords first.";
    NO_CONSENT = "no-consent", FORBIDDEN, "Nothing may be learned from here",
        "An administrator of the hospital decides whether its confirmed scans may be learned from: `PUT /v1/consent`.";
    NOT_FOUND = "not-found", NOT_FOUND, "There is no such thing",
        "Check the address. What belongs to another hospital looks like what does not exist.";
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED, "This address does not do that",
        "The header `Allow` says which methods there are.";
    NOT_ACCEPTABLE = "not-acceptable", NOT_ACCEPTABLE, "It cannot be had in that form",
        "The detail says in which forms there is one: ask for one of them in `Accept`.";
    TUS_VERSION = "tus-version", PRECONDITION_FAILED, "That version of tus is not spoken",
        "Uploads at `/v1/uploads` speak tus 1.0.0: send `Tus-Resumable: 1.0.0`.";
    TOO_SLOW = "too-slow", REQUEST_TIMEOUT, "The upload is too slow",
        "The bytes stopped, or came too slowly. Send the file again, with the same `Idempotency-Key`.";
    CONFLICT = "conflict", CONFLICT, "That contradicts what is there",
        "An `Idempotency-Key` belongs to one file, a user name to one user: choose another.";
    NOT_READY = "not-ready", CONFLICT, "Not ready yet",
        "The scan is still being analysed. Ask again after `Retry-After` seconds, or follow its events.";
    GATE = "gate-refused", CONFLICT, "The gate refused it",
        "`checks` says which figures are worse than those of the version that serves. An administrator may `force` it, with a reason.";
    PAYLOAD_TOO_LARGE = "payload-too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "Send one series of one head at a time. The operator sets the limit.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "This kind of body is not understood",
        "Check `Content-Type`, and send the body without a content encoding.";
    UNPROCESSABLE = "unprocessable", UNPROCESSABLE_ENTITY, "The request cannot be followed",
        "It is well formed, but something in it is missing or makes no sense; the detail says what.";
    MISFIT = "feedback-misfit", UNPROCESSABLE_ENTITY, "The feedback does not go with the result",
        "The detail says what is wrong: a finding or a place that is not there, a mask on another grid, or two things that contradict each other.";
    TOO_MANY_REQUESTS = "too-many-requests", TOO_MANY_REQUESTS, "Too many requests",
        "Wait for `Retry-After` seconds, then send it again.";
    RANGE_NOT_SATISFIABLE = "range-not-satisfiable", RANGE_NOT_SATISFIABLE, "There are no such bytes",
        "The header `Content-Range` says how many there are. Ask for some of them, or leave `Range` out.";
    HEADERS_TOO_LARGE = "headers-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too large",
        "Send fewer or shorter headers.";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "Something broke on our side",
        "It says nothing about the scan. The operator finds the cause in the log under the id in `instance`.";
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "Not available now",
        "A part of the system is away or full. Wait for `Retry-After` seconds, then send it again.";
    TIMEOUT = "timeout", GATEWAY_TIMEOUT, "No answer in time",
        "A part of the system did not answer in time. Uploads may be repeated safely with the same `Idempotency-Key`.";
}

/// How many seconds a caller should wait before it comes back, where the problem does not say it.
const SOON: u32 = 1;

impl Kind {
    /// This problem, with what is special about it.
    pub fn problem(&self, detail: impl Into<String>) -> Problem {
        let may_pass = [NOT_READY.name, TOO_MANY_REQUESTS.name, UNAVAILABLE.name, TIMEOUT.name];
        Problem {
            kind: format!("/problems/{}", self.name).into(),
            title: self.title.into(),
            status: self.status.as_u16(),
            detail: detail.into().into_boxed_str(),
            instance: None,
            error: None,
            checks: None,
            second_factor: None,
            security_key: None,
            transient: may_pass.contains(&self.name),
            bad_token: false,
        }
    }

    /// The kind of an answer that says nothing but its status.
    fn of(status: StatusCode) -> &'static Kind {
        let fallback = if status.is_server_error() { &INTERNAL } else { &INVALID };
        KINDS.iter().find(|kind| kind.status == status).unwrap_or(fallback)
    }
}

impl Problem {
    /// What an answer means that came without words, such as a router's 405.
    pub fn of_status(status: StatusCode) -> Problem {
        let kind = Kind::of(status);
        Problem { status: status.as_u16(), ..kind.problem(kind.title) }
    }

    /// The HTTP status.
    #[cfg(test)]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Adds OAuth's name for it.
    pub fn named(self, error: TokenError) -> Problem {
        Problem { error: Some(error), ..self }
    }

    /// Gives a refused sign-in OAuth's name for it; what failed for another reason keeps its own.
    pub fn refusing_to_sign_in(self, error: TokenError) -> Problem {
        if self.status == StatusCode::UNAUTHORIZED { self.named(error) } else { self }
    }

    /// Says to a bearer of a token, unlike to somebody without one, that the token is the problem.
    pub fn bad_token(self) -> Problem {
        if self.status != StatusCode::UNAUTHORIZED {
            return self;
        }
        let detail = "the access token is not valid, or not any more: get a new one from /v1/token";
        Problem { bad_token: true, detail: detail.into(), ..self }
    }

    /// Adds what the gate found.
    pub fn with_checks(self, checks: Vec<GateCheck>) -> Problem {
        Problem { checks: Some(checks.into()), ..self }
    }

    /// Adds the second factor that somebody is to have.
    pub fn with_second_factor(self, address: String) -> Problem {
        Problem { second_factor: Some(address.into()), ..self }
    }

    /// Adds what a security key is to be asked.
    pub fn with_security_key(self, options: Value) -> Problem {
        Problem { security_key: Some(Box::new(options)), ..self }
    }

    /// Whether it says how long to wait.
    pub fn says_when(&self) -> bool {
        seconds_said(&self.detail).is_some()
    }

    /// Names the request that met it.
    pub fn at(self, request_id: Option<&str>) -> Problem {
        Problem { instance: request_id.map(Into::into), ..self }
    }

    /// The problem in `error`'s causes that an inner layer of ours has put there.
    pub fn within<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Problem> {
        let mut causes = std::iter::successors(Some(error), |&error| error.source());
        causes.find_map(|error| error.downcast_ref())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl StdError for Problem {}

impl IntoResponse for Problem {
    /// The body is written by [`layers`](crate::layers), which knows the request.
    fn into_response(self) -> Response {
        let mut response = StatusCode::from_u16(self.status).unwrap_or_default().into_response();
        let headers = response.headers_mut();
        if self.transient {
            headers.insert(header::RETRY_AFTER, seconds_said(&self.detail).unwrap_or(SOON).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge =
                if self.bad_token { r#"Bearer error="invalid_token""# } else { "Bearer" };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Problem {
        if status.code() == Code::DeadlineExceeded {
            tracing::warn!(error = %status.message(), "a peer is late");
            return TIMEOUT.problem("a part of the system did not answer in time");
        }
        // What a peer's transport says is for the log alone.
        let cause = status.source().map(ToString::to_string);
        let (code, error) = (status.code(), Error::from(status));
        match error.kind() {
            ErrorKind::Internal => tracing::error!(?code, %error, cause, "a peer failed"),
            ErrorKind::Unavailable => tracing::warn!(?code, %error, cause, "a peer is away"),
            _ => (),
        }
        Problem::from(&error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        if error.kind() == ErrorKind::Internal {
            tracing::error!(error = &error as &dyn StdError, "request failed");
        }
        Problem::from(&error)
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Problem {
        match error.kind() {
            ErrorKind::Invalid => INVALID.problem(error.to_string()),
            ErrorKind::Unauthenticated => UNAUTHENTICATED.problem(error.to_string()),
            ErrorKind::Forbidden => FORBIDDEN.problem(error.to_string()),
            ErrorKind::NotFound => NOT_FOUND.problem(error.to_string()),
            ErrorKind::Conflict => CONFLICT.problem(error.to_string()),
            ErrorKind::Exhausted => TOO_MANY_REQUESTS.problem(error.to_string()),
            // What broke inside is for the log, not for the world.
            ErrorKind::Unavailable => UNAVAILABLE.problem(match seconds_said(&error.to_string()) {
                Some(seconds) => {
                    format!("it cannot be done now: {}", try_again_in(seconds.into()))
                }
                None => "a part of the system is away, please try again".to_owned(),
            }),
            ErrorKind::Internal => INTERNAL.problem("internal error"),
        }
    }
}

impl From<Refusal> for Problem {
    /// An upload that does not meet an input requirement.
    fn from(refusal: Refusal) -> Problem {
        Problem {
            kind: format!("/problems/{}", refusal.problem).into(),
            title: refusal.title.into(),
            ..UNPROCESSABLE.problem(refusal.detail)
        }
    }
}

macro_rules! rejections {
    ($($rejection:ident)*) => { $(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Problem {
                Kind::of(rejection.status()).problem(rejection.body_text())
            }
        }
    )* };
}

rejections! { FormRejection JsonRejection PathRejection QueryRejection }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_keeps_its_status() {
        for (kind, code) in
            [(ErrorKind::Invalid, 400), (ErrorKind::Exhausted, 429), (ErrorKind::Internal, 500)]
        {
            assert_eq!(Problem::from(kind.error("why")).status, code);
            assert_eq!(kind.http_status().as_u16(), code);
        }
    }

    #[test]
    fn what_broke_inside_stays_inside() {
        for code in
            [Code::Internal, Code::Unknown, Code::Unavailable, Code::DataLoss, Code::Unimplemented]
        {
            let problem = Problem::from(Status::new(code, "password of root@10.0.0.7"));
            assert!(!serde_json::to_string(&problem).unwrap().contains("root"), "{code:?}");
        }
    }

    #[test]
    fn who_is_told_how_long_to_wait_is_told_it_in_the_header_too() {
        for (words, seconds) in [
            ("too many failed attempts, try again in 900 s", "900"),
            ("9 uploads are under way", "1"),
        ] {
            for kind in [ErrorKind::Exhausted, ErrorKind::Unavailable] {
                let problem = Problem::from(kind.error(words));
                assert_eq!(problem.into_response().headers()["retry-after"], seconds, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_late_peer_is_a_gateway_timeout() {
        assert_eq!(Problem::from(Status::deadline_exceeded("no answer")).status, 504);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
    }
}
