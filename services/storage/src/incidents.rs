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
use crate::erasures::require_not_erased;
use crate::event;
use crate::jobs::name_of;
use crate::list::{cursor_id, page_of, page_rows};
use crate::scans::of_tenant;
use crate::store::Store;

/// How much one reporter may say: more than anybody has to, and less than fills a disk.
#[derive(Clone, Copy)]
pub struct Pace {
    pub reports: i64,
    pub within_ms: i64,
    /// What is said to whoever has said so much, behind the number.
    pub beyond: &'static str,
}

const OF_A_PERSON: Pace = Pace {
    reports: 20,
    within_ms: 3_600_000,
    beyond: "reports within an hour are kept of one person: tell the rest to whoever runs this system",
};

/// Who reports, and in whose name they are listed.
pub struct Reporter {
    pub id: String,
    pub name: String,
    pub pace: Pace,
}

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
    /// 0 or 1.
    by_link: i64,
}

/// What is reported, with what is known of it.
pub struct Report {
    pub words: String,
    /// None: it is about the system.
    pub scan_id: Option<String>,
    pub from_patient: bool,
    pub by_link: bool,
}

impl Row {
    fn told(self) -> Incident {
        let Row { id, scan_id, reported_ms, reporter, words, from_patient, by_link } = self;
        Incident {
            id,
            reported_ms,
            reporter,
            words,
            scan_id: scan_id.unwrap_or_default(),
            from_patient: from_patient != 0,
            by_link: by_link != 0,
        }
    }
}

impl Store {
    /// Keeps what a user reports: see [`keep_report`](Store::keep_report).
    pub async fn report(&self, claims: &Claims, new: NewIncident) -> Result<Incident> {
        let words = checked(new.words)?;
        let tenant = claims.tenant().id();
        let scan_id = self.scan_reported(tenant, &new.scan_id).await?;
        let report = Report { words, scan_id, from_patient: new.from_patient, by_link: false };
        let (id, name) = (claims.subject.clone(), name_of(claims));
        self.keep_report(tenant, Reporter { id, name, pace: OF_A_PERSON }, report).await
    }

    /// The scan that something is reported of; None where that is the system.
    pub async fn scan_reported(&self, tenant: TenantId, scan_id: &str) -> Result<Option<String>> {
        if scan_id.is_empty() {
            return Ok(None);
        }
        let scan = ScanId::from_str(scan_id)?;
        Ok(Some(of_tenant(self.database.pool(), tenant, scan).await?.id))
    }

    /// Keeps a report, tells those who listen that there is one, and notes it in the audit trail, in one unit.
    ///
    /// `Exhausted` for whoever has reported as much as their pace allows.
    pub async fn keep_report(
        &self,
        tenant: TenantId,
        reporter: Reporter,
        report: Report,
    ) -> Result<Incident> {
        audit::begin(&self.database, tenant).await?;
        let Report { words, scan_id, from_patient, by_link } = report;
        let row = Row {
            id: IncidentId::new(&self.clock, &self.random).to_string(),
            scan_id,
            reported_ms: self.clock.now_ms(),
            reporter: reporter.name.clone(),
            words,
            from_patient: from_patient.into(),
            by_link: by_link.into(),
        };
        let (kept, traceparent) = (row.clone(), trace::traceparent());
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                store.insert_incident(unit, tenant, &reporter, kept, &traceparent).await
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
        reporter: &Reporter,
        row: Row,
        traceparent: &str,
    ) -> Result<()> {
        let subject = reporter.id.as_str();
        let (at_ms, action, object) = (row.reported_ms, "incident.reported", row.id.clone());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        require_not_erased(unit, tenant, row.scan_id.as_deref()).await?;
        paced(unit, tenant, reporter, at_ms).await?;
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
            "SELECT id, scan_id, reported_ms, reporter, words, from_patient, by_link FROM incidents
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
pub fn checked(words: String) -> Result<String> {
    let words = words.trim();
    let count = words.chars().count();
    if (1..=INCIDENT_CHARS_MAX).contains(&count) {
        return Ok(words.to_owned());
    }
    Err(ErrorKind::Invalid
        .error(format!("a report has 1 to {INCIDENT_CHARS_MAX} characters; this one has {count}")))
}

async fn paced(unit: &mut Unit, tenant: TenantId, reporter: &Reporter, now_ms: i64) -> Result<()> {
    let Pace { reports, within_ms, beyond } = reporter.pace;
    let reported: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM incidents WHERE tenant_id = ? AND reporter_id = ? AND reported_ms > ?",
    )
    .id(tenant)
    .bind(reporter.id.clone())
    .bind(now_ms - within_ms)
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)?;
    if reported < reports {
        return Ok(());
    }
    Err(ErrorKind::Exhausted.error(format!("{reports} {beyond}")))
}

async fn insert(unit: &mut Unit, tenant: TenantId, reporter_id: &str, row: Row) -> Result<()> {
    sqlx::query(
        "INSERT INTO incidents (tenant_id, id, scan_id, reported_ms, reporter_id, reporter, words, from_patient,
             by_link)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.id)
    .bind(row.scan_id)
    .bind(row.reported_ms)
    .bind(reporter_id.to_owned())
    .bind(row.reporter)
    .bind(row.words)
    .bind(row.from_patient)
    .bind(row.by_link)
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
