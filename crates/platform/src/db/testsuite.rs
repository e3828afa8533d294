//! What every database must do, whatever is behind it.
//!
//! Needs a table `counters (name VARCHAR(64) PRIMARY KEY, value BIGINT)` that is empty.

use std::time::Duration;

use domain::{ErrorKind, Result};
use futures::future::join_all;

use super::{Database, Unit, failed};

/// Runs the suite; panics where the database breaks a promise.
pub async fn run(database: Database) {
    database.ping().await.expect("a database that answers");
    a_unit_that_fails_leaves_nothing(&database).await;
    a_unit_that_panics_leaves_nothing(&database).await;
    a_row_that_exists_is_a_conflict(&database).await;
    a_unit_is_seen_by_itself_first_and_by_others_when_it_is_whole(&database).await;
    units_at_once_all_succeed(&database).await;
    callers_go_away(&database, 100).await;
}

async fn a_unit_that_fails_leaves_nothing(database: &Database) {
    let undone = database
        .unit(|unit| {
            Box::pin(async move {
                insert(unit, "undone").await?;
                Err::<(), _>(ErrorKind::Invalid.error("on purpose"))
            })
        })
        .await;
    assert_eq!(undone.expect_err("a failure").kind(), ErrorKind::Invalid);
    assert_eq!(value(database, "undone").await, None);
}

async fn a_unit_that_panics_leaves_nothing(database: &Database) {
    let undone = database
        .unit(|unit| {
            Box::pin(async move {
                insert(unit, "panicked").await?;
                panic!("on purpose")
            })
        })
        .await;
    let undone: Result<()> = undone;
    assert_eq!(undone.expect_err("a failure").kind(), ErrorKind::Internal);
    assert_eq!(value(database, "panicked").await, None);
}

async fn a_row_that_exists_is_a_conflict(database: &Database) {
    let once = || database.unit(|unit| Box::pin(insert(unit, "once")));
    once().await.expect("the first");
    assert_eq!(once().await.expect_err("the second").kind(), ErrorKind::Conflict);
}

async fn a_unit_is_seen_by_itself_first_and_by_others_when_it_is_whole(database: &Database) {
    let others = database.clone();
    let unit = database.unit(move |unit| {
        Box::pin(async move {
            insert(unit, "half").await?;
            add_one(unit, "half").await?;
            let own: i64 = sqlx::query_scalar("SELECT value FROM counters WHERE name = 'half'")
                .fetch_one(&mut **unit)
                .await
                .map_err(failed)?;
            Ok((own, value(&others, "half").await))
        })
    });
    assert_eq!(unit.await.expect("a unit"), (1, None));
    assert_eq!(value(database, "half").await, Some(1));
}

async fn units_at_once_all_succeed(database: &Database) {
    database.unit(|unit| Box::pin(insert(unit, "together"))).await.expect("a row");
    let all = (0..50).map(|_| database.unit(|unit| Box::pin(add_one(unit, "together"))));
    for added in join_all(all).await {
        added.expect("an increment");
    }
    assert_eq!(value(database, "together").await, Some(50));
}

/// Callers who drop their unit after ever more of its steps: each unit is whole or not there, and no connection
/// goes back to the pool with a transaction open.
pub async fn callers_go_away(database: &Database, callers: u32) {
    for number in 0..callers {
        let name = format!("left-{number}");
        let row = name.clone();
        let unit = database.unit(move |unit| {
            Box::pin(async move {
                insert(unit, &row).await?;
                add_one(unit, &row).await
            })
        });
        // Dropped wherever it happens to be by then.
        let patience = Duration::from_micros(u64::from(number % 100) * 37);
        let _ = tokio::time::timeout(patience, unit).await;
        // A statement of its own would vanish if it ran inside somebody's open transaction.
        let row = format!("after-{number}");
        sqlx::query("INSERT INTO counters (name, value) VALUES (?, 0)")
            .bind(&row)
            .execute(database.pool())
            .await
            .expect("a row");
        assert!(matches!(value(database, &name).await, None | Some(1)), "half a unit");
    }
    // One more unit waits for whatever still runs.
    database.unit(|unit| Box::pin(insert(unit, "last"))).await.expect("a row");
    for number in 0..callers {
        assert_eq!(value(database, &format!("after-{number}")).await, Some(0));
    }
}

async fn insert(unit: &mut Unit, name: &str) -> Result<()> {
    sqlx::query("INSERT INTO counters (name, value) VALUES (?, 0)")
        .bind(name)
        .execute(&mut **unit)
        .await
        .map(drop)
        .map_err(failed)
}

async fn add_one(unit: &mut Unit, name: &str) -> Result<()> {
    sqlx::query("UPDATE counters SET value = value + 1 WHERE name = ?")
        .bind(name)
        .execute(&mut **unit)
        .await
        .map(drop)
        .map_err(failed)
}

async fn value(database: &Database, name: &str) -> Option<i64> {
    sqlx::query_scalar("SELECT value FROM counters WHERE name = ?")
        .bind(name)
        .fetch_optional(database.pool())
        .await
        .expect("a value")
}
