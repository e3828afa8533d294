use std::time::Duration;

use domain::{JobId, Result};
use platform::db::failed;
use service::Worker;
use uuid::Uuid;

use crate::lifecycle::{Event, Transition};
use crate::store::Store;

const JOBS_PER_SWEEP: i64 = 500;

/// The sweeper: announces overdue jobs again and takes them from dead workers, so that a lost message loses nothing.
pub fn sweep(store: Store, interval: Duration) -> Worker {
    Worker::new("sweeper", move |stop| async move {
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            if let Err(error) = sweep_once(&store).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a sweep failed");
            }
        }
        Ok(())
    })
}

async fn sweep_once(store: &Store) -> Result<()> {
    let due: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM jobs WHERE state IN ('queued', 'leased') AND due_ms <= ?
         ORDER BY due_ms LIMIT ?",
    )
    .bind(store.clock.now_ms())
    .bind(JOBS_PER_SWEEP)
    .fetch_all(store.database.pool())
    .await
    .map_err(failed)?;
    for id in due {
        store.requeue(id.parse()?).await?;
    }
    count(store).await
}

impl Store {
    /// Announces an overdue job again, takes it from a worker whose lease has ended, or gives it up.
    async fn requeue(&self, id: JobId) -> Result<()> {
        let (job, transition) = self.happen(id, Event::Due).await?;
        if transition != Transition::Stays {
            self.changed(job.tenant, job.scan);
        }
        Ok(())
    }
}

/// Sets the gauges of queued and leased jobs, which workers are scaled by.
async fn count(store: &Store) -> Result<()> {
    for state in ["queued", "leased"] {
        let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM jobs WHERE state = ?")
            .bind(state)
            .fetch_one(store.database.pool())
            .await
            .map_err(failed)?;
        metrics::gauge!("medseg_jobs", "state" => state).set(jobs as f64);
    }
    let oldest: Option<String> = sqlx::query_scalar("SELECT MIN(id) FROM outbox")
        .fetch_one(store.database.pool())
        .await
        .map_err(failed)?;
    let age_ms = oldest.and_then(|id| made_ms(&id)).map_or(0, |ms| store.clock.now_ms() - ms);
    metrics::gauge!("medseg_outbox_age_seconds").set(age_ms.max(0) as f64 / 1000.0);
    Ok(())
}

/// When an id was made, in milliseconds since the Unix epoch: UUIDs of version 7 begin with it.
fn made_ms(id: &str) -> Option<i64> {
    let (seconds, nanos) = Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
    i64::try_from(seconds * 1000 + u64::from(nanos / 1_000_000)).ok()
}
