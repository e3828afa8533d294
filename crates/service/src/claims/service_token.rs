use std::sync::Arc;

use domain::{Clock, Result};
use proto::auth::ClientCredentialsRequest;
use proto::auth::auth_client::AuthClient;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::Peer;

/// The client id under which medseg's own workers sign in.
pub const SERVICE_CLIENT: &str = "medseg-service";

/// The client id under which signs in what pushes results to hospitals' systems.
pub const DELIVERY_CLIENT: &str = "medseg-delivery";

/// A token is renewed so long before it expires, that no call carries one about to.
const MARGIN_MS: i64 = 60_000;

/// The access token of medseg's own workers, or of the API client in whose name one of them acts; renewed as needed.
#[derive(Clone)]
pub struct ServiceToken(Arc<Inner>);

struct Inner {
    auth: AuthClient<Peer>,
    client_id: String,
    secret: SecretString,
    /// The one service that takes its tokens; empty: all do.
    for_service: String,
    clock: Clock,
    current: Mutex<Option<Current>>,
}

#[derive(Clone)]
struct Current {
    token: String,
    expires_ms: i64,
}

impl ServiceToken {
    /// Signs in at `auth` with `secret` when a token is first asked for.
    pub fn new(auth: Peer, secret: SecretString, clock: Clock) -> ServiceToken {
        ServiceToken::of_client(auth, SERVICE_CLIENT.into(), secret, clock)
    }

    /// The same for what pushes results to hospitals' systems, which has a client and a secret of its own.
    pub fn of_delivery(auth: Peer, secret: SecretString, clock: Clock) -> ServiceToken {
        ServiceToken::of_client(auth, DELIVERY_CLIENT.into(), secret, clock)
    }

    /// The same for a hospital's API client: what is done with its token is done in its name, and with its rights only.
    pub fn of_client(
        auth: Peer,
        client_id: String,
        secret: SecretString,
        clock: Clock,
    ) -> ServiceToken {
        let (auth, for_service) = (AuthClient::new(auth), String::new());
        let current = Mutex::default();
        ServiceToken(Arc::new(Inner { auth, client_id, secret, for_service, clock, current }))
    }

    /// The same for calls of that service: no other takes these tokens, so whoever sees one there can do nothing with it elsewhere.
    #[must_use]
    pub fn towards(&self, service: &str) -> ServiceToken {
        let Inner { auth, client_id, secret, clock, .. } = &*self.0;
        ServiceToken(Arc::new(Inner {
            auth: auth.clone(),
            client_id: client_id.clone(),
            secret: secret.clone(),
            for_service: service.to_owned(),
            clock: clock.clone(),
            current: Mutex::default(),
        }))
    }

    /// A token with a minute to live or more; while auth is away, the last one until it expires.
    pub async fn get(&self) -> Result<String> {
        let mut current = self.0.current.lock().await;
        let now_ms = self.0.clock.now_ms();
        let old = current.clone().filter(|old| old.expires_ms > now_ms);
        if let Some(old) = &old
            && old.expires_ms - now_ms >= MARGIN_MS
        {
            return Ok(old.token.clone());
        }
        match (self.sign_in(now_ms).await, old) {
            (Ok(new), _) => Ok(current.insert(new).token.clone()),
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "cannot renew the service token yet");
                Ok(old.token)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn sign_in(&self, now_ms: i64) -> Result<Current> {
        let request = ClientCredentialsRequest {
            client_id: self.0.client_id.clone(),
            client_secret: self.0.secret.expose_secret().to_owned(),
            for_service: self.0.for_service.clone(),
        };
        let tokens = self.0.auth.clone().client_credentials(request).await?.into_inner();
        let expires_ms = now_ms + i64::from(tokens.expires_in_s) * 1000;
        Ok(Current { token: tokens.access_token, expires_ms })
    }
}
