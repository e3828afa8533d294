use domain::Result;
use proto::storage::incidents_server::Incidents as Wire;
use proto::storage::{
    Incident, IncidentLink, IncidentPage, LinkRevoked, LinkedReport, LinkedReportKept,
    ListMadeLinks, ListReported, MadeLinkPage, MadeLinkRef, NewIncident, NewIncidentLink,
};
use service::claims::{Role, Verifier};
use tonic::{Request, Response, Status};

use crate::incident_links::not_valid;
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

    async fn list_incident_links(
        &self,
        request: Request<ListMadeLinks>,
    ) -> Result<Response<MadeLinkPage>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LINKING_ROLES).await?;
        let _turn = self.store.reads.take(claims.tenant().id()).await;
        Ok(Response::new(self.store.incident_links(&claims, request.get_ref()).await?))
    }

    async fn revoke_incident_link(
        &self,
        request: Request<MadeLinkRef>,
    ) -> Result<Response<LinkRevoked>, Status> {
        let claims = self.verifier.caller(request.metadata(), &LINKING_ROLES).await?;
        let _turn = self.store.writes.take(claims.tenant().id()).await;
        self.store.revoke_incident_link(&claims, &request.get_ref().id).await?;
        Ok(Response::new(LinkRevoked {}))
    }

    async fn report_by_link(
        &self,
        request: Request<LinkedReport>,
    ) -> Result<Response<LinkedReportKept>, Status> {
        let told = request.into_inner();
        let tenant = self.store.hospital_of_link(&told.token).await?;
        if !self.verifier.is_active(tenant).await? {
            return Err(not_valid().into());
        }
        let _turn = self.store.writes.take(tenant).await;
        self.store.report_by_link(told).await?;
        Ok(Response::new(LinkedReportKept {}))
    }
}
