//! What nobody may delete, by hand or by age, until the hold is taken back: a scan, or all that there is and will be of a patient.

use std::str::FromStr;

use domain::{Error, ErrorKind, HoldId, Identity, Result, ScanId, TenantId, rfc3339};
use platform::db::{BindId, Run, Unit, failed};
use platform::trail::{self, DETAIL_CHARS};
use proto::storage::{Hold, HoldChange, Holds, Whose};
use service::claims::{Claims, Tenant};
use sqlx::FromRow;

use crate::audit::{self, Entry};
use crate::deletion::require_deleted;
use crate::erasures::require_unnamed;
use crate::jobs::name_of;
use crate::scans::of_tenant;
use crate::store::Store;

/// More than anybody can keep an eye on.
const HOLDS_MAX: i64 = 1000;
const REASON_CHARS_MAX: usize = 1000;

/// Whom a request is about.
#[derive(Clone)]
pub enum Subject {
    Scan(ScanId),
    /// As the binding has it: number and issuer.
    Patient(String),
}

/// A hold, as it is kept.
#[derive(Clone, FromRow)]
struct Row {
    id: String,
    scan_id: Option<String>,
    reason: String,
    name: String,
    placed_ms: i64,
}

impl Row {
    fn told(self, held: bool) -> Hold {
        let Row { id, scan_id, reason, name, placed_ms } = self;
        let scan_id = scan_id.unwrap_or_default();
        Hold { id, scan_id, reason, placed_by: name, placed_ms, held }
    }

    /// Of a scan the entry names the scan, of a patient the hold: a patient's number is in no entry.
    fn object(&self) -> String {
        self.scan_id.clone().unwrap_or_else(|| self.id.clone())
    }

    /// Whose it was, since when and why, in as many details of entries as that takes.
    fn details(&self) -> Vec<String> {
        let since = rfc3339(self.placed_ms).unwrap_or_default();
        let said: Vec<char> = format!("{}, {since}: {}", self.name, self.reason).chars().collect();
        said.chunks(DETAIL_CHARS).map(|part| part.iter().collect()).collect()
    }
}

impl Subject {
    /// `Invalid` unless either a scan is named or a patient.
    pub fn of(whose: Option<Whose>) -> Result<Subject> {
        let Whose { patient_id, issuer, scan_id } = whose.unwrap_or_default();
        if !scan_id.is_empty() {
            return match patient_id.is_empty() && issuer.is_empty() {
                true => Ok(Subject::Scan(ScanId::from_str(&scan_id)?)),
                false => Err(ErrorKind::Invalid.error("a scan is named or a patient, not both")),
            };
        }
        let said = Identity {
            patient_id: Some(patient_id),
            issuer_of_patient_id: Some(issuer),
            ..Identity::default()
        };
        said.patient_key()
            .map(Subject::Patient)
            .ok_or_else(|| ErrorKind::Invalid.error("neither a scan nor a patient is named"))
    }

    /// What the two columns hold.
    fn columns(&self) -> (Option<String>, String) {
        match self {
            Subject::Scan(scan) => (Some(scan.to_string()), String::new()),
            Subject::Patient(patient) => (None, patient.clone()),
        }
    }
}

impl Store {
    /// All holds of the hospital, oldest first.
    pub async fn holds(&self, tenant: Tenant) -> Result<Holds> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, scan_id, reason, name, placed_ms FROM holds WHERE tenant_id = ? ORDER BY id",
        )
        .id(tenant)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        Ok(Holds { holds: rows.into_iter().map(|row| row.told(true)).collect() })
    }

    /// Places a hold, or takes it back. `NOT_FOUND` for a scan that there is not.
    pub async fn set_hold(&self, claims: &Claims, change: HoldChange) -> Result<Hold> {
        let subject = Subject::of(change.whose)?;
        let reason = if change.held { reason(&change.reason)? } else { String::new() };
        let tenant = claims.tenant().id();
        let patient = match &subject {
            Subject::Patient(patient) => Some(patient.clone()),
            Subject::Scan(scan) => {
                of_tenant(self.database.pool(), tenant, *scan).await?;
                self.patient_of(tenant, *scan).await?
            }
        };
        require_unnamed(&reason, patient.as_deref())?;
        audit::begin(&self.database, tenant).await?;
        let new = Row {
            id: HoldId::new(&self.clock, &self.random).to_string(),
            scan_id: subject.columns().0,
            reason,
            name: name_of(claims),
            placed_ms: self.clock.now_ms(),
        };
        let (by, held) = (claims.subject.clone(), change.held);
        self.unit(Some(tenant), move |_, unit| {
            Box::pin(async move {
                if held {
                    place(unit, tenant, &by, &subject, new).await
                } else {
                    take_back(unit, tenant, &by, &subject, new).await
                }
            })
        })
        .await
    }

    /// Notes that somebody wanted to delete what is held, where that is why it was refused; the refusal itself.
    pub async fn refused(&self, tenant: TenantId, by: String, object: String, why: Error) -> Error {
        if why.kind() != ErrorKind::Conflict {
            return why;
        }
        let noted = self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let (at_ms, subject, action) = (store.clock.now_ms(), by.as_str(), "hold.refused");
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await
            })
        });
        // What nobody can look up later is not said to be refused.
        noted.await.err().unwrap_or(why)
    }
}

/// The audit entry comes first: it holds the hospital's chain until the unit ends, so that a deletion comes before the hold or after it.
async fn place(
    unit: &mut Unit,
    tenant: TenantId,
    by: &str,
    subject: &Subject,
    new: Row,
) -> Result<Hold> {
    let (action, at_ms, object) = ("hold.placed", new.placed_ms, new.object());
    audit::append(unit, Entry { tenant, at_ms, subject: by, action, object }).await?;
    if let Subject::Scan(scan) = subject
        && require_deleted(&mut **unit, tenant, *scan).await.is_ok()
    {
        return Err(ErrorKind::NotFound.error("no such scan"));
    }
    if let Some(there) = find(unit, tenant, subject).await? {
        note_former(unit, tenant, by, ("hold.replaced", new.placed_ms), &there).await?;
        sqlx::query(
            "UPDATE holds SET reason = ?, placed_by = ?, name = ?, placed_ms = ? WHERE tenant_id = ? AND id = ?",
        )
        .bind(new.reason.clone())
        .bind(by.to_owned())
        .bind(new.name.clone())
        .bind(new.placed_ms)
        .id(tenant)
        .bind(there.id.clone())
        .run(unit)
        .await?;
        return Ok(Row { id: there.id, ..new }.told(true));
    }
    require_room(unit, tenant).await?;
    let (scan_id, patient) = subject.columns();
    sqlx::query(
        "INSERT INTO holds (tenant_id, id, scan_id, patient, reason, placed_by, name, placed_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(new.id.clone())
    .bind(scan_id)
    .bind(patient)
    .bind(new.reason.clone())
    .bind(by.to_owned())
    .bind(new.name.clone())
    .bind(new.placed_ms)
    .run(unit)
    .await?;
    Ok(new.told(true))
}

async fn take_back(
    unit: &mut Unit,
    tenant: TenantId,
    by: &str,
    subject: &Subject,
    new: Row,
) -> Result<Hold> {
    let Some(there) = find(unit, tenant, subject).await? else { return Ok(new.told(false)) };
    note_former(unit, tenant, by, ("hold.taken_back", new.placed_ms), &there).await?;
    sqlx::query("DELETE FROM holds WHERE tenant_id = ? AND id = ?")
        .id(tenant)
        .bind(there.id.clone())
        .run(unit)
        .await?;
    Ok(there.told(false))
}

/// Keeps in the audit trail what a hold was that is one no more. A long reason takes several entries.
async fn note_former(
    unit: &mut Unit,
    tenant: TenantId,
    subject: &str,
    (action, at_ms): (&str, i64),
    former: &Row,
) -> Result<()> {
    for detail in former.details() {
        let (object, detail) = (former.object(), detail.as_str());
        let entry = trail::Entry { tenant, at_ms, subject, action, object, detail };
        trail::append(unit, entry).await?;
    }
    Ok(())
}

async fn find(unit: &mut Unit, tenant: TenantId, subject: &Subject) -> Result<Option<Row>> {
    let (scan_id, patient) = subject.columns();
    // MySQL's own comparison takes `ab` for `AB `: the bytes decide.
    sqlx::query_as(
        "SELECT id, scan_id, reason, name, placed_ms FROM holds
         WHERE tenant_id = ? AND COALESCE(scan_id, '') = ? AND HEX(patient) = HEX(?)",
    )
    .id(tenant)
    .bind(scan_id.unwrap_or_default())
    .bind(patient)
    .fetch_optional(&mut **unit)
    .await
    .map_err(failed)
}

async fn require_room(unit: &mut Unit, tenant: TenantId) -> Result<()> {
    let holds: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM holds WHERE tenant_id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)?;
    if holds < HOLDS_MAX {
        return Ok(());
    }
    Err(ErrorKind::Exhausted
        .error(format!("{HOLDS_MAX} holds are kept of one hospital: take one back first")))
}

/// `Conflict` where the scan or its patient is held. While its identity is there: it says whose it is.
pub async fn require_free(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<()> {
    let holds: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM holds WHERE tenant_id = ? AND (scan_id = ? OR (patient <> '' AND HEX(patient) IN
             (SELECT HEX(patient) FROM identities WHERE tenant_id = ? AND scan_id = ?)))",
    )
    .id(tenant)
    .id(scan)
    .id(tenant)
    .id(scan)
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)?;
    free(holds)
}

/// The same of a patient, whatever there is of them.
pub async fn require_patient_free(unit: &mut Unit, tenant: TenantId, patient: &str) -> Result<()> {
    let holds: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM holds WHERE tenant_id = ? AND patient <> '' AND HEX(patient) = HEX(?)",
    )
    .id(tenant)
    .bind(patient.to_owned())
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)?;
    free(holds)
}

fn free(holds: i64) -> Result<()> {
    if holds == 0 {
        return Ok(());
    }
    Err(ErrorKind::Conflict.error(
        "this scan, or its patient, is under a legal hold: it is kept until an administrator takes the hold back",
    ))
}

/// The reason without padding; `Invalid` without one.
pub fn reason(said: &str) -> Result<String> {
    let reason = said.trim();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        return Err(ErrorKind::Invalid
            .error(format!("a reason is needed, in 1 to {REASON_CHARS_MAX} characters")));
    }
    Ok(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(patient_id: &str, issuer: &str, scan_id: &str) -> Option<Whose> {
        let [patient_id, issuer, scan_id] = [patient_id, issuer, scan_id].map(str::to_owned);
        Some(Whose { patient_id, issuer, scan_id })
    }

    #[test]
    fn what_a_hold_was_fits_into_entries_whole() {
        let (id, name, reason) = ("h".to_owned(), "ada".to_owned(), "é".repeat(1000));
        let hold = Row { id, scan_id: None, reason, name, placed_ms: 0 };
        let details = hold.details();
        assert!(details.iter().all(|detail| detail.chars().count() <= DETAIL_CHARS));
        let told = format!("ada, 1970-01-01T00:00:00.000Z: {}", hold.reason);
        assert_eq!(details.concat(), told);
    }

    #[test]
    fn a_request_names_a_scan_or_a_patient_as_the_binding_does() {
        let id = "01890000-0000-7000-8000-000000000001";
        assert!(matches!(Subject::of(whose("", "", id)), Ok(Subject::Scan(_))));
        for (patient_id, issuer, patient) in [(" 4711 ", "", "4711"), ("4711", "A", "A\\4711")] {
            let subject = Subject::of(whose(patient_id, issuer, "")).unwrap();
            assert_eq!(subject.columns(), (None, patient.to_owned()));
        }
        for none in [None, whose("", "A", ""), whose("UNKNOWN", "", ""), whose("4711", "", id)] {
            assert_eq!(Subject::of(none).err().map(|error| error.kind()), Some(ErrorKind::Invalid));
        }
        assert_eq!(reason(" a court asks ").unwrap(), "a court asks");
        assert!(reason(" ").is_err() && reason(&"x".repeat(1001)).is_err());
    }
}
