//! What audit record repositories are sent: every entry of the audit trail, each chain in its own order, from its first entry on.
//!
//! The chains themselves are the outbox: positions have no gaps and are committed in their order, so that a cursor for each chain says
//! what a repository has. It is moved once the repository has confirmed, so that an entry may be sent twice and is never left out; by
//! the digest within, entries are told apart. Each repository has a worker of its own, so that one that is away delays no other.

use std::collections::HashMap;
use std::time::Duration;

use domain::{DeliveryId, ErrorKind, Result, rfc3339};
use metrics::{counter, gauge};
use platform::db::{Run, Unit, failed};
use proto::audit::{Entry, Head};
use report::audit;
use service::Worker;

use crate::Store;
use crate::post::clipped;
use crate::syslog::{Line, Repository};
use crate::trails::{Trail, Trails};

/// How often it is looked for what is new.
const INTERVAL: Duration = Duration::from_secs(3);
/// How often the pause after an attempt that failed is doubled, from a second on.
const DOUBLINGS_MAX: u32 = 5;

/// How long an instance has a repository to itself: longer than a round and the longest pause.
const LEASE_MS: i64 = 2 * 60_000;

/// With so many, a connection carries no other chain's.
const ENTRIES_AT_ONCE: i64 = 1000;

/// Sends that repository what it does not have yet, again and again.
pub fn push(store: Store, trails: Trails, line: Line, to: Repository) -> Worker {
    let lease = DeliveryId::new(&store.clock, &store.random).to_string();
    let push = Push { name: to.to_string(), store, trails, line, to, lease };
    Worker::new("audit repository", move |stop| async move {
        let mut failures = 0;
        while !stop.is_cancelled() {
            // What is broken off is sent again.
            let wait = match stop.run_until_cancelled(push.round()).await {
                None => break,
                Some(Ok(more)) => {
                    failures = 0;
                    if more { Duration::ZERO } else { INTERVAL }
                }
                Some(Err(error)) => {
                    failures += 1;
                    tracing::warn!(
                        repository = push.name,
                        error = &error as &dyn std::error::Error,
                        "an audit record repository has not confirmed what it was sent"
                    );
                    pause(failures)
                }
            };
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        push.leave().await;
        Ok(())
    })
}

/// A second, and twice as long after each failure in a row.
fn pause(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(DOUBLINGS_MAX))
}

struct Push {
    store: Store,
    trails: Trails,
    line: Line,
    to: Repository,
    /// Its address, as rows and metrics have it.
    name: String,
    /// Of this instance.
    lease: String,
}

/// What one connection carries, and where each chain then is.
#[derive(Default)]
struct Batch {
    frames: String,
    entries: i64,
    ends: Vec<Head>,
}

impl Push {
    /// Sends some of what there is; whether there is more. What fails of one trail holds up nothing of the other.
    async fn round(&self) -> Result<bool> {
        let (mut more, mut first) = (false, None);
        for trail in Trail::ALL {
            if !self.leased().await? {
                self.show(trail, 0);
                continue;
            }
            match self.chains(trail).await {
                Ok(again) => more |= again,
                Err(error) => first = first.or(Some(error)),
            }
        }
        let words = first.as_ref().map(|error| clipped(&error.to_string())).unwrap_or_default();
        self.note(words).await?;
        first.map_or(Ok(more), Err)
    }

    /// Those chains with the fewest new entries come first: one that grows fast keeps no other waiting.
    async fn chains(&self, trail: Trail) -> Result<bool> {
        let mut cursors = self.cursors(trail).await?;
        let heads = self.trails.heads(trail).await?.into_iter();
        let mut behind: Vec<(i64, String, Option<Head>)> = heads
            .filter(|head| head.position > 0 && self.to.takes(&head.tenant_id))
            .map(|head| {
                let cursor = cursors.remove(&head.tenant_id);
                let sent = cursor.as_ref().map_or(0, |cursor| cursor.position);
                // One that was set back, or made anew, is behind, too.
                let is_sent = cursor.as_ref() == Some(&head);
                let waiting = if is_sent { 0 } else { (head.position - sent).max(1) };
                (waiting, head.tenant_id, cursor)
            })
            .filter(|(waiting, ..)| *waiting > 0)
            .collect();
        behind.sort_by_key(|(waiting, ..)| *waiting);
        let waiting: i64 = behind.iter().map(|(waiting, ..)| *waiting).sum();
        self.show(trail, waiting);
        let mut batch = Batch::default();
        for (_, tenant_id, cursor) in behind {
            if batch.entries >= ENTRIES_AT_ONCE {
                break;
            }
            self.gather(trail, &tenant_id, cursor, &mut batch).await?;
        }
        let Batch { frames, entries, ends } = batch;
        if entries == 0 {
            return Ok(false);
        }
        let sent = self.line.send(&self.to, frames.as_bytes()).await;
        sent.map_err(|words| ErrorKind::Unavailable.error(words))?;
        self.confirm(trail, ends).await?;
        self.show(trail, (waiting - entries).max(0));
        counter!("medseg_audit_entries_pushed_total", "repository" => self.name.clone(), "trail" => trail.name())
            .increment(entries.unsigned_abs());
        Ok(waiting > entries)
    }

    /// Adds what the chain has behind the cursor. Where the cursor's own entry is another by now, the chain was restored or made anew:
    /// then all of it is sent again, because nobody knows what of it was sent.
    async fn gather(
        &self,
        trail: Trail,
        tenant_id: &str,
        cursor: Option<Head>,
        batch: &mut Batch,
    ) -> Result<()> {
        let from = cursor.as_ref().map_or(1, |cursor| cursor.position);
        let mut entries = self.trails.read(trail, tenant_id, from).await?;
        if let Some(cursor) = cursor {
            let is_known = entries.first().is_some_and(|entry| {
                (entry.position, &entry.sha256) == (cursor.position, &cursor.sha256)
            });
            if is_known {
                entries.remove(0);
            } else {
                tracing::warn!(
                    repository = self.name,
                    tenant.id = tenant_id,
                    trail = trail.name(),
                    "a chain of the audit trail is not the one that was sent: it is sent again from its first entry on"
                );
                entries = self.trails.read(trail, tenant_id, 1).await?;
            }
        }
        let Some(last) = entries.last() else { return Ok(()) };
        batch.ends.push(Head {
            tenant_id: tenant_id.to_owned(),
            position: last.position,
            sha256: last.sha256.clone(),
        });
        for entry in entries {
            let entry = described(trail, tenant_id, entry);
            batch.frames.push_str(&self.line.frame(entry.at.as_deref(), &audit::message(&entry)));
            batch.entries += 1;
        }
        Ok(())
    }

    fn show(&self, trail: Trail, waiting: i64) {
        gauge!("medseg_audit_entries_waiting", "repository" => self.name.clone(), "trail" => trail.name())
            .set(waiting as f64);
    }

    /// Whether this instance is the one that sends there, for a while.
    async fn leased(&self) -> Result<bool> {
        let now_ms = self.store.clock.now_ms();
        let pool = self.store.database.pool();
        sqlx::query(
            "UPDATE audit_repositories SET lease = ?, leased_until_ms = ?
             WHERE repository = ? AND (lease = ? OR leased_until_ms <= ?)",
        )
        .bind(self.lease.clone())
        .bind(now_ms + LEASE_MS)
        .bind(self.name.clone())
        .bind(self.lease.clone())
        .bind(now_ms)
        .execute(pool)
        .await
        .map_err(failed)?;
        let holder: Option<String> =
            sqlx::query_scalar("SELECT lease FROM audit_repositories WHERE repository = ?")
                .bind(self.name.clone())
                .fetch_optional(pool)
                .await
                .map_err(failed)?;
        if let Some(holder) = holder {
            return Ok(holder == self.lease);
        }
        let made = sqlx::query(
            "INSERT INTO audit_repositories (repository, lease, leased_until_ms, words) VALUES (?, ?, ?, '')",
        )
        .bind(self.name.clone())
        .bind(self.lease.clone())
        .bind(now_ms + LEASE_MS)
        .execute(pool)
        .await
        .map_err(failed);
        match made {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            made => made.map(|_| true),
        }
    }

    /// Lets another instance send at once.
    async fn leave(&self) {
        let left = sqlx::query(
            "UPDATE audit_repositories SET leased_until_ms = 0 WHERE repository = ? AND lease = ?",
        )
        .bind(self.name.clone())
        .bind(self.lease.clone())
        .execute(self.store.database.pool())
        .await;
        if let Err(error) = left {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "could not leave an audit record repository to others");
        }
    }

    /// Keeps why the last attempt has failed, where that is news.
    async fn note(&self, words: String) -> Result<()> {
        sqlx::query("UPDATE audit_repositories SET words = ? WHERE repository = ? AND lease = ? AND words <> ?")
            .bind(words.clone())
            .bind(self.name.clone())
            .bind(self.lease.clone())
            .bind(words)
            .execute(self.store.database.pool())
            .await
            .map(drop)
            .map_err(failed)
    }

    /// The last entry of each chain that the repository has confirmed.
    async fn cursors(&self, trail: Trail) -> Result<HashMap<String, Head>> {
        let rows: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT tenant_id, position, sha256 FROM audit_cursors WHERE repository = ? AND trail = ?",
        )
        .bind(self.name.clone())
        .bind(trail.name())
        .fetch_all(self.store.database.pool())
        .await
        .map_err(failed)?;
        let cursor = |(tenant_id, position, sha256): (String, i64, String)| {
            (tenant_id.clone(), Head { tenant_id, position, sha256 })
        };
        Ok(rows.into_iter().map(cursor).collect())
    }

    async fn confirm(&self, trail: Trail, ends: Vec<Head>) -> Result<()> {
        let repository = self.name.clone();
        self.store
            .database
            .unit(move |unit| {
                Box::pin(async move {
                    for end in ends {
                        move_cursor(unit, &repository, trail, end).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

async fn move_cursor(unit: &mut Unit, repository: &str, trail: Trail, end: Head) -> Result<()> {
    sqlx::query("DELETE FROM audit_cursors WHERE repository = ? AND trail = ? AND tenant_id = ?")
        .bind(repository.to_owned())
        .bind(trail.name())
        .bind(end.tenant_id.clone())
        .run(unit)
        .await?;
    sqlx::query(
        "INSERT INTO audit_cursors (repository, trail, tenant_id, position, sha256) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(repository.to_owned())
    .bind(trail.name())
    .bind(end.tenant_id)
    .bind(end.position)
    .bind(end.sha256)
    .run(unit)
    .await
    .map(drop)
}

/// What the entry's message says, as the audit trail's own export does.
fn described(trail: Trail, tenant_id: &str, entry: Entry) -> audit::Entry {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    audit::Entry {
        id: format!("{}-{}", trail.name(), entry.position),
        site: tenant_id.to_owned(),
        at: rfc3339(entry.at_ms),
        action: entry.action,
        subject: some(entry.subject),
        name: some(entry.name),
        roles: entry.roles.split_whitespace().map(str::to_owned).collect(),
        object: some(entry.object_id),
        origin: some(entry.origin),
        reason: some(entry.reason),
        detail: some(entry.detail),
        sha256: entry.sha256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let pauses = [1, 2, 3, 6, u32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 32]);
    }
}
