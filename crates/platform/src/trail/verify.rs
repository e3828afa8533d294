//! Whether the chains are what they were when they were written.

use domain::{ErrorKind, Result};
use sqlx::AnyConnection;

use super::{Head, Row, heads};
use crate::db::{Database, failed};

/// Entries that are read at once.
const ROWS_AT_ONCE: i64 = 1000;

/// The first entry that is not what it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken {
    /// Its position, or where one should be.
    pub position: i64,
    /// What is wrong there.
    pub what: &'static str,
}

/// One tenant's chain, looked through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Whose it is.
    pub tenant_id: String,
    /// How many entries follow from one another, from the first on.
    pub entries: i64,
    /// Where that ends before its time; None: it is whole.
    pub broken: Option<Broken>,
    /// The heads among those that were asked for which were its own once, and are no more.
    pub lost: Vec<Head>,
}

/// Recomputes each tenant's chain up to where its head stands, and compares it with `anchored`, heads that were written elsewhere.
///
/// What is appended meanwhile is left for the next time.
pub async fn verify(database: &Database, anchored: &[Head]) -> Result<Vec<Chain>> {
    let mut ends = heads(database).await?;
    let tenants: Vec<String> = sqlx::query_scalar("SELECT DISTINCT tenant_id FROM audit")
        .fetch_all(database.pool())
        .await
        .map_err(failed)?;
    let known = tenants.into_iter().chain(anchored.iter().map(|head| head.tenant_id.clone()));
    for tenant_id in known {
        if !ends.iter().any(|end| end.tenant_id == tenant_id) {
            // Nobody knows where it ended: nothing of it counts.
            ends.push(Head { tenant_id, position: 0, sha256: String::new() });
        }
    }
    let mut chains = Vec::with_capacity(ends.len());
    let mut connection = database.pool().acquire().await.map_err(failed)?;
    for end in ends {
        chains.push(looked_through(&mut connection, end, anchored).await?);
    }
    Ok(chains)
}

/// What has been looked at of a chain.
struct Walk {
    position: i64,
    sha256: String,
    broken: Option<Broken>,
    /// Those of the tenant, in the order of their positions.
    anchored: Vec<Head>,
    lost: Vec<Head>,
}

async fn looked_through(
    connection: &mut AnyConnection,
    end: Head,
    anchored: &[Head],
) -> Result<Chain> {
    let own = |head: &&Head| head.tenant_id == end.tenant_id && head.position > 0;
    let mut anchored: Vec<Head> = anchored.iter().filter(own).cloned().collect();
    anchored
        .sort_by(|one, other| (one.position, &one.sha256).cmp(&(other.position, &other.sha256)));
    // A trail to which nothing is added is anchored with the same head each hour.
    anchored.dedup();
    let (sha256, lost) = (String::new(), Vec::new());
    let mut walk = Walk { position: 0, sha256, broken: None, anchored, lost };
    if begins_before_the_first(connection, &end).await? {
        walk.breaks(1, "entries stand before the first");
    }
    while walk.broken.is_none() && walk.position < end.position {
        let rows = after(connection, &end, walk.position).await?;
        if rows.is_empty() {
            walk.breaks(walk.position + 1, "the last entries are missing");
        }
        for row in rows {
            walk.step(&row);
        }
    }
    if walk.broken.is_none() {
        walk.end(connection, &end).await?;
    }
    let Walk { position, broken, anchored, mut lost, .. } = walk;
    // What was anchored behind the last sound entry is there no more.
    lost.extend(anchored.into_iter().filter(|head| head.position > position));
    Ok(Chain { tenant_id: end.tenant_id, entries: position, broken, lost })
}

/// Whether there are entries that no chain has, which the trail would show all the same.
async fn begins_before_the_first(connection: &mut AnyConnection, end: &Head) -> Result<bool> {
    let entries: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE tenant_id = ? AND position < 1")
            .bind(end.tenant_id.clone())
            .fetch_one(connection)
            .await
            .map_err(failed)?;
    Ok(entries > 0)
}

async fn after(connection: &mut AnyConnection, end: &Head, position: i64) -> Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT tenant_id, position, at_ms, subject, action, object_id, name, roles, origin, reason, detail, previous, sha256
         FROM audit WHERE tenant_id = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?",
    )
    .bind(end.tenant_id.clone())
    .bind(position)
    .bind(end.position)
    .bind(ROWS_AT_ONCE)
    .fetch_all(connection)
    .await
    .map_err(failed)
}

impl Walk {
    fn breaks(&mut self, position: i64, what: &'static str) {
        self.broken.get_or_insert(Broken { position, what });
    }

    fn step(&mut self, row: &Row) {
        if self.broken.is_some() {
            return;
        }
        let expected = self.position + 1;
        if row.position != expected {
            return self.breaks(expected, "an entry is missing");
        }
        if row.previous != self.sha256 {
            return self.breaks(expected, "the entry does not follow from the one before");
        }
        if row.digest() != row.sha256 {
            return self.breaks(expected, "the entry was changed");
        }
        self.position = expected;
        self.sha256.clone_from(&row.sha256);
        let first = self.anchored.partition_point(|head| head.position < row.position);
        let here = self.anchored[first..].iter().take_while(|head| head.position == row.position);
        self.lost.extend(here.filter(|head| head.sha256 != row.sha256).cloned());
    }

    /// Compares the end with the head; and what lies behind it, which only a chain without a head, or with an older one, has.
    async fn end(&mut self, connection: &mut AnyConnection, end: &Head) -> Result<()> {
        if self.sha256 != end.sha256 {
            self.breaks(end.position, "the head is of another entry");
            return Ok(());
        }
        let last: (i64, String) =
            sqlx::query_as("SELECT position, sha256 FROM audit_heads WHERE tenant_id = ?")
                .bind(end.tenant_id.clone())
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?
                .unwrap_or_default();
        // Read after the head: what is behind it then belongs to nobody who appends.
        let behind: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE tenant_id = ? AND position > ?")
                .bind(end.tenant_id.clone())
                .bind(last.0)
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
        if behind > 0 && !moved_on(connection, end, &last).await? {
            self.breaks(last.0 + 1, "entries stand behind the head");
        }
        Ok(())
    }
}

/// Whether somebody has appended in between, so that the head stands further on by now.
async fn moved_on(
    connection: &mut AnyConnection,
    end: &Head,
    (position, _): &(i64, String),
) -> Result<bool> {
    let now: Option<i64> =
        sqlx::query_scalar("SELECT position FROM audit_heads WHERE tenant_id = ?")
            .bind(end.tenant_id.clone())
            .fetch_optional(connection)
            .await
            .map_err(failed)?;
    match now {
        Some(now) if now < *position => {
            Err(ErrorKind::Internal.error("the head of an audit trail went backwards"))
        }
        now => Ok(now.is_some_and(|now| now > *position)),
    }
}
