use std::time::Duration;

use anyhow::Context;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, Response, StatusCode};
use tokio::task::spawn_blocking;

use super::outbox::{Fate, Waiting};
use crate::api::{Refusal, Session};
use crate::segment::input::Input;

/// How long the other end may take, beside what the line does.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a line carries at the least.
const BYTES_PER_SECOND: u64 = 16 << 10;
/// What is about the scan, and will be the same tomorrow; all else is about the line, the account or the moment.
const FOR_GOOD: [StatusCode; 5] = [
    StatusCode::BAD_REQUEST,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];

/// Why a scan could not be sent now.
#[derive(Debug)]
pub struct Later {
    pub why: anyhow::Error,
    /// How long the other end asks to be left alone.
    pub wait: Option<Duration>,
}

impl From<anyhow::Error> for Later {
    fn from(why: anyhow::Error) -> Later {
        let wait = why.downcast_ref::<Refusal>().and_then(|refusal| refusal.retry_after);
        Later { why, wait }
    }
}

/// Sends a scan under a key that is made of its bytes: however often it is sent, the other end has it once.
pub async fn send(session: &Session, waiting: &Waiting) -> Result<Fate, Later> {
    let path = waiting.path.clone();
    let read = spawn_blocking(move || {
        let input = Input::at(&path)?;
        let key = format!("medseg-forward-{}", input.sha256()?);
        anyhow::Ok((input, key))
    });
    let (input, key) = read.await.map_err(anyhow::Error::from)??;
    let (media_type, form) = input.form();
    let timeout = PATIENCE + Duration::from_secs(input.bytes() / BYTES_PER_SECOND);
    let request = session.request(Method::POST, &["scans"])?;
    let request = request.header("idempotency-key", key).header(CONTENT_TYPE, media_type);
    let body = Body::wrap_stream(form.into_data_stream());
    match session.send(request.timeout(timeout).body(body)).await {
        Ok(answer) => Ok(accepted(&answer)?),
        Err(error) => refused(error),
    }
}

/// Where the scan is, if the answer is medseg's: a proxy on the way may answer with a page of its own.
fn accepted(answer: &Response) -> anyhow::Result<Fate> {
    let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.filter(|_| answer.status() == StatusCode::ACCEPTED);
    let location = location.with_context(|| {
        format!("an upload is answered with {}: no medseg does", answer.status())
    })?;
    Ok(Fate::Sent { location: location.to_owned() })
}

fn refused(error: anyhow::Error) -> Result<Fate, Later> {
    let refusal = error.downcast_ref::<Refusal>();
    let for_good = |refusal: &&Refusal| refusal.is_problem && FOR_GOOD.contains(&refusal.status);
    match refusal.filter(for_good) {
        Some(refusal) => Ok(Fate::Refused { problem: refusal.problem.clone() }),
        None => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use serde_json::json;

    use super::*;

    fn answered(status: u16, is_problem: bool) -> anyhow::Error {
        let status = StatusCode::from_u16(status).unwrap();
        let (retry_after, problem) = (Some(Duration::from_secs(7)), json!({ "detail": "why" }));
        Refusal { status, retry_after, problem, is_problem }.into()
    }

    #[test]
    fn what_is_about_the_scan_is_set_aside_and_what_may_pass_waits_as_long_as_it_is_asked_to() {
        for status in [400, 409, 413, 415, 422] {
            let fate = refused(answered(status, true)).unwrap();
            assert!(matches!(fate, Fate::Refused { problem } if problem["detail"] == "why"));
            // Of a proxy on the way.
            assert!(refused(answered(status, false)).is_err(), "{status}");
        }
        for status in [401, 403, 404, 408, 429, 500, 502, 503, 507] {
            let later = refused(answered(status, true)).unwrap_err();
            assert_eq!(later.wait, Some(Duration::from_secs(7)), "{status}");
        }
        let later = refused(anyhow!("connection refused").context("medseg does not answer"));
        assert_eq!(later.unwrap_err().wait, None);
    }

    #[test]
    fn a_reason_in_a_context_still_says_how_long_to_wait() {
        let later = Later::from(answered(503, true).context("not now"));
        assert_eq!(later.wait, Some(Duration::from_secs(7)));
    }
}
