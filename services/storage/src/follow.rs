//! Follows all changes of a hospital's scans, whichever instance makes them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::{Result, ScanId, TenantId};
use futures::{Stream, stream};
use platform::db::{BindId, failed};
use proto::storage::{Scan, ScanChange};
use service::claims::Tenant;
use sqlx::{Any, QueryBuilder};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::scans::{scan_of, select};
use crate::store::Store;

/// How often it is looked for changes by another instance.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Changes that come together are told together.
const TOGETHER: Duration = Duration::from_millis(100);
/// How far back it is looked each time: a change may be committed after a later one, and clocks of instances differ.
const OVERLAP_MS: i64 = 10_000;
/// How many changed scans are read at once.
const ROWS: usize = 200;

/// A row that has changed: the scan's id, its state, and when.
type Changed = (String, String, i64);

impl Store {
    /// Each change of the hospital's scans from then on; 0: from now on. What was told before may come again. Without end.
    pub fn follow(
        &self,
        tenant: Tenant,
        since_ms: i64,
        knows: bool,
    ) -> impl Stream<Item = Result<ScanChange>> + Send + 'static + use<> {
        let now_ms = self.clock.now_ms();
        let since_ms = if since_ms > 0 { since_ms.min(now_ms) } else { now_ms };
        let follow = Follow {
            store: self.clone(),
            tenant,
            knows,
            // Before the first look, so that no change falls in between.
            changes: self.changes(),
            since_ms,
            after: None,
            told: BTreeMap::new(),
            found: VecDeque::new(),
        };
        stream::try_unfold(follow, async |mut follow| {
            let change = follow.next().await?;
            Ok(Some((change, follow)))
        })
    }
}

struct Follow {
    store: Store,
    tenant: Tenant,
    knows: bool,
    changes: Receiver<(TenantId, ScanId)>,
    /// The latest change that was seen.
    since_ms: i64,
    /// The row that the next page begins behind; None: this look begins.
    after: Option<(i64, String)>,
    /// The state that was told last of each scan, and since when it is in it, as far back as it is looked.
    told: BTreeMap<String, (String, i64)>,
    /// What is to be told.
    found: VecDeque<ScanChange>,
}

impl Follow {
    async fn next(&mut self) -> Result<ScanChange> {
        loop {
            if let Some(change) = self.found.pop_front() {
                return Ok(change);
            }
            self.look().await?;
            if self.found.is_empty() && self.after.is_none() {
                let _ = timeout(POLL_INTERVAL, self.changed()).await;
                tokio::time::sleep(TOGETHER).await;
            }
        }
    }

    /// Reads one page of what has changed.
    async fn look(&mut self) -> Result<()> {
        let _turn = self.store.reads.take(self.tenant.id()).await;
        let rows = self.page().await?;
        let last = rows.last().map(|(id, _, changed_ms)| (*changed_ms, id.clone()));
        let full = rows.len() == ROWS;
        let is_new = |(id, state, changed_ms): &Changed| {
            self.told.get(id).is_none_or(|told| (&told.0, told.1) != (state, *changed_ms))
        };
        let new: Vec<Changed> = rows.into_iter().filter(is_new).collect();
        let mut scans = self.scans(&new).await?;
        for (id, state, changed_ms) in new {
            let change = match scans.remove(&id) {
                Some(scan) => {
                    ScanChange { changed_ms, scan: Some(scan), deleted_id: String::new() }
                }
                None if state == "deleted" => {
                    ScanChange { changed_ms, scan: None, deleted_id: id.clone() }
                }
                // Deleted since the page was read: the next one says so.
                None => continue,
            };
            self.told.insert(id, (state, changed_ms));
            self.found.push_back(change);
        }
        self.since_ms = last.as_ref().map_or(self.since_ms, |(ms, _)| self.since_ms.max(*ms));
        self.after = last.filter(|_| full);
        let oldest_ms = self.since_ms - OVERLAP_MS;
        self.told.retain(|_, (_, changed_ms)| *changed_ms >= oldest_ms);
        Ok(())
    }

    async fn page(&self) -> Result<Vec<Changed>> {
        let begin = || ((self.since_ms - OVERLAP_MS).max(1), String::new());
        let (from_ms, after) = self.after.clone().unwrap_or_else(begin);
        sqlx::query_as(
            "SELECT id, state, changed_ms FROM scans
             WHERE tenant_id = ? AND changed_ms >= ? AND (changed_ms > ? OR id > ?)
             ORDER BY changed_ms, id LIMIT ?",
        )
        .id(self.tenant)
        .bind(from_ms)
        .bind(from_ms)
        .bind(after)
        .bind(ROWS as i64)
        .fetch_all(self.store.database.pool())
        .await
        .map_err(failed)
    }

    /// The scans of these rows that there still are, by id.
    async fn scans(&self, rows: &[Changed]) -> Result<BTreeMap<String, Scan>> {
        if rows.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut query = QueryBuilder::<Any>::new(select!("WHERE scans.tenant_id = "));
        query.push_bind(self.tenant.to_string()).push(" AND scans.id IN (");
        let mut list = query.separated(", ");
        for (id, _, _) in rows {
            list.push_bind(id.clone());
        }
        query.push(")");
        let rows = query.build().fetch_all(self.store.database.pool()).await.map_err(failed)?;
        let mut scans = rows.iter().map(scan_of).collect::<Result<Vec<_>>>()?;
        self.store.group(self.tenant, &mut scans, self.knows).await?;
        Ok(scans.into_iter().map(|scan| (scan.id.clone(), scan)).collect())
    }

    /// Waits for a change of one of the hospital's scans by this instance.
    async fn changed(&mut self) {
        loop {
            match self.changes.recv().await {
                Ok((tenant, _)) if tenant != self.tenant.id() => (),
                // Whatever was missed is in the database.
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
