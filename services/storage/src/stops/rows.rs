//! Rules and stops, as rows. They are inserted and read, and nothing here changes or deletes one.

use std::collections::BTreeSet;

use domain::{Result, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use sqlx::{Any, Executor, FromRow};

use crate::jobs::{NAME_MAX, REASON_MAX, truncate};

/// Of a hospital's stops, the newest that are looked at: a model is stopped now and then, and not a thousand times.
const STOPS_MAX: i64 = 1000;

#[derive(Clone, Debug, FromRow)]
pub struct Rule {
    pub position: i64,
    pub error_max: f64,
    pub budget_scans: i64,
    pub name: String,
    pub decided_ms: i64,
}

#[derive(Clone, Debug, FromRow)]
pub struct Stop {
    pub model_name: String,
    pub model_version: String,
    pub stopped: i64,
    pub reason: String,
    pub name: String,
    pub decided_ms: i64,
}

/// The rule that was set last.
pub async fn rule(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
) -> Result<Option<Rule>> {
    sqlx::query_as(
        "SELECT position, error_max, budget_scans, name, decided_ms FROM stop_rules
         WHERE tenant_id = ? ORDER BY position DESC LIMIT 1",
    )
    .id(tenant)
    .fetch_optional(executor)
    .await
    .map_err(failed)
}

pub async fn insert_rule(
    unit: &mut Unit,
    tenant: TenantId,
    decided_by: String,
    rule: Rule,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO stop_rules (tenant_id, position, error_max, budget_scans, decided_by, name, decided_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(rule.position)
    .bind(rule.error_max)
    .bind(rule.budget_scans)
    .bind(decided_by)
    .bind(rule.name)
    .bind(rule.decided_ms)
    .run(unit)
    .await
    .map(drop)
}

/// The last of each model, newest first.
pub async fn stops(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
) -> Result<Vec<Stop>> {
    let mut stops: Vec<Stop> = sqlx::query_as(
        "SELECT model_name, model_version, stopped, reason, name, decided_ms FROM model_stops
         WHERE tenant_id = ? ORDER BY position DESC LIMIT ?",
    )
    .id(tenant)
    .bind(STOPS_MAX)
    .fetch_all(executor)
    .await
    .map_err(failed)?;
    let mut seen = BTreeSet::new();
    stops.retain(|stop| seen.insert((stop.model_name.clone(), stop.model_version.clone())));
    Ok(stops)
}

/// What became of that model last; None: it was never stopped.
pub async fn last(
    unit: &mut Unit,
    tenant: TenantId,
    name: &str,
    version: &str,
) -> Result<Option<Stop>> {
    sqlx::query_as(
        "SELECT model_name, model_version, stopped, reason, name, decided_ms FROM model_stops
         WHERE tenant_id = ? AND model_name = ? AND model_version = ? ORDER BY position DESC LIMIT 1",
    )
    .id(tenant)
    .bind(truncate(name, NAME_MAX))
    .bind(truncate(version, NAME_MAX))
    .fetch_optional(&mut **unit)
    .await
    .map_err(failed)
}

pub async fn insert_stop(
    unit: &mut Unit,
    tenant: TenantId,
    decided_by: String,
    stop: Stop,
) -> Result<()> {
    let position: Option<i64> = sqlx::query_scalar(
        "SELECT position FROM model_stops WHERE tenant_id = ? ORDER BY position DESC LIMIT 1",
    )
    .id(tenant)
    .fetch_optional(&mut **unit)
    .await
    .map_err(failed)?;
    sqlx::query(
        "INSERT INTO model_stops (tenant_id, position, model_name, model_version, stopped, reason, decided_by, name, decided_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(position.unwrap_or(0) + 1)
    .bind(stop.model_name)
    .bind(stop.model_version)
    .bind(stop.stopped)
    .bind(truncate(&stop.reason, REASON_MAX))
    .bind(decided_by)
    .bind(stop.name)
    .bind(stop.decided_ms)
    .run(unit)
    .await
    .map(drop)
}
