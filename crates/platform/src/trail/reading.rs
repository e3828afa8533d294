//! What the trail of one tenant says, newest first, and where each of them ends.

use domain::{Result, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::db::{BindId, Database, failed};

/// An entry as it is kept.
#[derive(Clone, Debug, Default, Eq, FromRow, PartialEq)]
pub struct Row {
    /// Whose trail it is.
    pub tenant_id: String,
    /// In the tenant's chain, from 1.
    pub position: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The id of the user, API client or worker; empty: nobody who is known.
    pub subject: String,
    /// What was done.
    pub action: String,
    /// The id of what it was done to; empty: nothing that has one.
    pub object_id: String,
    /// What people called the subject then.
    pub name: String,
    /// The subject's roles then, with blanks between.
    pub roles: String,
    /// From where.
    pub origin: String,
    /// Why, in the subject's words.
    pub reason: String,
    /// What else is to be said.
    pub detail: String,
    /// The digest of the entry before; empty: there is none.
    pub previous: String,
    /// The digest of this one (hexadecimal).
    pub sha256: String,
}

/// Only entries of which all holds that is said here.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Only those before that position.
    pub before: Option<i64>,
    /// From when on.
    pub from_ms: Option<i64>,
    /// Until when, exclusively.
    pub to_ms: Option<i64>,
    /// Of whom, by the id; empty: of anybody.
    pub subject: String,
    /// What was done; empty: anything.
    pub action: String,
    /// To what, by the id; empty: to anything.
    pub object: String,
    /// How many at most.
    pub limit: u32,
}

/// The entries of that tenant for which it holds, newest first.
pub async fn page(database: &Database, tenant: TenantId, search: &Search) -> Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT tenant_id, position, at_ms, subject, action, object_id, name, roles, origin, reason, detail, previous, sha256
         FROM audit
         WHERE tenant_id = ? AND position < ? AND at_ms >= ? AND at_ms < ?
             AND (? = 1 OR subject = ?) AND (? = 1 OR action = ?) AND (? = 1 OR object_id = ?)
         ORDER BY position DESC LIMIT ?",
    )
    .id(tenant)
    .bind(search.before.unwrap_or(i64::MAX))
    .bind(search.from_ms.unwrap_or(i64::MIN))
    .bind(search.to_ms.unwrap_or(i64::MAX))
    .bind(i64::from(search.subject.is_empty()))
    .bind(search.subject.clone())
    .bind(i64::from(search.action.is_empty()))
    .bind(search.action.clone())
    .bind(i64::from(search.object.is_empty()))
    .bind(search.object.clone())
    .bind(i64::from(search.limit))
    .fetch_all(database.pool())
    .await
    .map_err(failed)
}

/// So many entries of that tenant at most, from that position on, the oldest first.
pub async fn stretch(
    database: &Database,
    tenant: TenantId,
    from: i64,
    limit: u32,
) -> Result<Vec<Row>> {
    sqlx::query_as(
        "SELECT tenant_id, position, at_ms, subject, action, object_id, name, roles, origin, reason, detail, previous, sha256
         FROM audit WHERE tenant_id = ? AND position >= ? ORDER BY position LIMIT ?",
    )
    .id(tenant)
    .bind(from)
    .bind(i64::from(limit))
    .fetch_all(database.pool())
    .await
    .map_err(failed)
}

/// Where a tenant's chain ends.
#[derive(Clone, Debug, Deserialize, Eq, FromRow, PartialEq, Serialize)]
pub struct Head {
    /// Whose it is.
    pub tenant_id: String,
    /// Of its last entry; 0: it has none.
    pub position: i64,
    /// The digest of its last entry.
    pub sha256: String,
}

/// Where each tenant's chain ends.
pub async fn heads(database: &Database) -> Result<Vec<Head>> {
    sqlx::query_as("SELECT tenant_id, position, sha256 FROM audit_heads ORDER BY tenant_id")
        .fetch_all(database.pool())
        .await
        .map_err(failed)
}
