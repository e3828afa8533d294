//! What all doors share by which instances come one by one: where they wait, and what their series become.

use std::sync::Arc;

use domain::{Clock, Result};
use service::Turns;
use service::claims::Verifier;

use super::callers::Callers;
use super::inbox::Inbox;
use super::senders::{Acting, Sender};
use crate::decoder::Party;
use crate::upload::Uploads;

pub struct Reception {
    pub inbox: Inbox,
    pub uploads: Uploads,
    pub verifier: Verifier,
    pub clock: Clock,
    /// What a series may have in all.
    pub upload_bytes: u64,
    pub quiet_ms: i64,
    pub kept_ms: i64,
    /// One sender of each folder of the table; none where scanners are not listened to.
    pub table: Vec<Arc<Sender>>,
    pub callers: Callers,
    /// The hospitals' turns at putting instances into the inbox together: while they do, files of each are open.
    pub keeping: Turns<Party>,
}

impl Reception {
    /// In whose name that sender acts, as [`Sender::acting`] says it. What it sends takes its hospital's room from then on.
    pub async fn acting(&self, sender: &Sender) -> Result<Acting> {
        let acting = sender.acting(&self.verifier).await?;
        self.inbox.belongs(&sender.folder, acting.tenant);
        Ok(acting)
    }

    /// Whoever may have sent something.
    pub fn senders(&self) -> Vec<Arc<Sender>> {
        let mut all = self.table.clone();
        all.extend(self.callers.all());
        all
    }
}
