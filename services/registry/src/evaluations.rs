//! What versions came to on the gate set.

use std::time::Duration;

use domain::{ErrorKind, Result};
use platform::db::{Run, Unit, failed};
use platform::queue::Queue;
use proto::registry::Evaluation;
use service::Worker;
use service::topics::MODEL_EVALUATE;
use sqlx::{Any, Executor};
use tokio::time::timeout;

use crate::store::Store;
use crate::versions;

/// How often it is looked for versions without an evaluation, and the least time between two messages about one.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(60);

/// Announces versions that have no evaluation, at once and again as long as they have none: the rows are the truth, the queue
/// is a wake-up. Each time after twice as long, so that where no worker evaluates, messages do not pile up.
pub fn announce(store: Store, queue: Queue) -> Worker {
    Worker::new("evaluations", move |stop| async move {
        while !stop.is_cancelled() {
            if let Err(error) = announce_all(&store, &queue).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not announce models"
                );
            }
            let woken = timeout(ANNOUNCE_INTERVAL, store.registered.notified());
            let _ = stop.run_until_cancelled(woken).await;
        }
        Ok(())
    })
}

async fn announce_all(store: &Store, queue: &Queue) -> Result<()> {
    let waiting: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT versions.name, versions.version, registered_ms, announced_ms FROM versions
         LEFT JOIN evaluations ON evaluations.name = versions.name AND evaluations.version = versions.version
         WHERE evaluations.name IS NULL AND versions.state <> 'retired'",
    )
    .fetch_all(store.database.pool())
    .await
    .map_err(failed)?;
    let now_ms = store.clock.now_ms();
    for (name, version, registered_ms, announced_ms) in waiting {
        if is_due(now_ms, registered_ms, announced_ms) {
            queue.publish(MODEL_EVALUATE, format!("{name}/{version}").as_bytes()).await?;
            announced(store, name, version, now_ms).await?;
        }
    }
    Ok(())
}

fn is_due(now_ms: i64, registered_ms: i64, announced_ms: i64) -> bool {
    let pause_ms = (announced_ms - registered_ms).max(ANNOUNCE_INTERVAL.as_millis() as i64);
    announced_ms == 0 || now_ms - announced_ms >= pause_ms
}

async fn announced(store: &Store, name: String, version: String, at_ms: i64) -> Result<()> {
    store
        .unit(move |_, unit| {
            Box::pin(async move {
                sqlx::query("UPDATE versions SET announced_ms = ? WHERE name = ? AND version = ?")
                    .bind(at_ms)
                    .bind(name)
                    .bind(version)
                    .run(unit)
                    .await
                    .map(drop)
            })
        })
        .await
}

impl Store {
    /// Keeps an evaluation, in place of an earlier one of the same version.
    pub async fn record(&self, mut evaluation: Evaluation) -> Result<Evaluation> {
        evaluation.evaluated_ms = self.clock.now_ms();
        // In JSON what is no number is nothing, and a row with nothing in it could not be read again.
        if !figures(&evaluation).all(f64::is_finite) {
            return Err(ErrorKind::Invalid.error("a figure of the evaluation is no number"));
        }
        versions::find(self.database.pool(), &evaluation.name, &evaluation.version).await?;
        let json = serde_json::to_string(&evaluation).map_err(|error| {
            ErrorKind::Internal.error("an evaluation cannot be written as JSON").because(error)
        })?;
        let (name, version) = (evaluation.name.clone(), evaluation.version.clone());
        self.unit(move |_, unit| {
            Box::pin(async move {
                forget(unit, &name, &version).await?;
                sqlx::query("INSERT INTO evaluations (name, version, evaluation) VALUES (?, ?, ?)")
                    .bind(name.as_str())
                    .bind(version.as_str())
                    .bind(json)
                    .run(unit)
                    .await
            })
        })
        .await?;
        Ok(evaluation)
    }
}

fn figures(of: &Evaluation) -> impl Iterator<Item = f64> {
    let dice = [of.dice_mean, of.dice_low, of.dice_high];
    let rates = [of.far, of.far_low, of.far_high, of.frr, of.frr_low, of.frr_high];
    let kinds = of.kinds.iter().flat_map(|of| {
        let dice = [of.dice_mean, of.dice_low, of.dice_high];
        let rates = [of.far, of.far_low, of.far_high, of.frr, of.frr_low, of.frr_high];
        dice.into_iter().chain(rates)
    });
    dice.into_iter().chain(rates).chain([of.ms_per_slice]).chain(of.golden_dice).chain(kinds)
}

/// Forgets a version's evaluation: it then waits for another.
pub async fn forget(unit: &mut Unit, name: &str, version: &str) -> Result<()> {
    sqlx::query("DELETE FROM evaluations WHERE name = ? AND version = ?")
        .bind(name)
        .bind(version)
        .run(unit)
        .await
        .map(drop)
}

/// The evaluation of a version, if it has one.
pub async fn find(
    executor: impl Executor<'_, Database = Any>,
    name: &str,
    version: &str,
) -> Result<Option<Evaluation>> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT evaluation FROM evaluations WHERE name = ? AND version = ?")
            .bind(name)
            .bind(version)
            .fetch_optional(executor)
            .await
            .map_err(failed)?;
    row.map(|(json,)| serde_json::from_str(&json)).transpose().map_err(|error| {
        ErrorKind::Internal.error("a row holds no evaluation of ours").because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_nobody_evaluates_is_announced_ever_less_often() {
        let minute = ANNOUNCE_INTERVAL.as_millis() as i64;
        let (mut announced, mut messages) = (0, 0);
        for now in (0..60 * 24 * 30).map(|minutes| 1 + minutes * minute) {
            if is_due(now, 1, announced) {
                (announced, messages) = (now, messages + 1);
            }
        }
        assert!((10..25).contains(&messages), "{messages} in a month");
    }
}
