//! What lies here of a patient who was erased: it goes, and storage is told how much that was.

use domain::Result;
use imaging::RefusalReason;
use platform::trail::{self, Circumstances};
use proto::storage::{Arrival, ErasedArrival};

use super::Gathering;
use crate::dicom::blocking;
use crate::dicom::senders::{Acting, is_barred};
use crate::dicom::telling::count_series;

/// How often storage is asked whether anything else was erased.
const ASKS_MS: i64 = 2000;
/// Series that are looked at in one go: what comes waits meanwhile.
const LOOKS_MAX: usize = 16;

impl Gathering {
    /// Removes the series that may not come back, also those that something was made of. Each is looked at once, and again when something of
    /// it has come or something else was erased; where nothing ever was, none is.
    pub(super) async fn drop_erased(&mut self, now_ms: i64) -> Result<()> {
        if self.series.is_empty() || now_ms < self.asks_ms {
            return Ok(());
        }
        self.asks_ms = now_ms + ASKS_MS;
        let acting = match self.reception.acting(&self.sender).await {
            // Of whoever may not send any more nothing can become a scan.
            Err(error) if is_barred(&error) => return Ok(()),
            acting => acting?,
        };
        let uploads = &self.reception.uploads;
        let version = uploads.find_erased(Vec::new(), &acting.token).await?.version;
        if version.is_empty() {
            return Ok(());
        }
        let to_look = self.series.iter();
        let to_look = to_look.filter(|(_, known)| !known.in_hand && known.looked != version);
        let to_look: Vec<String> = to_look.map(|(series, _)| series.clone()).collect();
        let is_more = to_look.len() > LOOKS_MAX;
        for series in to_look.into_iter().take(LOOKS_MAX) {
            let Some((arrival, instances)) = self.lying(&series, &acting).await? else { continue };
            let uploads = &self.reception.uploads;
            if uploads.erased_by(&arrival, &acting.token).await?.is_some() {
                let told = ErasedArrival { arrival: Some(arrival), instances, dropped: true };
                // Where it came from, as the audit trail says it of scans.
                let asked = Circumstances::new(self.sender.title().to_owned(), String::new());
                trail::asked(asked, uploads.note_erased(told, &acting.token)).await?;
                self.remove(series).await?;
                tracing::warn!(
                    calling = self.sender.title(),
                    instances,
                    "instances of an erased patient were dropped"
                );
            } else if let Some(known) = self.series.get_mut(&series) {
                known.looked.clone_from(&version);
            }
        }
        if is_more {
            self.asks_ms = now_ms;
        }
        Ok(())
    }

    /// What the first of the series' instances says of them all, and how many they are; None: that cannot be told now.
    async fn lying(&self, series: &str, acting: &Acting) -> Result<Option<(Arrival, u64)>> {
        let (inbox, folder, of) =
            (self.reception.inbox.clone(), self.sender.folder.clone(), series.to_owned());
        let looked =
            blocking(move || Ok((inbox.held(&folder, &of)?, inbox.oldest_ms(&folder, &of)?)));
        let (held, oldest_ms) = looked.await?;
        let Some(first) = held.first() else { return Ok(Some((Arrival::default(), 0))) };
        let decoder = self.reception.uploads.decoder.of(acting.tenant);
        let arrival = match decoder.instance(&first.path).await? {
            Ok(told) => Arrival {
                patient: told.patient,
                study_uid: told.study,
                series_uid: told.series,
                original_sha256: String::new(),
                received_ms: oldest_ms.unwrap_or_default(),
            },
            // Mostly that is the machine's fault.
            Err(refusal) if refusal.problem == RefusalReason::TooLarge => return Ok(None),
            // Nobody knows whose it is, and it can become no scan.
            Err(_) => Arrival::default(),
        };
        Ok(Some((arrival, held.len() as u64)))
    }

    async fn remove(&mut self, series: String) -> Result<()> {
        let (inbox, folder, of) =
            (self.reception.inbox.clone(), self.sender.folder.clone(), series.clone());
        blocking(move || inbox.remove(&folder, &of)).await?;
        self.series.remove(&series);
        count_series("erased");
        Ok(())
    }
}
