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

impl From<Error> for Status {
    /// Only the kind and the message cross the wire. The error itself is the status's source, for the log of this process.
    fn from(error: Error) -> Status {
        let mut status = Status::new(error.kind().grpc_code(), error.to_string());
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
}
