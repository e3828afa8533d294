//! Every database against the one suite. MySQL or MariaDB runs when `TEST_MYSQL_URL` names a server.

use std::time::Duration;

use domain::ErrorKind;
use platform::db::{connect, failed, testsuite};
use platform::deadline::with_deadline;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("tests/migrations");

#[tokio::test]
async fn sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    testsuite::run(connect(&url, &MIGRATIONS).await.unwrap()).await;
    // Opened again, it is migrated already and has kept everything.
    let again = connect(&url, &MIGRATIONS).await.unwrap();
    let kept: i64 = sqlx::query_scalar("SELECT value FROM counters WHERE name = 'together'")
        .fetch_one(again.pool())
        .await
        .unwrap();
    assert_eq!(kept, 50);
}

#[tokio::test]
async fn what_was_deleted_is_in_no_file_of_sqlite_once_it_is_scrubbed() {
    const CANARY: &str = "canary of a patient";
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    let database = connect(&url, &MIGRATIONS).await.unwrap();
    let naming = || {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let bytes = files.map(|path| std::fs::read(path).unwrap());
        bytes
            .filter(|bytes| bytes.windows(CANARY.len()).any(|some| some == CANARY.as_bytes()))
            .count()
    };
    let pool = database.pool();
    // Longer than a page, so that it lies in several.
    for (id, words) in [("short", CANARY.to_owned()), ("long", CANARY.repeat(1000))] {
        let kept = sqlx::query("CREATE TABLE IF NOT EXISTS words (id VARCHAR(36), words TEXT)");
        kept.execute(pool).await.unwrap();
        let kept = sqlx::query("INSERT INTO words (id, words) VALUES (?, ?)").bind(id).bind(words);
        kept.execute(pool).await.unwrap();
    }
    assert!(naming() > 0, "it was never there");
    sqlx::query("DELETE FROM words").execute(pool).await.unwrap();
    database.scrub().await.unwrap();
    assert_eq!(naming(), 0);
}

#[tokio::test]
async fn sqlite_survives_the_loss_of_power() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    let database = connect(&url, &MIGRATIONS).await.unwrap();
    for (pragma, value) in
        [("synchronous", 2_i64), ("foreign_keys", 1), ("busy_timeout", 5000), ("secure_delete", 1)]
    {
        let query = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let set: i64 = sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap();
        assert_eq!(set, value, "{pragma}");
    }
    let journal: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(database.pool()).await.unwrap();
    assert_eq!(journal, "wal");
}

#[tokio::test]
async fn a_bad_address_is_refused_without_a_word_of_its_password() {
    for url in ["hunter2", "mysql://medseg:hunter2@db:port/x"] {
        let refused = connect(url, &MIGRATIONS).await.map(drop).unwrap_err();
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }
}

#[tokio::test]
async fn mysql() {
    let Some(server) = Server::named("suite").await else { return };
    testsuite::run(connect(&server.url, &MIGRATIONS).await.unwrap()).await;
    server.discard().await;
}

#[tokio::test]
async fn callers_that_go_away_leave_no_transaction_open() {
    let Some(server) = Server::named("cancelled").await else { return };
    let database = connect(&server.url, &MIGRATIONS).await.unwrap();
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    testsuite::callers_go_away(&database, number("FAULT_CANCELS").unwrap_or(1_000)).await;
    // Of this test's own connections: others use the server as well.
    let open: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM information_schema.innodb_trx AS open
         JOIN information_schema.processlist AS connection ON open.trx_mysql_thread_id = connection.id
         WHERE connection.db = DATABASE()",
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    assert_eq!(open, 0);
    server.discard().await;
}

#[tokio::test]
async fn who_waits_too_long_for_a_row_is_told_to_come_again() {
    const UPDATE: &str = "UPDATE counters SET value = value + 1 WHERE name = 'row'";
    let Some(server) = Server::named("waiting").await else { return };
    let database = connect(&server.url, &MIGRATIONS).await.unwrap();
    let insert = "INSERT INTO counters (name, value) VALUES ('row', 0)";
    sqlx::query(insert).execute(database.pool()).await.unwrap();
    let mut holder = database.pool().begin().await.unwrap();
    sqlx::query(UPDATE).execute(&mut *holder).await.unwrap();
    let waiting = database.unit(|unit| {
        Box::pin(async move {
            for statement in ["SET SESSION innodb_lock_wait_timeout = 1", UPDATE] {
                sqlx::query(statement).execute(&mut **unit).await.map_err(failed)?;
            }
            Ok(())
        })
    });
    assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Unavailable);
    holder.rollback().await.unwrap();
    server.discard().await;
}

#[tokio::test]
async fn after_a_full_disk_units_succeed_again() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("full.db").display());
    let database = connect(&url, &MIGRATIONS).await.unwrap();
    let full = database.unit(|unit| {
        Box::pin(async move {
            // To SQLite, the connection that may not let its file grow is on a full disk.
            let name = "x".repeat(100_000);
            for statement in ["PRAGMA max_page_count = 1", "INSERT INTO counters VALUES (?, 0)"] {
                sqlx::query(statement).bind(&name).execute(&mut **unit).await.map_err(failed)?;
            }
            Ok(())
        })
    });
    assert_eq!(full.await.unwrap_err().kind(), ErrorKind::Unavailable);
    testsuite::run(database).await;
}

#[tokio::test]
async fn tables_of_other_migrations_are_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    let database = connect(&url, &MIGRATIONS).await.unwrap();
    // The same number as ours: it was changed after it had been applied, or is another service's.
    let other = Migration::new(
        1,
        "other".into(),
        MigrationType::Simple,
        "DROP TABLE counters".into_sql_str(),
        false,
    );
    let refused = connect(&url, &Migrator::with_migrations(vec![other])).await.map(drop);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Internal);
    let counters: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM counters")
        .fetch_one(database.pool())
        .await
        .unwrap();
    assert_eq!(counters, 0);
}

#[tokio::test]
async fn a_unit_is_not_begun_too_late_and_once_begun_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    let database = connect(&url, &MIGRATIONS).await.unwrap();
    let unit = |name: &'static str, pause: Duration| {
        database.unit(move |unit| {
            Box::pin(async move {
                sqlx::query("INSERT INTO counters (name, value) VALUES (?, 0)")
                    .bind(name)
                    .execute(&mut **unit)
                    .await
                    .map_err(failed)?;
                tokio::time::sleep(pause).await;
                Ok(())
            })
        })
    };
    let late = with_deadline(Duration::ZERO, unit("late", Duration::ZERO)).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Unavailable);
    let patience = Duration::from_millis(500);
    let left = with_deadline(patience, unit("begun", 2 * patience)).await;
    assert_eq!(left.unwrap_err().kind(), ErrorKind::Unavailable);
    // SQLite has one writer: this one waits for those before it.
    unit("next", Duration::ZERO).await.unwrap();
    let names: Vec<(String,)> = sqlx::query_as("SELECT name FROM counters ORDER BY name")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(names, [("begun".to_owned(),), ("next".to_owned(),)]);
}

/// A roll-out and a rollback start the version before on the tables of the version after.
#[tokio::test]
async fn a_database_that_a_later_version_has_migrated_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    let later = Migration::new(
        2,
        "later".into(),
        MigrationType::Simple,
        "ALTER TABLE counters ADD COLUMN unit VARCHAR(8) NOT NULL DEFAULT ''".into_sql_str(),
        false,
    );
    let next = Migrator::with_migrations(MIGRATIONS.iter().cloned().chain([later]).collect());
    connect(&url, &next).await.unwrap();
    testsuite::run(connect(&url, &MIGRATIONS).await.unwrap()).await;
}

/// A database of a test's own on the server that `TEST_MYSQL_URL` names.
struct Server {
    pool: sqlx::AnyPool,
    name: String,
    url: String,
}

impl Server {
    async fn named(test: &str) -> Option<Server> {
        let Ok(server) = std::env::var("TEST_MYSQL_URL") else {
            eprintln!("skipped: TEST_MYSQL_URL is not set");
            return None;
        };
        sqlx::any::install_default_drivers();
        let name = format!("medseg_{test}_{}", std::process::id());
        let pool = sqlx::AnyPool::connect(&server).await.expect("the server");
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&pool).await.expect("a new database");
        let (root, _) = server.rsplit_once('/').expect("a database in the URL");
        let url = format!("{root}/{name}");
        Some(Server { pool, name, url })
    }

    async fn discard(self) {
        let discard = sqlx::AssertSqlSafe(format!("DROP DATABASE {}", self.name));
        sqlx::query(discard).execute(&self.pool).await.expect("its end");
    }
}

#[tokio::test]
async fn a_database_that_is_not_built_in_is_named() {
    let refused = connect("postgres://somewhere/db", &MIGRATIONS).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`postgres://`"), "{refused}");
}
