//! What is asked of those who gather: how much of a study there is, and that it is all.

use domain::{ErrorKind, Result, TenantId};
use imaging::RefusalReason;

use super::Gathering;
use crate::dicom::blocking;
use crate::dicom::inbox::Instance;
use crate::dicom::senders::{Acting, is_barred};
use crate::dicom::studies::{Ask, Found};

impl Gathering {
    /// Says what there is of the studies that are asked for, where all that has come is in its series. A question that is dropped is
    /// one that nobody can answer now.
    pub(super) async fn answer_asks(&mut self, all_filed: bool) {
        for ask in self.sender.asked() {
            match self.found(&ask, all_filed).await {
                Ok(found) => {
                    let _ = ask.answer.send(found);
                }
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    calling = self.sender.title(),
                    "a study cannot be looked for"
                ),
            }
        }
    }

    async fn found(&mut self, ask: &Ask, all_filed: bool) -> Result<Found> {
        let tenant = match self.sender.acting(&self.reception.verifier).await {
            Ok(Acting { tenant, .. }) => tenant,
            // Of whoever may not send any more nothing can become a scan.
            Err(error) if is_barred(&error) => return Ok(Found::default()),
            Err(error) => return Err(error),
        };
        let mut found = Found::default();
        if tenant != ask.tenant {
            return Ok(found);
        }
        if !all_filed {
            return Err(ErrorKind::Unavailable.error("instances wait for their series"));
        }
        let all: Vec<String> = self.series.keys().cloned().collect();
        for series in all {
            let (inbox, folder, of) =
                (self.reception.inbox.clone(), self.sender.folder.clone(), series.clone());
            let held = blocking(move || inbox.held(&folder, &of)).await?;
            if self.study(&series, &held, tenant).await? != ask.study {
                continue;
            }
            found.instances.extend(held.into_iter().map(|one| one.sop_instance));
            if let Some(known) = self.series.get_mut(&series).filter(|_| ask.complete) {
                known.is_complete = true;
            }
            found.series.insert(series);
        }
        Ok(found)
    }

    /// Of which study the series is, as the first of its instances says.
    async fn study(&mut self, series: &str, held: &[Instance], tenant: TenantId) -> Result<String> {
        if let Some(known) = self.series.get(series).and_then(|known| known.study.clone()) {
            return Ok(known);
        }
        let Some(first) = held.first() else { return Ok(String::new()) };
        let decoder = self.reception.uploads.decoder.of(tenant);
        let study = match decoder.instance(&first.path).await? {
            Ok(told) => told.study,
            // Mostly that is the machine's fault: who asks again has it looked at again.
            Err(refusal) if refusal.problem == RefusalReason::TooLarge => return Ok(String::new()),
            Err(_) => String::new(),
        };
        if let Some(known) = self.series.get_mut(series) {
            known.study = Some(study.clone());
        }
        Ok(study)
    }
}
