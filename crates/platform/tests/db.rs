//! Every database against the one suite. MySQL or MariaDB runs when `TEST_MYSQL_URL` names a server.

use domain::ErrorKind;
use platform::db::{connect, testsuite};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("tests/migrations");

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
async fn sqlite_survives_the_loss_of_power() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("suite.db").display());
    let database = connect(&url, &MIGRATIONS).await.unwrap();
    for (pragma, value) in [("synchronous", 2_i64), ("foreign_keys", 1), ("busy_timeout", 5000)] {
        let query = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let set: i64 = sqlx::query_scalar(query).fetch_one(database.pool()).await.unwrap();
        assert_eq!(set, value, "{pragma}");
    }
    let journal: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(database.pool()).await.unwrap();
    assert_eq!(journal, "wal");
}

#[tokio::test]
async fn mysql() {
    let Ok(server) = std::env::var("TEST_MYSQL_URL") else {
        return eprintln!("skipped: TEST_MYSQL_URL is not set");
    };
    sqlx::any::install_default_drivers();
    let name = format!("medseg_suite_{}", std::process::id());
    let pool = sqlx::AnyPool::connect(&server).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&pool).await.unwrap();
    let (root, _) = server.rsplit_once('/').unwrap();
    testsuite::run(connect(&format!("{root}/{name}"), &MIGRATIONS).await.unwrap()).await;
    let discard = sqlx::AssertSqlSafe(format!("DROP DATABASE {name}"));
    sqlx::query(discard).execute(&pool).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_built_in_is_named() {
    let refused = connect("postgres://somewhere/db", &MIGRATIONS).await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("`postgres://`"), "{refused}");
}
