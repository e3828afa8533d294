//! Bodies of several parts (RFC 2387).

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::hex;
use sha2::{Digest, Sha256};

/// What stands between the parts of a body: nobody who has sent one of them could know it beforehand.
pub struct Boundary(String);

impl Boundary {
    /// Of an answer with these parts.
    pub fn of(parts: impl Iterator<Item = impl AsRef<[u8]>>) -> Boundary {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.as_ref());
            digest.update([0_u8]);
        }
        Boundary(hex(&digest.finalize())[..32].to_owned())
    }

    /// The media type of the whole, whose parts are of that one.
    pub fn media_type(&self, part: &str) -> String {
        format!("multipart/related; type=\"{part}\"; boundary={}", self.0)
    }

    /// What stands before a part.
    pub fn before(&self, content_type: &str, location: &str) -> Bytes {
        let head = format!(
            "--{}\r\nContent-Type: {content_type}\r\nContent-Location: {location}\r\n\r\n",
            self.0
        );
        head.into()
    }

    /// What stands behind each part.
    pub fn behind() -> Bytes {
        Bytes::from_static(b"\r\n")
    }

    /// What stands at the end of all.
    pub fn end(&self) -> Bytes {
        format!("--{}--\r\n", self.0).into()
    }

    /// A body whose parts are there.
    pub fn whole(&self, media: &str, content_type: &str, parts: Vec<(String, Bytes)>) -> Response {
        let mut body = Vec::new();
        for (location, bytes) in parts {
            body.extend_from_slice(&self.before(content_type, &location));
            body.extend_from_slice(&bytes);
            body.extend_from_slice(&Boundary::behind());
        }
        body.extend_from_slice(&self.end());
        ([(header::CONTENT_TYPE, self.media_type(media))], Body::from(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_parts_between_boundaries_that_depend_on_them() {
        let [one, other] = [["a"], ["b"]].map(|parts| Boundary::of(parts.into_iter()));
        assert_ne!(one.0, other.0);
        let before = one.before("application/dicom", "/x");
        assert!(before.starts_with(format!("--{}\r\n", one.0).as_bytes()));
        assert!(before.ends_with(b"\r\n\r\n"));
        assert_eq!(one.end(), format!("--{}--\r\n", one.0));
    }
}
