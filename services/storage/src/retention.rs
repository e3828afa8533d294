//! For how long a hospital keeps what: nothing is deleted by age before an admin has set a rule, and nothing that is held ever.

use std::str::FromStr;
use std::time::Duration;

use domain::{ErrorKind, Result, ScanId, TenantId};
use metrics::counter;
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{Retention, RetentionRule};
use service::Worker;
use service::claims::{Claims, Tenant};
use sqlx::FromRow;

use crate::audit::{self, Entry};
use crate::deletion::Order;
use crate::holds;
use crate::jobs::name_of;
use crate::store::Store;
use crate::stored;

/// What there are rules for.
pub const KINDS: [&str; 3] = ["scans", "originals", "incidents"];

const DAY_MS: i64 = 24 * 3_600_000;
/// A hundred years, which no law asks for.
const DAYS_MAX: u32 = 36_500;

/// In whose name what is too old is deleted.
const SUBJECT: &str = "retention";
const INTERVAL: Duration = Duration::from_secs(600);
/// What is deleted by one rule in one round: hospitals take turns.
const PER_ROUND: i64 = 200;

/// Scans `$of` that are old enough and not held: those would stand before all others for ever. A patient's number is compared as the
/// database does, which holds one too many rather than one too few.
macro_rules! old {
    ($of:literal) => {
        concat!(
            "SELECT s.id FROM scans s WHERE s.tenant_id = ? AND s.accepted_ms < ? AND s.state = 'done' AND ",
            $of,
            " AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.tenant_id = s.tenant_id AND (h.scan_id = s.id OR (h.patient <> ''
                  AND h.patient IN (SELECT i.patient FROM identities i WHERE i.tenant_id = s.tenant_id AND i.scan_id = s.id))))
              ORDER BY s.accepted_ms LIMIT ?"
        )
    };
}

/// A rule, as it is kept.
#[derive(FromRow)]
struct Row {
    kind: String,
    days: i64,
    name: String,
    decided_ms: i64,
}

/// A rule that is due.
#[derive(FromRow)]
struct Due {
    tenant_id: String,
    kind: String,
    days: i64,
}

impl Store {
    /// The hospital's rules; a kind that has none is kept for good.
    pub async fn retention(&self, tenant: Tenant) -> Result<Retention> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT kind, days, name, decided_ms FROM retention WHERE tenant_id = ?",
        )
        .id(tenant)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let rule = |kind: &str| {
            let row = rows.iter().find(|row| row.kind == kind);
            RetentionRule {
                kind: kind.to_owned(),
                days: row.map_or(0, |row| u32::try_from(row.days).unwrap_or_default()),
                decided_by: row.map(|row| row.name.clone()).unwrap_or_default(),
                decided_ms: row.map_or(0, |row| row.decided_ms),
            }
        };
        Ok(Retention { rules: KINDS.into_iter().map(rule).collect() })
    }

    /// Sets one rule anew, in one unit with the audit entry.
    pub async fn set_retention(&self, claims: &Claims, rule: &RetentionRule) -> Result<Retention> {
        let kind = KINDS.into_iter().find(|kind| *kind == rule.kind);
        let kind = kind.ok_or_else(|| {
            ErrorKind::Invalid.error(format!("a rule is for one of {}", KINDS.join(", ")))
        })?;
        if rule.days > DAYS_MAX {
            return Err(ErrorKind::Invalid
                .error(format!("a rule says up to {DAYS_MAX} days, or 0: for good")));
        }
        let tenant = claims.tenant().id();
        audit::begin(&self.database, tenant).await?;
        let (by, name, days) = (claims.subject.clone(), name_of(claims), i64::from(rule.days));
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                let at_ms = store.clock.now_ms();
                let (subject, action) = (by.as_str(), "retention.set");
                let object = format!("{kind}:{days}");
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
                let row = Row { kind: kind.to_owned(), days, name, decided_ms: at_ms };
                replace(unit, tenant, &by, row).await
            })
        })
        .await?;
        self.retention(claims.tenant()).await
    }

    /// Deletes a round of what is too old by each rule; whether there may be more.
    async fn expire_once(&self) -> Result<bool> {
        let rules: Vec<Due> =
            sqlx::query_as("SELECT tenant_id, kind, days FROM retention WHERE days > 0")
                .fetch_all(self.database.pool())
                .await
                .map_err(failed)?;
        let mut more = false;
        for rule in rules {
            let tenant = TenantId::from_str(&rule.tenant_id)?;
            let before_ms = self.clock.now_ms().saturating_sub(rule.days.saturating_mul(DAY_MS));
            let (kind, expired) = match rule.kind.as_str() {
                "scans" => ("scans", self.expire_scans(tenant, before_ms).await?),
                "originals" => ("originals", self.expire_originals(tenant, before_ms).await?),
                "incidents" => ("incidents", self.expire_incidents(tenant, before_ms).await?),
                // Of a later version.
                _ => continue,
            };
            counter!("medseg_expired_total", "kind" => kind).increment(expired);
            more |= expired >= PER_ROUND.unsigned_abs();
        }
        Ok(more)
    }

    async fn expire_scans(&self, tenant: TenantId, before_ms: i64) -> Result<u64> {
        let mut expired = 0;
        for scan in self.old(old!("1 = 1"), (tenant, before_ms)).await? {
            let order = Order {
                tenant,
                subject: SUBJECT.to_owned(),
                action: "scan.expired",
                with_words: true,
                heeds_holds: true,
                erases: false,
                erasure: None,
            };
            expired += counted(self.delete_by(order, scan).await)?;
        }
        Ok(expired)
    }

    async fn expire_originals(&self, tenant: TenantId, before_ms: i64) -> Result<u64> {
        let with_original = old!(
            "EXISTS (SELECT 1 FROM artefacts a
                 WHERE a.tenant_id = s.tenant_id AND a.scan_id = s.id AND a.name IN ('original', 'instances.json'))"
        );
        let mut expired = 0;
        for scan in self.old(with_original, (tenant, before_ms)).await? {
            let taken = self.unit(None, move |store, unit| {
                Box::pin(async move { store.take_originals(unit, tenant, scan).await })
            });
            match taken.await {
                Ok(keys) => {
                    self.discard(&keys).await;
                    expired += 1;
                }
                held => expired += counted(held.map(drop))?,
            }
        }
        Ok(expired)
    }

    /// Deletes the rows of what was sent; the keys of the objects that are to go.
    async fn take_originals(
        &self,
        unit: &mut Unit,
        tenant: TenantId,
        scan: ScanId,
    ) -> Result<Vec<String>> {
        let (at_ms, subject) = (self.clock.now_ms(), SUBJECT);
        let (action, object) = ("scan.original.expired", scan.to_string());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        holds::require_free(unit, tenant, scan).await?;
        let objects: Vec<(String, i64)> = sqlx::query_as(
            "SELECT blob_key, size_bytes FROM artefacts
             WHERE tenant_id = ? AND scan_id = ? AND name IN ('original', 'instances.json')",
        )
        .id(tenant)
        .id(scan)
        .fetch_all(&mut **unit)
        .await
        .map_err(failed)?;
        if objects.is_empty() {
            // Somebody has deleted the scan meanwhile: nothing of it expires, and no entry says so.
            return Err(ErrorKind::NotFound.error("no such scan"));
        }
        sqlx::query(
            "DELETE FROM artefacts WHERE tenant_id = ? AND scan_id = ? AND name IN ('original', 'instances.json')",
        )
        .id(tenant)
        .id(scan)
        .run(unit)
        .await?;
        let bytes: i64 = objects.iter().map(|(_, bytes)| bytes).sum();
        stored::add(unit, tenant, -bytes).await?;
        Ok(objects.into_iter().map(|(key, _)| key).collect())
    }

    /// Takes away what old reports say; that there were so many stays. What they say of a patient who is held is held.
    async fn expire_incidents(&self, tenant: TenantId, before_ms: i64) -> Result<u64> {
        self.unit(None, move |_, unit| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE incidents SET words = '' WHERE tenant_id = ? AND reported_ms < ? AND words <> ''
                         AND NOT EXISTS (SELECT 1 FROM holds h
                             WHERE h.tenant_id = incidents.tenant_id AND (h.scan_id = incidents.scan_id OR (h.patient <> ''
                                 AND h.patient IN (SELECT i.patient FROM identities i
                                     WHERE i.tenant_id = incidents.tenant_id AND i.scan_id = incidents.scan_id))))",
                )
                .id(tenant)
                .bind(before_ms)
                .run(unit)
                .await
            })
        })
        .await
    }

    /// Scans that are too old, but for those that are held.
    async fn old(
        &self,
        query: &'static str,
        (tenant, before_ms): (TenantId, i64),
    ) -> Result<Vec<ScanId>> {
        let ids: Vec<String> = sqlx::query_scalar(query)
            .id(tenant)
            .bind(before_ms)
            .bind(PER_ROUND)
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
        ids.into_iter().map(ScanId::try_from).collect()
    }
}

/// The worker that deletes what is too old.
pub fn expire(store: Store) -> Worker {
    Worker::new("retention", move |stop| async move {
        loop {
            match stop.run_until_cancelled(store.expire_once()).await {
                // More of it at once.
                Some(Ok(true)) => continue,
                Some(Ok(false)) => (),
                Some(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what is too old could not be deleted");
                }
                None => return Ok(()),
            }
            if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
                return Ok(());
            }
        }
    })
}

/// 1 where it was deleted, 0 where it is held or gone: no reason to leave the others.
fn counted(deleted: Result<()>) -> Result<u64> {
    match deleted {
        Ok(()) => Ok(1),
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(0),
        Err(error) => Err(error),
    }
}

/// A row for each kind: there is one after the other, as the audit trail is held.
async fn replace(unit: &mut Unit, tenant: TenantId, by: &str, row: Row) -> Result<()> {
    sqlx::query("DELETE FROM retention WHERE tenant_id = ? AND kind = ?")
        .id(tenant)
        .bind(row.kind.clone())
        .run(unit)
        .await?;
    sqlx::query(
        "INSERT INTO retention (tenant_id, kind, days, decided_by, name, decided_ms) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.kind)
    .bind(row.days)
    .bind(by.to_owned())
    .bind(row.name)
    .bind(row.decided_ms)
    .run(unit)
    .await
    .map(drop)
}
