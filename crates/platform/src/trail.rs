//! The audit trail: one hash chain per tenant, kept in two tables (`audit`, `audit_heads`) of whichever service has something to
//! note, and what is known of whoever asks while it is noted.
//!
//! An entry holds the digest of the one before it, so that nothing can be changed, left out or put between without the rest being
//! made anew; [`verify`] finds where. That the rest was made anew shows what was written elsewhere: the heads, from time to time.

mod anchor;
mod asked;
mod reading;
mod verify;

use domain::{Result, TenantId, hex};
use sha2::{Digest, Sha256};

use crate::db::{BindId, Database, Run, Unit, failed};

pub use anchor::{Anchor, AnchorSignature, anchor_key, anchors};
pub use asked::{Asker, Circumstances, asked, asker, current, known, propagate, reason};
pub use reading::{Head, Row, Search, heads, page, stretch};
pub use verify::{Broken, Chain, verify};

/// What the columns hold.
const SUBJECT_CHARS: usize = 190;
const OBJECT_CHARS: usize = 36;
const TEXT_CHARS: usize = 190;
const REASON_CHARS: usize = 500;
/// What the detail of an entry holds: of a longer one, the rest is not kept.
pub const DETAIL_CHARS: usize = TEXT_CHARS;

/// An entry of the audit trail: who did what to what, never what is in it. From where, and why, the [`Circumstances`] say.
pub struct Entry<'a> {
    /// Whose trail it is.
    pub tenant: TenantId,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The user, API client or worker.
    pub subject: &'a str,
    /// What was done, such as `scan.accepted`.
    pub action: &'a str,
    /// The id of what it was done to; empty: nothing that has one.
    pub object: String,
    /// What else is to be said, in names of ours: which file, which rule. Empty: nothing.
    pub detail: &'a str,
}

/// Appends an entry to the tenant's hash chain, as part of `unit`: a change and its audit entry commit together.
pub async fn append(unit: &mut Unit, entry: Entry<'_>) -> Result<()> {
    let (position, previous) = next(unit, entry.tenant).await?;
    let row = Row::of(entry, position, previous);
    let tenant = row.tenant_id.clone();
    sqlx::query(
        "INSERT INTO audit (tenant_id, position, at_ms, subject, action, object_id, name, roles, origin, reason, detail,
             previous, sha256)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.tenant_id)
    .bind(row.position)
    .bind(row.at_ms)
    .bind(row.subject)
    .bind(row.action)
    .bind(row.object_id)
    .bind(row.name)
    .bind(row.roles)
    .bind(row.origin)
    .bind(row.reason)
    .bind(row.detail)
    .bind(row.previous)
    .bind(row.sha256.clone())
    .run(unit)
    .await?;
    sqlx::query("UPDATE audit_heads SET sha256 = ? WHERE tenant_id = ?")
        .bind(row.sha256)
        .bind(tenant)
        .run(unit)
        .await
        .map(drop)
}

/// The position of the next entry, and the digest of the one before it. Whoever asks holds the head until the unit ends, so that
/// the chain has one order.
async fn next(unit: &mut Unit, tenant: TenantId) -> Result<(i64, String)> {
    sqlx::query("UPDATE audit_heads SET position = position + 1 WHERE tenant_id = ?")
        .id(tenant)
        .run(unit)
        .await?;
    sqlx::query_as("SELECT position, sha256 FROM audit_heads WHERE tenant_id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)
}

/// Begins the tenant's chain, unless it has begun. Not as part of a unit: of several that begin it in the same moment, each
/// would wait for the others.
pub async fn begin(database: &Database, tenant: TenantId) -> Result<()> {
    let begun: Option<i64> =
        sqlx::query_scalar("SELECT position FROM audit_heads WHERE tenant_id = ?")
            .id(tenant)
            .fetch_optional(database.pool())
            .await
            .map_err(failed)?;
    if begun.is_some() {
        return Ok(());
    }
    let begun =
        sqlx::query("INSERT INTO audit_heads (tenant_id, position, sha256) VALUES (?, 0, '')")
            .id(tenant)
            .execute(database.pool())
            .await;
    match begun {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
        begun => begun.map(drop).map_err(failed),
    }
}

impl Row {
    /// The row of an entry, with what is known of whoever asks.
    fn of(entry: Entry<'_>, position: i64, previous: String) -> Row {
        let asked = current();
        let asker = asker().filter(|asker| asker.subject == entry.subject).unwrap_or_default();
        let mut row = Row {
            tenant_id: entry.tenant.to_string(),
            position,
            at_ms: entry.at_ms,
            subject: first(entry.subject, SUBJECT_CHARS),
            action: entry.action.to_owned(),
            object_id: first(&entry.object, OBJECT_CHARS),
            name: first(&asker.name, TEXT_CHARS),
            roles: first(&asker.roles, TEXT_CHARS),
            origin: asked
                .as_ref()
                .map(|asked| first(&asked.origin, TEXT_CHARS))
                .unwrap_or_default(),
            reason: asked.map(|asked| first(&asked.reason, REASON_CHARS)).unwrap_or_default(),
            detail: first(entry.detail, TEXT_CHARS),
            previous,
            sha256: String::new(),
        };
        row.sha256 = row.digest();
        row
    }

    /// The digest that the row should have. What earlier versions have written says nothing in the later columns, and has a digest
    /// without them.
    fn digest(&self) -> String {
        let (position, at_ms) = (self.position.to_string(), self.at_ms.to_string());
        let mut parts = vec![
            &self.previous,
            &self.tenant_id,
            &position,
            &at_ms,
            &self.subject,
            &self.action,
            &self.object_id,
        ];
        let later = [&self.name, &self.roles, &self.origin, &self.reason, &self.detail];
        if later.iter().any(|said| !said.is_empty()) {
            parts.extend(later);
        }
        digest_of(&parts)
    }
}

/// The digest of `parts`, each with its length, so that no two lists are the same text.
fn digest_of(parts: &[&String]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

fn first(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(origin: &str, detail: &str) -> Row {
        Row {
            tenant_id: "t".into(),
            position: 1,
            at_ms: 7,
            subject: "s".into(),
            action: "a".into(),
            object_id: "o".into(),
            origin: origin.into(),
            detail: detail.into(),
            ..Row::default()
        }
    }

    #[test]
    fn a_row_of_an_earlier_version_has_the_digest_that_it_was_written_with() {
        let parts = ["", "t", "1", "7", "s", "a", "o"].map(str::to_owned);
        assert_eq!(row("", "").digest(), digest_of(&parts.iter().collect::<Vec<_>>()));
    }

    #[test]
    fn whatever_a_row_says_is_in_its_digest_and_in_its_own_place() {
        let digests = [row("", ""), row("x", ""), row("", "x"), row("y", "")];
        let digests = digests.map(|row| row.digest());
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[at + 1..].contains(digest), "{at}");
        }
    }
}
