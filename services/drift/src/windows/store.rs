//! Windows as rows.

use domain::{ErrorKind, Result, WindowId};
use platform::db::{self, Run, Unit};
use service::claims::Tenant;
use sqlx::FromRow;

use super::alarm::Standing;
use super::news::Told;
use super::{Group, Member, Window};
use crate::store::{Store, answered, json, parsed};

/// The rows of `$select` that are of a group.
macro_rules! of_group {
    ($select:literal, $more:literal) => {
        concat!(
            $select,
            " WHERE tenant_id = ? AND model_name = ? AND model_version = ?
                 AND COALESCE(image_kind, '') = ? AND COALESCE(scanner, '') = ? AND COALESCE(site, '') = ? AND ",
            $more
        )
    };
}

/// A window with all its columns, of which `$of` is true.
macro_rules! windows {
    ($of:literal) => {
        concat!(
            "SELECT tenant_id, window_id, model_name, model_version, image_kind, scanner, site, number, from_ms,
                 to_ms, created_ms, scans, drifted, calm, document
             FROM drift_windows WHERE ",
            $of
        )
    };
}

const WAITING: &str = "SELECT tenant_id, model_name, model_version, COALESCE(image_kind, '') AS kind,
         COALESCE(scanner, '') AS made_by, COALESCE(site, '') AS made_at
     FROM observations WHERE window_id IS NULL AND model_name IS NOT NULL AND model_version IS NOT NULL
     GROUP BY tenant_id, model_name, model_version, kind, made_by, made_at HAVING COUNT(*) >= ?";
const NEXT: &str = of_group!(
    "SELECT event_id, scan_id, answer, completed_ms, site, observation FROM observations",
    "window_id IS NULL ORDER BY completed_ms, event_id LIMIT ?"
);
const CLAIM: &str = of_group!(
    "UPDATE observations SET window_id = ?",
    "window_id IS NULL AND (completed_ms < ? OR (completed_ms = ? AND event_id <= ?))"
);
const LAST: &str = windows!(
    "tenant_id = ? AND model_name = ? AND model_version = ? AND image_kind = ? AND scanner = ? AND site = ?
     ORDER BY number DESC LIMIT 1"
);
const ONE: &str = windows!("tenant_id = ? AND window_id = ?");
const PAGE: &str = windows!(
    "tenant_id = ? AND to_ms >= ? AND to_ms < ? AND (? = '' OR model_version = ?)
     AND (? = '' OR image_kind = ?) AND (? = '' OR scanner = ?) AND (? = '' OR site = ?)
     AND (to_ms < ? OR (to_ms = ? AND window_id < ?))
     ORDER BY to_ms DESC, window_id DESC LIMIT ?"
);

/// Which windows are listed.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub from_ms: i64,
    pub to_ms: i64,
    /// Empty, as the three below: any.
    pub model_version: String,
    pub image_kind: String,
    pub scanner: String,
    pub site: String,
    /// Where to go on: before the window that ended then and has that id.
    pub before: (i64, String),
    pub limit: i64,
}

#[derive(FromRow)]
struct WindowRow {
    #[sqlx(try_from = "String")]
    tenant_id: domain::TenantId,
    window_id: String,
    model_name: String,
    model_version: String,
    image_kind: String,
    scanner: String,
    site: String,
    number: i64,
    from_ms: i64,
    to_ms: i64,
    created_ms: i64,
    scans: i64,
    drifted: i64,
    calm: i64,
    document: String,
}

type WaitingRow = (String, String, String, String, String, String);
type MemberRow = (String, String, String, i64, Option<String>, String);

impl Store {
    /// The groups that have `least` scans or more that are in no window yet.
    pub async fn waiting(&self, least: usize) -> Result<Vec<Group>> {
        let rows: Vec<WaitingRow> = sqlx::query_as(WAITING)
            .bind(least as i64)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter()
            .map(|(tenant, model_name, model_version, image_kind, scanner, site)| {
                let tenant = tenant.parse()?;
                Ok(Group { tenant, model_name, model_version, image_kind, scanner, site })
            })
            .collect()
    }

    /// The first scans of the group that are in no window yet.
    pub async fn next_members(&self, group: &Group, limit: usize) -> Result<Vec<Member>> {
        let rows: Vec<MemberRow> = sqlx::query_as(NEXT)
            .bind(group.tenant.to_string())
            .bind(&group.model_name)
            .bind(&group.model_version)
            .bind(&group.image_kind)
            .bind(&group.scanner)
            .bind(&group.site)
            .bind(limit as i64)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter().map(member).collect()
    }

    /// The scans of a window.
    pub async fn members(&self, tenant: Tenant, window: &str) -> Result<Vec<Member>> {
        let rows: Vec<MemberRow> = sqlx::query_as(
            "SELECT event_id, scan_id, answer, completed_ms, site, observation FROM observations
             WHERE tenant_id = ? AND window_id = ? ORDER BY completed_ms, event_id",
        )
        .bind(tenant.to_string())
        .bind(window)
        .fetch_all(self.database.pool())
        .await
        .map_err(db::failed)?;
        rows.into_iter().map(member).collect()
    }

    /// The group's last window.
    pub async fn last_window(&self, group: &Group) -> Result<Option<Window>> {
        let row: Option<WindowRow> = sqlx::query_as(LAST)
            .bind(group.tenant.to_string())
            .bind(&group.model_name)
            .bind(&group.model_version)
            .bind(&group.image_kind)
            .bind(&group.scanner)
            .bind(&group.site)
            .fetch_optional(self.database.pool())
            .await
            .map_err(db::failed)?;
        row.map(WindowRow::window).transpose()
    }

    /// A window; one of another tenant answers like one that never was.
    pub async fn one_window(&self, tenant: Tenant, id: &str) -> Result<Window> {
        let id: WindowId = id.parse()?;
        let row: Option<WindowRow> = sqlx::query_as(ONE)
            .bind(tenant.to_string())
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await
            .map_err(db::failed)?;
        row.ok_or_else(|| ErrorKind::NotFound.error("no such window"))?.window()
    }

    /// The tenant's windows, newest first.
    pub async fn windows(&self, tenant: Tenant, wanted: &Wanted) -> Result<Vec<Window>> {
        let (before_ms, before_id) = &wanted.before;
        let rows: Vec<WindowRow> = sqlx::query_as(PAGE)
            .bind(tenant.to_string())
            .bind(wanted.from_ms)
            .bind(wanted.to_ms)
            .bind(&wanted.model_version)
            .bind(&wanted.model_version)
            .bind(&wanted.image_kind)
            .bind(&wanted.image_kind)
            .bind(&wanted.scanner)
            .bind(&wanted.scanner)
            .bind(&wanted.site)
            .bind(&wanted.site)
            .bind(*before_ms)
            .bind(*before_ms)
            .bind(before_id)
            .bind(wanted.limit)
            .fetch_all(self.database.pool())
            .await
            .map_err(db::failed)?;
        rows.into_iter().map(WindowRow::window).collect()
    }

    /// Keeps the window, which all its members are in from now on, and what is to be told of it, or nothing of all that where
    /// somebody else has been there first.
    pub async fn close(
        &self,
        window: Window,
        members: &[Member],
        told: Option<Told>,
    ) -> Result<()> {
        let Some(last) = members.last() else { return Ok(()) };
        let (count, last) = (members.len() as u64, (last.completed_ms, last.event_id.clone()));
        self.database
            .unit(move |unit| {
                Box::pin(async move {
                    if claim(unit, &window, &last).await? != count {
                        return Err(ErrorKind::Unavailable.error("the window's scans have changed"));
                    }
                    insert(unit, &window).await?;
                    match told {
                        Some(told) => told.keep(unit).await,
                        None => Ok(()),
                    }
                })
            })
            .await
    }
}

/// Puts into the window all scans of its group up to that one; answers how many they are.
async fn claim(unit: &mut Unit, window: &Window, last: &(i64, String)) -> Result<u64> {
    let (group, (completed_ms, event_id)) = (&window.group, last);
    sqlx::query(CLAIM)
        .bind(window.id.clone())
        .bind(group.tenant.to_string())
        .bind(group.model_name.clone())
        .bind(group.model_version.clone())
        .bind(group.image_kind.clone())
        .bind(group.scanner.clone())
        .bind(group.site.clone())
        .bind(*completed_ms)
        .bind(*completed_ms)
        .bind(event_id.clone())
        .run(unit)
        .await
}

async fn insert(unit: &mut Unit, window: &Window) -> Result<()> {
    let group = &window.group;
    sqlx::query(
        "INSERT INTO drift_windows (tenant_id, window_id, model_name, model_version, image_kind, scanner, site, number,
             from_ms, to_ms, created_ms, scans, drifted, calm, document)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(group.tenant.to_string())
    .bind(window.id.clone())
    .bind(group.model_name.clone())
    .bind(group.model_version.clone())
    .bind(group.image_kind.clone())
    .bind(group.scanner.clone())
    .bind(group.site.clone())
    .bind(window.number)
    .bind(window.from_ms)
    .bind(window.to_ms)
    .bind(window.created_ms)
    .bind(window.scans as i64)
    .bind(i64::from(window.standing.drifted))
    .bind(window.standing.calm)
    .bind(json(&window.seen)?)
    .run(unit)
    .await
    .map(drop)
}

fn member(
    (event_id, scan_id, answer, completed_ms, site, observation): MemberRow,
) -> Result<Member> {
    let (answer, observation) = (answered(&answer)?, parsed(&observation)?);
    Ok(Member { event_id, scan_id, answer, completed_ms, site, observation })
}

impl WindowRow {
    fn window(self) -> Result<Window> {
        Ok(Window {
            id: self.window_id,
            group: Group {
                tenant: self.tenant_id,
                model_name: self.model_name,
                model_version: self.model_version,
                image_kind: self.image_kind,
                scanner: self.scanner,
                site: self.site,
            },
            number: self.number,
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            created_ms: self.created_ms,
            scans: self.scans as usize,
            standing: Standing { drifted: self.drifted != 0, calm: self.calm },
            seen: parsed(&self.document)?,
        })
    }
}
