//! The event `scan.completed`, as delivery reads it.

use domain::{Answer, Error, ErrorKind, Result, ScanId, TenantId};
use proto::events::ScanCompleted;
use service::CloudEvent;
use service::topics::SCAN_COMPLETED;

/// Which scan is done.
#[derive(Clone, Debug)]
pub struct Completed {
    pub event_id: String,
    pub tenant: TenantId,
    pub scan: ScanId,
    pub answer: Answer,
}

impl Completed {
    pub fn parse(body: &[u8]) -> Result<Completed> {
        let event = CloudEvent::<ScanCompleted>::parse(SCAN_COMPLETED, body)?;
        let ScanCompleted { tenant, scan_id, answer, .. } = event.data;
        let answer = Answer::named(&answer)
            .ok_or_else(|| ErrorKind::Invalid.error(format!("no answer is `{answer}`")))?;
        Ok(Completed {
            event_id: event.id,
            tenant: tenant.parse().map_err(strange)?,
            scan: scan_id.parse().map_err(strange)?,
            answer,
        })
    }
}

fn strange(error: Error) -> Error {
    ErrorKind::Invalid.error("an event about no scan of a tenant").because(error)
}
