//! Links through which patients say what went wrong: they have no accounts, and whoever has a link may write and read nothing.

use std::str::FromStr;

use domain::{Error, ErrorKind, IncidentLinkId, Result, TenantId, hex};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{
    IncidentLink, LinkedReport, ListMadeLinks, MadeLink, MadeLinkPage, NewIncidentLink,
};
use service::claims::{Claims, Role};
use sqlx::FromRow;

use crate::artefacts::sha256_of;
use crate::audit::{self, Entry};
use crate::erasures::require_not_erased;
use crate::incidents::{Pace, Report, Reporter, checked};
use crate::jobs::name_of;
use crate::list::{cursor_id, page_of, page_rows};
use crate::store::Store;

const DAY_MS: i64 = 24 * 3_600_000;
/// Until after the next visit.
const DAYS: i64 = 30;
const DAYS_MAX: i64 = 90;

/// How many links one person may make within [`MADE_WITHIN_MS`]: more patients than anybody sees.
const MADE_MAX: i64 = 60;
const MADE_WITHIN_MS: i64 = 3_600_000;

/// All that is kept through one link, for as long as any is valid.
const OF_A_LINK: Pace = Pace {
    reports: 5,
    within_ms: DAYS_MAX * DAY_MS,
    beyond: "reports are kept through one link: ask for another",
};

/// A link as it is kept: without its token.
struct Row {
    id: String,
    token_sha256: String,
    scan_id: Option<String>,
    made_ms: i64,
    expires_ms: i64,
    maker_id: String,
    maker: String,
}

/// A link as its maker and admins see it.
#[derive(FromRow)]
struct Made {
    id: String,
    scan_id: Option<String>,
    made_ms: i64,
    expires_ms: i64,
    maker: String,
}

impl Made {
    fn told(self) -> MadeLink {
        let Made { id, scan_id, made_ms, expires_ms, maker } = self;
        MadeLink { id, scan_id: scan_id.unwrap_or_default(), made_ms, expires_ms, maker }
    }
}

/// A link that is valid.
#[derive(FromRow)]
struct Valid {
    tenant_id: String,
    id: String,
    scan_id: Option<String>,
    maker: String,
}

impl Store {
    /// Makes a link, which is told once. `Exhausted` for whoever has made too many within the hour.
    pub async fn make_incident_link(
        &self,
        claims: &Claims,
        new: &NewIncidentLink,
    ) -> Result<IncidentLink> {
        let tenant = claims.tenant().id();
        let days = days_of(new.days)?;
        let scan_id = self.scan_reported(tenant, &new.scan_id).await?;
        let (token, made_ms) = (hex(&self.random.bytes::<32>()), self.clock.now_ms());
        let expires_ms = made_ms + days * DAY_MS;
        let id = IncidentLinkId::new(&self.clock, &self.random).to_string();
        let row = Row {
            id: id.clone(),
            token_sha256: digest_of(&token),
            scan_id,
            made_ms,
            expires_ms,
            maker_id: claims.subject.clone(),
            maker: name_of(claims),
        };
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |_, unit| {
            Box::pin(async move { make(unit, tenant, row).await })
        })
        .await?;
        Ok(IncidentLink { token, expires_ms, id })
    }

    /// One page of the links that are valid, newest first: an admin is told of all of the hospital, others of their own.
    pub async fn incident_links(
        &self,
        claims: &Claims,
        list: &ListMadeLinks,
    ) -> Result<MadeLinkPage> {
        let limit = page_rows(list.limit);
        let rows: Vec<Made> = sqlx::query_as(
            "SELECT id, scan_id, made_ms, expires_ms, maker FROM incident_links
             WHERE tenant_id = ? AND id < ? AND expires_ms > ? AND (maker_id = ? OR ? = 1)
             ORDER BY id DESC LIMIT ?",
        )
        .id(claims.tenant())
        .bind(cursor_id::<IncidentLinkId>(&list.cursor)?)
        .bind(self.clock.now_ms())
        .bind(claims.subject.clone())
        .bind(i64::from(is_admin(claims)))
        .bind(i64::from(limit) + 1)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let (rows, next_cursor) = page_of(rows, limit, |row| &row.id);
        Ok(MadeLinkPage { links: rows.into_iter().map(Made::told).collect(), next_cursor })
    }

    /// Ends a link before its time; what was written through it stays. `NotFound` for one that the caller is not told of, and for one
    /// that is over.
    pub async fn revoke_incident_link(&self, claims: &Claims, id: &str) -> Result<()> {
        let id = IncidentLinkId::from_str(id)?;
        let (tenant, by, is_admin) =
            (claims.tenant().id(), claims.subject.clone(), is_admin(claims));
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                revoke(unit, (tenant, id), (&*by, is_admin), store.clock.now_ms()).await
            })
        })
        .await
    }

    /// Whose link that is. `NOT_FOUND` in the same words for one that never was and for one that is not valid any more.
    pub async fn hospital_of_link(&self, token: &str) -> Result<TenantId> {
        TenantId::from_str(&self.valid_link(token).await?.tenant_id)
    }

    /// Keeps a patient's words, in the name of whoever made the link.
    pub async fn report_by_link(&self, told: LinkedReport) -> Result<()> {
        let Valid { tenant_id, id, scan_id, maker } = self.valid_link(&told.token).await?;
        let report =
            Report { words: checked(told.words)?, scan_id, from_patient: true, by_link: true };
        let reporter = Reporter { id: format!("link:{id}"), name: maker, pace: OF_A_LINK };
        self.keep_report(TenantId::from_str(&tenant_id)?, reporter, report).await.map(drop)
    }

    async fn valid_link(&self, token: &str) -> Result<Valid> {
        let found: Option<Valid> = sqlx::query_as(
            "SELECT tenant_id, id, scan_id, maker FROM incident_links
             WHERE token_sha256 = ? AND expires_ms > ?",
        )
        .bind(digest_of(token))
        .bind(self.clock.now_ms())
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        found.ok_or_else(not_valid)
    }
}

/// One answer for a link that never was, that is over, and whose hospital is not active.
pub fn not_valid() -> Error {
    ErrorKind::NotFound.error("the link is not valid, or not any more: ask for another")
}

fn is_admin(claims: &Claims) -> bool {
    claims.roles.contains(&Role::Admin)
}

/// A token cannot be guessed: its digest need not be slow.
fn digest_of(token: &str) -> String {
    sha256_of(&[token])
}

/// For how many days; 0: nobody says.
fn days_of(asked: u32) -> Result<i64> {
    match i64::from(asked) {
        0 => Ok(DAYS),
        days @ 1..=DAYS_MAX => Ok(days),
        _ => Err(ErrorKind::Invalid.error(format!("a link is valid for 1 to {DAYS_MAX} days"))),
    }
}

/// The audit entry comes first: it holds the hospital's chain, so that links that are made at once are counted one after another.
async fn make(unit: &mut Unit, tenant: TenantId, row: Row) -> Result<()> {
    let (at_ms, subject, object) = (row.made_ms, row.maker_id.as_str(), row.id.clone());
    let action = "incident.link.made";
    audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
    require_not_erased(unit, tenant, row.scan_id.as_deref()).await?;
    let made: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM incident_links WHERE tenant_id = ? AND maker_id = ? AND made_ms > ?",
    )
    .id(tenant)
    .bind(row.maker_id.clone())
    .bind(at_ms - MADE_WITHIN_MS)
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)?;
    if made >= MADE_MAX {
        return Err(ErrorKind::Exhausted
            .error(format!("{MADE_MAX} links within an hour are made for one person")));
    }
    // Those that are over are nobody's any more; what was reported through them stays.
    sqlx::query("DELETE FROM incident_links WHERE tenant_id = ? AND expires_ms <= ?")
        .id(tenant)
        .bind(at_ms)
        .run(unit)
        .await?;
    insert(unit, tenant, row).await
}

/// The audit entry comes first, as where a link is made: of what is refused nothing is kept.
async fn revoke(
    unit: &mut Unit,
    (tenant, id): (TenantId, IncidentLinkId),
    (subject, is_admin): (&str, bool),
    at_ms: i64,
) -> Result<()> {
    let (action, object) = ("incident.link.revoked", id.to_string());
    audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
    let revoked = sqlx::query(
        "DELETE FROM incident_links
         WHERE tenant_id = ? AND id = ? AND expires_ms > ? AND (maker_id = ? OR ? = 1)",
    )
    .id(tenant)
    .id(id)
    .bind(at_ms)
    .bind(subject.to_owned())
    .bind(i64::from(is_admin))
    .run(unit)
    .await?;
    if revoked == 0 {
        return Err(ErrorKind::NotFound.error("no such incident link"));
    }
    Ok(())
}

async fn insert(unit: &mut Unit, tenant: TenantId, row: Row) -> Result<()> {
    sqlx::query(
        "INSERT INTO incident_links (tenant_id, id, token_sha256, scan_id, made_ms, expires_ms, maker_id, maker)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.id)
    .bind(row.token_sha256)
    .bind(row.scan_id)
    .bind(row.made_ms)
    .bind(row.expires_ms)
    .bind(row.maker_id)
    .bind(row.maker)
    .run(unit)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_valid_for_some_days_and_not_for_ever() {
        assert_eq!([0, 1, 90].map(|days| days_of(days).unwrap()), [30, 1, 90]);
        assert_eq!(days_of(91).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
