//! What comes of a patient who was erased, or of a study that was: storage knows it again, and it is not taken.

use std::time::Duration;

use domain::Result;
use imaging::{Refusal, RefusalReason};
use proto::storage::{AcceptHeader, Arrival, Arrivals, ErasedArrival, ErasedArrivals};
use service::claims::{authorised, vouched};
use tonic::Code;

use crate::upload::Uploads;

/// How long storage may take to say so.
const PATIENCE: Duration = Duration::from_secs(10);

impl Uploads {
    /// The refusal of a file that may not come back, once it is in the audit trail; None: it may be taken.
    pub async fn refuse_erased(
        &self,
        header: &AcceptHeader,
        token: &str,
    ) -> Result<Option<Refusal>> {
        let said = header.identity.as_ref();
        let series_uid = said.and_then(|one| one.series_instance_uid.clone());
        let arrival = Arrival {
            patient: header.patient.clone(),
            study_uid: header.study_uid.clone(),
            series_uid: series_uid.unwrap_or_default(),
            original_sha256: header.original_sha256.clone(),
            received_ms: header.received_ms,
        };
        let Some(by) = self.erased_by(&arrival, token).await? else { return Ok(None) };
        let told = ErasedArrival { arrival: Some(arrival), instances: 1, dropped: false };
        self.note_erased(told, token).await?;
        Ok(Some(RefusalReason::Erased.refuse(words(&by))))
    }

    /// Because of which erasure that may not come; None: it may.
    pub async fn erased_by(&self, arrival: &Arrival, token: &str) -> Result<Option<String>> {
        let found = self.find_erased(vec![arrival.clone()], token).await?;
        Ok(found.erasure_ids.into_iter().next().filter(|by| !by.is_empty()))
    }

    /// The same of several, and whether anything is refused at all.
    pub async fn find_erased(&self, arrivals: Vec<Arrival>, token: &str) -> Result<ErasedArrivals> {
        let arrivals = authorised(Arrivals { arrivals }, token);
        let mut request = vouched(arrivals, &self.own.get().await?);
        request.set_timeout(PATIENCE);
        match self.erasures.clone().find_erased(request).await {
            Ok(found) => Ok(found.into_inner()),
            // A storage of the version before knows nothing of it.
            Err(status) if status.code() == Code::Unimplemented => Ok(ErasedArrivals::default()),
            Err(status) => Err(status.into()),
        }
    }

    /// Has it noted that something is not taken, or goes.
    pub async fn note_erased(&self, told: ErasedArrival, token: &str) -> Result<()> {
        let mut request = vouched(authorised(told, token), &self.own.get().await?);
        request.set_timeout(PATIENCE);
        self.erasures.clone().note_erased(request).await?;
        Ok(())
    }
}

/// What whoever sent it is told.
fn words(by: &str) -> String {
    format!(
        "Its patient was erased after it came, or its study, series or file was (erasure {by})."
    )
}
