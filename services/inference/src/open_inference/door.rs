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

use super::memory::{Memory, Room};

/// After how many seconds a call that met no room, no turn or no model is worth sending again.
pub const SOON: &str = "1";
/// Who may ask the bare model.
const CALLERS: [Role; 3] = [Role::Scientist, Role::Admin, Role::Integrator];
/// Calls in hand at a time.
const CALLS: usize = 16;
/// Of these, one hospital's at most: a call lasts as long as its body takes to come.
const CALLS_OF_ONE: usize = CALLS / 2;
/// How long a call may take, with its wait and its body.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Lets callers in: those who may, so many at a time, each hospital in turn. All of that before a body is read, which then
/// takes of the memory for calls as it comes.
#[derive(Clone)]
pub struct Door {
    verifier: Verifier,
    turns: Turns<Arc<str>>,
    memory: Memory,
}

/// Who was let in.
#[derive(Clone)]
pub struct Caller {
    /// Of the user or API client.
    pub subject: String,
    /// The hospital's id.
    pub tenant: Arc<str>,
    /// What the call takes of memory, until its answer is out.
    pub room: Room,
}

impl Door {
    pub fn new(verifier: Verifier, memory: Memory) -> Door {
        Door { verifier, turns: Turns::of(CALLS).at_most_each(CALLS_OF_ONE), memory }
    }

    /// The answer of what is behind the door, which finds the [`Caller`] among the request's extensions. Each byte of the
    /// body takes so many of memory.
    pub async fn admit(&self, request: Request, next: Next, times: usize) -> Result<Response> {
        let late = |_| {
            Err(ErrorKind::Unavailable.error(format!(
                "the call took more than {} s: send fewer tiles at a time, or again when fewer calls are in hand",
                CALL_TIMEOUT.as_secs()
            )))
        };
        timeout(CALL_TIMEOUT, self.admitted(request, next, times)).await.unwrap_or_else(late)
    }

    async fn admitted(&self, request: Request, next: Next, times: usize) -> Result<Response> {
        let metadata = MetadataMap::from_headers(request.headers().clone());
        let claims = self.verifier.claims(&metadata).await?;
        claims.require(&CALLERS)?;
        // It stands in no section of the REST face; who is confined to results, say, is not let in by another door.
        claims.require_scope("models")?;
        let tenant: Arc<str> = claims.tenant().to_string().into();
        let _turn = self.turns.take(tenant.clone()).await;
        let room = self.memory.room(tenant.clone());
        let mut request = request.map(|body| room.metered(body, times));
        let caller = Caller { subject: claims.subject, tenant, room: room.clone() };
        request.extensions_mut().insert(caller);
        Ok(next.run(request).await.map(|body| room.held_by(body)))
    }
}
