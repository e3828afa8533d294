//! The audit trail, as a hospital's administrators read it: the entries of storage and of auth together, newest first, in the forms
//! that archives of them take.

mod csv;
mod fhir;
mod merge;
mod noted;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use domain::{TenantId, rfc3339};
use futures::stream;
use proto::audit::{self, Search};
use report::audit as atna;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::caller::Caller;
use crate::extract::Query;
use crate::paging::{limit_of, next_page};
use crate::problem::{INVALID, Problem};
use crate::said::at_most;
use crate::scans::some;
use crate::times::ms_if_given;

use merge::{Cursor, Merged};

pub use noted::note;

/// The longest of what is searched by.
const SUBJECT_CHARS: usize = 190;
const ACTION_CHARS: usize = 64;
const ID_CHARS: usize = 36;
/// Entries that an export asks for at once.
const EXPORTED_AT_ONCE: u32 = 500;

pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(as_csv))
        .routes(routes!(as_ndjson))
        .routes(routes!(as_xml))
}

/// Which trail an entry stands in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trail {
    /// What was done with scans and results.
    Scans,
    /// Who signed in, and who changed who may do what.
    Accounts,
}

impl Trail {
    fn name(self) -> &'static str {
        match self {
            Trail::Scans => "scans",
            Trail::Accounts => "accounts",
        }
    }
}

/// An entry of the audit trail.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    #[schema(format = "date-time")]
    at: Option<String>,
    trail: Trail,
    /// In that trail, from 1 and without gaps.
    position: i64,
    /// What was done, such as `scan.identity.read`.
    #[schema(example = "scan.identity.read")]
    action: String,
    /// The id of the user, API client or worker; `null`: nobody who is known.
    subject: Option<String>,
    /// What people called them then.
    name: Option<String>,
    /// Their roles then.
    roles: Vec<String>,
    /// The id of what it was done to: a scan, a user, a destination.
    object: Option<String>,
    /// From where: the network address, or what a scanner calls itself.
    origin: Option<String>,
    /// Why, in their own words (`Medseg-Reason`).
    reason: Option<String>,
    /// What else there is to say: which file, which state.
    detail: Option<String>,
    /// The digest of the entry, which has in it that of the one before.
    sha256: String,
}

/// Entries of the audit trail, newest first.
#[derive(Serialize, ToSchema)]
pub struct AuditEntries {
    entries: Vec<AuditEntry>,
    /// What the next page begins with; `null` on the last page.
    next_cursor: Option<String>,
}

/// Which part of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedPart {
    /// How many at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// Where to go on: `next_cursor` of the page before.
    #[param(pattern = r"^([0-9]{1,18}\.[0-9]{1,18})?$")]
    cursor: Option<String>,
}

/// Which entries; all that is said has to hold.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WantedEntries {
    /// From then on.
    #[param(format = "date-time")]
    from: Option<String>,
    /// Until before then.
    #[param(format = "date-time")]
    to: Option<String>,
    /// Of whom, by the id.
    #[param(max_length = 190)]
    subject: Option<String>,
    /// What was done, such as `scan.identity.read`.
    #[param(max_length = 64)]
    action: Option<String>,
    /// To which scan, or what else it was done to, by the id.
    #[param(max_length = 36)]
    object: Option<String>,
}

impl WantedPart {
    /// How many, and from where on.
    fn checked(self) -> Result<(u32, Cursor), Problem> {
        let cursor = self.cursor.filter(|cursor| !cursor.is_empty());
        let cursor = cursor.as_deref().map_or(Ok(Cursor::default()), |cursor| {
            let bad = || INVALID.problem("`cursor` is no `next_cursor` of a page before");
            Cursor::parse(cursor).ok_or_else(bad)
        })?;
        Ok((limit_of(self.limit)?, cursor))
    }
}

impl WantedEntries {
    /// What is asked for, so many at once from there on.
    fn checked(self, limit: u32, cursor: &Cursor) -> Result<Search, Problem> {
        Ok(Search {
            limit,
            before: None,
            from_ms: ms_if_given("from", self.from.as_deref())?,
            to_ms: ms_if_given("to", self.to.as_deref())?,
            subject: at_most(SUBJECT_CHARS, "subject", self.subject)?,
            action: at_most(ACTION_CHARS, "action", self.action)?,
            object_id: at_most(ID_CHARS, "object", self.object)?,
            first: *cursor == Cursor::default(),
        })
    }
}

impl AuditEntry {
    fn of(trail: Trail, entry: audit::Entry) -> AuditEntry {
        AuditEntry {
            at: rfc3339(entry.at_ms),
            trail,
            position: entry.position,
            action: entry.action,
            subject: some(entry.subject),
            name: some(entry.name),
            roles: entry.roles.split_whitespace().map(str::to_owned).collect(),
            object: some(entry.object_id),
            origin: some(entry.origin),
            reason: some(entry.reason),
            detail: some(entry.detail),
            sha256: entry.sha256,
        }
    }

    /// What its audit message says.
    fn as_message(&self, site: &TenantId) -> String {
        atna::message(&atna::Entry {
            id: self.id(),
            site: site.to_string(),
            at: self.at.clone(),
            action: self.action.clone(),
            subject: self.subject.clone(),
            name: self.name.clone(),
            roles: self.roles.clone(),
            object: self.object.clone(),
            origin: self.origin.clone(),
            reason: self.reason.clone(),
            detail: self.detail.clone(),
            sha256: self.sha256.clone(),
        })
    }

    /// Unique in the hospital.
    fn id(&self) -> String {
        format!("{}-{}", self.trail.name(), self.position)
    }
}

/// Lists who did what, newest first; for the role `admin`
///
/// Each sign-in and each that failed, each reading of identities or pixels, each change, delivery and refusal of right. That it is
/// read is an entry itself. With `Accept: application/fhir+json` the page is a bundle of AuditEvents (FHIR R4), with
/// `application/xml` a list of audit messages (DICOM PS3.15, A.5); their next page is in the header `Link`.
#[utoipa::path(
    operation_id = "list_audit_entries", get, path = "/v1/audit", tag = "audit", params(WantedPart, WantedEntries),
    responses((status = 200, description = "One page", body = AuditEntries,
        headers(("Link" = Option<String>, description = "The next page, as `rel=\"next\"` (RFC 8288)")))),
    security(("bearer" = [])),
)]
pub async fn list(
    State(gateway): State<Gateway>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    Query(part): Query<WantedPart>,
    Query(wanted): Query<WantedEntries>,
) -> Result<Response, Problem> {
    let (limit, cursor) = part.checked()?;
    let search = wanted.checked(limit, &cursor)?;
    let Merged { entries, next } = page(&gateway, &caller, search, cursor).await?;
    let next = next.map(|next| next.to_string()).unwrap_or_default();
    let (link, next_cursor) = next_page("/v1/audit", query, next);
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accept = accept.unwrap_or_default();
    let response = if accept.contains("fhir+json") {
        let kind = [(header::CONTENT_TYPE, "application/fhir+json; charset=utf-8")];
        (kind, fhir::bundle(&entries).to_string()).into_response()
    } else if accept.contains("application/xml") && !accept.contains("text/html") {
        let site = caller.tenant();
        let messages: String = entries.iter().map(|entry| entry.as_message(&site)).collect();
        let kind = [(header::CONTENT_TYPE, XML)];
        (kind, format!("{}{messages}{}", atna::BEGIN, atna::END)).into_response()
    } else {
        Json(AuditEntries { entries, next_cursor }).into_response()
    };
    Ok((link, response).into_response())
}

const XML: &str = "application/xml; charset=utf-8";

/// Hands out the entries as CSV, newest first; for the role `admin`
#[utoipa::path(
    operation_id = "export_audit_csv", get, path = "/v1/audit.csv", tag = "audit", params(WantedEntries),
    responses((status = 200, description = "A header, and a line for each entry", body = String, content_type = "text/csv")),
    security(("bearer" = [])),
)]
pub async fn as_csv(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(wanted): Query<WantedEntries>,
) -> Result<Response, Problem> {
    let form = Form {
        media: "text/csv; charset=utf-8",
        begin: csv::HEADER,
        line: |entry, _| csv::line(entry),
        end: "",
    };
    export(gateway, caller, wanted, form).await
}

/// Hands out the entries as JSON, one in each line, newest first; for the role `admin`
#[utoipa::path(
    operation_id = "export_audit_ndjson", get, path = "/v1/audit.ndjson", tag = "audit", params(WantedEntries),
    responses((status = 200, description = "An entry in each line, as `GET /v1/audit` has them", body = String, content_type = "application/x-ndjson")),
    security(("bearer" = [])),
)]
pub async fn as_ndjson(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(wanted): Query<WantedEntries>,
) -> Result<Response, Problem> {
    let form = Form {
        media: "application/x-ndjson",
        begin: "",
        line: |entry, _| json_line(entry),
        end: "",
    };
    export(gateway, caller, wanted, form).await
}

/// Hands out the entries as audit messages (DICOM PS3.15, A.5; IHE ATNA), newest first; for the role `admin`
#[utoipa::path(
    operation_id = "export_audit_xml", get, path = "/v1/audit.xml", tag = "audit", params(WantedEntries),
    responses((status = 200, description = "A list of messages", body = String, content_type = "application/xml")),
    security(("bearer" = [])),
)]
pub async fn as_xml(
    State(gateway): State<Gateway>,
    caller: Caller,
    Query(wanted): Query<WantedEntries>,
) -> Result<Response, Problem> {
    let form =
        Form { media: XML, begin: atna::BEGIN, line: AuditEntry::as_message, end: atna::END };
    export(gateway, caller, wanted, form).await
}

fn json_line(entry: &AuditEntry) -> String {
    let mut line = serde_json::to_string(entry).unwrap_or_default();
    line.push('\n');
    line
}

/// How an export is written.
#[derive(Clone, Copy)]
struct Form {
    media: &'static str,
    begin: &'static str,
    /// Of an entry, and of whose it is.
    line: fn(&AuditEntry, &TenantId) -> String,
    end: &'static str,
}

/// Where an export has come to.
struct Export {
    gateway: Gateway,
    caller: Caller,
    search: Search,
    /// None: all has been asked for.
    next: Option<Cursor>,
    form: Form,
}

/// Writes page after page, as fast as they are taken. The first one is asked for before the answer begins, so that a refusal is one.
async fn export(
    gateway: Gateway,
    caller: Caller,
    wanted: WantedEntries,
    form: Form,
) -> Result<Response, Problem> {
    let cursor = Cursor::default();
    let search = wanted.checked(EXPORTED_AT_ONCE, &cursor)?;
    let mut export = Export { gateway, caller, search, next: Some(cursor), form };
    let first = export.piece(form.begin).await?;
    let rest = stream::try_unfold(export, async |mut export| {
        if export.next.is_none() {
            return Ok::<_, Problem>(None);
        }
        let piece = export.piece("").await?;
        Ok(Some((piece, export)))
    });
    let all = futures::StreamExt::chain(stream::iter([Ok::<Bytes, Problem>(first)]), rest);
    Ok(([(header::CONTENT_TYPE, form.media)], Body::from_stream(all)).into_response())
}

impl Export {
    /// The next page as it is written.
    async fn piece(&mut self, begin: &str) -> Result<Bytes, Problem> {
        let cursor = self.next.take().unwrap_or_default();
        let Merged { entries, next } =
            page(&self.gateway, &self.caller, self.search.clone(), cursor).await?;
        self.search.first = false;
        self.next = next;
        let mut text = begin.to_owned();
        let site = self.caller.tenant();
        entries.iter().for_each(|entry| text.push_str(&(self.form.line)(entry, &site)));
        if self.next.is_none() {
            text.push_str(self.form.end);
        }
        Ok(Bytes::from(text))
    }
}

/// One page of both trails. One entry more than it has is asked of each: so it is known whether there are more.
async fn page(
    gateway: &Gateway,
    caller: &Caller,
    search: Search,
    cursor: Cursor,
) -> Result<Merged, Problem> {
    let limit = search.limit;
    let asked =
        |before: Option<i64>| caller.request(Search { limit: limit + 1, before, ..search.clone() });
    let (mut scans, mut accounts) = (gateway.trail.clone(), gateway.account_trail.clone());
    // Storage first: that somebody reads is noted there, before anything is read.
    let scans = scans.list(asked(cursor.scans)).await?.into_inner().entries;
    let accounts = accounts.list(asked(cursor.accounts)).await?.into_inner().entries;
    Ok(merge::merged(scans, accounts, cursor, limit as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn entry() -> AuditEntry {
        let entry = audit::Entry {
            position: 7,
            at_ms: 1_700_000_000_000,
            subject: "user-1".into(),
            action: "scan.identity.read".into(),
            object_id: "scan-1".into(),
            name: "ada & co".into(),
            roles: "clinician admin".into(),
            origin: "10.0.0.7".into(),
            reason: "on <call>".into(),
            detail: String::new(),
            sha256: "ab".into(),
        };
        AuditEntry::of(Trail::Scans, entry)
    }

    #[test]
    fn a_line_of_json_is_an_entry() {
        let line = json_line(&entry());
        let entry: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(entry["roles"], serde_json::json!(["clinician", "admin"]));
        assert_eq!(
            (&entry["trail"], &entry["detail"]),
            (&"scans".into(), &serde_json::Value::Null)
        );
    }
}
