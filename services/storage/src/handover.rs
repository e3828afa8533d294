//! What delivery is handed, and what it writes into the audit trail: for a role of its own, which no hospital's account has.

use std::str::FromStr;

use domain::{ErrorKind, Result, ScanId, TenantId};
use platform::blob::ByteStream;
use proto::storage::{DeliveryAct, DeliveryNote, HandoverFile, HandoverRef, Scan};

use crate::artefacts;
use crate::audit::{self, Entry};
use crate::feedback::is_readers_mask;
use crate::scans::of_tenant;
use crate::store::Store;

/// What the columns of the audit trail hold.
const SUBJECT_CHARS_MAX: usize = 190;
const OBJECT_CHARS_MAX: usize = 36;

impl Store {
    /// The scan of that hospital.
    pub async fn handed_scan(&self, asked: &HandoverRef) -> Result<Scan> {
        let (tenant, scan) = (asked.tenant_id.parse()?, ScanId::from_str(&asked.scan_id)?);
        of_tenant(self.database.pool(), tenant, scan).await
    }

    /// How large one of its artefacts is, and its bytes.
    pub async fn handed_file(&self, asked: &HandoverFile) -> Result<(u64, ByteStream)> {
        let HandoverFile { tenant_id, scan_id, name } = asked;
        if !artefacts::is_plain(name) || is_readers_mask(name) {
            return Err(ErrorKind::NotFound.error("no such artefact"));
        }
        let (tenant, scan) = (tenant_id.parse()?, ScanId::from_str(scan_id)?);
        artefacts::read(self, tenant, scan, name).await
    }

    /// Appends what delivery tells to the hospital's audit trail.
    ///
    /// Told twice, it is there twice: delivery tells again where it has not heard that it was written, and an entry too many is better
    /// than one that is missing.
    pub async fn note_delivery(&self, note: DeliveryNote) -> Result<()> {
        let tenant: TenantId = note.tenant_id.parse()?;
        let action = action(note.act())?;
        let DeliveryNote { at_ms, subject, object_id, .. } = note;
        let fits = subject.chars().count() <= SUBJECT_CHARS_MAX
            && object_id.chars().count() <= OBJECT_CHARS_MAX;
        if !fits {
            return Err(ErrorKind::Invalid.error("a note of a delivery is longer than an entry"));
        }
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |_, unit| {
            Box::pin(async move {
                let entry = Entry { tenant, at_ms, subject: &subject, action, object: object_id };
                audit::append(unit, entry).await
            })
        })
        .await
    }
}

fn action(act: DeliveryAct) -> Result<&'static str> {
    match act {
        DeliveryAct::Delivered => Ok("delivery.delivered"),
        DeliveryAct::Failed => Ok("delivery.failed"),
        DeliveryAct::SentAgain => Ok("delivery.sent_again"),
        DeliveryAct::DestinationCreated => Ok("destination.created"),
        DeliveryAct::DestinationChanged => Ok("destination.changed"),
        DeliveryAct::DestinationRemoved => Ok("destination.removed"),
        DeliveryAct::Closed => Ok("delivery.closed"),
        DeliveryAct::Unspecified => Err(ErrorKind::Invalid.error("a note that says nothing")),
    }
}
