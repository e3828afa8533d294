use std::future::Future;

use axum::extract::Request;
use axum::http::HeaderMap;
use bytes::Bytes;
use domain::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use proto::ingest::upload_part::Part;
use proto::ingest::{UploadEnd, UploadFile, UploadHeader, UploadPart};
use service::wire;
use tonic::{Response, Status};

use crate::Gateway;
use crate::caller::Caller;
use crate::pour::{Parts, Telling, pour};
use crate::problem::{INTERNAL, INVALID, Problem};
use crate::stated;
use crate::upload_options::{UploadOptions, WantedSeries};

/// Streams the request's scans into a call of ingest, and gives its answer.
pub async fn forward<A, F>(
    gateway: &Gateway,
    caller: &Caller,
    options: UploadOptions,
    request: Request,
    call: impl FnOnce(tonic::Request<Parts<UploadPart>>) -> F,
) -> Result<A, Problem>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let scans = Scans { header: Some(header_of(options, request.headers())?) };
    pour(gateway, caller, gateway.max_upload_bytes, scans, request, call).await
}

/// An answer of ingest that holds none of the answers there are.
pub fn unanswered() -> Problem {
    tracing::error!("ingest answered with none of the answers there are");
    INTERNAL.problem("internal error")
}

/// What ingest is told of the file before it comes; its name is known only then.
pub fn header_of(options: UploadOptions, headers: &HeaderMap) -> Result<UploadHeader, Problem> {
    Ok(UploadHeader {
        idempotency_key: idempotency_key(headers)?,
        file_name: String::new(),
        priority: wire::priority(options.priority).into(),
        reference: stated::text("reference", options.reference)?,
        patient_id: stated::text("patient_id", options.patient_id)?,
        accession_number: stated::text("accession_number", options.accession_number)?,
        site: stated::text("site", options.site)?,
        series: options.series.map_or("", WantedSeries::message).to_owned(),
        // Ingest says so itself.
        received_ms: 0,
    })
}

/// Tells ingest of scans.
struct Scans {
    /// Taken when the first file begins, whose name it says.
    header: Option<UploadHeader>,
}

fn part(part: Part) -> UploadPart {
    UploadPart { part: Some(part) }
}

impl Telling for Scans {
    type Part = UploadPart;

    fn file(&mut self, name: &str) -> Vec<UploadPart> {
        let name = name.to_owned();
        vec![part(match self.header.take() {
            Some(header) => Part::Header(UploadHeader { file_name: name, ..header }),
            None => Part::File(UploadFile { name }),
        })]
    }

    fn bytes(&mut self, bytes: Bytes) -> UploadPart {
        part(Part::Data(bytes))
    }

    fn end(&mut self, size_bytes: u64) -> UploadPart {
        part(Part::End(UploadEnd { size_bytes }))
    }
}

/// The key that a request is repeated with; empty: none.
pub fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let key = match (keys.next(), keys.next()) {
        (None, _) => return Ok(String::new()),
        (Some(key), None) => key.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    let fit = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len())
        && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let bad = || {
        INVALID.problem(format!(
            "an Idempotency-Key is one text of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} visible characters"
        ))
    };
    fit.then(|| key.to_owned()).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_as_it_is_or_refused() {
        let key = |value: &str| {
            let headers = HeaderMap::from_iter([(
                "idempotency-key".parse().unwrap(),
                value.parse().unwrap(),
            )]);
            idempotency_key(&headers).ok()
        };
        assert_eq!(key("a key \"of\" mine"), Some("a key \"of\" mine".into()));
        assert_eq!(key(&"k".repeat(IDEMPOTENCY_KEY_CHARS_MAX + 1)), None);
        assert_eq!(key(""), None);
        assert_eq!(idempotency_key(&HeaderMap::new()).ok(), Some(String::new()));
    }
}
