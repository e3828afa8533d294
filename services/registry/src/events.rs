//! Who did what, and why.

use domain::Result;
use platform::db::{Run, Unit, failed};
use proto::registry as wire;
use uuid::Builder;

use crate::store::Store;
use crate::versions::Version;

const DEFAULT_LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// Adds an entry, as part of `unit`: what was done, at which kind of image (empty: any), and by whom.
pub async fn append(
    store: &Store,
    unit: &mut Unit,
    (action, image_kind): (&str, &str),
    subject: &str,
    of: &Version,
    reason: &str,
) -> Result<()> {
    let at_ms = store.clock.now_ms();
    let ms = u64::try_from(at_ms).unwrap_or_default();
    let id = Builder::from_unix_timestamp_millis(ms, &store.random.bytes()).into_uuid();
    sqlx::query(
        "INSERT INTO events (id, at_ms, subject, action, image_kind, name, version, reason)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(id.to_string())
    .bind(at_ms)
    .bind(subject)
    .bind(action)
    .bind(image_kind)
    .bind(&of.name)
    .bind(&of.version)
    .bind(reason)
    .run(unit)
    .await
    .map(drop)
}

type Row = (i64, String, String, String, String, String, String);

/// The newest entries of a model, or of all.
pub async fn list(store: &Store, name: &str, limit: u32) -> Result<Vec<wire::Event>> {
    let limit = if limit == 0 { DEFAULT_LIMIT } else { limit.min(LIMIT_MAX) };
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT at_ms, subject, action, image_kind, name, version, reason FROM events
         WHERE name = ? OR ? = '' ORDER BY id DESC LIMIT ?",
    )
    .bind(name)
    .bind(name)
    .bind(i64::from(limit))
    .fetch_all(store.database.pool())
    .await
    .map_err(failed)?;
    let event = |(at_ms, subject, action, image_kind, name, version, reason)| wire::Event {
        at_ms,
        subject,
        action,
        image_kind,
        name,
        version,
        reason,
    };
    Ok(rows.into_iter().map(event).collect())
}
