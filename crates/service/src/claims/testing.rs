//! Tokens without the auth service, for the tests of everything behind it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Clock, ErrorKind, TenantId};
use proto::auth::auth_server::{Auth, AuthServer};
use proto::auth::*;
use serde_json::json;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::{
    Claims, DELIVERY_CLIENT, Epochs, Grant, LIFETIME_S, PublicKeys, Role, SERVICE_CLIENT,
    SigningKey, Tenant, Verifier, delivery_tenant, service_tenant,
};
use crate::{Peer, Service};

/// Issues tokens as auth does, with a key of its own and for whoever is named.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    key: SigningKey,
    clock: Clock,
    asked: AtomicUsize,
    revoked: Mutex<RevocationList>,
    /// Hospitals' API clients, by id and secret: with what they get.
    clients: Mutex<HashMap<[String; 2], String>>,
    /// What hospitals are, by id: the first is said next, the last stays.
    standings: Mutex<HashMap<String, VecDeque<String>>>,
}

impl Default for Issuer {
    fn default() -> Issuer {
        Issuer::new()
    }
}

impl Issuer {
    /// What [`ServiceToken`](super::ServiceToken) signs in with here.
    pub const SERVICE_SECRET: &str = "the secret of the test's workers";

    /// The same for [`ServiceToken::of_delivery`](super::ServiceToken::of_delivery).
    pub const DELIVERY_SECRET: &str = "the secret of the test's delivery";

    /// An issuer by the system's clock.
    pub fn new() -> Issuer {
        Issuer::at(crate::system_clock())
    }

    /// An issuer by `clock`.
    pub fn at(clock: Clock) -> Issuer {
        let key = SigningKey::generate(&crate::system_random());
        let (asked, revoked, clients) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        let standings = Mutex::default();
        Issuer(Arc::new(Inner { key, clock, asked, revoked, clients, standings }))
    }

    /// An access token that says so.
    pub fn token(&self, tenant: TenantId, roles: &[Role]) -> String {
        self.token_of("tester", tenant, roles)
    }

    /// The same of somebody with that id, whose name it is, too.
    pub fn token_of(&self, subject: &str, tenant: TenantId, roles: &[Role]) -> String {
        self.token_in(subject, tenant, roles, Epochs::default())
    }

    /// The same in those epochs of the account and of the tenant.
    pub fn token_in(
        &self,
        subject: &str,
        tenant: TenantId,
        roles: &[Role],
        epochs: Epochs,
    ) -> String {
        let (subject, name) = (subject.to_owned(), subject.to_owned());
        let (roles, scopes) = (roles.to_vec(), Vec::new());
        let grant = Grant { subject, name, tenant, roles, scopes, epochs };
        grant.sign(&self.0.key, self.0.clock.now_ms())
    }

    /// From now on refuses tokens as that list says.
    pub fn revoke(&self, list: RevocationList) {
        *self.0.revoked.lock().unwrap_or_else(PoisonError::into_inner) = list;
    }

    /// From now on a hospital is `active`, `suspended` or `closed`, as auth names it; any that nothing is said of is active.
    pub fn stand(&self, tenant: TenantId, state: &str) {
        self.stand_in_turn(tenant, &[state]);
    }

    /// The same, another each time that it is asked for; the last stays.
    pub fn stand_in_turn(&self, tenant: TenantId, states: &[&str]) {
        let states = states.iter().map(|state| (*state).to_owned()).collect();
        let mut standings = self.0.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.insert(tenant.to_string(), states);
    }

    /// From now on an API client may sign in, and gets that token.
    pub fn admit_client(&self, id: &str, secret: &str, token: String) {
        let mut clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert([id.to_owned(), secret.to_owned()], token);
    }

    /// The token that workers carry.
    pub fn service_token(&self) -> String {
        self.token(service_tenant(), &[Role::Service])
    }

    /// The token that workers carry to that service.
    pub fn service_token_for(&self, service: &str) -> String {
        let grant = Grant {
            subject: SERVICE_CLIENT.to_owned(),
            name: String::new(),
            tenant: service_tenant(),
            roles: vec![Role::Service],
            scopes: Vec::new(),
            epochs: Epochs::default(),
        };
        grant.sign_for(service, &self.0.key, self.0.clock.now_ms())
    }

    /// The token that delivery carries.
    pub fn delivery_token(&self) -> String {
        self.token_of(DELIVERY_CLIENT, delivery_tenant(), &[Role::Delivery])
    }

    /// Claims as [`Verifier`] gives them for such a token.
    pub fn claims(&self, tenant: TenantId, roles: &[Role]) -> Claims {
        Claims {
            subject: "tester".into(),
            name: "tester".into(),
            roles: roles.to_vec(),
            scopes: Vec::new(),
            tenant: Tenant(tenant),
            epochs: Epochs::default(),
        }
    }

    /// Whatever header and payload, soundly signed; to forge with.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        self.0.key.sign_parts(header, payload)
    }

    /// The key behind the tokens.
    pub fn key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The public keys, as auth would publish them.
    pub fn jwks(&self) -> String {
        json!({"keys": [self.0.key.public_jwk()]}).to_string()
    }

    /// A verifier that trusts this issuer alone.
    pub fn verifier(&self, clock: Clock) -> Verifier {
        let keys = PublicKeys::from_jwks(&self.jwks()).expect("an issuer's own keys are sound");
        Verifier::with_keys(keys, clock)
    }

    /// How often the keys were asked for.
    pub fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// Stands in for auth: `Keys`, and `ClientCredentials` for the workers.
    pub fn peer(&self) -> Peer {
        let grpc = Routes::new(AuthServer::new(self.clone()));
        Peer::within(&Service { grpc, ..Service::default() })
    }
}

#[tonic::async_trait]
impl Auth for Issuer {
    async fn keys(&self, _: Request<KeysRequest>) -> Result<Response<KeySet>, Status> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(KeySet { jwks_json: self.jwks() }))
    }

    async fn revocations(
        &self,
        _: Request<RevocationsRequest>,
    ) -> Result<Response<RevocationList>, Status> {
        let list = self.0.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Response::new(list.clone()))
    }

    async fn use_link(&self, _: Request<UseLinkRequest>) -> Result<Response<LinkUsed>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn client_credentials(
        &self,
        request: Request<ClientCredentialsRequest>,
    ) -> Result<Response<Tokens>, Status> {
        let ClientCredentialsRequest { client_id, client_secret, .. } = request.into_inner();
        let own = match (client_id.as_str(), client_secret.as_str()) {
            (SERVICE_CLIENT, Self::SERVICE_SECRET) => Some(self.service_token()),
            (DELIVERY_CLIENT, Self::DELIVERY_SECRET) => Some(self.delivery_token()),
            _ => None,
        };
        let clients = self.0.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let token = clients.get(&[client_id, client_secret]).cloned().or(own);
        let access_token =
            token.ok_or_else(|| ErrorKind::Unauthenticated.error("unknown client"))?;
        Ok(Response::new(Tokens {
            access_token,
            expires_in_s: LIFETIME_S as u32,
            ..Tokens::default()
        }))
    }

    async fn sign_in(&self, _: Request<SignInRequest>) -> Result<Response<Tokens>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn refresh(&self, _: Request<RefreshRequest>) -> Result<Response<Tokens>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn sign_out(&self, _: Request<RefreshRequest>) -> Result<Response<Done>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn create_user(&self, _: Request<NewUser>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn list_users(&self, _: Request<ListUsersRequest>) -> Result<Response<Users>, Status> {
        Err(Status::unimplemented("not in this double"))
    }

    async fn create_client(&self, _: Request<NewClient>) -> Result<Response<Client>, Status> {
        Err(Status::unimplemented("not in this double"))
    }
    async fn standings(
        &self,
        request: Request<StandingsRequest>,
    ) -> Result<Response<StandingList>, Status> {
        let mut said = self.0.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = |tenant_id: String| {
            let states = said.get_mut(&tenant_id);
            let state = states.and_then(|states| match states.len() {
                0 | 1 => states.front().cloned(),
                _ => states.pop_front(),
            });
            Standing { tenant_id, state: state.unwrap_or_else(|| "active".to_owned()) }
        };
        let standings = request.into_inner().tenant_ids.into_iter().map(standing).collect();
        Ok(Response::new(StandingList { standings }))
    }
}
