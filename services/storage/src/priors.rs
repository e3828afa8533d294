//! Earlier scans of a patient, for whoever looks at a later one.

use std::str::FromStr;

use domain::{ErrorKind, Identity, Result, ScanId, TenantId};
use platform::db::failed;
use proto::storage::{ListPriorScans, Prior, PriorPage, Scan};
use service::claims::Tenant;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row};

use crate::identities::{self, binding};
use crate::list::{cursor_id, page_of, page_rows};
use crate::scans::of_tenant;
use crate::store::Store;

impl Store {
    /// One page of the scans that are the same patient's, earlier than that one and not the same image, newest first; none where
    /// nobody knows whose it is. Scans without a result are left out, and so are others of the same study.
    ///
    /// Whoever asks puts pixels of several scans beside each other: `INTERNAL` where patient, scan and voxels of one of them are
    /// not those that were bound together when it was accepted.
    pub async fn priors(&self, tenant: &Tenant, list: &ListPriorScans) -> Result<PriorPage> {
        let (tenant, id) = (tenant.id(), ScanId::from_str(&list.id)?);
        let cursor = cursor_id::<ScanId>(&list.cursor)?;
        self.ask_ring(tenant).await;
        let scan = of_tenant(self.database.pool(), tenant, id).await?;
        let Some(own) = self.whose(tenant, &scan).await? else { return Ok(PriorPage::default()) };
        let limit = page_rows(list.limit);
        let mut query = query_of_patient(tenant, &own, cursor, limit);
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        let rows = rows.iter().map(Whose::read).collect::<Result<Vec<_>>>()?;
        let mut others = Vec::with_capacity(rows.len());
        for row in rows {
            others.push(self.taken(tenant, row).await?);
        }
        let (others, next_cursor) = page_of(others, limit, |other| &other.scan_id);
        let mut priors = Vec::new();
        for other in others.iter().filter(|other| other.is_before(&own)) {
            priors.extend(self.prior(tenant, &scan, other).await?);
        }
        Ok(PriorPage { priors, next_cursor })
    }

    /// Whose scan it is; None where nobody knows.
    async fn whose(&self, tenant: TenantId, scan: &Scan) -> Result<Option<Whose>> {
        let mut query = query(tenant);
        query.push(" AND identities.scan_id = ").push_bind(scan.id.clone());
        let row = query.build().fetch_optional(self.database.pool()).await.map_err(failed)?;
        let whose = row.as_ref().map(Whose::read).transpose()?;
        // Two scans of nobody are not one patient's.
        let whose = whose.filter(|(whose, _)| !whose.patient.is_empty());
        let Some(whose) = whose else { return Ok(None) };
        let whose = self.taken(tenant, whose).await?;
        whose.require_bound(tenant, scan)?;
        Ok(Some(whose))
    }

    /// The same with what the file says of when it was taken.
    async fn taken(&self, tenant: TenantId, (whose, kept): (Whose, String)) -> Result<Whose> {
        let pool = self.database.pool();
        let text = self.identity_text(pool, tenant, &whose.scan_id, kept).await?;
        let identity = identities::read(&text)?.unwrap_or_default();
        let (date, time) = moment_of(&identity);
        let [_, _, study_uid] = identity.keys();
        Ok(Whose { study_uid, date, time, ..whose })
    }

    /// The scan of that row beside the later one; None where there is nothing in it to compare.
    async fn prior(&self, tenant: TenantId, later: &Scan, whose: &Whose) -> Result<Option<Prior>> {
        let id = ScanId::from_str(&whose.scan_id)?;
        let scan = of_tenant(self.database.pool(), tenant, id).await?;
        whose.require_bound(tenant, &scan)?;
        if scan.volume_sha256 == later.volume_sha256 {
            return Ok(None);
        }
        match self.judged(tenant, &scan).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            judged => {
                let image_kind = judged?.image_kind.unwrap_or_default();
                Ok(Some(Prior { scan: Some(scan), image_kind }))
            }
        }
    }
}

/// Whose a scan is, and when it was taken, as far as its file says.
struct Whose {
    scan_id: String,
    patient: String,
    patient_id: String,
    binding: String,
    study_uid: String,
    /// As YYYYMMDD; empty: not said.
    date: String,
    /// As HHMMSS or more of it; empty: not said.
    time: String,
}

impl Whose {
    /// As far as columns of their own say it, and what the row keeps of the rest.
    fn read(row: &AnyRow) -> Result<(Whose, String)> {
        let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
        let whose = Whose {
            scan_id: text("scan_id")?,
            patient: text("patient")?,
            patient_id: text("patient_id")?,
            binding: text("binding")?,
            study_uid: String::new(),
            date: String::new(),
            time: String::new(),
        };
        Ok((whose, text("identity_json")?))
    }

    fn require_bound(&self, tenant: TenantId, scan: &Scan) -> Result<()> {
        if binding(tenant, &scan.id, &scan.volume_sha256, &self.patient) == self.binding {
            return Ok(());
        }
        Err(ErrorKind::Internal.error("a scan and its identity do not belong together"))
    }

    /// Whether it was taken before the other one, in another study: as both files say, else in the order of their uploads.
    fn is_before(&self, later: &Whose) -> bool {
        let said = |one: &str, other: &str| !one.is_empty() && !other.is_empty();
        if said(&self.study_uid, &later.study_uid) && self.study_uid == later.study_uid {
            return false;
        }
        if !said(&self.date, &later.date) {
            return self.scan_id < later.scan_id;
        }
        if self.date != later.date {
            return self.date < later.date;
        }
        if said(&self.time, &later.time) && self.time != later.time {
            return self.time < later.time;
        }
        self.scan_id < later.scan_id
    }
}

/// Day and time of the study, in digits: the standard before DICOM 3.0 wrote `2026.01.31` and `10:20:30` (PS3.5, 6.2).
fn moment_of(identity: &Identity) -> (String, String) {
    let digits = |said: &Option<String>, separator: char, least: usize| {
        let text = said.as_deref().unwrap_or_default().trim().replace(separator, "");
        let begins = text.get(..least).unwrap_or_default();
        let sound = !begins.is_empty() && begins.bytes().all(|byte| byte.is_ascii_digit());
        if sound { text } else { String::new() }
    };
    let date = digits(&identity.study_date, '.', 8).chars().take(8).collect();
    (date, digits(&identity.study_time, ':', 2))
}

/// What [`Whose::read`] reads, of the rows of that hospital for which more holds.
fn query(tenant: TenantId) -> QueryBuilder<Any> {
    let mut query = QueryBuilder::<Any>::new(
        "SELECT identities.scan_id, patient, patient_id, identity_json, binding
         FROM identities JOIN jobs ON jobs.tenant_id = identities.tenant_id AND jobs.scan_id = identities.scan_id
         WHERE identities.tenant_id = ",
    );
    query.push_bind(tenant.to_string());
    query
}

/// The query for one page of the patient's scans and one scan more, which tells whether there is a next page.
fn query_of_patient(
    tenant: TenantId,
    own: &Whose,
    cursor: String,
    limit: u32,
) -> QueryBuilder<Any> {
    let mut query = query(tenant);
    // What there is an index of; who gave the number decides, too.
    query.push(" AND patient_id = ").push_bind(own.patient_id.clone());
    // MySQL's own comparison takes `ab` for `AB `: it finds the rows, their bytes decide.
    query.push(" AND patient = ").push_bind(own.patient.clone());
    query.push(" AND HEX(patient) = HEX(").push_bind(own.patient.clone()).push(")");
    query.push(" AND identities.scan_id < ").push_bind(cursor);
    query.push(" ORDER BY identities.scan_id DESC LIMIT ").push_bind(i64::from(limit) + 1);
    query
}

#[cfg(test)]
mod tests {
    use platform::db;

    use super::*;

    fn taken(scan_id: &str, study_uid: &str, date: &str, time: &str) -> Whose {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let identity =
            Identity { study_date: said(date), study_time: said(time), ..Identity::default() };
        let (date, time) = moment_of(&identity);
        Whose {
            scan_id: scan_id.into(),
            patient: "4711".into(),
            patient_id: "4711".into(),
            binding: String::new(),
            study_uid: study_uid.into(),
            date,
            time,
        }
    }

    #[test]
    fn the_earlier_scan_is_the_one_whose_file_says_so_else_the_one_that_came_first() {
        let now = taken("b", "1.2", "20260131", "102030.5");
        for (other, expected) in [
            (taken("c", "1.1", "20251231", ""), true),
            (taken("a", "1.1", "20260201", ""), false),
            (taken("c", "1.1", "2025.12.31", ""), true),
            (taken("c", "1.1", "20260131", "10:20:29"), true),
            (taken("a", "1.1", "20260131", "102031"), false),
            (taken("a", "1.1", "20260131", ""), true),
            (taken("c", "1.1", "20260131", ""), false),
            (taken("a", "", "", ""), true),
            (taken("c", "", "some day", ""), false),
            (taken("a", "1.2", "20251231", ""), false),
            (taken("b", "", "", ""), false),
        ] {
            assert_eq!(other.is_before(&now), expected, "{}", other.scan_id);
        }
    }

    #[tokio::test]
    async fn a_patients_scans_have_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/storage.db", folder.path().display());
        let database = db::connect(&url, &crate::MIGRATIONS).await.unwrap();
        let tenant = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let query = query_of_patient(tenant, &taken("a", "", "", ""), String::new(), 50);
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", query.sql().as_str()));
        let rows = sqlx::query(explain).fetch_all(database.pool()).await.unwrap();
        let plan: String = rows.iter().map(|row| row.get::<String, _>("detail") + "\n").collect();
        assert!(plan.contains("identities_by_patient") && !plan.contains("SCAN "), "{plan}");
    }
}
