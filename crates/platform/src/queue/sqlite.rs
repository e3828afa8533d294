//! A queue in one SQLite file, for the one process that holds it.
//!
//! A publish is one durable commit to the file. The consumers that wait are known to the
//! process alone, so a consumer is woken at once and a delivery writes nothing.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use domain::{ErrorKind, Result};
use futures::{StreamExt, stream};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Backend, Deliveries, Delivery, Event, Queue, Settle, Work};
use crate::db::failed;

/// After how long a retried message is delivered again.
const REDELIVERY_DELAY: Duration = Duration::from_millis(200);

const SCHEMA: [&str; 2] = [
    // `topic` is the queue that the message waits in: named as its work, or as its event and a group.
    "CREATE TABLE IF NOT EXISTS messages (
        id    INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT    NOT NULL,
        body  BLOB    NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS consumer_groups (
        event TEXT NOT NULL,
        queue TEXT NOT NULL,
        PRIMARY KEY (event, queue)
    )",
];

/// The queues that this process has open: the same file opened again is the same queue.
static HELD: LazyLock<tokio::sync::Mutex<HashMap<PathBuf, Weak<Sqlite>>>> =
    LazyLock::new(Default::default);

struct Sqlite {
    writer: SqlitePool,
    reader: SqlitePool,
    backlogs: Mutex<HashMap<String, Arc<Backlog>>>,
    /// Locked as long as the queue is held, so that a second process is told instead of left to wait.
    _lock: File,
}

/// The messages of one queue that are not delivered.
struct Backlog {
    waiting: Mutex<VecDeque<QueuedMessage>>,
    /// One permit for each of them.
    arrivals: Semaphore,
}

#[derive(Clone, Copy)]
struct QueuedMessage {
    id: i64,
    redelivered: bool,
}

pub(super) async fn connect(url: &str) -> Result<Queue> {
    let options: SqliteConnectOptions = url.parse().map_err(failed)?;
    let file = std::path::absolute(options.get_filename())
        .map_err(|error| ErrorKind::Invalid.error("bad queue file").because(error))?;
    let mut held = HELD.lock().await;
    if let Some(queue) = held.get(&file).and_then(Weak::upgrade) {
        return Ok(queue);
    }
    let queue = Arc::new(Sqlite::open(options, &file).await?);
    held.retain(|_, queue| queue.strong_count() > 0);
    held.insert(file, Arc::downgrade(&queue));
    Ok(queue)
}

impl Sqlite {
    async fn open(options: SqliteConnectOptions, file: &Path) -> Result<Sqlite> {
        let lock = lock(file)?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let one = || SqlitePoolOptions::new().max_connections(1);
        let writer = one().connect_with(options.clone()).await.map_err(failed)?;
        for table in SCHEMA {
            sqlx::query(table).execute(&writer).await.map_err(failed)?;
        }
        let reader = one().connect_with(options).await.map_err(failed)?;
        let queue = Sqlite { writer, reader, backlogs: Mutex::default(), _lock: lock };
        queue.load().await?;
        Ok(queue)
    }

    /// Loads the messages that an earlier process left: any of them may have been delivered.
    async fn load(&self) -> Result<()> {
        let left: Vec<(i64, String)> = sqlx::query_as("SELECT id, topic FROM messages ORDER BY id")
            .fetch_all(&self.reader)
            .await
            .map_err(failed)?;
        for (id, queue) in left {
            self.backlog(&queue).push(QueuedMessage { id, redelivered: true });
        }
        Ok(())
    }

    /// Gives the group's queue what waits under the event's own name: there were no groups in earlier versions.
    async fn inherit(&self, event: Event<'_>, queue: &str) -> Result<()> {
        sqlx::query("UPDATE messages SET topic = ? WHERE topic = ?")
            .bind(queue)
            .bind(event.0)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
        let earlier = locked(&self.backlogs).remove(event.0);
        let waiting = earlier.map(|earlier| earlier.drain()).unwrap_or_default();
        let backlog = self.backlog(queue);
        waiting.into_iter().for_each(|message| backlog.push(message));
        Ok(())
    }

    fn backlog(&self, queue: &str) -> Arc<Backlog> {
        let mut backlogs = locked(&self.backlogs);
        backlogs.entry(queue.to_owned()).or_insert_with(|| Arc::new(Backlog::new())).clone()
    }
}

impl Backlog {
    fn new() -> Backlog {
        Backlog { waiting: Mutex::default(), arrivals: Semaphore::new(0) }
    }

    fn push(&self, message: QueuedMessage) {
        locked(&self.waiting).push_back(message);
        self.arrivals.add_permits(1);
    }

    async fn pop(&self) -> Option<QueuedMessage> {
        self.arrivals.acquire().await.ok()?.forget();
        locked(&self.waiting).pop_front()
    }

    /// All of them, of a queue that nobody takes from.
    fn drain(&self) -> VecDeque<QueuedMessage> {
        std::mem::take(&mut *locked(&self.waiting))
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn publish(&self, Work(queue): Work<'_>, body: &[u8]) -> Result<()> {
        let inserted = sqlx::query("INSERT INTO messages (topic, body) VALUES (?, ?)")
            .bind(queue)
            .bind(body)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
        let id = inserted.last_insert_rowid();
        self.backlog(queue).push(QueuedMessage { id, redelivered: false });
        Ok(())
    }

    async fn emit(&self, event: Event<'_>, body: &[u8]) -> Result<()> {
        let inserted: Vec<(i64, String)> = sqlx::query_as(
            "INSERT INTO messages (topic, body) SELECT queue, ? FROM consumer_groups WHERE event = ?
             RETURNING id, topic",
        )
        .bind(body)
        .bind(event.0)
        .fetch_all(&self.writer)
        .await
        .map_err(failed)?;
        for (id, queue) in inserted {
            self.backlog(&queue).push(QueuedMessage { id, redelivered: false });
        }
        Ok(())
    }

    async fn create_group(&self, event: Event<'_>, group: &str) -> Result<()> {
        let queue = event.queue_of(group);
        sqlx::query("INSERT OR IGNORE INTO consumer_groups (event, queue) VALUES (?, ?)")
            .bind(event.0)
            .bind(&queue)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
        self.inherit(event, &queue).await
    }

    async fn create_work(&self, _: Work<'_>) -> Result<()> {
        // A queue is there with its first row.
        Ok(())
    }

    async fn subscribe(&self, queue: &str, window: u16) -> Result<Deliveries> {
        let subscription = Subscription {
            writer: self.writer.clone(),
            reader: self.reader.clone(),
            backlog: self.backlog(queue),
            window: Arc::new(Semaphore::new(window.into())),
        };
        let deliveries = stream::unfold(subscription, async |subscription| {
            let delivery = subscription.next().await.transpose()?;
            Some((delivery, subscription))
        });
        Ok(deliveries.boxed())
    }

    async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.reader).await.map(drop).map_err(failed)
    }
}

/// One subscription.
struct Subscription {
    writer: SqlitePool,
    reader: SqlitePool,
    backlog: Arc<Backlog>,
    window: Arc<Semaphore>,
}

impl Subscription {
    async fn next(&self) -> Result<Option<Delivery>> {
        loop {
            let Ok(permit) = self.window.clone().acquire_owned().await else { return Ok(None) };
            let Some(message) = self.backlog.pop().await else { return Ok(None) };
            // From here on the message goes back by itself if this future is dropped.
            let taken = Unacked {
                writer: self.writer.clone(),
                backlog: Some(self.backlog.clone()),
                id: message.id,
                _permit: permit,
            };
            if let Some(body) = self.body(message.id).await? {
                let settle = Box::new(taken);
                return Ok(Some(Delivery { body, redelivered: message.redelivered, settle }));
            }
            taken.forget();
        }
    }

    async fn body(&self, id: i64) -> Result<Option<Vec<u8>>> {
        sqlx::query_scalar("SELECT body FROM messages WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.reader)
            .await
            .map_err(failed)
    }
}

/// A message that is delivered and not yet acknowledged.
struct Unacked {
    writer: SqlitePool,
    /// Where it goes back to; `None` once it is settled.
    backlog: Option<Arc<Backlog>>,
    id: i64,
    _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl Settle for Unacked {
    async fn ack(self: Box<Self>) -> Result<()> {
        sqlx::query("DELETE FROM messages WHERE id = ?")
            .bind(self.id)
            .execute(&self.writer)
            .await
            .map_err(failed)?;
        self.forget();
        Ok(())
    }

    async fn retry(self: Box<Self>) -> Result<()> {
        tokio::time::sleep(REDELIVERY_DELAY).await;
        Ok(())
    }
}

impl Unacked {
    fn forget(mut self) {
        self.backlog = None;
    }
}

impl Drop for Unacked {
    fn drop(&mut self) {
        if let Some(backlog) = self.backlog.take() {
            backlog.push(QueuedMessage { id: self.id, redelivered: true });
        }
    }
}

fn lock(file: &Path) -> Result<File> {
    let path = file.with_added_extension("lock");
    let lock = File::options().create(true).append(true).open(&path).map_err(|error| {
        ErrorKind::Unavailable.error("the queue's folder cannot be written").because(error)
    })?;
    lock.try_lock().map_err(|error| {
        ErrorKind::Conflict.error("the queue file is held by another process").because(error)
    })?;
    Ok(lock)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing below a guard can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
