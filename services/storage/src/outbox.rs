use std::collections::HashSet;
use std::time::Duration;

use domain::Result;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use platform::db::failed;
use platform::queue::{Queue, Topic};
use service::{Worker, topics};
use tokio::time::timeout;

use crate::store::Store;

/// How long the relay waits for more before it deletes what it has published: a delete is a commit,
/// and would stand in the way of the next upload or claim.
const DELETE_DELAY: Duration = Duration::from_millis(50);
/// How often it polls without being woken: for the rows of another process, and after a failure.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const ROWS_PER_POLL: i64 = 256;
/// With so many published the relay deletes without delay: until then each poll reads them again, and a steady trickle of
/// messages never pauses.
const DELETE_BATCH: usize = 32;
const PUBLISHES_AT_ONCE: usize = 16;

/// The relay of the outbox: publishes its rows at least once, and deletes a row only after the queue has confirmed it.
pub fn relay(store: Store, queue: Queue) -> Worker {
    Worker::new("outbox", move |stop| async move {
        let mut relay = Relay { store, queue, published: HashSet::new() };
        while !stop.is_cancelled() {
            if let Err(error) = relay.publish().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not publish");
            }
            let wait = if relay.published.is_empty() { POLL_INTERVAL } else { DELETE_DELAY };
            let woken =
                stop.run_until_cancelled(timeout(wait, relay.store.outbox.notified())).await;
            let enough = relay.published.len() >= DELETE_BATCH;
            if (enough || !matches!(woken, Some(Ok(()))))
                && let Err(error) = relay.delete_published().await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not clear the outbox"
                );
            }
        }
        Ok(())
    })
}

struct Relay {
    store: Store,
    queue: Queue,
    /// Confirmed by the queue, not yet deleted.
    published: HashSet<String>,
}

impl Relay {
    async fn publish(&mut self) -> Result<()> {
        let rows: Vec<(String, String, String)> =
            sqlx::query_as("SELECT id, topic, body FROM outbox ORDER BY id LIMIT ?")
                .bind(ROWS_PER_POLL)
                .fetch_all(self.store.database.pool())
                .await
                .map_err(failed)?;
        let new = rows.into_iter().filter(|row| !self.published.contains(&row.0));
        let known: Vec<_> = new.filter_map(known).collect();
        let queue = &self.queue;
        let mut sending: Vec<BoxFuture<Result<String>>> = Vec::new();
        for row in known {
            sending.push(send(queue, row).boxed());
        }
        let mut publishing = stream::iter(sending).buffered(PUBLISHES_AT_ONCE);
        while let Some(published) = publishing.next().await {
            self.published.insert(published?);
        }
        Ok(())
    }

    async fn delete_published(&mut self) -> Result<()> {
        if self.published.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = self.published.iter().cloned().collect();
        self.store
            .unit(None, move |_, unit| {
                Box::pin(async move {
                    for id in &ids {
                        sqlx::query("DELETE FROM outbox WHERE id = ?")
                            .bind(id)
                            .execute(&mut **unit)
                            .await
                            .map_err(failed)?;
                    }
                    Ok(())
                })
            })
            .await?;
        self.published.clear();
        Ok(())
    }
}

/// Publishes a row's message; answers with the row's id once the queue has confirmed it.
async fn send(
    queue: &Queue,
    (id, topic, body): (String, Topic<'static>, String),
) -> Result<String> {
    match topic {
        Topic::Work(work) => queue.publish(work, body.as_bytes()).await?,
        Topic::Event(event) => queue.emit(event, body.as_bytes()).await?,
    }
    Ok(id)
}

/// The row with its topic. A topic that only a later version knows is left to that version.
fn known((id, name, body): (String, String, String)) -> Option<(String, Topic<'static>, String)> {
    let topic = topics::named(&name);
    if topic.is_none() {
        tracing::warn!(topic = name, "the outbox holds a message that this version does not know");
    }
    Some((id, topic?, body))
}
