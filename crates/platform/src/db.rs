//! Relational storage: MySQL or SQLite behind one handle.
//!
//! SQL is written once, in the subset that both speak: `?` placeholders, text keys of at most 190
//! characters, `BIGINT` times in milliseconds and flags; no `RETURNING`, upserts or `SKIP LOCKED`.

#[cfg(feature = "testsuite")]
pub mod testsuite;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorKind, Result};
use futures::future::BoxFuture;
use sqlx::any::{AnyArguments, AnyPoolOptions};
use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::Instrument;

use crate::{deadline, trail};

/// One unit of work: everything that is executed on it becomes visible at once, or never.
pub type Unit = Transaction<'static, Any>;

/// How long a caller waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTIONS_MAX: u32 = 8;

/// A database that its migrations have been applied to; cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    begin: &'static str,
    scrub: Option<&'static str>,
    /// SQLite takes one writer at a time; waiting here is fair and immediate, its own lock polls.
    writers: Arc<Semaphore>,
    units_at_once: usize,
}

/// Opens the database at `url` (`mysql://…` or `sqlite://…`, made when missing) and migrates it.
///
/// A committed unit survives a crash of the process and of the machine. A database that a later version has
/// migrated further is taken as it is: a roll-out, and the way back from one, start the version before on it.
pub async fn connect(url: &str, migrations: &Migrator) -> Result<Database> {
    let dialect = Dialect::of(url)?;
    let database = opened(dialect, &dialect.address(url)).await?;
    let mut migrations = Migrator::with_migrations(migrations.iter().cloned().collect());
    migrations.set_ignore_missing(true);
    migrations.run(&database.pool).await.map_err(|error| failed(error.into()))?;
    Ok(database)
}

/// Opens the database at `url` as it is, beside whoever runs on it: nothing is migrated, and one that is missing is not made.
pub async fn existing(url: &str) -> Result<Database> {
    let dialect = Dialect::of(url)?;
    opened(dialect, &dialect.address(url).replace("mode=rwc", "mode=rw")).await
}

async fn opened(dialect: Dialect, address: &str) -> Result<Database> {
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(dialect.may_hang_up())
        .after_connect(move |connection, _| dialect.prepare(connection))
        .after_release(|connection, _| Box::pin(is_clean(connection)))
        .connect(address)
        .await
        .map_err(failed)?;
    let writers = Arc::new(Semaphore::new(dialect.writers()));
    let (begin, scrub) = (dialect.begin(), dialect.scrub());
    Ok(Database { pool, begin, scrub, writers, units_at_once: dialect.units_at_once() })
}

impl Database {
    /// The connection pool: for reads, and for single statements that are a unit by themselves.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// How many units may be under way at once before others wait for them: who shares them out among parties lets no more begin.
    pub fn units_at_once(&self) -> usize {
        self.units_at_once
    }

    /// Runs `work` as one unit: committed when it succeeds, rolled back when it fails or panics.
    ///
    /// It runs in a task of its own, because a future that is dropped in the middle of `BEGIN` can
    /// return an open transaction to the pool: a caller that goes away never cancels a unit.
    pub async fn unit<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'u> FnOnce(&'u mut Unit) -> BoxFuture<'u, Result<T>> + Send + 'static,
    {
        let database = self.clone();
        let span = tracing::info_span!("unit of work", otel.kind = "client");
        let (until, asked) = (deadline::current(), trail::current());
        let run = trail::propagate(asked, async move { database.run(work).await });
        let unit = tokio::spawn(deadline::propagate(until, run).instrument(span));
        let ended = async {
            unit.await.map_err(|error| {
                ErrorKind::Internal.error("a unit of work did not end").because(error)
            })?
        };
        // The caller stops waiting at its deadline; a unit that has begun is committed or rolled back all the same.
        deadline::enforce(ended).await
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        F: for<'u> FnOnce(&'u mut Unit) -> BoxFuture<'u, Result<T>>,
    {
        let _turn = self.turn().await?;
        deadline::check()?;
        let mut unit = self.pool.begin_with(self.begin).await.map_err(failed)?;
        let done = work(&mut unit).await?;
        unit.commit().await.map_err(failed)?;
        Ok(done)
    }

    /// Takes what was deleted out of the files of a database that is one: what deleted rows held is overwritten with zeros as they
    /// go, and the log, which has it from before, is emptied here. Readers that are under way keep it full until the next time.
    ///
    /// A server's files are its operator's: nothing is done there.
    pub async fn scrub(&self) -> Result<()> {
        match self.scrub {
            Some(statement) => {
                // Whoever would write meanwhile waits in line, as for a unit.
                let _turn = self.turn().await?;
                self.pool.execute(statement).await.map(drop).map_err(failed)
            }
            None => Ok(()),
        }
    }

    /// The turn at writing.
    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.writers
            .acquire()
            .await
            .map_err(|error| ErrorKind::Unavailable.error("the database is closed").because(error))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop).map_err(failed)
    }
}

/// Whether the connection may be used again. SQLite rolls back by itself when its disk is full; the driver's own rollback then
/// fails, and to the driver the transaction stays open for ever.
async fn is_clean(connection: &mut AnyConnection) -> sqlx::Result<bool> {
    if connection.is_in_transaction() {
        // A rollback may be under way.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

#[derive(Clone, Copy)]
enum Dialect {
    MySql,
    Sqlite,
}

impl Dialect {
    fn of(url: &str) -> Result<Dialect> {
        // What has no scheme is not quoted: it may be a password.
        match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "mysql" | "mariadb" => Ok(Self::MySql),
            "sqlite" => Ok(Self::Sqlite),
            scheme => Err(ErrorKind::Invalid.error(format!(
                "no database adapter for `{scheme}://`: use mysql:// or sqlite://"
            ))),
        }
    }

    fn address(self, url: &str) -> String {
        match self {
            Self::Sqlite if !url.contains('?') => format!("{url}?mode=rwc"),
            _ => url.to_owned(),
        }
    }

    /// Takes SQLite's write lock at once: a reader that turns writer later would fail as busy.
    fn begin(self) -> &'static str {
        match self {
            Self::MySql => "BEGIN",
            Self::Sqlite => "BEGIN IMMEDIATE",
        }
    }

    fn scrub(self) -> Option<&'static str> {
        match self {
            Self::MySql => None,
            Self::Sqlite => Some("PRAGMA wal_checkpoint(TRUNCATE)"),
        }
    }

    /// Whether a connection that rests may be gone: a server ends it, a file does not, and to ask before each use costs as much
    /// as most statements.
    fn may_hang_up(self) -> bool {
        matches!(self, Self::MySql)
    }

    fn writers(self) -> usize {
        match self {
            Self::MySql => Semaphore::MAX_PERMITS,
            Self::Sqlite => 1,
        }
    }

    fn units_at_once(self) -> usize {
        match self {
            // The other connections are for reads.
            Self::MySql => CONNECTIONS_MAX as usize / 2,
            // One writes, and the next one is ready.
            Self::Sqlite => 2,
        }
    }

    fn prepare(self, connection: &mut AnyConnection) -> BoxFuture<'_, sqlx::Result<()>> {
        // WAL with synchronous=FULL: a commit is one fsync, and survives a loss of power. What is deleted is overwritten: who is
        // erased is in no file.
        let settings = match self {
            Self::MySql => "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            Self::Sqlite => {
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON"
            }
        };
        Box::pin(async move { connection.execute(settings).await.map(drop) })
    }
}

/// Binds ids. They have no `sqlx::Encode`: their crate knows no database, and the orphan rule forbids the impl here.
pub trait BindId: Sized {
    /// Binds an id as text, which is how it is stored.
    fn id(self, id: impl Display) -> Self;
}

impl BindId for Query<'_, Any, AnyArguments> {
    fn id(self, id: impl Display) -> Self {
        self.bind(id.to_string())
    }
}

impl<O> BindId for QueryAs<'_, Any, O, AnyArguments> {
    fn id(self, id: impl Display) -> Self {
        self.bind(id.to_string())
    }
}

impl<O> BindId for QueryScalar<'_, Any, O, AnyArguments> {
    fn id(self, id: impl Display) -> Self {
        self.bind(id.to_string())
    }
}

/// Runs a statement that returns no rows.
pub trait Run {
    /// Runs it as part of `unit`; answers how many rows it has changed.
    fn run(self, unit: &mut Unit) -> impl Future<Output = Result<u64>> + Send;
}

impl Run for Query<'_, Any, AnyArguments> {
    async fn run(self, unit: &mut Unit) -> Result<u64> {
        let done = self.execute(&mut **unit).await.map_err(failed)?;
        Ok(done.rows_affected())
    }
}

/// The error of a database, by the kind that it means to the caller.
pub fn failed(error: sqlx::Error) -> Error {
    let (kind, message) = match &error {
        sqlx::Error::RowNotFound => (ErrorKind::NotFound, "no such row"),
        sqlx::Error::Database(cause) if cause.is_unique_violation() => {
            (ErrorKind::Conflict, "the row exists already")
        }
        sqlx::Error::Database(cause) if is_lock_wait(cause.as_ref()) => BUSY,
        sqlx::Error::Database(cause) => of_code(cause.code().as_deref().unwrap_or_default()),
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => (ErrorKind::Unavailable, "the database does not answer"),
        _ => (ErrorKind::Internal, "a database request failed"),
    };
    kind.error(message).because(error)
}

/// Whether a unit was given up because it and another waited for each other. It changed nothing, and made again it goes on.
pub fn is_deadlock(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|it| it.downcast_ref::<sqlx::Error>());
    matches!(cause, Some(sqlx::Error::Database(cause)) if cause.code().as_deref() == Some(DEADLOCK))
}

/// SQLSTATE's serialization failure: MySQL's `ER_LOCK_DEADLOCK`.
const DEADLOCK: &str = "40001";

/// The same unit may succeed later.
const BUSY: (ErrorKind, &str) = (ErrorKind::Unavailable, "the database is busy");

/// `ER_LOCK_WAIT_TIMEOUT`: its SQLSTATE is the general one, HY000, so that its number alone tells it.
const MYSQL_LOCK_WAIT: u16 = 1205;

fn is_lock_wait(cause: &(dyn DatabaseError + 'static)) -> bool {
    let mysql = cause.try_downcast_ref::<MySqlDatabaseError>();
    mysql.is_some_and(|cause| cause.number() == MYSQL_LOCK_WAIT)
}

/// SQLite's result codes (the low byte is the primary one), or SQLSTATE, which alone has five characters.
fn of_code(code: &str) -> (ErrorKind, &'static str) {
    let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5);
    match sqlite.map(|code| code & 0xff) {
        Some(5 | 6) => BUSY,
        Some(8) => (ErrorKind::Unavailable, "the database is read-only"),
        Some(10) => (ErrorKind::Unavailable, "the database cannot reach its disk"),
        Some(13) => (ErrorKind::Unavailable, "the database's disk is full"),
        _ if code == DEADLOCK => BUSY,
        _ => (ErrorKind::Internal, "a database request failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_fail_again() {
        for (code, words) in [
            // SQLITE_BUSY, _BUSY_SNAPSHOT, _LOCKED_SHAREDCACHE, _READONLY_DBMOVED, _IOERR_FSYNC, _IOERR_IN_PAGE, _FULL.
            ("5", "the database is busy"),
            ("517", "the database is busy"),
            ("262", "the database is busy"),
            ("1032", "the database is read-only"),
            ("1034", "the database cannot reach its disk"),
            ("8714", "the database cannot reach its disk"),
            ("13", "the database's disk is full"),
            // MySQL's deadlock.
            ("40001", "the database is busy"),
        ] {
            assert_eq!(of_code(code), (ErrorKind::Unavailable, words), "{code}");
        }
        // SQLITE_ERROR, _CORRUPT, _CONSTRAINT_FOREIGNKEY, _MISUSE; a subquery of many rows, whose number ends as that of
        // a read-only SQLite; data too long; what MySQL has no class for.
        for code in ["1", "11", "787", "21", "21000", "22001", "HY000", ""] {
            let failed = (ErrorKind::Internal, "a database request failed");
            assert_eq!(of_code(code), failed, "{code}");
        }
    }
}
