use domain::Result;
use proto::storage::series_rules_server::SeriesRules as Wire;
use proto::storage::{NewSeriesRule, SeriesRule, SeriesRuleList, SeriesRuleRef, SeriesRulesRef};
use service::claims::{Role, Verifier};
use tonic::{Request, Response, Status};

use crate::store::Store;

/// Whoever may send scans may know which series are analysed.
const READING_ROLES: [Role; 3] = [Role::Clinician, Role::Integrator, Role::Admin];

/// Who decides for the hospital.
const DECIDING_ROLES: [Role; 1] = [Role::Admin];

/// The RPCs for the hospital's word about series.
pub struct SeriesRules {
    store: Store,
    verifier: Verifier,
}

impl SeriesRules {
    pub fn new(store: Store, verifier: Verifier) -> SeriesRules {
        SeriesRules { store, verifier }
    }
}

#[tonic::async_trait]
impl Wire for SeriesRules {
    async fn list(
        &self,
        request: Request<SeriesRulesRef>,
    ) -> Result<Response<SeriesRuleList>, Status> {
        // Ingest asks once the whole of an upload has come, however long that took.
        let claims = self.verifier.caller_or_sender(request.metadata(), &READING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.series_rules(claims.tenant()).await?))
    }

    async fn add(&self, request: Request<NewSeriesRule>) -> Result<Response<SeriesRule>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.add_series_rule(&claims, request.into_inner()).await?))
    }

    async fn remove(
        &self,
        request: Request<SeriesRuleRef>,
    ) -> Result<Response<SeriesRuleRef>, Status> {
        let claims = self.verifier.caller(request.metadata(), &DECIDING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.remove_series_rule(&claims, &request.get_ref().id).await?))
    }
}
