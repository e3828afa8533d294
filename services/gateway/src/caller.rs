use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use domain::{ErrorKind, Result as Outcome, TenantId};
use service::claims::{ORIGIN, REASON, Verifier, authorised};
use service::{decoded, encoded};
use tokio::time::sleep;
use tonic::Request;

use crate::Gateway;
use crate::layers::RequestId;
use crate::problem::{Problem, UNAUTHENTICATED};

/// How often it is looked whether the caller of an answer that goes on may still have it: with the age that the verifier's list
/// may have, within a minute.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(15);

/// Who is calling: somebody with a valid token, which goes along with each call to a peer.
pub struct Caller {
    token: String,
    tenant: TenantId,
    told: Told,
}

impl Caller {
    /// The hospital that the caller belongs to.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Ends when what the caller was let in with is taken away, not when its token does: for answers that go on.
    pub fn revoked(&self, verifier: &Verifier) -> impl Future<Output = ()> + Send + use<> {
        let (verifier, token) = (verifier.clone(), self.token.clone());
        async move { until_refused(|| verifier.still(&token)).await }
    }

    /// `message`, in the caller's name.
    pub fn request<T>(&self, message: T) -> Request<T> {
        self.told.along(authorised(message, &self.token))
    }
}

/// What peers are told of a request besides what it asks for: its id, from where it comes, and why.
struct Told {
    request_id: RequestId,
    origin: String,
    reason: String,
}

impl Told {
    fn of(parts: &Parts) -> Told {
        // Of the connection, or what a trusted proxy says; never what anybody can write into a header.
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let origin = address.map(|ConnectInfo(address)| address.ip().to_string());
        let reason = parts.headers.get(REASON).map(|reason| decoded(reason.as_bytes()));
        Told {
            request_id: RequestId::of(&parts.extensions),
            origin: origin.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
        }
    }

    fn along<T>(&self, mut request: Request<T>) -> Request<T> {
        let (id, origin) = (self.request_id.as_str().to_owned(), self.origin.clone());
        let told = [("x-request-id", id), (ORIGIN, origin), (REASON, encoded(&self.reason))];
        for (name, text) in told {
            match text.parse() {
                Ok(value) if !text.is_empty() => drop(request.metadata_mut().insert(name, value)),
                _ => {}
            }
        }
        request
    }
}

/// `message` in the name of whoever sends that token with a request, which may be anybody.
pub fn named<T>(parts: &Parts, token: &str, message: T) -> Request<T> {
    Told::of(parts).along(authorised(message, token))
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Problem;

    /// Verifies the token, before anybody reads the body.
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Caller, Problem> {
        let token = credentials(&parts.headers, "bearer")
            .ok_or_else(|| UNAUTHENTICATED.problem("no bearer token: get one from /v1/token"))?;
        let claims = gateway.verifier.verify(token).await;
        let claims = claims.map_err(|error| Problem::from(error).bad_token())?;
        claims.require_scope(gateway.sections.asked(parts))?;
        let tenant = claims.tenant().id();
        Ok(Caller { token: token.to_owned(), tenant, told: Told::of(parts) })
    }
}

/// Ends when `ask` is refused; that nobody can tell now is no refusal.
async fn until_refused<A: Future<Output = Outcome<()>>>(ask: impl Fn() -> A) {
    loop {
        sleep(LOOKED_AT_EVERY).await;
        if ask().await.is_err_and(|error| error.kind() == ErrorKind::Unauthenticated) {
            return;
        }
    }
}

/// What the one `Authorization` header says after `scheme`; two headers are none.
pub fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (named, credentials) = value.to_str().ok()?.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_goes_on_until_its_caller_is_refused_and_not_while_nobody_can_tell() {
        let asked = &Cell::new(0);
        let said = |refused_at: u32| {
            until_refused(move || {
                asked.set(asked.get() + 1);
                let kind = match asked.get() {
                    now if now == refused_at => Some(ErrorKind::Unauthenticated),
                    1 => Some(ErrorKind::Unavailable),
                    _ => None,
                };
                async move { kind.map_or(Ok(()), |kind| Err(kind.error("no"))) }
            })
        };
        said(3).await;
        assert_eq!(asked.get(), 3);
        asked.set(0);
        assert!(timeout(100 * LOOKED_AT_EVERY, said(u32::MAX)).await.is_err());
    }
}
