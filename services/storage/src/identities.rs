//! Patients' identities: in a table of their own, and never read without an audit entry.

use std::str::FromStr;

use domain::{Result, ScanId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{AcceptHeader, ScanIdentity};
use service::claims::Claims;

use crate::audit::{self, Entry};
use crate::scans::of_tenant;
use crate::store::Store;

/// The length of the columns; longer values are never searched for.
const KEY_CHARS: usize = 190;

impl Store {
    /// The identity of the scan's patient. Answers only once the read is in the audit trail.
    ///
    /// `NOT_FOUND` in the same words for another tenant's scan and for one that never was; nothing is noted then.
    pub async fn identity(&self, claims: &Claims, id: &str) -> Result<ScanIdentity> {
        let scan = ScanId::from_str(id)?;
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        self.unit(move |store, unit| {
            Box::pin(async move {
                let scan_id = of_tenant(&mut **unit, tenant, scan).await?.id;
                let known: Option<(String, String)> = sqlx::query_as(
                    "SELECT identity_json, reference FROM identities WHERE tenant_id = ? AND scan_id = ?",
                )
                .id(tenant)
                .bind(&scan_id)
                .fetch_optional(&mut **unit)
                .await
                .map_err(failed)?;
                let (at_ms, action) = (store.clock.now_ms(), "scan.identity.read");
                let object = scan_id.clone();
                audit::append(unit, Entry { tenant, at_ms, subject: &subject, action, object }).await?;
                let (identity_json, reference) = known.unwrap_or_default();
                Ok(ScanIdentity { scan_id, identity_json, reference })
            })
        })
        .await
    }
}

/// Keeps what the upload says of the patient, as part of `unit`.
pub async fn insert(
    unit: &mut Unit,
    tenant: &str,
    scan: &str,
    header: &AcceptHeader,
) -> Result<()> {
    let AcceptHeader { patient, identity_json, reference, .. } = header;
    if [patient, identity_json, reference].into_iter().all(String::is_empty) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO identities (tenant_id, scan_id, patient, identity_json, patient_id, accession_number,
             study_uid, reference)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant)
    .bind(scan)
    .bind(patient)
    .bind(identity_json)
    .bind(key(&header.patient_id))
    .bind(key(&header.accession_number))
    .bind(key(&header.study_uid))
    .bind(key(reference))
    .run(unit)
    .await
    .map(drop)
}

fn key(value: &str) -> String {
    value.chars().take(KEY_CHARS).collect()
}
