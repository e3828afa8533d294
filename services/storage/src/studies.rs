//! Finds studies as DICOM's own search asks for them (PS3.18, 10.6), and tells whose they are.

use std::collections::HashMap;
use std::str::FromStr;

use domain::{Result, ScanId, TenantId};
use platform::db::failed;
use proto::storage::{FoundStudies, Scan, ScanIdentity, StudyScan, StudySearch};
use service::claims::Claims;
use sqlx::{Any, QueryBuilder, Row};

use crate::list::page_rows;
use crate::scans::{scan_of, select};
use crate::store::Store;

/// Scans of one answer at most, of all its studies together: each has an identity.
const SCANS_MAX: usize = 1000;
/// What results are, which are part of the study of their scan.
const OF_RESULTS: [&str; 3] = ["SR", "OT", "DOC"];

impl Store {
    /// The studies for which all holds that is asked for, newest first, each with its scans. Each reading of an identity is in the audit
    /// trail before it is answered.
    pub async fn studies(&self, claims: &Claims, asked: &StudySearch) -> Result<FoundStudies> {
        let tenant = claims.tenant().id();
        let limit = page_rows(asked.limit) as usize;
        let mut uids = self.study_uids(tenant, asked, limit).await?;
        let more = uids.len() > limit;
        uids.truncate(limit);
        if uids.is_empty() {
            return Ok(FoundStudies::default());
        }
        let mut scans = self.scans_in(tenant, &uids, &asked.patient_id).await?;
        let cut = scans.len() > SCANS_MAX;
        scans.truncate(SCANS_MAX);
        let ids = scans.iter().map(|scan| ScanId::from_str(&scan.id));
        let ids = ids.collect::<Result<Vec<_>>>()?;
        let told = self.identities_of(tenant, &claims.subject, ids).await?;
        let told = told.into_iter().map(|identity| (identity.scan_id.clone(), identity));
        let mut told: HashMap<String, ScanIdentity> = told.collect();
        let with_identity = |scan: Scan| {
            let identity = told.remove(&scan.id)?;
            Some(StudyScan { scan: Some(scan), identity: Some(identity) })
        };
        Ok(FoundStudies { scans: scans.into_iter().filter_map(with_identity).collect(), more, cut })
    }

    /// The UIDs of those studies, and of one more where there is one.
    async fn study_uids(
        &self,
        tenant: TenantId,
        asked: &StudySearch,
        limit: usize,
    ) -> Result<Vec<String>> {
        let mut query = query(&tenant.to_string(), asked, limit);
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        let uid = |row: &sqlx::any::AnyRow| row.try_get::<String, _>("study_uid").map_err(failed);
        rows.iter().map(uid).collect()
    }

    /// All scans of those studies, newest first, and one more than an answer has where there is one. Who asks for one patient is told of
    /// no other whose study has the same UID by somebody's mistake.
    async fn scans_in(
        &self,
        tenant: TenantId,
        uids: &[String],
        patient_id: &str,
    ) -> Result<Vec<Scan>> {
        let mut query = QueryBuilder::<Any>::new(select!(
            "JOIN identities ON identities.tenant_id = scans.tenant_id AND identities.scan_id = scans.id
             WHERE scans.tenant_id = "
        ));
        query.push_bind(tenant.to_string());
        query.push(" AND identities.tenant_id = ").push_bind(tenant.to_string());
        same(&mut query, "patient_id", patient_id);
        query.push(" AND identities.study_uid IN (");
        let mut list = query.separated(", ");
        for uid in uids {
            list.push_bind(uid.clone());
        }
        query.push(") ORDER BY scans.id DESC LIMIT ").push_bind(SCANS_MAX as i64 + 1);
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        rows.iter().map(scan_of).collect()
    }
}

/// The query for so many studies and one more, which tells whether there are more.
fn query(tenant: &str, asked: &StudySearch, limit: usize) -> QueryBuilder<Any> {
    let mut query = QueryBuilder::<Any>::new(
        "SELECT identities.study_uid AS study_uid, MAX(identities.scan_id) AS newest FROM identities
         JOIN scans ON scans.tenant_id = identities.tenant_id AND scans.id = identities.scan_id
         WHERE identities.tenant_id = ",
    );
    query.push_bind(tenant.to_owned()).push(" AND identities.study_uid <> ''");
    if !asked.study_uids.is_empty() {
        query.push(" AND identities.study_uid IN (");
        let mut list = query.separated(", ");
        for uid in &asked.study_uids {
            list.push_bind(uid.clone());
        }
        query.push(")");
    }
    for (column, asked) in
        [("patient_id", &asked.patient_id), ("accession_number", &asked.accession_number)]
    {
        same(&mut query, column, asked);
    }
    if !asked.patient_name.is_empty() {
        like(&mut query, "patient_name", &asked.patient_name);
    }
    if !asked.study_date_from.is_empty() {
        query.push(" AND identities.study_date >= ").push_bind(asked.study_date_from.clone());
    }
    if !asked.study_date_to.is_empty() {
        // A study without a date is before no day.
        query.push(" AND identities.study_date <> '' AND identities.study_date <= ");
        query.push_bind(asked.study_date_to.clone());
    }
    match asked.modality.as_str() {
        "" => {}
        "SEG" => {
            query.push(" AND scans.answer = 'found'");
        }
        modality if OF_RESULTS.contains(&modality) => {
            query.push(" AND scans.state = 'done'");
        }
        modality => {
            query.push(" AND scans.modality = ").push_bind(modality.to_owned());
        }
    }
    if asked.analysed {
        query.push(" AND scans.state = 'done'");
    }
    query.push(" GROUP BY identities.study_uid ORDER BY newest DESC LIMIT ");
    query.push_bind(limit as i64 + 1).push(" OFFSET ").push_bind(i64::from(asked.offset));
    query
}

/// Whether letters of it stand for others (PS3.4, C.2.2.2.4).
fn is_pattern(value: &str) -> bool {
    value.contains(['*', '?'])
}

/// What has that value, or one of that pattern; empty: anything.
fn same(query: &mut QueryBuilder<Any>, column: &'static str, asked: &str) {
    match asked {
        "" => {}
        pattern if is_pattern(pattern) => like(query, column, pattern),
        value => {
            // MySQL's own comparison takes `ab` for `AB `: it finds the rows, their bytes decide.
            query.push(format_args!(" AND identities.{column} = ")).push_bind(value.to_owned());
            query.push(format_args!(" AND HEX(identities.{column}) = HEX("));
            query.push_bind(value.to_owned()).push(")");
        }
    }
}

fn like(query: &mut QueryBuilder<Any>, column: &'static str, pattern: &str) {
    query.push(format_args!(" AND identities.{column} LIKE ")).push_bind(liked(pattern));
    query.push(" ESCAPE '!'");
}

/// The pattern as SQL has them.
fn liked(pattern: &str) -> String {
    let mut liked = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        match letter {
            '*' => liked.push('%'),
            '?' => liked.push('_'),
            '%' | '_' | '!' => liked.extend(['!', letter]),
            _ => liked.push(letter),
        }
    }
    liked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stars_and_question_marks_stand_for_others() {
        for (pattern, sql) in [
            ("DOE^J*", "DOE^J%"),
            ("*", "%"),
            ("a?c", "a_c"),
            ("100%_!", "100!%!_!!"),
            ("plain", "plain"),
        ] {
            assert_eq!(liked(pattern), sql);
        }
        assert!(is_pattern("a*") && is_pattern("?") && !is_pattern("100%"));
    }
}
