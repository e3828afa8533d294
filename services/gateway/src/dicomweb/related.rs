//! A body that is DICOM instances: one, or several as the parts of a `multipart/related` (PS3.18, 8.6.1.2 and 8.7.1; RFC 2387).

use std::sync::atomic::Ordering;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use domain::limits::UPLOAD_FILES_MAX;
use futures::Stream;
use multer::Multipart;

use super::media_type::MediaType;
use crate::form::FormBody;
use crate::problem::{INVALID, Problem, UNSUPPORTED_MEDIA_TYPE};
use crate::upload_sink::{UploadSink, copy_all};

const DICOM: &str = "application/dicom";
const RELATED: &str = "multipart/related";
/// More than the 70 of RFC 2046, 5.1.1: Orthanc joins two UUIDs, which are 73.
const BOUNDARY_CHARS_MAX: usize = 200;

/// How the body has its instances.
#[derive(Debug, Eq, PartialEq)]
pub enum Instances {
    /// It is one, in that transfer syntax; empty: its sender does not say.
    Alone { syntax: String },
    /// Its parts are.
    Parts { boundary: String },
}

impl Instances {
    /// As `Content-Type` says; a problem where it says something else.
    pub fn of(headers: &HeaderMap) -> Result<Instances, Problem> {
        let media = media_type(headers);
        match media.as_ref().map(|media| media.essence.as_str()) {
            Some(DICOM) => Ok(Instances::Alone { syntax: syntax(media.as_ref()) }),
            Some(RELATED) => parts(media.as_ref()),
            _ => Err(unsupported()),
        }
    }

    /// Copies each instance into `sink`: it is begun by its transfer syntax, in place of a name.
    pub async fn copy_to(
        self,
        bytes: impl Stream<Item = Result<Bytes, Problem>> + Send + 'static,
        sink: &mut impl UploadSink,
    ) -> Result<(), Problem> {
        let boundary = match self {
            Instances::Parts { boundary } => boundary,
            Instances::Alone { syntax } => {
                sink.begin(&syntax).await;
                return copy_all(bytes, sink).await;
            }
        };
        let (body, held) = FormBody::of(bytes, "the body has no instance where one must begin");
        let mut parts = Multipart::new(body, boundary);
        let mut count = 0;
        while let Some(mut part) = parts.next_field().await.map_err(unreadable)? {
            count += 1;
            if count > UPLOAD_FILES_MAX {
                return Err(INVALID
                    .problem(format!("a request may bring {UPLOAD_FILES_MAX} instances at most")));
            }
            sink.begin(&part_syntax(part.headers())?).await;
            while let Some(piece) = part.chunk().await.map_err(unreadable)? {
                held.store(0, Ordering::Relaxed);
                sink.bytes(piece).await;
            }
            held.store(0, Ordering::Relaxed);
        }
        if count > 0 { Ok(()) } else { Err(INVALID.problem("there is no instance in the body")) }
    }
}

fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    MediaType::parse(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
}

/// The transfer syntax that a sender names; empty: none. `*` stands for any.
fn syntax(media: Option<&MediaType>) -> String {
    let said = media.and_then(|media| media.parameter("transfer-syntax"));
    said.filter(|said| *said != "*").unwrap_or_default().to_owned()
}

fn parts(media: Option<&MediaType>) -> Result<Instances, Problem> {
    let said = |name| media.and_then(|media| media.parameter(name));
    // Some clients leave it out, and mean what there is.
    if said("type").is_some_and(|of| !of.eq_ignore_ascii_case(DICOM)) {
        return Err(unsupported());
    }
    let boundary = said("boundary").unwrap_or_default();
    if boundary.is_empty() || boundary.len() > BOUNDARY_CHARS_MAX {
        return Err(INVALID.problem(format!(
            "`boundary` of {RELATED} says where parts begin, in 1 to {BOUNDARY_CHARS_MAX} characters"
        )));
    }
    Ok(Instances::Parts { boundary: boundary.to_owned() })
}

/// The transfer syntax of a part, which is an instance unless it says otherwise.
fn part_syntax(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(said) = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str) else {
        return Ok(String::new());
    };
    let media = said.ok().and_then(MediaType::parse).filter(|media| media.essence == DICOM);
    if media.is_some() { Ok(syntax(media.as_ref())) } else { Err(unsupported()) }
}

fn unsupported() -> Problem {
    UNSUPPORTED_MEDIA_TYPE.problem(format!(
        "instances are sent as {DICOM}, or as {RELATED}; type=\"{DICOM}\" with a boundary: metadata and pixels apart are not taken"
    ))
}

/// The problem of a body that could not be read: one of the gateway's own, or that it is malformed.
fn unreadable(error: multer::Error) -> Problem {
    let ours = Problem::within(&error).cloned();
    ours.unwrap_or_else(|| INVALID.problem("the body is cut short, or its parts are malformed"))
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    /// The transfer syntaxes of what came, each with its bytes.
    #[derive(Default)]
    struct Copied(Vec<(String, Vec<u8>)>);

    impl UploadSink for Copied {
        async fn begin(&mut self, syntax: &str) {
            self.0.push((syntax.to_owned(), Vec::new()));
        }

        async fn bytes(&mut self, bytes: Bytes) {
            self.0.last_mut().unwrap().1.extend(bytes);
        }
    }

    fn of(content_type: &str) -> Result<Instances, u16> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        Instances::of(&headers).map_err(|problem| problem.status())
    }

    async fn copied(pieces: &[&'static str]) -> Result<Vec<(String, Vec<u8>)>, Problem> {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        let mut sink = Copied::default();
        let parts = Instances::Parts { boundary: "b".into() };
        parts.copy_to(stream::iter(pieces), &mut sink).await?;
        Ok(sink.0)
    }

    #[test]
    fn what_is_no_body_of_instances_is_refused_before_it_is_read() {
        let alone = |syntax: &str| Ok(Instances::Alone { syntax: syntax.into() });
        assert_eq!(of("application/dicom"), alone(""));
        assert_eq!(
            of("application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
            alone("1.2.840.10008.1.2.1")
        );
        assert_eq!(of("application/dicom; transfer-syntax=\"*\""), alone(""));
        let parts = Ok(Instances::Parts { boundary: "b".into() });
        assert_eq!(of("multipart/related; type=\"application/dicom\"; boundary=b"), parts);
        assert_eq!(of("multipart/related; boundary=\"b\""), parts);
        assert_eq!(of("multipart/related; type=\"application/dicom\""), Err(400));
        let of_orthanc = "fb452720-d298-4b15-a908-5e65f8311329".repeat(2);
        assert!(of(&format!("multipart/related; boundary={of_orthanc}")).is_ok());
        let endless = "b".repeat(BOUNDARY_CHARS_MAX + 1);
        assert_eq!(of(&format!("multipart/related; boundary={endless}")), Err(400));
        for other in [
            "multipart/related; type=\"application/dicom+json\"; boundary=b",
            "multipart/related; type=\"application/dicom+xml\"; boundary=b",
            "multipart/form-data; boundary=b",
            "application/zip",
        ] {
            assert_eq!(of(other), Err(415), "{other}");
        }
        assert_eq!(Instances::of(&HeaderMap::new()).map_err(|problem| problem.status()), Err(415));
    }

    #[tokio::test]
    async fn each_part_is_an_instance_however_the_body_is_cut() {
        let body = "\r\n--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--b\r\n\
            content-type: application/dicom;transfer-syntax=\"1.2.840.10008.1.2\"\r\n\r\n\r\ntwo\r\n--b--";
        let expected =
            [(String::new(), b"one".to_vec()), ("1.2.840.10008.1.2".into(), b"\r\ntwo".to_vec())];
        for size in [1, 2, 7, body.len()] {
            let pieces: Vec<&str> = (0..body.len())
                .step_by(size)
                .map(|at| &body[at..body.len().min(at + size)])
                .collect();
            assert_eq!(copied(&pieces).await.ok().unwrap(), expected, "{size}");
        }
    }

    #[tokio::test]
    async fn a_body_that_is_cut_or_has_other_parts_is_refused() {
        let part = "--b\r\nContent-Type: application/dicom\r\n\r\none";
        for (pieces, status) in [
            (vec![part], 400),
            (vec!["--b--\r\n"], 400),
            (vec!["--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b--"], 415),
            (vec!["no boundary"], 400),
        ] {
            assert_eq!(copied(&pieces).await.err().unwrap().status(), status, "{pieces:?}");
        }
    }
}
