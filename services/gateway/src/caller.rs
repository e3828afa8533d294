use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use domain::TenantId;
use service::claims::authorised;
use tonic::Request;

use crate::Gateway;
use crate::layers::RequestId;
use crate::problem::{Problem, UNAUTHENTICATED};

/// Who is calling: somebody with a valid token, which goes along with each call to a peer.
pub struct Caller {
    token: String,
    tenant: TenantId,
    request_id: RequestId,
}

impl Caller {
    /// The hospital that the caller belongs to.
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// `message`, in the caller's name.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = authorised(message, &self.token);
        if let Ok(id) = self.request_id.as_str().parse() {
            request.metadata_mut().insert("x-request-id", id);
        }
        request
    }
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
        let request_id = RequestId::of(&parts.extensions);
        Ok(Caller { token: token.to_owned(), tenant, request_id })
    }
}

/// What the one `Authorization` header says after `scheme`; two headers are none.
pub fn credentials<'h>(headers: &'h HeaderMap, scheme: &str) -> Option<&'h str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (named, credentials) = value.to_str().ok()?.split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| credentials.trim())
}
