use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use domain::{ErrorKind, Result};
use service::Turns;
use service::claims::{Role, Verifier};
use tokio::time::timeout;
use tonic::metadata::MetadataMap;

/// Who may ask the bare model.
const CALLERS: [Role; 3] = [Role::Scientist, Role::Admin, Role::Integrator];
/// Calls in hand at a time: each may hold the largest request in memory, a few times over.
const CALLS: usize = 16;
/// How long a call may take, with its wait and its body.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Lets callers in: those who may, so many at a time, each hospital in turn. All of that before a body is read.
#[derive(Clone)]
pub struct Door {
    verifier: Verifier,
    turns: Turns<Arc<str>>,
}

/// Who was let in.
#[derive(Clone)]
pub struct Caller {
    /// Of the user or API client.
    pub subject: String,
    /// The hospital's id.
    pub tenant: Arc<str>,
}

impl Door {
    pub fn new(verifier: Verifier) -> Door {
        Door { verifier, turns: Turns::of(CALLS) }
    }

    /// The answer of what is behind the door, which finds the [`Caller`] among the request's extensions.
    pub async fn admit(&self, request: Request, next: Next) -> Result<Response> {
        let late = |_| {
            Err(ErrorKind::Unavailable.error(format!(
                "the call took more than {} s: send fewer tiles at a time, or again when fewer calls are in hand",
                CALL_TIMEOUT.as_secs()
            )))
        };
        timeout(CALL_TIMEOUT, self.admitted(request, next)).await.unwrap_or_else(late)
    }

    async fn admitted(&self, mut request: Request, next: Next) -> Result<Response> {
        let metadata = MetadataMap::from_headers(request.headers().clone());
        let claims = self.verifier.claims(&metadata).await?;
        claims.require(&CALLERS)?;
        let tenant: Arc<str> = claims.tenant().to_string().into();
        let caller = Caller { subject: claims.subject, tenant: tenant.clone() };
        request.extensions_mut().insert(caller);
        let _turn = self.turns.take(tenant).await;
        Ok(next.run(request).await)
    }
}
