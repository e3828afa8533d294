use domain::{Result as Outcome, UserId};
use proto::auth::accounts_server::Accounts;
use proto::auth::*;
use service::claims::Role;
use tonic::{Request, Response, Status};

use super::{Rpc, origin};
use crate::accounts::no_such_user;
use crate::clients::{self, ClientChange};
use crate::lives::UserChange;
use crate::roles;
use crate::second_factor::Proof;
use crate::sessions;

#[tonic::async_trait]
impl Accounts for Rpc {
    async fn me(&self, request: Request<MeRequest>) -> Result<Response<OwnAccount>, Status> {
        let (tenant, id) = self.door.person(request.metadata()).await?;
        let found = self.accounts.user(tenant, id).await?.ok_or_else(no_such_user)?;
        let (tenant_name, languages) = self.accounts.home_of(tenant).await?;
        Ok(Response::new(OwnAccount {
            user: Some(found.user.into()),
            tenant_name,
            languages,
            has_second_factor: self.sign_in.factors.has(tenant, id).await?,
            second_factor_required: found.needs_second_factor,
        }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<Tokens>, Status> {
        let who = self.door.person(request.metadata()).await?;
        let place = origin(request.metadata()).to_owned();
        let ChangePasswordRequest { password, new_password, code, security_key: key } =
            request.get_ref();
        let old = (password.as_str(), Proof { code, key });
        let tokens = self.sign_in.change_password(who, old, new_password, &place).await?;
        Ok(Response::new(tokens))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<Sessions>, Status> {
        let (tenant, id) = self.whose(request.metadata(), &request.get_ref().user_id).await?;
        let sessions = self.sign_in.sessions.of(tenant, id).await?;
        let sessions = sessions.into_iter().map(Session::from).collect();
        Ok(Response::new(Sessions { sessions }))
    }

    async fn end_session(&self, request: Request<SessionRef>) -> Result<Response<Done>, Status> {
        let (tenant, id) = self.whose(request.metadata(), &request.get_ref().user_id).await?;
        let session = request.into_inner().session_id;
        self.sign_in.sessions.end_one(tenant, id, session).await?;
        Ok(Response::new(Done {}))
    }

    async fn invite(&self, request: Request<NewInvitation>) -> Result<Response<Link>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let NewInvitation { user_name, roles } = request.into_inner();
        let roles = roles::parse(&roles)?;
        let link = self.accounts.invite(tenant.id(), &user_name, &roles).await?;
        Ok(Response::new(link.into()))
    }

    async fn reset_password(&self, request: Request<UserRef>) -> Result<Response<Link>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let id = request.get_ref().user_id.parse()?;
        Ok(Response::new(self.accounts.reset_link(tenant.id(), id).await?.into()))
    }

    async fn change_user(
        &self,
        request: Request<proto::auth::UserChange>,
    ) -> Result<Response<User>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let proto::auth::UserChange { user_id, roles, disabled } = request.into_inner();
        let change = UserChange { roles: changed(&roles)?, disabled };
        let user = self.accounts.change_user(tenant.id(), user_id.parse()?, change).await?;
        Ok(Response::new(user.into()))
    }

    async fn delete_user(&self, request: Request<UserRef>) -> Result<Response<Done>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let id = request.get_ref().user_id.parse()?;
        self.accounts.delete_user(tenant.id(), id).await?;
        Ok(Response::new(Done {}))
    }

    async fn list_clients(
        &self,
        request: Request<ListClientsRequest>,
    ) -> Result<Response<Clients>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let clients = clients::list(&self.door.database, tenant.id()).await?;
        let clients = clients.into_iter().map(ClientAccount::from).collect();
        Ok(Response::new(Clients { clients }))
    }

    async fn change_client(
        &self,
        request: Request<proto::auth::ClientChange>,
    ) -> Result<Response<ClientAccount>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let proto::auth::ClientChange { client_id, roles, disabled, expires_ms } =
            request.into_inner();
        let change = ClientChange { roles: changed(&roles)?, disabled, expires_ms };
        let client = self.clients.change(tenant.id(), client(&client_id)?, change).await?;
        Ok(Response::new(client.into()))
    }

    async fn rotate_client(&self, request: Request<ClientRef>) -> Result<Response<Client>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let id = client(&request.get_ref().client_id)?;
        Ok(Response::new(self.clients.rotate(tenant.id(), id).await?.into()))
    }

    async fn end_rotation(
        &self,
        request: Request<ClientRef>,
    ) -> Result<Response<ClientAccount>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let id = client(&request.get_ref().client_id)?;
        Ok(Response::new(self.clients.end_rotation(tenant.id(), id).await?.into()))
    }

    async fn delete_client(&self, request: Request<ClientRef>) -> Result<Response<Done>, Status> {
        let tenant = self.door.administrator(request.metadata()).await?;
        let id = client(&request.get_ref().client_id)?;
        self.clients.delete(tenant.id(), id).await?;
        Ok(Response::new(Done {}))
    }
}

impl From<sessions::Session> for Session {
    fn from(session: sessions::Session) -> Session {
        let sessions::Session { id, begun_ms, expires_ms, place } = session;
        Session { id, begun_ms, expires_ms, place }
    }
}

/// The roles to be, if they are to be others.
fn changed(names: &[String]) -> Outcome<Option<Vec<Role>>> {
    if names.is_empty() { Ok(None) } else { roles::parse(names).map(Some) }
}

/// A client's id; what is none answers like one that never was.
fn client(id: &str) -> Outcome<UserId> {
    id.parse().map_err(|_| clients::no_such_client())
}
