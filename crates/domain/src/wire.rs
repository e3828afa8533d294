//! How an error looks on the wire: one HTTP status and one gRPC code for each kind.

use std::sync::Arc;

use http::StatusCode;
use tonic::{Code, Status};

use crate::{Error, ErrorKind};

/// In the order of the kinds.
const TABLE: [(ErrorKind, StatusCode, Code); 8] = [
    (ErrorKind::Invalid, StatusCode::BAD_REQUEST, Code::InvalidArgument),
    (ErrorKind::Unauthenticated, StatusCode::UNAUTHORIZED, Code::Unauthenticated),
    (ErrorKind::Forbidden, StatusCode::FORBIDDEN, Code::PermissionDenied),
    (ErrorKind::NotFound, StatusCode::NOT_FOUND, Code::NotFound),
    (ErrorKind::Conflict, StatusCode::CONFLICT, Code::AlreadyExists),
    (ErrorKind::Exhausted, StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
    (ErrorKind::Unavailable, StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
    (ErrorKind::Internal, StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
];

impl ErrorKind {
    /// The status that the REST face answers with (RFC 9110).
    pub fn http_status(self) -> StatusCode {
        self.row().1
    }

    /// The code that crosses the mesh; [`Error`] is made from it again at the other side.
    pub fn grpc_code(self) -> Code {
        self.row().2
    }

    fn row(self) -> (ErrorKind, StatusCode, Code) {
        TABLE[self as usize]
    }

    fn of(code: Code) -> ErrorKind {
        match code {
            // A deadline says nothing about the request; the peer may answer next time.
            Code::DeadlineExceeded | Code::Cancelled => Self::Unavailable,
            _ => TABLE.iter().find(|row| row.2 == code).map_or(Self::Internal, |row| row.0),
        }
    }
}

/// A message travels in a header, where each of its bytes may take three, and of headers peers take 16 KiB. Beyond that it is the
/// answer that is lost: what a message quotes may be as long as its sender likes.
const MESSAGE_BYTES_MAX: usize = 4096;

impl From<Error> for Status {
    /// Only the kind and the message cross the wire. The error itself is the status's source, for the log of this process.
    fn from(error: Error) -> Status {
        let mut message = error.to_string();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        let mut status = Status::new(error.kind().grpc_code(), message);
        status.set_source(Arc::new(error));
        status
    }
}

impl From<Status> for Error {
    /// The status is the error's source, so that it can be told who failed: this process, its peer, or the way between.
    fn from(status: Status) -> Error {
        ErrorKind::of(status.code()).error(status.message()).because(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for (index, (kind, ..)) in TABLE.into_iter().enumerate() {
            assert_eq!(index, kind as usize);
            let back = Error::from(Status::from(kind.error("why")));
            assert_eq!((back.kind(), back.to_string().as_str()), (kind, "why"));
        }
    }

    #[test]
    fn a_message_that_quotes_very_much_is_cut_and_its_kind_arrives() {
        let status = Status::from(ErrorKind::Invalid.error(format!("x{}", "ä".repeat(10_000))));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), format!("x{}", "ä".repeat(2047)));
    }

    #[test]
    fn each_kind_is_answered_as_rfc_9110_and_grpc_number_it() {
        for (kind, http, grpc) in [
            (ErrorKind::Invalid, 400, 3),
            (ErrorKind::Unauthenticated, 401, 16),
            (ErrorKind::Forbidden, 403, 7),
            (ErrorKind::NotFound, 404, 5),
            (ErrorKind::Conflict, 409, 6),
            (ErrorKind::Exhausted, 429, 8),
            (ErrorKind::Unavailable, 503, 14),
            (ErrorKind::Internal, 500, 13),
        ] {
            let numbers = (kind.http_status().as_u16(), i32::from(kind.grpc_code()));
            assert_eq!(numbers, (http, grpc), "{kind:?}");
        }
    }

    #[test]
    fn a_code_of_no_kind_is_a_mistake_of_ours_and_a_missed_deadline_may_pass() {
        use Code::*;
        for code in [Ok, Unknown, FailedPrecondition, Aborted, OutOfRange, Unimplemented, DataLoss]
        {
            assert_eq!(Error::from(Status::new(code, "")).kind(), ErrorKind::Internal, "{code:?}");
        }
        for code in [DeadlineExceeded, Cancelled] {
            let error = Error::from(Status::new(code, ""));
            assert!(error.kind().is_transient(), "{code:?}");
        }
    }

    #[test]
    fn a_cause_does_not_cross_the_wire() {
        let cause = std::io::Error::other("the password of the database");
        let status = Status::from(ErrorKind::Internal.error("a row is broken").because(cause));
        assert_eq!(status.message(), "a row is broken");
        assert!(status.details().is_empty() && status.metadata().is_empty());
        let headers = format!("{:?}", status.into_http::<()>().headers());
        assert!(headers.contains("row") && !headers.contains("password"), "{headers}");
    }
}
