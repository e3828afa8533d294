use domain::ErrorKind;
use proto::auth::tenants_server::Tenants;
use proto::auth::*;
use tonic::{Request, Response, Status};

use super::Rpc;
use crate::states::TenantState;
use crate::tenants::{self, Settings};

#[tonic::async_trait]
impl Tenants for Rpc {
    async fn create(&self, request: Request<NewTenant>) -> Result<Response<TenantMade>, Status> {
        self.door.operator(request.metadata()).await?;
        let new = request.into_inner();
        let settings = Settings {
            name: Some(new.name),
            languages: said(new.languages),
            users_max: limit(new.users_max),
            clients_max: limit(new.clients_max),
        };
        let (tenant, link) = self.accounts.found_tenant(settings, &new.admin_user_name).await?;
        let (tenant, invitation) = (Some(tenant.into()), Some(link.into()));
        Ok(Response::new(TenantMade { tenant, invitation }))
    }

    async fn list(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<TenantList>, Status> {
        self.door.operator(request.metadata()).await?;
        let tenants = self.accounts.all_tenants().await?;
        let tenants = tenants.into_iter().map(Tenant::from).collect();
        Ok(Response::new(TenantList { tenants }))
    }

    async fn get(&self, request: Request<TenantRef>) -> Result<Response<Tenant>, Status> {
        self.door.operator(request.metadata()).await?;
        let id = request.get_ref().tenant_id.parse()?;
        Ok(Response::new(self.accounts.tenant(id).await?.into()))
    }

    async fn change(&self, request: Request<TenantChange>) -> Result<Response<Tenant>, Status> {
        self.door.operator(request.metadata()).await?;
        let change = request.into_inner();
        let settings = Settings {
            name: Some(change.name).filter(|name| !name.is_empty()),
            languages: said(change.languages),
            users_max: limit(change.users_max),
            clients_max: limit(change.clients_max),
        };
        let tenant = self.accounts.change_tenant(change.tenant_id.parse()?, settings).await?;
        Ok(Response::new(tenant.into()))
    }

    async fn set_state(
        &self,
        request: Request<TenantStateChange>,
    ) -> Result<Response<Tenant>, Status> {
        self.door.operator(request.metadata()).await?;
        let TenantStateChange { tenant_id, state } = request.into_inner();
        let state: TenantState = state
            .parse()
            .map_err(|_| ErrorKind::Invalid.error("a tenant is active, suspended or closed"))?;
        let tenant = self.accounts.set_tenant_state(tenant_id.parse()?, state).await?;
        Ok(Response::new(tenant.into()))
    }

    async fn export(&self, request: Request<TenantRef>) -> Result<Response<TenantExport>, Status> {
        self.door.operator(request.metadata()).await?;
        let id = request.get_ref().tenant_id.parse()?;
        let tenants::Export { tenant, users, clients } = self.accounts.export_tenant(id).await?;
        Ok(Response::new(TenantExport {
            tenant: Some(tenant.into()),
            users: users.into_iter().map(User::from).collect(),
            clients: clients.into_iter().map(ClientAccount::from).collect(),
        }))
    }
}

impl From<tenants::Tenant> for Tenant {
    fn from(tenant: tenants::Tenant) -> Tenant {
        Tenant {
            id: tenant.id.to_string(),
            name: tenant.name,
            state: tenant.state.name().to_owned(),
            languages: tenant.languages,
            users_max: tenant.users_max,
            clients_max: tenant.clients_max,
            users: tenant.users,
            clients: tenant.clients,
            created_ms: tenant.created_ms,
        }
    }
}

/// A list that says something.
fn said(list: Vec<String>) -> Option<Vec<String>> {
    Some(list).filter(|list| !list.is_empty())
}

/// A limit that says something.
fn limit(most: u32) -> Option<u32> {
    Some(most).filter(|most| *most > 0)
}
