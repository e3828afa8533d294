use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{ErrorKind, Result};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How long a check may take before it counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks that a dependency of a service answers.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// The check that runs `ask`.
pub fn check<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Check
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Arc::new(move || ask().boxed())
}

/// The readiness checks of a service, and the checks of its peers.
#[derive(Clone)]
pub(crate) struct Readiness {
    checks: Arc<[(String, Check)]>,
    peers: Arc<[(String, Check)]>,
    shutdown: CancellationToken,
}

impl Readiness {
    /// Of a service with these checks and these peers, until `shutdown`.
    pub fn new(
        checks: Vec<(String, Check)>,
        peers: Vec<(String, Check)>,
        shutdown: CancellationToken,
    ) -> Readiness {
        Readiness { checks: checks.into(), peers: peers.into(), shutdown }
    }

    /// What each check says; all of them are asked at once.
    pub async fn ask(&self) -> BTreeMap<String, Result<()>> {
        let mut said = ask_all(&self.checks).await;
        if self.shutdown.is_cancelled() {
            said.insert("running".into(), Err(ErrorKind::Unavailable.error("shutting down")));
        }
        said
    }

    /// The answer of `/readyz`: 503 unless all is well, and in either case what each check says.
    pub async fn respond(self) -> Response {
        let said = self.ask().await;
        let ready = said.values().all(Result::is_ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(json!({ "ready": ready, "checks": words(said) }))).into_response()
    }

    /// The answer of `/peers`, for operators. No probe uses it: a process that reports a missing peer is of more use than none.
    pub async fn tell_of_peers(self) -> Response {
        Json(words(ask_all(&self.peers).await)).into_response()
    }
}

fn words(said: BTreeMap<String, Result<()>>) -> BTreeMap<String, String> {
    let word = |result: Result<()>| result.map_or_else(|error| error.to_string(), |()| "ok".into());
    said.into_iter().map(|(name, result)| (name, word(result))).collect()
}

async fn ask_all(checks: &[(String, Check)]) -> BTreeMap<String, Result<()>> {
    join_all(checks.iter().map(ask)).await.into_iter().collect()
}

async fn ask((name, check): &(String, Check)) -> (String, Result<()>) {
    let late = |_| Err(ErrorKind::Unavailable.error("no answer in time"));
    let said = tokio::time::timeout(CHECK_TIMEOUT, check()).await.unwrap_or_else(late);
    (name.clone(), said)
}
