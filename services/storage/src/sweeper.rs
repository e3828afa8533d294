use std::time::Duration;

use domain::Result;
use platform::db::failed;
use service::Worker;

use crate::store::Store;

const PAGE: i64 = 500;

/// Looks for jobs whose time has come: the reason why a lost message loses nothing.
pub fn sweep(store: Store, pause: Duration) -> Worker {
    Worker::new("sweeper", move |stop| async move {
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if let Err(error) = pass(&store).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a sweep failed");
            }
        }
        Ok(())
    })
}

async fn pass(store: &Store) -> Result<()> {
    let due: Vec<String> = sqlx::query_scalar(
        "SELECT id FROM jobs WHERE state IN ('queued', 'leased') AND due_ms <= ?
         ORDER BY due_ms LIMIT ?",
    )
    .bind(store.clock.now_ms())
    .bind(PAGE)
    .fetch_all(store.database.pool())
    .await
    .map_err(failed)?;
    for id in due {
        store.revive(id.parse()?).await?;
    }
    count(store).await
}

/// Says how many jobs wait and how many are worked on: what workers are scaled by.
async fn count(store: &Store) -> Result<()> {
    for state in ["queued", "leased"] {
        let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM jobs WHERE state = ?")
            .bind(state)
            .fetch_one(store.database.pool())
            .await
            .map_err(failed)?;
        metrics::gauge!("medseg_jobs", "state" => state).set(jobs as f64);
    }
    Ok(())
}
