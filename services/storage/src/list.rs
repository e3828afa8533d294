//! Lists a tenant's scans, filtered and page by page.

use std::fmt::Display;
use std::str::FromStr;

use domain::limits::{PAGE_DEFAULT, PAGE_MAX};
use domain::{ErrorKind, Result, ScanId};
use platform::db::failed;
use proto::storage::{Answer, ListScans, Priority, ReviewState, ScanPage, State};
use service::claims::Claims;
use service::wire;
use sqlx::{Any, QueryBuilder};

use crate::reviewed::{ask_reviewable, ask_reviewed, only_own};
use crate::scans::{answer_of, scan_of, select};
use crate::store::Store;

/// The cursor of the first page: greater than every id.
const CURSOR_START: &str = "g";

impl Store {
    /// One page of the scans that match `list`, newest first. Ids sort by creation time, so an id is a cursor under any
    /// filter.
    pub async fn scans(&self, claims: &Claims, list: &ListScans) -> Result<ScanPage> {
        let (limit, tenant) = (page_rows(list.limit), claims.tenant().to_string());
        let own = only_own(claims, wire::review_state_of(list.review()));
        let mut query = query(&tenant, own, list, limit)?;
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        let scans = rows.iter().map(scan_of).collect::<Result<Vec<_>>>()?;
        let (scans, next_cursor) = page_of(scans, limit, |scan| &scan.id);
        Ok(ScanPage { scans, next_cursor })
    }
}

/// How many rows a page has whose reader asks for `limit`; 0: they do not say.
pub fn page_rows(limit: u32) -> u32 {
    if limit == 0 { PAGE_DEFAULT } else { limit.min(PAGE_MAX) }
}

/// The page, of which one row more was read than it has, and the next one's cursor; empty: this is the last.
pub fn page_of<T>(mut rows: Vec<T>, limit: u32, id: impl Fn(&T) -> &str) -> (Vec<T>, String) {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|last| id(last).to_owned()).unwrap_or_default();
    (rows, next_cursor)
}

/// Whether the list filters by an identifier of a patient or study.
pub fn filters_by_identity(list: &ListScans) -> bool {
    identity_filters(list).iter().any(|(_, value)| !value.is_empty())
}

fn identity_filters(list: &ListScans) -> [(&'static str, &str); 4] {
    [
        ("identities.patient_id", &list.patient_id),
        ("identities.accession_number", &list.accession_number),
        ("identities.study_uid", &list.study_uid),
        ("identities.reference", &list.reference),
    ]
}

/// Whether the list filters by what readers have said.
pub fn filters_by_review(list: &ListScans) -> bool {
    list.review() != ReviewState::Unspecified
}

/// The query for one page and one scan more, which tells whether there is a next page. Of scans that were judged only those are
/// listed by their review that `own` has judged, where such a reader is given.
fn query(
    tenant: &str,
    own: Option<&str>,
    list: &ListScans,
    limit: u32,
) -> Result<QueryBuilder<Any>> {
    let mut query = QueryBuilder::<Any>::new(select!(""));
    // A patient has few scans among many: the index of identities is scanned, which ends in the scan's id.
    let id = if filters_by_identity(list) { "identities.scan_id" } else { "scans.id" };
    if filters_by_identity(list) {
        query.push(
            "JOIN identities ON identities.tenant_id = scans.tenant_id AND identities.scan_id = scans.id ",
        );
    }
    query.push("WHERE scans.tenant_id = ").push_bind(tenant.to_owned());
    query.push(format_args!(" AND {id} < ")).push_bind(cursor_id::<ScanId>(&list.cursor)?);
    for (column, value) in identity_filters(list).into_iter().filter(|(_, value)| !value.is_empty())
    {
        query.push(" AND identities.tenant_id = ").push_bind(tenant.to_owned());
        ask_exactly(&mut query, column, value);
    }
    for (column, value) in [("scans.site", &list.site), ("scans.modality", &list.modality)] {
        if !value.is_empty() {
            ask_exactly(&mut query, column, value);
        }
    }
    if let Some(state) = wire::review_state_of(list.review()) {
        ask_reviewable(&mut query);
        ask_reviewed(&mut query, state, own);
    }
    if let Some(state) = state_name(list.state()) {
        query.push(" AND scans.state = ").push_bind(state);
    }
    if list.answer() != Answer::Unspecified {
        query.push(" AND scans.answer = ").push_bind(answer_of(list.answer())?.name());
    }
    if list.priority() != Priority::Unspecified {
        query.push(" AND jobs.tenant_id = ").push_bind(tenant.to_owned());
        let priority = wire::priority_of(list.priority()).name();
        query.push(" AND jobs.priority = ").push_bind(priority);
    }
    if let Some(from_ms) = list.from_ms {
        query.push(" AND scans.accepted_ms >= ").push_bind(from_ms);
    }
    if let Some(to_ms) = list.to_ms {
        query.push(" AND scans.accepted_ms < ").push_bind(to_ms);
    }
    query.push(format_args!(" ORDER BY {id} DESC LIMIT ")).push_bind(i64::from(limit) + 1);
    Ok(query)
}

/// Asks for rows whose column has these very bytes: MySQL's own comparison takes `ab` for `AB `, so that it finds the rows, and their
/// bytes decide.
fn ask_exactly(query: &mut QueryBuilder<Any>, column: &str, value: &str) {
    query.push(format_args!(" AND {column} = ")).push_bind(value.to_owned());
    query.push(format_args!(" AND HEX({column}) = HEX(")).push_bind(value.to_owned()).push(")");
}

/// The id that a page begins below, among ids of that type.
pub fn cursor_id<I: FromStr + Display>(cursor: &str) -> Result<String> {
    if cursor.is_empty() {
        return Ok(CURSOR_START.to_owned());
    }
    let id: I =
        cursor.parse().map_err(|_| ErrorKind::Invalid.error("this is no cursor of ours"))?;
    Ok(id.to_string())
}

fn state_name(state: State) -> Option<&'static str> {
    match state {
        State::Unspecified => None,
        State::Queued => Some("queued"),
        State::Running => Some("running"),
        State::Done => Some("done"),
    }
}

#[cfg(test)]
mod tests {
    use platform::db;
    use sqlx::Row;

    use super::*;

    /// How SQLite would look for what the list asks for.
    async fn plan(list: ListScans) -> String {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/storage.db", folder.path().display());
        let database = db::connect(&url, &crate::MIGRATIONS).await.unwrap();
        let query = query("a hospital", Some("a reader"), &list, PAGE_DEFAULT).unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", query.sql().as_str()));
        let rows = sqlx::query(explain).fetch_all(database.pool()).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail") + "\n").collect()
    }

    #[tokio::test]
    async fn whatever_is_asked_for_has_an_index() {
        let list = ListScans::default;
        for (list, index) in [
            (ListScans { patient_id: "4711".into(), ..list() }, "identities_by_patient"),
            (ListScans { accession_number: "A1".into(), ..list() }, "identities_by_accession"),
            (ListScans { study_uid: "1.2".into(), ..list() }, "identities_by_study"),
            (ListScans { reference: "order".into(), ..list() }, "identities_by_reference"),
            (ListScans { answer: Answer::Found.into(), ..list() }, "scans_by_answer"),
            (ListScans { state: State::Queued.into(), ..list() }, "scans_by_state"),
            (ListScans { site: "Kumasi".into(), ..list() }, "scans_by_site"),
            (ListScans { modality: "MR".into(), ..list() }, "scans_by_modality"),
        ] {
            let plan = plan(list).await;
            assert!(plan.contains(index) && !plan.contains("SCAN "), "{index}: {plan}");
        }
    }
}
