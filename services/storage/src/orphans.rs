use std::time::Duration;

use domain::Result;
use futures::TryStreamExt;
use platform::db::failed;
use service::Worker;

use crate::store::Store;

/// Deletes objects that no row points to: what is left when a crash falls between the two.
///
/// Only old ones: a young object may be about to get its row.
pub fn clean(store: Store) -> Worker {
    let grace = Duration::from_secs(3600 * u64::from(store.rules.orphan_hours.max(1)));
    Worker::new("orphans", move |stop| async move {
        loop {
            match stop.run_until_cancelled(delete_orphans(&store, grace)).await {
                Some(Ok(0)) => (),
                Some(Ok(deleted)) => tracing::info!(deleted, "deleted objects without a row"),
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not clean up");
                }
                None => return Ok(()),
            }
            if stop.run_until_cancelled(tokio::time::sleep(grace)).await.is_none() {
                return Ok(());
            }
        }
    })
}

/// Deletes the orphans; answers how many there were.
async fn delete_orphans(store: &Store, grace: Duration) -> Result<u64> {
    let grace_ms = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
    let before_ms = store.clock.now_ms().saturating_sub(grace_ms);
    let mut objects = store.blobs.list().await?;
    let mut deleted = 0;
    while let Some(object) = objects.try_next().await? {
        if object.put_ms < before_ms && !has_row(store, &object.key).await? {
            store.blobs.delete(&object.key).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Whether a row points to the object, or it is none of ours.
pub async fn has_row(store: &Store, key: &str) -> Result<bool> {
    // Not one of ours, so not ours to delete.
    let Some((tenant, _)) = key.split_once('/') else { return Ok(true) };
    let rows: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM artefacts WHERE tenant_id = ? AND blob_key = ?")
            .bind(tenant)
            .bind(key)
            .fetch_one(store.database.pool())
            .await
            .map_err(failed)?;
    Ok(rows > 0)
}
