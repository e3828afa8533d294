//! Slows down who guesses passwords, or codes beside the right one.
//!
//! After five failures every further attempt from the same place at the same account waits, twice as long each time and at most a
//! quarter of an hour. The owner of the account, at a place from which they have signed in before, does not wait for what strangers
//! do. Names that nobody has wait alike.
//!
//! What has happened is in auth's database, so that all instances count together and a restart forgets nothing. Rows hold digests
//! that follow from the signing key: a copy of the database names neither account nor place.

mod account;

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use domain::{Clock, ErrorKind, Result, hex};
use platform::db::{self, Database, Run, Unit};
use service::claims::SigningKey;
use sqlx::{Any, Executor};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::waiting::{Asker, counted};
use account::{Account, FORGOTTEN_AFTER_MS, Tally};

/// For how long it is known where an owner has signed in from.
const KNOWN_FOR_MS: i64 = 90 * 24 * 60 * 60 * 1000;
/// Places that are kept of one account.
const PLACES_MAX: i64 = 64;
/// Rows that are kept of failures; beyond, those that say least are forgotten, some at once.
const FAILED_MAX: i64 = 10_000;
const FORGOTTEN_AT_ONCE: i64 = 256;
/// How often a change is made anew that another instance has got in the way of.
const TRIES: usize = 5;
/// The place of the row that counts for an account as a whole.
const ANYWHERE: &str = "";

/// Counts guesses by account and place.
pub struct Throttle {
    database: Database,
    key: Arc<SigningKey>,
    clock: Clock,
    turns: Turns,
}

/// One attempt at an account, at which there is no other here until this is dropped. Where others have failed before, it is counted as a
/// failure until it is said to be none.
pub struct Guess {
    database: Database,
    of: Of,
    seen: Account,
    at_ms: i64,
    is_counted: bool,
    _turn: OwnedMutexGuard<()>,
}

/// Which rows: digests of the account, and of the place at that account.
#[derive(Clone)]
struct Of {
    account: String,
    place: String,
}

impl Throttle {
    pub fn new(database: Database, key: Arc<SigningKey>, clock: Clock) -> Throttle {
        Throttle { database, key, clock, turns: Turns::default() }
    }

    /// Begins an attempt; `Exhausted` for one that comes too early.
    pub async fn guess(&self, user_name: &str, place: &str) -> Result<Guess> {
        let place = self.digest(&[user_name, &counted(place)]);
        let of = Of { account: self.digest(&[user_name]), place };
        let turn = self.turns.take(&of.account).await;
        let at_ms = self.clock.now_ms();
        let mut seen = of.read(self.database.pool()).await?;
        seen.admit(at_ms)?;
        let is_counted = seen.is_suspect();
        if is_counted {
            // Other instances may have admitted another at this very moment: here they are one after the other.
            seen = change(&self.database, of.clone(), at_ms, move |account| {
                account.admit(at_ms)?;
                account.record_failure(at_ms);
                Ok(())
            })
            .await?;
        }
        Ok(Guess { database: self.database.clone(), of, seen, at_ms, is_counted, _turn: turn })
    }

    fn digest(&self, names: &[&str]) -> String {
        hex(&self.key.derive("guesses", names.join("\0").as_bytes()))
    }
}

impl Guess {
    /// Who asks from there.
    pub fn asker<'a>(&self, place: &'a str) -> Asker<'a> {
        if self.seen.here.trusted { Asker::Known } else { Asker::At(place) }
    }

    /// What came of looking at it. Where nobody could look, as where too many sign in at once, it was no failure.
    pub async fn looked_at<T>(self, came: Result<T>) -> Result<(Guess, T)> {
        match came {
            Ok(came) => Ok((self, came)),
            Err(error) => {
                self.unfinished().await?;
                Err(error)
            }
        }
    }

    pub async fn failed(self) -> Result<()> {
        if self.is_counted {
            return Ok(());
        }
        let at_ms = self.at_ms;
        self.change(move |account| account.record_failure(at_ms)).await
    }

    /// It was right as far as it went, and shows nothing yet.
    pub async fn unfinished(self) -> Result<()> {
        if !self.is_counted {
            return Ok(());
        }
        let (seen, at_ms) = (self.seen, self.at_ms);
        self.change(move |account| account.take_back(&seen, at_ms)).await
    }

    pub async fn succeeded(self) -> Result<()> {
        let (seen, at_ms, is_counted) = (self.seen, self.at_ms, self.is_counted);
        if !is_counted && seen.is_known(at_ms) {
            return Ok(());
        }
        self.change(move |account| {
            if is_counted {
                account.take_back(&seen, at_ms);
            }
            account.record_success(at_ms);
        })
        .await
    }

    async fn change(&self, what: impl Fn(&mut Account) + Clone + Send + 'static) -> Result<()> {
        let changed = move |account: &mut Account| {
            what(account);
            Ok(())
        };
        change(&self.database, self.of.clone(), self.at_ms, changed).await.map(drop)
    }
}

/// Changes what is kept, in a unit of its own; what it was before.
async fn change(
    database: &Database,
    of: Of,
    now_ms: i64,
    what: impl Fn(&mut Account) -> Result<()> + Clone + Send + 'static,
) -> Result<Account> {
    let mut is_new = false;
    for _ in 0..TRIES {
        let (held, what) = (of.clone(), what.clone());
        let changed =
            database.unit(move |unit| Box::pin(async move { held.change(unit, what).await })).await;
        match changed {
            Ok(Some((before, is_more))) => {
                if is_new || is_more {
                    sweep(database, of, now_ms).await;
                }
                return Ok(before);
            }
            Ok(None) => is_new |= of.appear(database, now_ms).await?,
            // With another instance, that forgets.
            Err(error) if db::is_deadlock(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::Unavailable.error("too many sign in with this name at once, try again"))
}

/// Forgets in a unit of its own, which holds no account that another holds; it waits for the next row where it fails.
async fn sweep(database: &Database, of: Of, now_ms: i64) {
    let swept =
        database.unit(move |unit| Box::pin(async move { of.forget(unit, now_ms).await })).await;
    if let Err(error) = swept {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "could not forget guesses of before");
    }
}

impl Of {
    async fn read(&self, executor: impl Executor<'_, Database = Any>) -> Result<Account> {
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT place, failures, last_ms, trusted FROM guesses WHERE account = ? AND place IN (?, ?)",
        )
        .bind(self.account.clone())
        .bind(ANYWHERE)
        .bind(self.place.clone())
        .fetch_all(executor)
        .await
        .map_err(db::failed)?;
        let mut account = Account::default();
        for (place, failures, last_ms, trusted) in rows {
            let tally = Tally { failures, last_ms, trusted: trusted != 0 };
            if place == ANYWHERE { account.anywhere = tally } else { account.here = tally }
        }
        Ok(account)
    }

    /// Changes what is kept; what it was before, and whether there are more rows now. None where there is no row to hold.
    async fn change(
        &self,
        unit: &mut Unit,
        what: impl FnOnce(&mut Account) -> Result<()> + Send,
    ) -> Result<Option<(Account, bool)>> {
        if !self.hold(unit).await? {
            return Ok(None);
        }
        let before = self.read(&mut **unit).await?;
        let (mut after, mut is_more) = (before, false);
        what(&mut after)?;
        if after.anywhere != before.anywhere {
            is_more |= self.write(unit, ANYWHERE, after.anywhere).await?;
        }
        if after.here != before.here {
            is_more |= self.write(unit, &self.place, after.here).await?;
        }
        Ok(Some((before, is_more)))
    }

    /// Holds the account's row until the unit ends; whether there is one.
    async fn hold(&self, unit: &mut Unit) -> Result<bool> {
        let hold =
            sqlx::query("UPDATE guesses SET last_ms = last_ms WHERE account = ? AND place = ?");
        let held = hold.bind(self.account.clone()).bind(ANYWHERE).run(unit).await?;
        Ok(held > 0)
    }

    /// Makes the row that is held, in a unit of its own; whether it was not there. In one unit with the change it would not do: who finds
    /// that another instance was faster shares a lock on that row then, and two who do so wait for each other to change it.
    async fn appear(&self, database: &Database, now_ms: i64) -> Result<bool> {
        let of = self.clone();
        let tally = Tally { last_ms: now_ms, ..Tally::default() };
        let made = database
            .unit(move |unit| Box::pin(async move { of.insert(unit, ANYWHERE, tally).await }))
            .await;
        match made {
            Err(error) if error.kind() == ErrorKind::Conflict || db::is_deadlock(&error) => {
                Ok(false)
            }
            made => made.map(|()| true),
        }
    }

    /// Writes a row of the account that is held; whether it was made.
    async fn write(&self, unit: &mut Unit, place: &str, tally: Tally) -> Result<bool> {
        let written = sqlx::query(
            "UPDATE guesses SET failures = ?, last_ms = ?, trusted = ? WHERE account = ? AND place = ?",
        )
        .bind(tally.failures)
        .bind(tally.last_ms)
        .bind(i64::from(tally.trusted))
        .bind(self.account.clone())
        .bind(place.to_owned())
        .run(unit)
        .await?;
        if written > 0 {
            return Ok(false);
        }
        self.insert(unit, place, tally).await.map(|()| true)
    }

    async fn insert(&self, unit: &mut Unit, place: &str, tally: Tally) -> Result<()> {
        sqlx::query(
            "INSERT INTO guesses (account, place, failures, last_ms, trusted) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(self.account.clone())
        .bind(place.to_owned())
        .bind(tally.failures)
        .bind(tally.last_ms)
        .bind(i64::from(tally.trusted))
        .run(unit)
        .await
        .map(drop)
    }

    /// Forgets what says nothing any more, and of the rest what says least where there is too much: places of owners last. What this
    /// account's own place says stays.
    async fn forget(&self, unit: &mut Unit, now_ms: i64) -> Result<()> {
        for (trusted, kept_ms) in [(0_i64, FORGOTTEN_AFTER_MS), (1, KNOWN_FOR_MS)] {
            sqlx::query(
                "DELETE FROM guesses WHERE trusted = ? AND last_ms < ? AND NOT (account = ? AND place IN (?, ?))",
            )
            .bind(trusted)
            .bind(now_ms - kept_ms)
            .bind(self.account.clone())
            .bind(ANYWHERE)
            .bind(self.place.clone())
            .run(unit)
            .await?;
        }
        let places: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM guesses WHERE account = ?")
            .bind(self.account.clone())
            .fetch_one(&mut **unit)
            .await
            .map_err(db::failed)?;
        // One of the rows is that of the account as a whole.
        if places > PLACES_MAX + 1 {
            self.forget_places(unit, places - PLACES_MAX - 1).await?;
        }
        let failed: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM guesses WHERE trusted = 0")
            .fetch_one(&mut **unit)
            .await
            .map_err(db::failed)?;
        if failed > FAILED_MAX {
            self.forget_failures(unit).await?;
        }
        Ok(())
    }

    async fn forget_places(&self, unit: &mut Unit, count: i64) -> Result<()> {
        let least: Vec<(String, String)> = sqlx::query_as(
            "SELECT account, place FROM guesses WHERE account = ? AND place NOT IN (?, ?)
             ORDER BY trusted, failures, last_ms LIMIT ?",
        )
        .bind(self.account.clone())
        .bind(ANYWHERE)
        .bind(self.place.clone())
        .bind(count)
        .fetch_all(&mut **unit)
        .await
        .map_err(db::failed)?;
        delete(unit, least).await
    }

    async fn forget_failures(&self, unit: &mut Unit) -> Result<()> {
        let least: Vec<(String, String)> = sqlx::query_as(
            "SELECT account, place FROM guesses WHERE trusted = 0 AND account <> ?
             ORDER BY failures, last_ms LIMIT ?",
        )
        .bind(self.account.clone())
        .bind(FORGOTTEN_AT_ONCE)
        .fetch_all(&mut **unit)
        .await
        .map_err(db::failed)?;
        delete(unit, least).await
    }
}

async fn delete(unit: &mut Unit, rows: Vec<(String, String)>) -> Result<()> {
    for (account, place) in rows {
        let delete = sqlx::query("DELETE FROM guesses WHERE account = ? AND place = ?");
        delete.bind(account).bind(place).run(unit).await?;
    }
    Ok(())
}

/// One attempt at a time at each account, of those that come to this instance: parallel guesses queue.
#[derive(Default)]
struct Turns(StdMutex<HashMap<String, Arc<Mutex<()>>>>);

impl Turns {
    async fn take(&self, account: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // What nobody has and nobody waits for.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(account.to_owned()).or_default().clone()
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attempts_at_one_account_queue_and_leave_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take("ada").await;
        drop(turns.take("bob").await);
        let waiting = turns.take("ada");
        assert!(tokio::time::timeout(std::time::Duration::ZERO, waiting).await.is_err());
        drop(first);
        drop(turns.take("ada").await);
        drop(turns.take("eve").await);
        assert_eq!(turns.0.lock().unwrap().len(), 1, "the last one's, until the next comes");
    }
}
