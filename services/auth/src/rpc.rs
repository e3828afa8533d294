mod accounts;
mod providers;
mod second_factors;
mod tenants;
mod trail;

use std::ops::Deref;
use std::sync::Arc;

use domain::{Clock, ErrorKind, Result as Outcome, TenantId, UserId};
use platform::db::Database;
use proto::auth::auth_server::Auth;
use proto::auth::*;
use service::claims::{Claims, ORIGIN, Role, Tenant, Verifier};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::accounts::{Accounts, no_such_user};
use crate::clients::{self, ClientToBe, Clients};
use crate::oidc::Providers;
use crate::second_factor::Proof;
use crate::sign_in::{Attempt, SignIn};
use crate::{lives, revocations, roles};

/// Translates between the wire and what it holds; decides nothing but who may ask.
#[derive(Clone)]
pub struct Rpc(pub Arc<Inner>);

/// What the services of auth's face share.
pub struct Inner {
    pub sign_in: SignIn,
    pub providers: Providers,
    pub accounts: Accounts,
    pub clients: Clients,
    pub door: Door,
    pub clock: Clock,
    pub jwks: String,
}

impl Deref for Rpc {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// Who asks, as auth itself knows them.
pub struct Door {
    pub verifier: Verifier,
    pub database: Database,
}

impl Door {
    /// Whoever is signed in, and not revoked.
    async fn claims(&self, metadata: &MetadataMap) -> Outcome<Claims> {
        let claims = self.verifier.claims(metadata).await?;
        revocations::check(&self.database, &claims).await?;
        Ok(claims)
    }

    /// The tenant whose administrator asks.
    async fn administrator(&self, metadata: &MetadataMap) -> Outcome<Tenant> {
        Ok(self.administering(metadata).await?.tenant())
    }

    /// An administrator. An API client that is confined to sections is none: it could make itself another.
    async fn administering(&self, metadata: &MetadataMap) -> Outcome<Claims> {
        let claims = self.claims(metadata).await?;
        claims.require(&[Role::Admin])?;
        if !claims.scopes.is_empty() {
            return Err(ErrorKind::Forbidden.error("this API client is confined to other sections"));
        }
        Ok(claims)
    }

    /// Refuses whoever is no operator.
    async fn operator(&self, metadata: &MetadataMap) -> Outcome<()> {
        let claims = self.claims(metadata).await?;
        claims.require(&[Role::Operator])
    }

    /// Somebody who signs in with a password: where they belong, and who they are.
    async fn person(&self, metadata: &MetadataMap) -> Outcome<(TenantId, UserId)> {
        let claims = self.claims(metadata).await?;
        Ok((claims.tenant().id(), claims.subject.parse()?))
    }
}

impl Inner {
    /// Whose accounts are asked about: one's own (`user` is empty), or that of a user whom one administers.
    async fn whose(&self, metadata: &MetadataMap, user: &str) -> Outcome<(TenantId, UserId)> {
        if user.is_empty() {
            return self.door.person(metadata).await;
        }
        let tenant = self.door.administrator(metadata).await?.id();
        let id = user.parse()?;
        self.accounts.user(tenant, id).await?.ok_or_else(no_such_user)?;
        Ok((tenant, id))
    }
}

#[tonic::async_trait]
impl Auth for Rpc {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<Tokens>, Status> {
        let place = origin(request.metadata()).to_owned();
        let SignInRequest { user_name, password, new_password, code, security_key: key } =
            request.get_ref();
        let attempt = Attempt { user_name, password, proof: Proof { code, key }, place: &place };
        let new = Some(new_password.as_str()).filter(|new| !new.is_empty());
        let tokens = self.sign_in.password(attempt, new).await?;
        Ok(Response::new(tokens))
    }

    async fn client_credentials(
        &self,
        request: Request<ClientCredentialsRequest>,
    ) -> Result<Response<Tokens>, Status> {
        let ClientCredentialsRequest { client_id, client_secret, for_service } =
            request.into_inner();
        let grant = self.clients.grant(&client_id, &client_secret).await?;
        Ok(Response::new(self.sign_in.client(&grant, &for_service)?))
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<Tokens>, Status> {
        let tokens = self.sign_in.refresh(&request.get_ref().refresh_token).await?;
        Ok(Response::new(tokens))
    }

    async fn sign_out(&self, request: Request<RefreshRequest>) -> Result<Response<Done>, Status> {
        self.sign_in.sessions.end(&request.get_ref().refresh_token).await?;
        Ok(Response::new(Done {}))
    }

    async fn keys(&self, _: Request<KeysRequest>) -> Result<Response<KeySet>, Status> {
        Ok(Response::new(KeySet { jwks_json: self.jwks.clone() }))
    }

    async fn revocations(
        &self,
        _: Request<RevocationsRequest>,
    ) -> Result<Response<RevocationList>, Status> {
        let list = revocations::list(&self.door.database, self.clock.now_ms()).await?;
        Ok(Response::new(list))
    }

    async fn use_link(
        &self,
        request: Request<UseLinkRequest>,
    ) -> Result<Response<LinkUsed>, Status> {
        let UseLinkRequest { token, password } = request.into_inner();
        let user_name = self.accounts.use_link(&token, &password).await?;
        Ok(Response::new(LinkUsed { user_name }))
    }

    async fn create_user(&self, request: Request<NewUser>) -> Result<Response<User>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let NewUser { user_name, password, roles } = request.into_inner();
        let roles = roles::parse(&roles)?;
        let user = self.accounts.create_user(tenant.id(), &user_name, &password, &roles).await?;
        Ok(Response::new(user.into()))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<Users>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let users = self.accounts.users(tenant.id()).await?;
        Ok(Response::new(Users { users: users.into_iter().map(User::from).collect() }))
    }

    async fn create_client(&self, request: Request<NewClient>) -> Result<Response<Client>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let NewClient { name, roles, scopes, expires_ms } = request.into_inner();
        let to_be = ClientToBe { name, roles: roles::parse(&roles)?, scopes, expires_ms };
        Ok(Response::new(self.clients.create(tenant.id(), to_be).await?.into()))
    }

    async fn standings(
        &self,
        request: Request<StandingsRequest>,
    ) -> Result<Response<StandingList>, Status> {
        self.door.claims(request.metadata()).await?.require(&[Role::Delivery])?;
        let ids = &request.get_ref().tenant_ids;
        let ids: Vec<TenantId> = ids.iter().map(|id| id.parse()).collect::<Outcome<_>>()?;
        let standings = self.accounts.standings(&ids).await?.into_iter();
        let standings = standings.map(|(tenant_id, state)| Standing { tenant_id, state }).collect();
        Ok(Response::new(StandingList { standings }))
    }
}

impl From<crate::accounts::User> for User {
    fn from(user: crate::accounts::User) -> User {
        User {
            id: user.id.to_string(),
            user_name: user.user_name,
            roles: roles::names(&user.roles),
            state: user.state.name().to_owned(),
            signed_in_ms: user.signed_in_ms,
        }
    }
}

impl From<clients::NewClient> for Client {
    fn from(clients::NewClient { client, secret }: clients::NewClient) -> Client {
        Client {
            client_id: client.id.to_string(),
            client_secret: secret,
            name: client.name,
            roles: roles::names(&client.roles),
        }
    }
}

impl From<clients::Client> for ClientAccount {
    fn from(client: clients::Client) -> ClientAccount {
        ClientAccount {
            client_id: client.id.to_string(),
            name: client.name,
            roles: roles::names(&client.roles),
            scopes: client.scopes,
            disabled: client.disabled,
            created_ms: client.created_ms,
            expires_ms: client.expires_ms,
            used_ms: client.used_ms,
            rotating: client.rotating,
        }
    }
}

impl From<lives::Link> for Link {
    fn from(lives::Link { user, token, expires_ms }: lives::Link) -> Link {
        Link { user: Some(user.into()), token, expires_ms }
    }
}

/// Where the caller is, as the gateway says; one place for all when it says nothing.
fn origin(metadata: &MetadataMap) -> &str {
    let text = metadata.get(ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.get(..64).unwrap_or(text)
}
