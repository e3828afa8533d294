//! Observations and reports, by tenant.

use domain::{Answer, ErrorKind, Result};
use platform::db::{self, Database};
use service::claims::Tenant;

use crate::event::Completed;
use crate::report::{CompletedScan, Report, Window};

/// The newest scans that a report looks at; a window that holds more says that it was cut.
const WINDOW_SCANS_MAX: i64 = 20_000;

/// The longest texts that the columns of a model's name, of its version, of a kind of image, of a scanner and of a site hold.
pub const MODEL_CHARS_MAX: usize = 190;
pub const KIND_CHARS_MAX: usize = 32;
pub const SCANNER_CHARS_MAX: usize = 64;

#[derive(Clone)]
pub struct Store {
    pub database: Database,
}

impl Store {
    /// Keeps what an event tells; the same event again changes nothing.
    pub async fn observe(&self, done: &Completed) -> Result<()> {
        let seen = done.observation.as_ref();
        let model = seen.and_then(|seen| seen.model.as_ref());
        let kind = seen.and_then(|seen| seen.image_kind.as_ref());
        let scanner = seen.and_then(|seen| seen.scanner.as_ref());
        let inserted = sqlx::query(
            "INSERT INTO observations
                 (tenant_id, event_id, scan_id, answer, completed_ms, response_ms, observation,
                  model_name, model_version, image_kind, mask_fraction, scanner, site, confidence,
                  expected_dice, refusal)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(done.tenant.to_string())
        .bind(&done.event_id)
        .bind(done.scan.to_string())
        .bind(done.answer.name())
        .bind(done.completed_ms)
        .bind(done.response_ms)
        .bind(json(&done.observation)?)
        .bind(model.map(|model| clipped(&model.name, MODEL_CHARS_MAX)))
        .bind(model.map(|model| clipped(&model.version, MODEL_CHARS_MAX)))
        .bind(kind.map(|kind| clipped(kind, KIND_CHARS_MAX)))
        .bind(seen.and_then(|seen| seen.mask_fraction))
        .bind(scanner.map(|scanner| clipped(scanner, SCANNER_CHARS_MAX)))
        .bind(done.site.as_ref().map(|site| clipped(site, SCANNER_CHARS_MAX)))
        .bind(seen.and_then(|seen| seen.confidence))
        .bind(seen.and_then(|seen| seen.expected_dice))
        .bind(done.refusal.as_ref().map(|why| clipped(why, KIND_CHARS_MAX)))
        .execute(self.database.pool())
        .await
        .map_err(db::failed);
        once(inserted)?;
        self.forget_erased(done.tenant, done.scan).await
    }

    /// The scans that were completed from `from_ms` until before `to_ms`.
    pub async fn window(&self, tenant: Tenant, from_ms: i64, to_ms: i64) -> Result<Window> {
        let mut rows: Vec<(String, Option<i64>, String)> = sqlx::query_as(
            "SELECT answer, response_ms, observation FROM observations
             WHERE tenant_id = ? AND completed_ms >= ? AND completed_ms < ?
             ORDER BY completed_ms DESC LIMIT ?",
        )
        .bind(tenant.to_string())
        .bind(from_ms)
        .bind(to_ms)
        .bind(WINDOW_SCANS_MAX + 1)
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)?;
        let cut = rows.len() as i64 > WINDOW_SCANS_MAX;
        rows.truncate(WINDOW_SCANS_MAX as usize);
        let scans = rows.into_iter().map(completed).collect::<Result<_>>()?;
        Ok(Window { from_ms, to_ms, scans, cut })
    }

    /// Keeps `report` in the very words of `json`.
    pub async fn keep(&self, tenant: Tenant, report: &Report, json: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO reports (tenant_id, report_id, created_ms, report) VALUES (?, ?, ?, ?)",
        )
        .bind(tenant.to_string())
        .bind(&report.id)
        .bind(report.created_ms)
        .bind(json)
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(db::failed)
    }

    /// The words of a report; one of another tenant answers like one that never was.
    pub async fn report(&self, tenant: Tenant, id: &str) -> Result<String> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT report FROM reports WHERE tenant_id = ? AND report_id = ?")
                .bind(tenant.to_string())
                .bind(id)
                .fetch_optional(self.database.pool())
                .await
                .map_err(db::failed)?;
        let (json,) = row.ok_or_else(|| ErrorKind::NotFound.error("no such report"))?;
        Ok(json)
    }
}

/// The beginning of `text`: what is counted by it needs no more, and a longer one would be no row.
pub fn clipped(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

fn completed(
    (answer, response_ms, observation): (String, Option<i64>, String),
) -> Result<CompletedScan> {
    let (answer, observation) = (answered(&answer)?, parsed(&observation)?);
    Ok(CompletedScan { answer, response_ms, observation })
}

/// The answer that a row of observations holds.
pub fn answered(name: &str) -> Result<Answer> {
    Answer::named(name)
        .ok_or_else(|| ErrorKind::Internal.error(format!("observations.answer holds `{name}`")))
}

/// What an event tells is a row once: the same event again changes nothing.
pub fn once<T>(inserted: Result<T>) -> Result<()> {
    match inserted {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        inserted => inserted.map(drop),
    }
}

pub fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        ErrorKind::Internal.error("a row cannot be written as JSON").because(error)
    })
}

pub fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| ErrorKind::Internal.error("a row holds no JSON of ours").because(error))
}
