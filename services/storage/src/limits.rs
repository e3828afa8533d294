//! How many scans and bytes a hospital, and each of its API clients, may send a day, and how many of their scans may wait or be analysed at
//! a time: set by operators, and for the clients by the hospital's admins. And how many bytes a hospital may have stored, which operators set.
//!
//! Limits and what is used of them are rows, which all instances share. Whatever is decided by them is decided while the hospital's audit
//! trail is held (an entry was appended in the same unit): so of those that come at once each sees what the one before it has used, and as
//! nobody touches these rows without the trail, no two units wait for each other. A share of a disk, which no two measure alike, is looked at
//! before.

mod limit;
mod share;

use domain::{ErrorKind, Result, TenantId, UserId};
use platform::db::{BindId, Run, Unit, failed};
use platform::trail;
use proto::storage::{Amounts, Limit, LimitList, QuotaList};
use service::claims::Claims;
use sqlx::{Any, Executor};

use crate::audit;
use crate::jobs::name_of;
use crate::store::Store;
use crate::stored;

pub use limit::{Arriving, KINDS};
use limit::{Row, amount, day_of};
pub use share::SHARE;

/// For how long it is kept what was used in a day.
const KEPT_DAYS: i64 = 35;

/// The limits of which `$of` is true, with what was used of them on a day; the hospital's own first.
macro_rules! limits {
    ($of:literal) => {
        concat!(
            "SELECT l.client_id, l.scans_max, l.bytes_max, l.jobs_max, l.stored_max, l.name, l.decided_ms,
                 COALESCE(u.scans, 0) AS scans, COALESCE(u.bytes, 0) AS bytes, COALESCE(s.bytes, 0) AS stored_bytes
             FROM limits l LEFT JOIN limit_usage u
                 ON u.tenant_id = l.tenant_id AND u.client_id = l.client_id AND u.utc_day = ?
             LEFT JOIN stored_bytes s ON s.tenant_id = l.tenant_id
             WHERE l.tenant_id = ? AND ",
            $of,
            " ORDER BY l.client_id"
        )
    };
}

impl Store {
    /// Refuses what will find no room, before its bytes are kept; whether it is to be counted when it is accepted.
    pub async fn require_room(&self, arriving: &Arriving) -> Result<bool> {
        let limits = of_sender(self.database.pool(), arriving).await?;
        for limit in &limits {
            let jobs = limit.jobs(self.database.pool(), arriving).await?;
            // It will be one more of them.
            limit.require(arriving, jobs.saturating_add(1))?;
        }
        self.require_share(arriving).await?;
        Ok(!limits.is_empty())
    }

    /// A hospital's own limits, also where there are none.
    pub async fn tenant_limit(&self, tenant: TenantId) -> Result<Limit> {
        let limits = self.limits(tenant).await?.limits;
        let own = limits.into_iter().find(|limit| limit.client_id.is_empty());
        Ok(own.unwrap_or_default())
    }

    /// The hospital's own limits, also where there are none, and then those of its API clients.
    pub async fn limits(&self, tenant: TenantId) -> Result<LimitList> {
        let now_ms = self.clock.now_ms();
        let mut rows: Vec<Row> = sqlx::query_as(limits!("1 = 1"))
            .bind(day_of(now_ms))
            .id(tenant)
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
        if rows.first().is_none_or(|first| !first.client_id.is_empty()) {
            let stored = stored::of(self.database.pool(), tenant).await?;
            rows.insert(0, Row { stored, ..Row::unlimited() });
        }
        let waiting: Vec<(String, i64)> = sqlx::query_as(
            "SELECT sender, COUNT(*) FROM jobs WHERE tenant_id = ? AND state IN ('queued', 'leased') GROUP BY sender",
        )
        .id(tenant)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let jobs_of = |client: &str| -> i64 {
            let own = waiting.iter().filter(|(sender, _)| client.is_empty() || sender == client);
            own.map(|(_, jobs)| jobs).sum()
        };
        let told = rows.into_iter().map(|row| {
            let jobs = jobs_of(&row.client_id);
            row.told(jobs)
        });
        Ok(LimitList { limits: told.collect() })
    }

    /// What is left to the caller.
    pub async fn quotas(&self, claims: &Claims) -> Result<QuotaList> {
        let asked = Arriving {
            tenant: claims.tenant().id(),
            sender: claims.subject.clone(),
            at_ms: self.clock.now_ms(),
            bytes: 0,
            stored: 0,
            waits: true,
        };
        let mut quotas = Vec::new();
        for limit in of_sender(self.database.pool(), &asked).await? {
            let jobs = limit.jobs(self.database.pool(), &asked).await?;
            quotas.extend(limit.quotas(jobs, asked.at_ms));
        }
        Ok(QuotaList { quotas })
    }

    /// Sets the limits of a hospital, or of one of its API clients, anew, in one unit with the audit entry.
    pub async fn set_limit(
        &self,
        claims: &Claims,
        tenant: TenantId,
        client: Option<UserId>,
        most: Amounts,
    ) -> Result<Limit> {
        audit::begin(&self.database, tenant).await?;
        let row = Row {
            client_id: client.map(|client| client.to_string()).unwrap_or_default(),
            scans_max: amount(most.scans),
            bytes_max: amount(most.bytes),
            jobs_max: amount(most.jobs),
            stored_max: amount(most.stored),
            name: name_of(claims),
            decided_ms: self.clock.now_ms(),
            ..Row::unlimited()
        };
        let (by, client_id) = (claims.subject.clone(), row.client_id.clone());
        self.unit(Some(tenant), move |_, unit| {
            Box::pin(async move { set(unit, tenant, &by, row).await })
        })
        .await?;
        let limits = self.limits(tenant).await?.limits;
        let now = limits.into_iter().find(|limit| limit.client_id == client_id);
        // A client that has no limits any more has no row.
        Ok(now.unwrap_or_else(|| Limit { client_id, ..Row::unlimited().told(0) }))
    }
}

/// Counts a scan that is being accepted, whose job is a row already and whose artefacts are none: in its unit, after its audit entry.
/// `Exhausted` where a limit leaves no room for it; then nothing of the unit is kept, and nothing counts.
pub async fn count(unit: &mut Unit, arriving: &Arriving) -> Result<()> {
    for limit in of_sender(&mut **unit, arriving).await? {
        let jobs = limit.jobs(&mut **unit, arriving).await?;
        limit.require(arriving, jobs)?;
        use_up(unit, arriving, &limit.client_id).await?;
    }
    Ok(())
}

/// Refuses a job that is to wait anew, and is a row that does, where the hospital has too many: in its unit, after its audit entry.
pub async fn require_job(unit: &mut Unit, tenant: TenantId, at_ms: i64) -> Result<()> {
    let renewed =
        Arriving { tenant, sender: String::new(), at_ms, bytes: 0, stored: 0, waits: true };
    for limit in of_sender(&mut **unit, &renewed).await? {
        let jobs = limit.jobs(&mut **unit, &renewed).await?;
        // The scan was accepted long ago.
        let limit = Row { scans_max: 0, bytes_max: 0, stored_max: 0, ..limit };
        limit.require(&renewed, jobs)?;
    }
    Ok(())
}

impl Row {
    /// How many jobs wait or run that the limit is of; 0 where it does not matter.
    async fn jobs(
        &self,
        executor: impl Executor<'_, Database = Any>,
        arriving: &Arriving,
    ) -> Result<i64> {
        if self.jobs_max == 0 || !arriving.waits {
            return Ok(0);
        }
        let of_hospital =
            "SELECT COUNT(*) FROM jobs WHERE tenant_id = ? AND state IN ('queued', 'leased')";
        let of_client = "SELECT COUNT(*) FROM jobs WHERE tenant_id = ? AND state IN ('queued', 'leased') AND sender = ?";
        let jobs = match self.client_id.as_str() {
            "" => sqlx::query_scalar(of_hospital).id(arriving.tenant),
            client => sqlx::query_scalar(of_client).id(arriving.tenant).id(client),
        };
        jobs.fetch_one(executor).await.map_err(failed)
    }
}

/// The limits that hold for that sender: the hospital's, and their own.
async fn of_sender(
    executor: impl Executor<'_, Database = Any>,
    arriving: &Arriving,
) -> Result<Vec<Row>> {
    sqlx::query_as(limits!("l.client_id IN ('', ?)"))
        .bind(day_of(arriving.at_ms))
        .id(arriving.tenant)
        .id(&arriving.sender)
        .fetch_all(executor)
        .await
        .map_err(failed)
}

/// Counts one scan more of that day; the first of a day takes away what is too old.
async fn use_up(unit: &mut Unit, arriving: &Arriving, client: &str) -> Result<()> {
    let (tenant, day) = (arriving.tenant, day_of(arriving.at_ms));
    let counted = sqlx::query(
        "UPDATE limit_usage SET scans = scans + 1, bytes = bytes + ?
         WHERE tenant_id = ? AND client_id = ? AND utc_day = ?",
    )
    .bind(arriving.bytes)
    .id(tenant)
    .id(client)
    .bind(day)
    .run(unit)
    .await?;
    if counted > 0 {
        return Ok(());
    }
    sqlx::query("DELETE FROM limit_usage WHERE tenant_id = ? AND client_id = ? AND utc_day < ?")
        .id(tenant)
        .id(client)
        .bind(day.saturating_sub(KEPT_DAYS))
        .run(unit)
        .await?;
    sqlx::query(
        "INSERT INTO limit_usage (tenant_id, client_id, utc_day, scans, bytes) VALUES (?, ?, ?, 1, ?)",
    )
    .id(tenant)
    .id(client)
    .bind(day)
    .bind(arriving.bytes)
    .run(unit)
    .await
    .map(drop)
}

/// The audit entry comes first: it holds the hospital's trail until the unit ends.
async fn set(unit: &mut Unit, tenant: TenantId, by: &str, row: Row) -> Result<()> {
    let of_client = !row.client_id.is_empty();
    let object = if of_client { row.client_id.clone() } else { tenant.to_string() };
    let said: Vec<_> = row.most().iter().map(|(name, most)| format!("{name} {most}")).collect();
    let (at_ms, detail) = (row.decided_ms, said.join(" "));
    let action = "limit.set";
    let entry = trail::Entry { tenant, at_ms, subject: by, action, object, detail: &detail };
    trail::append(unit, entry).await?;
    if of_client {
        require_within(unit, tenant, &row).await?;
    }
    sqlx::query("DELETE FROM limits WHERE tenant_id = ? AND client_id = ?")
        .id(tenant)
        .id(&row.client_id)
        .run(unit)
        .await?;
    if row.most().iter().all(|(_, most)| *most == 0) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO limits (tenant_id, client_id, scans_max, bytes_max, jobs_max, stored_max, decided_by, name, decided_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.client_id)
    .bind(row.scans_max)
    .bind(row.bytes_max)
    .bind(row.jobs_max)
    .bind(row.stored_max)
    .bind(by.to_owned())
    .bind(row.name)
    .bind(row.decided_ms)
    .run(unit)
    .await
    .map(drop)
}

/// Refuses limits of an API client that are more than those of its hospital.
async fn require_within(unit: &mut Unit, tenant: TenantId, row: &Row) -> Result<()> {
    if row.stored_max > 0 {
        return Err(ErrorKind::Invalid.error(
            "how much is stored is limited for a hospital, and not for an API client of it",
        ));
    }
    let hospital: Option<Row> = sqlx::query_as(limits!("l.client_id = ''"))
        .bind(day_of(row.decided_ms))
        .id(tenant)
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)?;
    let hospital = hospital.unwrap_or_else(Row::unlimited).most();
    for ((name, own), (_, most)) in row.most().into_iter().zip(hospital) {
        if most > 0 && own > most {
            return Err(ErrorKind::Invalid
                .error(format!("an API client has at most what its hospital has: {most} {name}")));
        }
    }
    Ok(())
}
