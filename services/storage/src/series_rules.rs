//! A hospital's own word about which series of a study are analysed: kept until an admin takes it back, both in the audit trail.

use std::str::FromStr;

use domain::limits::IDENTIFIER_CHARS_MAX;
use domain::{ErrorKind, Result, SeriesRuleId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{NewSeriesRule, SeriesRule, SeriesRuleList, SeriesRuleRef};
use service::claims::{Claims, Tenant};
use sqlx::FromRow;

use crate::audit::{self, Entry};
use crate::jobs::name_of;
use crate::store::Store;

/// More than anybody can keep an eye on.
const RULES_MAX: i64 = 200;
/// What a rule may do: `imaging::picker::Preference`, which storage need not know.
const PREFERENCES: [&str; 2] = ["prefer", "never"];

/// A rule, as it is kept.
#[derive(Clone, FromRow)]
struct Row {
    id: String,
    site: String,
    words: String,
    preference: String,
    name: String,
    decided_ms: i64,
}

impl Row {
    fn told(self) -> SeriesRule {
        let Row { id, site, words, preference, name, decided_ms } = self;
        SeriesRule { id, site, contains: words, preference, decided_by: name, decided_ms }
    }
}

impl Store {
    /// All rules of the hospital, oldest first.
    pub async fn series_rules(&self, tenant: Tenant) -> Result<SeriesRuleList> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, site, words, preference, name, decided_ms FROM series_rules
             WHERE tenant_id = ? ORDER BY id",
        )
        .id(tenant)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        Ok(SeriesRuleList { rules: rows.into_iter().map(Row::told).collect() })
    }

    /// Keeps one more. `Exhausted` where there are too many.
    pub async fn add_series_rule(&self, claims: &Claims, new: NewSeriesRule) -> Result<SeriesRule> {
        let NewSeriesRule { site, contains, preference } = checked(new)?;
        let tenant = claims.tenant().id();
        audit::begin(&self.database, tenant).await?;
        let row = Row {
            id: SeriesRuleId::new(&self.clock, &self.random).to_string(),
            site,
            words: contains,
            preference,
            name: name_of(claims),
            decided_ms: self.clock.now_ms(),
        };
        let (kept, subject) = (row.clone(), claims.subject.clone());
        self.unit(Some(tenant), move |_, unit| {
            Box::pin(async move { insert(unit, tenant, &subject, kept).await })
        })
        .await?;
        Ok(row.told())
    }

    /// Takes one back. `NOT_FOUND` in the same words for another tenant's and for one that never was.
    pub async fn remove_series_rule(&self, claims: &Claims, id: &str) -> Result<SeriesRuleRef> {
        let id = SeriesRuleId::from_str(id)?;
        let (tenant, subject) = (claims.tenant().id(), claims.subject.clone());
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move {
                require(unit, tenant, id).await?;
                let (at_ms, action) = (store.clock.now_ms(), "series_rule.removed");
                let (subject, object) = (&*subject, id.to_string());
                audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
                sqlx::query("DELETE FROM series_rules WHERE tenant_id = ? AND id = ?")
                    .id(tenant)
                    .id(id)
                    .run(unit)
                    .await
                    .map(drop)
            })
        })
        .await?;
        Ok(SeriesRuleRef { id: id.to_string() })
    }
}

async fn require(unit: &mut Unit, tenant: TenantId, id: SeriesRuleId) -> Result<()> {
    let found: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM series_rules WHERE tenant_id = ? AND id = ?")
            .id(tenant)
            .id(id)
            .fetch_one(&mut **unit)
            .await
            .map_err(failed)?;
    if found == 0 { Err(ErrorKind::NotFound.error("no such series rule")) } else { Ok(()) }
}

/// The audit entry comes first: it holds the hospital's chain until the unit ends, so that rules that come at once are counted one
/// after another.
async fn insert(unit: &mut Unit, tenant: TenantId, decided_by: &str, row: Row) -> Result<()> {
    let (at_ms, subject) = (row.decided_ms, decided_by);
    let (action, object) = ("series_rule.added", row.id.clone());
    audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
    let rules: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM series_rules WHERE tenant_id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)?;
    if rules >= RULES_MAX {
        return Err(ErrorKind::Exhausted
            .error(format!("{RULES_MAX} rules are kept of one hospital: take one back first")));
    }
    sqlx::query(
        "INSERT INTO series_rules (tenant_id, id, site, words, preference, decided_by, name, decided_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .bind(row.id)
    .bind(row.site)
    .bind(row.words)
    .bind(row.preference)
    .bind(decided_by.to_owned())
    .bind(row.name)
    .bind(row.decided_ms)
    .run(unit)
    .await
    .map(drop)
}

/// The rule without padding.
fn checked(new: NewSeriesRule) -> Result<NewSeriesRule> {
    let [site, contains] = [&new.site, &new.contains].map(|text| text.trim().to_owned());
    if contains.is_empty()
        || [&site, &contains].iter().any(|text| text.chars().count() > IDENTIFIER_CHARS_MAX)
    {
        return Err(ErrorKind::Invalid.error(format!(
            "a series rule says what a description contains, in 1 to {IDENTIFIER_CHARS_MAX} characters"
        )));
    }
    if !PREFERENCES.contains(&&*new.preference) {
        return Err(ErrorKind::Invalid.error("a series rule says `prefer` or `never`"));
    }
    Ok(NewSeriesRule { site, contains, ..new })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_something_that_a_description_can_contain() {
        let new = |contains: &str, preference: &str| NewSeriesRule {
            site: " North ".into(),
            contains: contains.into(),
            preference: preference.into(),
        };
        let kept = checked(new(" FLAIR ", "never")).unwrap();
        assert_eq!((&*kept.site, &*kept.contains), ("North", "FLAIR"));
        for (contains, preference) in
            [("", "never"), ("  ", "prefer"), (&*"x".repeat(65), "never"), ("FLAIR", "Never")]
        {
            let refused = checked(new(contains, preference)).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{contains}");
        }
    }
}
