//! What nobody else writes down: who was refused for want of a right, and who changed models. Told to storage in the caller's own
//! name, once it has happened.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use domain::ScanId;
use proto::audit::Note;

use crate::Gateway;
use crate::caller::{credentials, named};

const REFUSED: &str = "access.refused";
const MODELS_CHANGED: &str = "models.changed";

/// Notes what became of a request, where it is to be noted.
pub async fn note(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let method = request.method().clone();
    let token = credentials(request.headers(), "bearer").map(str::to_owned);
    let (parts, body) = request.into_parts();
    let message = token.map(|token| named(&parts, &token, Note::default()));
    let response = next.run(Request::from_parts(parts, body)).await;
    let (Some(route), Some(mut message)) = (route, message) else { return response };
    if let Some(note) = noted(&method, &route, &path, response.status()) {
        *message.get_mut() = note;
        let mut trail = gateway.trail.clone();
        if let Err(status) = trail.note_own(message).await {
            // It has happened, and is in the log of requests; models have a history of their own.
            tracing::warn!(%status, route, "could not be noted in the audit trail");
        }
    }
    response
}

/// What is noted of an answer; None: nothing, or its service has noted it by itself.
fn noted(method: &Method, route: &str, path: &str, status: StatusCode) -> Option<Note> {
    let (action, detail) = if status == StatusCode::FORBIDDEN {
        // The route as written: an address may hold what somebody typed.
        (REFUSED, format!("{method} {route}"))
    } else if route.starts_with("/v1/models") && *method != Method::GET && status.is_success() {
        (MODELS_CHANGED, format!("{method} {path}"))
    } else {
        return None;
    };
    let mut segments = path.split('/');
    let object_id = segments.find(|segment| segment.parse::<ScanId>().is_ok());
    let object_id = object_id.unwrap_or_default().to_owned();
    Some(Note { action: action.to_owned(), object_id, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_noted_with_its_scan_and_without_what_was_typed() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let route = "/v1/scans/{id}/identity";
        let of = |status| noted(&Method::GET, route, &format!("/v1/scans/{id}/identity"), status);
        let note = of(StatusCode::FORBIDDEN).unwrap();
        assert_eq!((note.object_id.as_str(), note.action.as_str()), (id, REFUSED));
        assert_eq!(note.detail, "GET /v1/scans/{id}/identity");
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED] {
            assert_eq!(of(status), None);
        }
    }

    #[test]
    fn whoever_changes_models_is_noted_and_whoever_looks_is_not() {
        let of = |method| {
            noted(&method, "/v1/models/{name}/promote", "/v1/models/a/promote", StatusCode::OK)
        };
        assert_eq!(of(Method::POST).unwrap().detail, "POST /v1/models/a/promote");
        assert_eq!(of(Method::GET), None);
    }
}
