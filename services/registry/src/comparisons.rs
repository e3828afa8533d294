//! What a shadow said beside what served: figures only, never pixels.

use domain::{ErrorKind, Result};
use platform::db::{Run, failed};
use proto::registry::{ComparedScans, Comparison, Comparisons, ListComparedRequest};
use sqlx::FromRow;

use crate::store::Store;
use crate::versions;

/// The scans that a reader is pointed to.
const FURTHEST: i64 = 20;
/// The most scans of one answer.
const COMPARED_MAX: u32 = 1000;

#[derive(FromRow)]
struct Row {
    name: String,
    version: String,
    scan_id: String,
    tenant_id: String,
    serving_name: String,
    serving_version: String,
    answer: String,
    serving_answer: String,
    dice: Option<f64>,
    volume_ml: Option<f64>,
    serving_ml: Option<f64>,
    at_ms: i64,
}

#[derive(FromRow)]
struct Sums {
    count: i64,
    changed: i64,
    dice: Option<f64>,
}

impl Store {
    /// Keeps a comparison, unless the scan was erased meanwhile; the same scan again changes nothing.
    pub async fn compare(&self, mut comparison: Comparison) -> Result<Comparison> {
        comparison.at_ms = self.clock.now_ms();
        let kept = comparison.clone();
        let inserted = self.unit(move |_, unit| {
            Box::pin(async move {
                versions::find(&mut **unit, &kept.name, &kept.version).await?;
                sqlx::query(
                    "INSERT INTO comparisons (name, version, scan_id, tenant_id, serving_name, serving_version,
                         answer, serving_answer, dice, volume_ml, serving_ml, at_ms)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                )
                .bind(kept.name)
                .bind(kept.version)
                .bind(kept.scan_id)
                .bind(kept.tenant_id)
                .bind(kept.serving_name)
                .bind(kept.serving_version)
                .bind(kept.answer)
                .bind(kept.serving_answer)
                .bind(kept.dice)
                .bind(kept.volume_ml)
                .bind(kept.serving_volume_ml)
                .bind(kept.at_ms)
                .run(unit)
                .await
            })
        });
        match inserted.await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            inserted => {
                inserted?;
            }
        }
        self.forget_erased(&comparison.tenant_id, &comparison.scan_id).await?;
        Ok(comparison)
    }

    /// What would have changed if the version had served, with the scans of `tenant` on which the two differ most.
    pub async fn comparisons(
        &self,
        tenant: &str,
        name: &str,
        version: &str,
    ) -> Result<Comparisons> {
        versions::find(self.database.pool(), name, version).await?;
        let sums: Sums = sqlx::query_as(
            "SELECT COUNT(*) AS count, COUNT(CASE WHEN answer <> serving_answer THEN 1 END) AS changed,
                    AVG(dice) AS dice
             FROM comparisons WHERE name = ? AND version = ?",
        )
        .bind(name)
        .bind(version)
        .fetch_one(self.database.pool())
        .await
        .map_err(failed)?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM comparisons WHERE name = ? AND version = ? AND tenant_id = ?
             ORDER BY CASE WHEN dice IS NULL THEN 1 ELSE 0 END, dice LIMIT ?",
        )
        .bind(name)
        .bind(version)
        .bind(tenant)
        .bind(FURTHEST)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        Ok(Comparisons {
            count: sums.count.unsigned_abs(),
            answers_changed: sums.changed.unsigned_abs(),
            dice_mean: sums.dice,
            furthest: rows.into_iter().map(comparison).collect(),
        })
    }

    /// The scans of `tenant` on which the version was compared, in the order of their ids.
    pub async fn compared(
        &self,
        tenant: &str,
        asked: ListComparedRequest,
    ) -> Result<ComparedScans> {
        let ListComparedRequest { name, version, after, limit } = asked;
        versions::find(self.database.pool(), &name, &version).await?;
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM comparisons WHERE name = ? AND version = ? AND tenant_id = ? AND scan_id > ?
             ORDER BY scan_id LIMIT ?",
        )
        .bind(name)
        .bind(version)
        .bind(tenant)
        .bind(after)
        .bind(i64::from(limit.clamp(1, COMPARED_MAX)))
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        Ok(ComparedScans { scans: rows.into_iter().map(comparison).collect() })
    }
}

fn comparison(row: Row) -> Comparison {
    Comparison {
        name: row.name,
        version: row.version,
        serving_name: row.serving_name,
        serving_version: row.serving_version,
        tenant_id: row.tenant_id,
        scan_id: row.scan_id,
        answer: row.answer,
        serving_answer: row.serving_answer,
        dice: row.dice,
        volume_ml: row.volume_ml,
        serving_volume_ml: row.serving_ml,
        at_ms: row.at_ms,
    }
}
