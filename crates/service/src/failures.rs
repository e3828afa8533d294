//! Where an error becomes a gRPC status, and stops: the one place where its cause is logged.
//!
//! Services answer with bare errors. Whichever way a caller comes, over the network or within the process, the answer passes
//! here on its way out.

use std::any::Any;
use std::error::Error as StdError;

use axum::response::Response;
use domain::Error;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;

/// The same routes; what they fail at is logged, once, with all its causes.
pub(crate) fn logged(grpc: Routes) -> Routes {
    grpc.into_axum_router().layer(MapResponseLayer::new(seen)).into()
}

/// The same routes, with `INTERNAL` instead of a panic.
pub(crate) fn catch_panics(grpc: Routes) -> Routes {
    grpc.into_axum_router().layer(CatchPanicLayer::custom(panicked)).into()
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> http::Response<tonic::body::Body> {
    Status::internal("internal error").into_http()
}

/// The status that a stream ends with. It travels in trailers, which come when the answer has long passed, so its cause is
/// logged here: every stream's errors are to be mapped with this.
pub fn status_in_stream(error: Error) -> Status {
    let status = Status::from(error);
    log(&status);
    status
}

fn seen(response: Response) -> Response {
    // tonic leaves the status there, with its source.
    if let Some(status) = response.extensions().get::<Status>() {
        log(status);
    }
    response
}

fn log(status: &Status) {
    if let Some(error) = own_failure(status) {
        tracing::error!(error, "a request failed");
    }
}

/// What an operator must hear of: what failed here, or on the way to a peer. What the caller did wrong is none of it.
fn own_failure(status: &Status) -> Option<&(dyn StdError + 'static)> {
    if !matches!(status.code(), Code::Internal | Code::Unavailable) {
        return None;
    }
    let error = StdError::source(status);
    match error.is_some_and(was_logged_elsewhere) {
        true => None,
        false => Some(error.unwrap_or(status)),
    }
}

/// Whether a peer has said it, who then has logged the cause; or whoever asked has gone, which is no failure.
fn was_logged_elsewhere(error: &(dyn StdError + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<Status>()).any(|status| match status.code() {
        Code::Cancelled => true,
        // A status that was made here has a source.
        Code::Internal | Code::Unavailable => StdError::source(status).is_none(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use domain::ErrorKind;

    use super::*;

    fn logged(error: Error) -> Option<String> {
        own_failure(&Status::from(error)).map(ToString::to_string)
    }

    fn broken() -> Error {
        ErrorKind::Internal.error("it broke").because(io::Error::other("of old age"))
    }

    #[test]
    fn what_broke_here_is_logged_with_its_cause() {
        let status = Status::from(broken());
        let error = own_failure(&status).unwrap();
        assert_eq!(error.to_string(), "it broke");
        assert_eq!(error.source().unwrap().to_string(), "of old age");
        let full = ErrorKind::Unavailable.error("the disk is full");
        assert_eq!(logged(full).as_deref(), Some("the disk is full"));
        assert!(own_failure(&Status::internal("no message")).is_some());
    }

    #[test]
    fn what_the_caller_did_wrong_is_not_logged() {
        for kind in [ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Conflict] {
            assert_eq!(logged(kind.error("no").because(io::Error::other("cause"))), None);
        }
    }

    #[test]
    fn what_a_peer_said_is_logged_there_and_not_here() {
        for said in [Status::internal("it broke"), Status::unavailable("the disk is full")] {
            assert_eq!(logged(Error::from(said)), None);
        }
        assert_eq!(logged(Error::from(Status::cancelled("the caller has gone"))), None);
    }

    #[test]
    fn what_happened_on_the_way_to_a_peer_is_logged_here() {
        let mut lost = Status::unavailable("no connection");
        lost.set_source(std::sync::Arc::new(io::Error::other("refused")));
        assert_eq!(logged(Error::from(lost)).as_deref(), Some("no connection"));
        let late = Status::deadline_exceeded("no answer in time");
        assert_eq!(logged(Error::from(late)).as_deref(), Some("no answer in time"));
        // Within the process an error may go from one form into the other and back.
        assert_eq!(logged(Error::from(Status::from(broken()))).as_deref(), Some("it broke"));
    }
}
