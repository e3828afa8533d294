use std::path::Path;
use std::time::Duration;

use domain::{PartialUploadId, Result, TenantId};
use service::Worker;

use super::facts::{Facts, Place, in_folder};
use super::{Partials, blocking};
use crate::spool::folders;

/// How often it is looked for what has expired.
const PAUSE: Duration = Duration::from_secs(600);

/// Removes what nobody goes on with, again and again.
pub fn sweep(partials: Partials) -> Worker {
    Worker::new("unfinished uploads", move |stop| async move {
        while !stop.is_cancelled() {
            let sweeping = partials.clone();
            if let Err(error) = blocking(move || sweeping.remove_expired()).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not remove expired uploads"
                );
            }
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
        Ok(())
    })
}

impl Partials {
    /// Removes all that has expired and that nobody has in hand. Blocks.
    pub(super) fn remove_expired(&self) -> Result<()> {
        for tenant in folders(&self.folder)? {
            let Some(id) = tenant.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
                continue;
            };
            for facts in [Place::open(&tenant), Place::closed(&tenant)] {
                for path in in_folder(&facts)? {
                    self.remove_if_expired(id, &path)?;
                }
            }
        }
        Ok(())
    }

    fn remove_if_expired(&self, tenant: TenantId, facts: &Path) -> Result<()> {
        let id = facts.file_stem().and_then(|name| name.to_str()?.parse::<PartialUploadId>().ok());
        // What was removed meanwhile, or is not ours, is none of ours.
        let (Some(id), Ok(Some(known))) = (id, Facts::load(facts)) else { return Ok(()) };
        if self.is_expired(&known) { self.remove_idle(id, &self.place(tenant, id)) } else { Ok(()) }
    }
}
