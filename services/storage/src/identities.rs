//! Patients' identities: in a table of their own, and told to nobody without an audit entry.

use std::str::FromStr;

use domain::identity::person;
use domain::limits::IDENTITY_BYTES_MAX;
use domain::{ErrorKind, Identity, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{AcceptHeader, Scan, ScanIdentity};
use service::claims::Claims;
use service::wire;

use crate::artefacts::sha256_of;
use crate::audit::{self, Entry, Reading};
use crate::scans::of_tenant;
use crate::store::Store;

const IDENTITY_READ: &str = "scan.identity.read";
/// The length of the columns; longer values are never searched for.
const KEY_CHARS: usize = 190;
const DAY_CHARS: usize = 8;

impl Store {
    /// The identity of the scan's patient. Answers only once the read is in the audit trail.
    ///
    /// Whoever asks puts it beside pixels or findings: `INTERNAL` where patient, scan and voxels are not those that were bound
    /// together when the scan was accepted.
    ///
    /// `NOT_FOUND` in the same words for another tenant's scan and for one that never was; nothing is noted then.
    pub async fn identity(&self, claims: &Claims, id: &str) -> Result<ScanIdentity> {
        self.identity_of(claims.tenant().id(), &claims.subject, id).await
    }

    /// The same for `subject`, who acts for that hospital: for callers whose tenant comes from a token, and for delivery.
    pub async fn identity_of(
        &self,
        tenant: TenantId,
        subject: &str,
        id: &str,
    ) -> Result<ScanIdentity> {
        let (scan, subject) = (ScanId::from_str(id)?, subject.to_owned());
        self.ask_ring(tenant).await;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move { store.tell(unit, tenant, &subject, scan, false).await })
        })
        .await
    }

    /// The same of several scans, in one unit. One that was deleted meanwhile is left out. The same by the same person within some minutes
    /// is one entry, and how often it was told again another: viewers ask for frame after frame.
    pub async fn identities_of(
        &self,
        tenant: TenantId,
        subject: &str,
        scans: Vec<ScanId>,
    ) -> Result<Vec<ScanIdentity>> {
        let (now_ms, subject) = (self.clock.now_ms(), subject.to_owned());
        let asked = scans.into_iter().map(|scan| {
            let object = scan.to_string();
            let reading = Reading::of(tenant, &subject, IDENTITY_READ, object, String::new());
            let is_noted = self.lately.again(&reading, now_ms);
            (scan, reading, is_noted)
        });
        let asked: Vec<(ScanId, Reading, bool)> = asked.collect();
        self.ask_ring(tenant).await;
        let telling = self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let (mut told, mut noted) = (Vec::with_capacity(asked.len()), Vec::new());
                for (scan, reading, is_noted) in asked {
                    match store.tell(unit, tenant, &subject, scan, is_noted).await {
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        identity => {
                            told.push(identity?);
                            noted.extend((!is_noted).then_some(reading));
                        }
                    }
                }
                Ok((told, noted))
            })
        });
        let (told, noted) = telling.await?;
        for reading in noted {
            self.lately.noted(reading, now_ms);
        }
        Ok(told)
    }

    /// The scan's identity, once it was compared and the reading is noted, as part of `unit`, unless it is noted already.
    async fn tell(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        subject: &str,
        scan: ScanId,
        is_noted: bool,
    ) -> Result<ScanIdentity> {
        let Scan { id: scan_id, volume_sha256, .. } = of_tenant(&mut **unit, tenant, scan).await?;
        let known: Option<(String, String, String)> = sqlx::query_as(
            "SELECT identity_json, reference, patient FROM identities WHERE tenant_id = ? AND scan_id = ?",
        )
        .id(tenant)
        .bind(scan_id.clone())
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)?;
        let (text, reference, patient) = known.unwrap_or_default();
        let found = binding(tenant, &scan_id, &volume_sha256, &patient);
        if found != bound(unit, tenant, &scan_id).await? {
            return Err(ErrorKind::Internal.error("a scan and its identity do not belong together"));
        }
        if !is_noted {
            let (at_ms, action, object) = (self.clock.now_ms(), IDENTITY_READ, scan_id.clone());
            audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        }
        let text = self.identity_text(&mut **unit, tenant, &scan_id, text).await?;
        let identity = read(&text)?.map(wire::identity);
        Ok(ScanIdentity { scan_id, reference, identity })
    }
}

/// What ties a patient to a scan and its voxels: fixed when the scan is accepted, and compared wherever they meet again.
pub fn binding(tenant: TenantId, scan: &str, volume_sha256: &str, patient: &str) -> String {
    sha256_of(&[&tenant.to_string(), scan, volume_sha256, patient])
}

/// The binding that was fixed.
async fn bound(unit: &mut Unit, tenant: TenantId, scan: &str) -> Result<String> {
    sqlx::query_scalar("SELECT binding FROM jobs WHERE tenant_id = ? AND scan_id = ?")
        .id(tenant)
        .bind(scan)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)
}

/// The row's text of what the upload says of the patient; empty: nothing.
///
/// JSON, as every version has written it: this service alone reads it, and its migrations look into it.
pub fn text(header: &AcceptHeader) -> Result<String> {
    let said = header.identity.clone().map(wire::identity_of);
    let text = said.as_ref().map(serde_json::to_string).transpose();
    let text = text
        .map_err(|error| ErrorKind::Internal.error("an identity cannot be written").because(error))?
        .unwrap_or_default();
    if text.len() > IDENTITY_BYTES_MAX {
        return Err(ErrorKind::Invalid.error("a field of the scan's header has no sound length"));
    }
    Ok(text)
}

/// What a row's text says of the patient; None: nothing.
pub fn read(text: &str) -> Result<Option<Identity>> {
    if text.is_empty() {
        return Ok(None);
    }
    // Without the cause: the words of the parser could quote it.
    serde_json::from_str(text)
        .map(Some)
        .map_err(|_| ErrorKind::Internal.error("a stored identity cannot be read"))
}

/// Keeps what the upload says of the patient, together with its [`text`], as part of `unit`.
pub async fn insert(
    unit: &mut Unit,
    tenant: &str,
    scan: &str,
    header: &AcceptHeader,
    [identity, kept]: &[String; 2],
) -> Result<()> {
    let AcceptHeader { patient, reference, .. } = header;
    if [patient, identity, reference].iter().all(|said| said.is_empty()) {
        return Ok(());
    }
    let said = read(identity)?.unwrap_or_default();
    let name = person(said.patient_name.as_deref());
    sqlx::query(
        "INSERT INTO identities (tenant_id, scan_id, patient, identity_json, patient_id, accession_number,
             study_uid, reference, patient_name, study_date)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant)
    .bind(scan)
    .bind(patient)
    .bind(kept)
    .bind(key(&header.patient_id))
    .bind(key(&header.accession_number))
    .bind(key(&header.study_uid))
    .bind(key(reference))
    .bind(key(&name))
    .bind(day(said.study_date.as_deref()))
    .run(unit)
    .await
    .map(drop)
}

fn key(value: &str) -> String {
    value.chars().take(KEY_CHARS).collect()
}

/// The day as YYYYMMDD; old files have points in it.
fn day(date: Option<&str>) -> String {
    date.unwrap_or_default().trim().replace('.', "").chars().take(DAY_CHARS).collect()
}
