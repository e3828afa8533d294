//! What was deleted, told to the object store, too: a database that comes back from an older backup deletes it again.
//!
//! A tombstone is an object with nothing in it but when: its key says all, without a folder, where no scan's object lies. It is written
//! after the rows have gone, for one of a scan that is still there would be a loss; until then a row remembers it.

use std::time::Duration;

use bytes::Bytes;
use domain::{ErrorKind, Result, ScanId, TenantId};
use futures::TryStreamExt;
use platform::db::{BindId, Run, Unit, failed};
use service::Worker;
use sqlx::FromRow;

use crate::deletion::Order;
use crate::store::Store;

const DELETED: &str = "deleted";
const ERASED: &str = "erased";

/// In whose name a restored scan is deleted again.
const SUBJECT: &str = "restore";

/// How often what could not be done is tried again.
const INTERVAL: Duration = Duration::from_secs(60);
/// The same of what a restore has brought back: each moment in which whoever was erased is here is one too many.
const SOON: Duration = Duration::from_secs(2);
const ROWS_PER_ROUND: i64 = 256;
/// For how long after an erasure the database's file is scrubbed again: some rounds.
const SCRUBBED_MS: i64 = 5 * 60_000;

/// Deletes again what came back with an older database, until that is done, and then tries again and again what could not be done at
/// once.
pub fn keep(store: Store) -> Worker {
    Worker::new("tombstones", move |stop| async move {
        let mut replayed = false;
        loop {
            if !replayed {
                match stop.run_until_cancelled(store.replay()).await {
                    Some(Ok(())) => replayed = true,
                    Some(Err(error)) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, "what a restore has brought back may still be here");
                    }
                    None => return Ok(()),
                }
            }
            let round = async {
                store.bury().await?;
                store.discard_erased().await?;
                store.scrub_again().await
            };
            if let Some(Err(error)) = stop.run_until_cancelled(round).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "something that was deleted is not gone yet");
            }
            let wait = if replayed { INTERVAL } else { SOON };
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Ok(());
            }
        }
    })
}

/// A scan without a tombstone.
#[derive(FromRow)]
struct Unburied {
    tenant_id: String,
    scan_id: String,
    erased: i64,
}

/// Remembers that the object store is to be told, as part of the unit that deletes. Of a scan that was deleted and then erased, the latter.
pub async fn note(unit: &mut Unit, tenant: TenantId, scan: ScanId, erased: bool) -> Result<()> {
    sqlx::query("DELETE FROM unburied WHERE tenant_id = ? AND scan_id = ?")
        .id(tenant)
        .id(scan)
        .run(unit)
        .await?;
    sqlx::query("INSERT INTO unburied (tenant_id, scan_id, erased) VALUES (?, ?, ?)")
        .id(tenant)
        .id(scan)
        .bind(i64::from(erased))
        .run(unit)
        .await
        .map(drop)
}

impl Store {
    /// Writes the tombstones that are missing, a round of them.
    pub async fn bury(&self) -> Result<()> {
        let rows: Vec<Unburied> =
            sqlx::query_as("SELECT tenant_id, scan_id, erased FROM unburied LIMIT ?")
                .bind(ROWS_PER_ROUND)
                .fetch_all(self.database.pool())
                .await
                .map_err(failed)?;
        for row in rows {
            let mut staging = self.blobs.stage().await?;
            staging.write(Bytes::from(self.clock.now_ms().to_string())).await?;
            self.blobs.keep(vec![(key(&row), staging.finish().await?)]).await?;
            if row.erased != 0 {
                // With the one that says less a restore would delete it and tell nobody.
                self.blobs.delete(&key_of(DELETED, &row)).await?;
            }
            sqlx::query("DELETE FROM unburied WHERE tenant_id = ? AND scan_id = ? AND erased = ?")
                .bind(row.tenant_id)
                .bind(row.scan_id)
                .bind(row.erased)
                .execute(self.database.pool())
                .await
                .map_err(failed)?;
        }
        Ok(())
    }

    /// Deletes every scan that has a tombstone and is there all the same. One that cannot be deleted now keeps no other from it; the
    /// error says that all of it is to be done again: a database that was away for a moment must not bring back who was erased.
    async fn replay(&self) -> Result<()> {
        let mut objects = self.blobs.list().await?;
        let (mut scans, mut left) = (0_u64, Ok(()));
        while let Some(object) = objects.try_next().await? {
            let Some((tenant, scan, erases)) = read(&object.key) else { continue };
            match self.delete_again(tenant, scan, erases).await {
                Ok(true) => scans += 1,
                Ok(false) => (),
                Err(error) => left = Err(error),
            }
        }
        if scans > 0 {
            tracing::warn!(scans, "deleted again what a restore had brought back");
            self.database.scrub().await?;
        }
        left
    }

    /// Deletes the scan if it is there; whether it was.
    async fn delete_again(&self, tenant: TenantId, scan: ScanId, erases: bool) -> Result<bool> {
        if !self.is_back(tenant, scan).await? {
            return Ok(false);
        }
        let (subject, action) = (SUBJECT.to_owned(), "scan.deleted.again");
        let (with_words, heeds_holds) = (true, false);
        let erasure = None;
        let order = Order { tenant, subject, action, with_words, heeds_holds, erases, erasure };
        match self.delete_by(order, scan).await {
            // Another instance was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            deleted => deleted.map(|()| true),
        }
    }

    /// Scrubs the database's file for a while after an erasure: a reader that was under way has kept its log full.
    async fn scrub_again(&self) -> Result<()> {
        let erased: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM erased_scans WHERE erased_ms > ?")
                .bind(self.clock.now_ms().saturating_sub(SCRUBBED_MS))
                .fetch_one(self.database.pool())
                .await
                .map_err(failed)?;
        if erased == 0 { Ok(()) } else { self.database.scrub().await }
    }

    async fn is_back(&self, tenant: TenantId, scan: ScanId) -> Result<bool> {
        let jobs: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM jobs WHERE tenant_id = ? AND scan_id = ?")
                .id(tenant)
                .id(scan)
                .fetch_one(self.database.pool())
                .await
                .map_err(failed)?;
        Ok(jobs > 0)
    }
}

fn key(row: &Unburied) -> String {
    key_of(if row.erased == 0 { DELETED } else { ERASED }, row)
}

fn key_of(what: &str, row: &Unburied) -> String {
    format!("{what}.{}.{}", row.tenant_id, row.scan_id)
}

/// Whose scan it is the tombstone of, and whether it went with its patient; None: it is another object.
fn read(key: &str) -> Option<(TenantId, ScanId, bool)> {
    let (what, whose) = key.split_once('.')?;
    let erased = match what {
        DELETED => false,
        ERASED => true,
        _ => return None,
    };
    let (tenant, scan) = whose.split_once('.')?;
    Some((tenant.parse().ok()?, scan.parse().ok()?, erased))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_read_back_and_no_other_object_is_one() {
        let [tenant_id, scan_id] =
            ["01890a5d-ac96-774b-bcce-b302099a8057", "01890000-0000-7000-8000-000000000001"]
                .map(str::to_owned);
        for erased in [0, 1] {
            let row = Unburied { tenant_id: tenant_id.clone(), scan_id: scan_id.clone(), erased };
            let (tenant, scan, erases) = read(&key(&row)).unwrap();
            assert_eq!(
                (tenant.to_string(), scan.to_string()),
                (tenant_id.clone(), scan_id.clone())
            );
            assert_eq!(erases, erased == 1);
        }
        let object = format!("{tenant_id}/{scan_id}-1-{}", "ab".repeat(32));
        for other in [object.as_str(), "deleted.a.b", "buried", "erased", ""] {
            assert!(read(other).is_none(), "{other}");
        }
    }
}
