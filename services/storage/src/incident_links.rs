//! Links through which patients say what went wrong: they have no accounts, and whoever has a link may write and read nothing.

use std::str::FromStr;

use domain::{ErrorKind, IncidentLinkId, Result, TenantId, hex};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{IncidentLink, LinkedReport, NewIncidentLink};
use service::claims::Claims;
use sqlx::FromRow;

use crate::artefacts::sha256_of;
use crate::audit::{self, Entry};
use crate::erasures::require_not_erased;
use crate::incidents::{Pace, Report, Reporter, checked};
use crate::jobs::name_of;
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
        let row = Row {
            id: IncidentLinkId::new(&self.clock, &self.random).to_string(),
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
        Ok(IncidentLink { token, expires_ms })
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
        found.ok_or_else(|| {
            ErrorKind::NotFound.error("the link is not valid, or not any more: ask for another")
        })
    }
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
