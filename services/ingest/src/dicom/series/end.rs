//! The end of what a caller has sent: what can never be handed on is given up, and of whom nothing is left is forgotten.

use domain::Result;

use super::Gathering;
use crate::dicom::blocking;
use crate::dicom::senders::is_barred;
use crate::dicom::telling::count_series;

impl Gathering {
    /// Gives up what has lain here for as long as the instances of a scan are kept, where the token of the caller who sent it serves no
    /// more: their account is gone, or they have not come again. Nobody can hand it on, and it has room that others need.
    pub(super) async fn give_up(&mut self, now_ms: i64) -> Result<()> {
        let mut series = self.series.values();
        let waits = series.any(|known| known.tries > 0 && known.settled_ms.is_none());
        let is_stuck = self.sender.is_caller() && (waits || self.pauses > 0);
        if !is_stuck || !self.serves_no_more().await {
            return Ok(());
        }
        let until_ms = now_ms.saturating_sub(self.reception.kept_ms);
        let stuck = self.series.iter();
        let stuck = stuck.filter(|(_, known)| !known.in_hand && known.settled_ms.is_none());
        let stuck: Vec<String> = stuck.map(|(series, _)| series.clone()).collect();
        let (inbox, folder) = (self.reception.inbox.clone(), self.sender.folder.clone());
        let (arrived, given_up) = blocking(move || {
            let arrived = inbox.discard_arrived(&folder, until_ms)?;
            let mut given_up = Vec::new();
            for series in stuck {
                if inbox.newest_ms(&folder, &series)?.is_none_or(|came_ms| came_ms <= until_ms) {
                    inbox.remove(&folder, &series)?;
                    given_up.push(series);
                }
            }
            Ok((arrived, given_up))
        })
        .await?;
        for series in &given_up {
            self.series.remove(series);
            count_series("given_up");
        }
        if arrived > 0 || !given_up.is_empty() {
            tracing::error!(
                sender = self.sender.folder.as_str(),
                series = given_up.len(),
                instances_of_no_series = arrived,
                "what was stored by STOW-RS is given up: the account of its sender may send no more, or has not come again in time"
            );
        }
        Ok(())
    }

    async fn serves_no_more(&self) -> bool {
        let acting = self.sender.acting(&self.reception.verifier).await;
        acting.is_err_and(|error| is_barred(&error))
    }

    /// Whether a caller of whom nothing is here is forgotten now.
    pub(super) async fn has_retired(&self) -> bool {
        if !self.sender.is_caller() || !self.series.is_empty() || !self.working.is_empty() {
            return false;
        }
        let retired = self.reception.callers.retired(&self.reception.inbox, &self.sender).await;
        retired.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the empty folder of a caller was not removed"
            );
            false
        })
    }
}
