//! What people report that went wrong: kept for good, told to whoever listens, and read by the hospital's admins.

use std::str::FromStr;

use domain::limits::INCIDENT_CHARS_MAX;
use domain::{ErrorKind, IncidentId, Result, ScanId, TenantId};
use metrics::counter;
use platform::db::{BindId, Run, Unit, failed};
use proto::events::IncidentReported;
use proto::storage::{Incident, IncidentPage, ListReported, NewIncident};
use service::claims::{Claims, Tenant};
use service::topics::INCIDENT_REPORTED;
use service::trace;
use sqlx::FromRow;

use crate::audit::{self, Entry};
use crate::event;
use crate::jobs::name_of;
use crate::list::{cursor_id, page_of, page_rows};
use crate::scans::of_tenant;
use crate::store::Store;

/// How much one person may report within [`PACE_MS`]: more than anybody has to say, and less than fills a disk.
const REPORTS_MAX: i64 = 20;
const PACE_MS: i64 = 3_600_000;

/// Both kinds, from the start: an alarm compares with what was before, and before the first there would be nothing.
pub const ABOUT: [&str; 2] = ["scan", "system"];

/// A report, as it is kept.
#[derive(Clone, FromRow)]
struct Row {
    id: String,
    scan_id: Option<String>,
    reported_ms: i64,
    reporter: String,
    words: String,
    /// 0 or 1.
    from_patient: i64,
}

impl Row {
    fn told(self) -> Incident {
        let Row { id, scan_id, reported_ms, reporter, words, from_patient } = self;
        let (scan_id, from_patient) = (scan_id.unwrap_or_default(), from_patient != 0);
        Incident { id, reported_ms, reporter, words, scan_id, from_patient }
    }
}

impl Store {
    /// Keeps a report, tells those who listen that there is one, and notes it in the audit trail, in one unit.
    ///
    /// `Exhausted` for whoever has reported too much within the hour.
    pub async fn report(&self, claims: &Claims, new: NewIncident) -> Result<Incident> {
        let words = checked(new.words)?;
        let tenant = claims.tenant().id();
        let scan_id = match &*new.scan_id {
            "" => None,
            id => {
                let scan = ScanId::from_str(id)?;
                Some(of_tenant(self.database.pool(), tenant, scan).await?.id)
            }
        };
        audit::begin(&self.database, tenant).await?;
        let row = Row {
            id: IncidentId::new(&self.clock, &self.random).to_string(),
            scan_id,
            reported_ms: self.clock.now_ms(),
            reporter: name_of(claims),
            words,
            from_patient: new.from_patient.into(),
        };
        let (kept, subject, traceparent) =
            (row.clone(), claims.subject.clone(), trace::traceparent());
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                store.insert_incident(unit, tenant, &subject, kept, &traceparent).await
            })
        })
        .await?;
        self.outbox.notify_one();
        counter!("medseg_incidents_total", "about" => about(&row)).increment(1);
        // Neither what they wrote nor who they are: whoever runs the system sees that there is something to read.
        tracing::warn!(incident.id = row.id, about = about(&row), "an incident was reported");
        Ok(row.told())
    }

    /// The audit entry comes first: it holds the hospital's chain until the unit ends, so that reports that come at once are
    /// counted one after another.
    async fn insert_incident(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        subject: &str,
        row: Row,
        traceparent: &str,
    ) -> Result<()> {
        let (at_ms, action, object) = (row.reported_ms, "incident.reported", row.id.clone());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        paced(unit, tenant, subject, at_ms).await?;
        let event = event::reported(
            IncidentReported {
                tenant_id: tenant.to_string(),
                incident_id: row.id.clone(),
                reported_ms: at_ms,
                scan_id: row.scan_id.clone(),
            },
            traceparent,
        )?;
        insert(unit, tenant, subject, row).await?;
        self.announce(unit, INCIDENT_REPORTED, &event).await
    }

    /// One page of what was reported, newest first.
    pub async fn incidents(&self, tenant: Tenant, list: &ListReported) -> Result<IncidentPage> {
        let limit = page_rows(list.limit);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, scan_id, reported_ms, reporter, words, from_patient FROM incidents
             WHERE tenant_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
        )
        .id(tenant)
        .bind(cursor_id::<IncidentId>(&list.cursor)?)
        .bind(i64::from(limit) + 1)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let (rows, next_cursor) = page_of(rows, limit, |row| &row.id);
        let incidents = rows.into_iter().map(Row::told).collect();
        Ok(IncidentPage { incidents, next_cursor })
    }
}

fn about(row: &Row) -> &'static str {
    let [scan, system] = ABOUT;
    if row.scan_id.is_some() { scan } else { system }
}

/// The words without padding.
fn checked(words: String) -> Result<String> {
    let words = words.trim();
    let count = words.chars().count();
    if (1..=INCIDENT_CHARS_MAX).contains(&count) {
        return Ok(words.to_owned());
    }
    Err(ErrorKind::Invalid
        .error(format!("a report has 1 to {INCIDENT_CHARS_MAX} characters; this one has {count}")))
}

async fn paced(unit: &mut Unit, tenant: TenantId, reporter_id: &str, now_ms: i64) -> Result<()> {
    let reported: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM incidents WHERE tenant_id = ? AND reporter_id = ? AND reported_ms > ?",
    )
    .id(tenant)
    .bind(reporter_id.to_owned())
    .bind(now_ms - PACE_MS)
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)?;
    if reported < REPORTS_MAX {
        return Ok(());
    }
    Err(ErrorKind::Exhausted.error(format!(
        "{REPORTS_MAX} reports within an hour are kept of one person: tell the rest to whoever runs this system"
    )))
}

async fn insert(unit: &mut Unit, tenant: TenantId, reporter_id: &str, row: Row) -> Result<()> {
    sqlx::query(
        "INSERT INTO incidents (tenant_id, id, scan_id, reported_ms, reporter_id, reporter, words, from_patient)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.id)
    .bind(row.scan_id)
    .bind(row.reported_ms)
    .bind(reporter_id.to_owned())
    .bind(row.reporter)
    .bind(row.words)
    .bind(row.from_patient)
    .run(unit)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_something_and_not_a_book() {
        let of = |count| "ß".repeat(count);
        for words in [of(1), of(INCIDENT_CHARS_MAX), format!("  {}\n", of(INCIDENT_CHARS_MAX))] {
            assert_eq!(checked(words.clone()).unwrap(), words.trim());
        }
        for words in [String::new(), " \n".to_owned(), of(INCIDENT_CHARS_MAX + 1)] {
            assert_eq!(checked(words).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
