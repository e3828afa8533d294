//! The rows of feedback. They are inserted and read, and nothing here changes or deletes one.

use domain::feedback::{JudgedFinding, Reason, ReviewState, Truth, Verdict, Word};
use domain::{ErrorKind, FeedbackId, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::events::ModelIdentity;
use proto::storage::FeedbackEntry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service::wire;
use sqlx::{Any, Executor, FromRow};

use super::review::{self, Opinion, state_of};

/// What one reader said, as it is kept.
#[derive(Clone, Debug, FromRow)]
pub struct Row {
    pub id: String,
    pub scan_id: String,
    pub position: i64,
    pub reader_id: String,
    pub reader: String,
    pub given_ms: i64,
    pub verdict: String,
    pub truth: String,
    pub reason: String,
    pub note: String,
    pub findings_json: String,
    pub missed_json: String,
    pub mask_name: String,
    pub dice: Option<f64>,
    pub model_name: String,
    pub model_version: String,
    pub model_sha256: String,
    pub supersedes: String,
    pub adjudicates_json: String,
}

/// What [`Row`] is read from.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, scan_id, position, reader_id, reader, given_ms, verdict, truth, reason, note,
                findings_json, missed_json, mask_name, dice, model_name, model_version, model_sha256,
                supersedes, adjudicates_json
             FROM feedback ",
            $rest
        )
    };
}

impl Row {
    pub fn verdict(&self) -> Result<Verdict> {
        Verdict::named(&self.verdict).ok_or_else(unreadable)
    }

    pub fn truth(&self) -> Result<Option<Truth>> {
        optional(&self.truth, Truth::named)
    }

    /// The ids of the words that it settles.
    pub fn adjudicates(&self) -> Result<Vec<String>> {
        read(&self.adjudicates_json)
    }

    /// What the reader makes of single findings.
    pub fn findings(&self) -> Result<Vec<JudgedFinding>> {
        read(&self.findings_json)
    }

    /// Why the reader does not agree with findings: by its name, once for each of which they say so.
    pub fn finding_reasons(&self) -> Result<Vec<String>> {
        let reasons = self.findings()?.into_iter().filter_map(|finding| finding.reason);
        Ok(reasons.map(|reason| reason.name().to_owned()).collect())
    }

    fn opinion(&self) -> Result<Opinion<'_>> {
        Ok(Opinion {
            id: &self.id,
            reader: &self.reader_id,
            verdict: self.verdict()?,
            truth: self.truth()?,
            adjudicates: self.adjudicates()?,
        })
    }

    fn word(&self) -> Result<Word> {
        Ok(Word {
            verdict: self.verdict()?,
            truth: self.truth()?,
            reason: optional(&self.reason, Reason::named)?,
            note: self.note.clone(),
            findings: self.findings()?,
            missed: read(&self.missed_json)?,
            adjudicates: self.adjudicates()?,
        })
    }

    /// As whoever may see it is told of it.
    pub fn entry(&self) -> Result<FeedbackEntry> {
        Ok(FeedbackEntry {
            word: Some(wire::word(self.word()?)),
            id: self.id.clone(),
            scan_id: self.scan_id.clone(),
            reader: self.reader.clone(),
            given_ms: self.given_ms,
            has_mask: !self.mask_name.is_empty(),
            dice: self.dice,
            model: self.model(),
            supersedes: self.supersedes.clone(),
            repeated: false,
        })
    }

    pub fn model(&self) -> Option<ModelIdentity> {
        if self.model_name.is_empty() {
            return None;
        }
        Some(ModelIdentity {
            name: self.model_name.clone(),
            version: self.model_version.clone(),
            sha256: self.model_sha256.clone(),
        })
    }
}

/// Of which the column is empty where it is not said.
fn optional<T>(name: &str, named: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
    if name.is_empty() {
        return Ok(None);
    }
    named(name).map(Some).ok_or_else(unreadable)
}

fn unreadable() -> domain::Error {
    ErrorKind::Internal.error("stored feedback cannot be read")
}

/// The column of a list.
pub fn written(list: &impl Serialize) -> Result<String> {
    serde_json::to_string(list)
        .map_err(|error| ErrorKind::Internal.error("feedback cannot be written").because(error))
}

fn read<T: DeserializeOwned>(column: &str) -> Result<T> {
    serde_json::from_str(column).map_err(|error| unreadable().because(error))
}

/// All words about the scan, the newest first.
pub async fn of_scan(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    scan: ScanId,
) -> Result<Vec<Row>> {
    sqlx::query_as(select!("WHERE tenant_id = ? AND scan_id = ? ORDER BY position DESC"))
        .id(tenant)
        .id(scan)
        .fetch_all(executor)
        .await
        .map_err(failed)
}

/// The word of that id; None where there is none, or it is another hospital's.
pub async fn find(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    id: &str,
) -> Result<Option<Row>> {
    sqlx::query_as(select!("WHERE tenant_id = ? AND id = ?"))
        .id(tenant)
        .bind(id.to_owned())
        .fetch_optional(executor)
        .await
        .map_err(failed)
}

/// What the words come to, which are the newest first.
pub fn review(words: &[Row]) -> Result<ReviewState> {
    Ok(state_of(opinions(words)?))
}

/// Those of the words that count; all of them come the newest first.
pub fn counted(words: &[Row]) -> Result<Vec<&Row>> {
    let counted = review::counted(opinions(words)?);
    Ok(words.iter().filter(|word| counted.iter().any(|one| one.id == word.id)).collect())
}

fn opinions(words: &[Row]) -> Result<Vec<Opinion<'_>>> {
    words.iter().rev().map(Row::opinion).collect()
}

pub async fn insert(unit: &mut Unit, tenant: TenantId, row: &Row) -> Result<()> {
    let row = row.clone();
    sqlx::query(
        "INSERT INTO feedback (tenant_id, id, scan_id, position, reader_id, reader, given_ms, verdict, truth,
             reason, note, findings_json, missed_json, mask_name, dice, model_name, model_version,
             model_sha256, supersedes, adjudicates_json)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.id)
    .bind(row.scan_id)
    .bind(row.position)
    .bind(row.reader_id)
    .bind(row.reader)
    .bind(row.given_ms)
    .bind(row.verdict)
    .bind(row.truth)
    .bind(row.reason)
    .bind(row.note)
    .bind(row.findings_json)
    .bind(row.missed_json)
    .bind(row.mask_name)
    .bind(row.dice)
    .bind(row.model_name)
    .bind(row.model_version)
    .bind(row.model_sha256)
    .bind(row.supersedes)
    .bind(row.adjudicates_json)
    .run(unit)
    .await
    .map(drop)
}

/// Writes what follows from the words about a scan.
pub async fn set_review(
    unit: &mut Unit,
    tenant: TenantId,
    scan: ScanId,
    state: ReviewState,
    model_version: String,
    at_ms: i64,
) -> Result<()> {
    sqlx::query("UPDATE scans SET review = ?, model_version = ?, changed_ms = ? WHERE tenant_id = ? AND id = ?")
        .bind(state.name())
        .bind(model_version)
        .bind(at_ms)
        .id(tenant)
        .id(scan)
        .run(unit)
        .await
        .map(drop)
}

/// The feedback that the reader gave with that key, and the digest of all that came with it.
pub async fn keyed(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    key_sha256: &str,
) -> Result<Option<(String, String)>> {
    sqlx::query_as(
        "SELECT feedback_id, fingerprint FROM feedback_keys WHERE tenant_id = ? AND key_sha256 = ?",
    )
    .id(tenant)
    .bind(key_sha256.to_owned())
    .fetch_optional(executor)
    .await
    .map_err(failed)
}

pub async fn insert_key(
    unit: &mut Unit,
    tenant: TenantId,
    key_sha256: String,
    fingerprint: String,
    feedback: FeedbackId,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO feedback_keys (tenant_id, key_sha256, fingerprint, feedback_id) VALUES (?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(key_sha256)
    .bind(fingerprint)
    .id(feedback)
    .run(unit)
    .await
    .map(drop)
}
