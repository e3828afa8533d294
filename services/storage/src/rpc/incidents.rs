use domain::Result;
use proto::storage::incidents_server::Incidents as Wire;
use proto::storage::{
    Incident, IncidentLink, IncidentPage, LinkedReport, LinkedReportKept, ListReported,
    NewIncident, NewIncidentLink,
};
use service::claims::{Role, Verifier};
use tonic::{Request, Response, Status};

use crate::store::Store;

/// Whoever uses the system may say what went wrong.
const REPORTING_ROLES: [Role; 4] =
    [Role::Clinician, Role::Integrator, Role::Scientist, Role::Admin];

/// Who has to do with patients, or with those who have.
const LINKING_ROLES: [Role; 3] = [Role::Clinician, Role::Integrator, Role::Admin];

/// Who answers for it.
const READING_ROLES: [Role; 1] = [Role::Admin];

/// The RPCs for what went wrong.
pub struct Incidents {
    store: Store,
    verifier: Verifier,
}

impl Incidents {
    pub fn new(store: Store, verifier: Verifier) -> Incidents {
        Incidents { store, verifier }
    }
}

#[tonic::async_trait]
impl Wire for Incidents {
    async fn report(&self, request: Request<NewIncident>) -> Result<Response<Incident>, Status> {
        let claims = self.verifier.caller(request.metadata(), &REPORTING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.report(&claims, request.into_inner()).await?))
    }

    async fn list_incidents(
        &self,
        request: Request<ListReported>,
    ) -> Result<Response<IncidentPage>, Status> {
        let claims = self.verifier.caller(request.metadata(), &READING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.incidents(claims.tenant(), request.get_ref()).await?))
    }

    async fn make_incident_link(
        &self,
        request: Request<NewIncidentLink>,
    ) -> Result<Response<IncidentLink>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LINKING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.make_incident_link(&claims, request.get_ref()).await?))
    }

    async fn report_by_link(
        &self,
        request: Request<LinkedReport>,
    ) -> Result<Response<LinkedReportKept>, Status> {
        let told = request.into_inner();
        let tenant = self.store.hospital_of_link(&told.token).await?;
        let _turn = self.store.writes.take(tenant).await;
        self.store.report_by_link(told).await?;
        Ok(Response::new(LinkedReportKept {}))
    }
}
