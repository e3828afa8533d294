use domain::{Result, TenantId, UserId};
use proto::storage::limits_server::Limits as Wire;
use proto::storage::{
    Limit, LimitList, LimitsRef, NewClientLimit, NewTenantLimit, QuotaList, QuotasRef,
    TenantLimitRef,
};
use service::claims::{Role, Verifier};
use tonic::{Request, Response, Status};

use super::scans::SCAN_ROLES;
use crate::store::Store;

/// Who decides for a hospital how much it may send, without belonging to it.
const OPERATING_ROLES: [Role; 1] = [Role::Operator];

/// Who decides within it.
const DECIDING_ROLES: [Role; 1] = [Role::Admin];

/// The RPCs for how much may be sent.
pub struct Limits {
    store: Store,
    verifier: Verifier,
}

impl Limits {
    pub fn new(store: Store, verifier: Verifier) -> Limits {
        Limits { store, verifier }
    }
}

#[tonic::async_trait]
impl Wire for Limits {
    async fn get_of_tenant(
        &self,
        request: Request<TenantLimitRef>,
    ) -> Result<Response<Limit>, Status> {
        self.verifier.caller(request.metadata(), &OPERATING_ROLES).await?;
        let tenant: TenantId = request.into_inner().tenant_id.parse()?;
        let _turn = self.store.reads.take(tenant).await;
        Ok(Response::new(self.store.tenant_limit(tenant).await?))
    }

    async fn set_of_tenant(
        &self,
        request: Request<NewTenantLimit>,
    ) -> Result<Response<Limit>, Status> {
        let claims = self.verifier.caller(request.metadata(), &OPERATING_ROLES).await?;
        let NewTenantLimit { tenant_id, most } = request.into_inner();
        let (tenant, most) = (tenant_id.parse::<TenantId>()?, most.unwrap_or_default());
        let _turn = self.store.writes.take(tenant).await;
        Ok(Response::new(self.store.set_limit(&claims, tenant, None, most).await?))
    }

    async fn list(&self, request: Request<LimitsRef>) -> Result<Response<LimitList>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.limits(claims.tenant().id()).await?))
    }

    async fn set_of_client(
        &self,
        request: Request<NewClientLimit>,
    ) -> Result<Response<Limit>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let NewClientLimit { client_id, most } = request.into_inner();
        let (client, most) = (client_id.parse::<UserId>()?, most.unwrap_or_default());
        let tenant = claims.tenant().id();
        let _turn = self.store.writes.take(tenant).await;
        Ok(Response::new(self.store.set_limit(&claims, tenant, Some(client), most).await?))
    }

    async fn list_quotas(
        &self,
        request: Request<QuotasRef>,
    ) -> Result<Response<QuotaList>, Status> {
        let claims = self.verifier.caller(request.metadata(), &SCAN_ROLES).await?;
        // In no turn of those who look at scans: it is asked once for each that was sent, in its turn, and the answer waits for it.
        Ok(Response::new(self.store.quotas(&claims).await?))
    }
}
