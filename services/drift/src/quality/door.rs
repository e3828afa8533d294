//! Files that were refused at the door: no scans, and counted all the same.

use std::collections::BTreeMap;

use domain::{Error, ErrorKind, Result, TenantId};
use platform::db;
use proto::events::UploadRefused;
use service::CloudEvent;
use service::claims::Tenant;
use service::topics::UPLOAD_REFUSED;

use super::Period;
use super::figures::{Group, Pool};
use super::groups::{By, Size, Traits};
use crate::store::{KIND_CHARS_MAX, SCANNER_CHARS_MAX, Store, clipped};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Rows of one hospital's day at most that say where files were made: what comes in others is counted without. Whoever sends files at
/// random fills no table with what they say.
const PLACES_MAX: i64 = 200;

/// The newest rows that figures are made of.
const ROWS_MAX: i64 = 50_000;

/// What a refused file is counted by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// When the day of it begins, in UTC.
    day_ms: i64,
    /// The problem's name.
    reason: String,
    /// Empty, as the two below: nobody says.
    site: String,
    scanner: String,
    image_kind: String,
}

/// A file that was refused, and what is told of it.
#[derive(Debug)]
pub struct Told {
    pub tenant: TenantId,
    pub refused: Refused,
    /// The trace of its upload; empty: none.
    pub traceparent: String,
}

/// So many files that have that in common.
#[derive(Clone, Debug)]
pub struct Count {
    refused: Refused,
    files: i64,
}

impl Told {
    pub fn parse(body: &[u8]) -> Result<Told> {
        let CloudEvent { data, traceparent, .. } =
            CloudEvent::<UploadRefused>::parse(UPLOAD_REFUSED, body)?;
        if data.problem.is_empty() {
            return Err(ErrorKind::Invalid.error("a file was refused for nothing"));
        }
        let said = |text: Option<String>, most| clipped(&text.unwrap_or_default(), most);
        let refused = Refused {
            day_ms: data.refused_ms - data.refused_ms.rem_euclid(DAY_MS),
            reason: clipped(&data.problem, KIND_CHARS_MAX),
            site: said(data.site, SCANNER_CHARS_MAX),
            scanner: said(data.scanner, SCANNER_CHARS_MAX),
            image_kind: said(data.image_kind, KIND_CHARS_MAX),
        };
        Ok(Told { tenant: data.tenant_id.parse().map_err(strange)?, refused, traceparent })
    }
}

fn strange(error: Error) -> Error {
    ErrorKind::Invalid.error("a refusal of no tenant").because(error)
}

impl Refused {
    /// The same, counted without where it was made.
    fn anywhere(&self) -> Refused {
        let (day_ms, reason) = (self.day_ms, self.reason.clone());
        let [site, scanner, image_kind] = [const { String::new() }; 3];
        Refused { day_ms, reason, site, scanner, image_kind }
    }
}

/// How many files were refused, by why.
pub fn by_reason(counts: &[Count]) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    counts.iter().for_each(|count| count.add_to(&mut reasons));
    reasons
}

/// The groups with the files that belong to them; groups of files alone come in between, by their names. No file has a model, and none
/// has a size.
pub fn shared_out(by: By, groups: Vec<Group>, counts: &[Count]) -> Vec<Group> {
    if matches!(by, By::Model | By::Size) {
        return groups;
    }
    let mut files = BTreeMap::<String, BTreeMap<String, usize>>::new();
    for count in counts {
        let key = by.group(&count.traits(), count.refused.day_ms);
        count.add_to(files.entry(key.name).or_default());
    }
    let with = |group: Group| {
        let refused_uploads = files.remove(&group.name).unwrap_or_default();
        Group { refused_uploads, ..group }
    };
    let mut all: Vec<Group> = groups.into_iter().map(with).collect();
    all.extend(files.into_iter().map(|(name, refused_uploads)| Group {
        refused_uploads,
        ..Group::of(name, &Pool::default())
    }));
    all.sort_by_cached_key(|group| group.name.clone());
    all
}

/// Its columns, in the order of the two structs.
type CountRow = (i64, String, String, String, String, i64);

impl Count {
    fn of((day_ms, reason, site, scanner, image_kind, files): CountRow) -> Count {
        Count { refused: Refused { day_ms, reason, site, scanner, image_kind }, files }
    }

    fn add_to(&self, reasons: &mut BTreeMap<String, usize>) {
        *reasons.entry(self.refused.reason.clone()).or_default() += self.files as usize;
    }

    fn traits(&self) -> Traits {
        let Refused { site, scanner, image_kind, .. } = self.refused.clone();
        Traits::new("", "", &image_kind, Size::Nothing).made(Some(site), Some(scanner))
    }
}

impl Store {
    /// Counts a refused file. An event that comes twice, because the process died in between, counts twice.
    pub async fn count_refusal(&self, told: &Told) -> Result<()> {
        let (tenant, refused) = (told.tenant.to_string(), &told.refused);
        if self.one_more(&tenant, refused).await? {
            return Ok(());
        }
        let refused = if self.places_of(&tenant, refused.day_ms).await? < PLACES_MAX {
            refused.clone()
        } else {
            refused.anywhere()
        };
        match self.first(&tenant, &refused).await {
            // It is there already, or somebody else was first.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.one_more(&tenant, &refused).await.map(drop)
            }
            first => first,
        }
    }

    /// Counts one more where there is a row; answers whether there is.
    async fn one_more(&self, tenant: &str, refused: &Refused) -> Result<bool> {
        let counted = sqlx::query(
            "UPDATE door_refusals SET files = files + 1
             WHERE tenant_id = ? AND day_ms = ? AND reason = ? AND site = ? AND scanner = ? AND image_kind = ?",
        )
        .bind(tenant)
        .bind(refused.day_ms)
        .bind(&refused.reason)
        .bind(&refused.site)
        .bind(&refused.scanner)
        .bind(&refused.image_kind)
        .execute(self.database.pool())
        .await
        .map_err(db::failed)?;
        Ok(counted.rows_affected() > 0)
    }

    async fn first(&self, tenant: &str, refused: &Refused) -> Result<()> {
        sqlx::query(
            "INSERT INTO door_refusals (tenant_id, day_ms, reason, site, scanner, image_kind, files)
             VALUES (?, ?, ?, ?, ?, ?, 1)",
        )
        .bind(tenant)
        .bind(refused.day_ms)
        .bind(&refused.reason)
        .bind(&refused.site)
        .bind(&refused.scanner)
        .bind(&refused.image_kind)
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(db::failed)
    }

    async fn places_of(&self, tenant: &str, day_ms: i64) -> Result<i64> {
        sqlx::query_scalar("SELECT COUNT(*) FROM door_refusals WHERE tenant_id = ? AND day_ms = ?")
            .bind(tenant)
            .bind(day_ms)
            .fetch_one(self.database.pool())
            .await
            .map_err(db::failed)
    }

    /// The tenant's refused files of the days that begin in the period.
    pub async fn refused_uploads(&self, tenant: Tenant, period: Period) -> Result<Vec<Count>> {
        let rows: Vec<CountRow> = sqlx::query_as(
            "SELECT day_ms, reason, site, scanner, image_kind, files FROM door_refusals
             WHERE tenant_id = ? AND day_ms >= ? AND day_ms < ? ORDER BY day_ms DESC LIMIT ?",
        )
        .bind(tenant.to_string())
        .bind(period.from_ms)
        .bind(period.to_ms)
        .bind(ROWS_MAX)
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)?;
        Ok(rows.into_iter().map(Count::of).collect())
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
