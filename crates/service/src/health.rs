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
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks whether something that a service needs is there.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// The check that `ask` makes.
pub fn check<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Check
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Arc::new(move || ask().boxed())
}

/// Whether a service can do its work now.
#[derive(Clone)]
pub(crate) struct Readiness {
    checks: Arc<[(String, Check)]>,
    shutdown: CancellationToken,
}

impl Readiness {
    pub fn new(checks: Vec<(String, Check)>, shutdown: CancellationToken) -> Readiness {
        Readiness { checks: checks.into(), shutdown }
    }

    /// What each check says; all of them are asked at once.
    pub async fn ask(&self) -> BTreeMap<String, Result<()>> {
        let mut said: BTreeMap<_, _> =
            join_all(self.checks.iter().map(ask)).await.into_iter().collect();
        if self.shutdown.is_cancelled() {
            said.insert("running".into(), Err(ErrorKind::Unavailable.error("shutting down")));
        }
        said
    }

    /// The answer of `/readyz`: 503 unless all is well, and in either case what each check says.
    pub async fn respond(self) -> Response {
        let said = self.ask().await;
        let ready = said.values().all(Result::is_ok);
        let words =
            |result: Result<()>| result.map_or_else(|error| error.to_string(), |()| "ok".into());
        let checks: BTreeMap<String, String> =
            said.into_iter().map(|(name, result)| (name, words(result))).collect();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(json!({ "ready": ready, "checks": checks }))).into_response()
    }
}

async fn ask((name, check): &(String, Check)) -> (String, Result<()>) {
    let late = |_| Err(ErrorKind::Unavailable.error("no answer in time"));
    let said = tokio::time::timeout(PATIENCE, check()).await.unwrap_or_else(late);
    (name.clone(), said)
}
