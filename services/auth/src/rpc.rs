use proto::auth::auth_server::Auth;
use proto::auth::*;
use service::claims::{ORIGIN, Role, Tenant, Verifier};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::accounts::{self, Accounts};
use crate::clients::Clients;
use crate::roles;
use crate::sign_in::SignIn;

/// Translates between the wire and what it holds; decides nothing but who may ask.
pub struct Rpc {
    pub sign_in: SignIn,
    pub accounts: Accounts,
    pub clients: Clients,
    pub verifier: Verifier,
    pub jwks: String,
}

#[tonic::async_trait]
impl Auth for Rpc {
    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<Tokens>, Status> {
        let place = origin(request.metadata()).to_owned();
        let SignInRequest { user_name, password } = request.into_inner();
        let tokens = self.sign_in.password(&user_name, &password, &place).await?;
        Ok(Response::new(tokens))
    }

    async fn client_credentials(
        &self,
        request: Request<ClientCredentialsRequest>,
    ) -> Result<Response<Tokens>, Status> {
        let ClientCredentialsRequest { client_id, client_secret } = request.into_inner();
        let grant = self.clients.grant(&client_id, &client_secret).await?;
        Ok(Response::new(self.sign_in.client(&grant)))
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

    async fn create_user(&self, request: Request<NewUser>) -> Result<Response<User>, Status> {
        let tenant = self.administered(&request).await?;
        let NewUser { user_name, password, roles } = request.into_inner();
        let roles = roles::parse(&roles)?;
        let user = self.accounts.create_user(tenant.id(), &user_name, &password, &roles).await?;
        Ok(Response::new(user.into()))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<Users>, Status> {
        let tenant = self.administered(&request).await?;
        let users = self.accounts.users(tenant.id()).await?;
        Ok(Response::new(Users { users: users.into_iter().map(User::from).collect() }))
    }

    async fn create_client(&self, request: Request<NewClient>) -> Result<Response<Client>, Status> {
        let tenant = self.administered(&request).await?;
        let NewClient { name, roles } = request.into_inner();
        let roles = roles::parse(&roles)?;
        let made = self.clients.create(tenant.id(), &name, &roles).await?;
        Ok(Response::new(Client {
            client_id: made.id.to_string(),
            client_secret: made.secret,
            name: made.name,
            roles: roles::names(&roles),
        }))
    }
}

impl Rpc {
    /// The tenant whose administrator asks.
    async fn administered<T: Sync>(&self, request: &Request<T>) -> Result<Tenant, Status> {
        let claims = self.verifier.claims(request.metadata()).await?;
        claims.require(&[Role::Admin])?;
        Ok(claims.tenant())
    }
}

impl From<accounts::User> for User {
    fn from(user: accounts::User) -> User {
        let roles = roles::names(&user.roles);
        User { id: user.id.to_string(), user_name: user.user_name, roles }
    }
}

/// Where the caller is, as the gateway says; one place for all when it says nothing.
fn origin(metadata: &MetadataMap) -> &str {
    let text = metadata.get(ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.get(..64).unwrap_or(text)
}
