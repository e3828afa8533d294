//! The rows of what serves: each modality's own, and beside it those of single kinds of image.

use domain::{ErrorKind, Result};
use platform::db::{Run, Unit, failed};
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Executor, FromRow};

use crate::versions::{self, State, Version, set_state};

/// The kinds of image that may have a route of their own, as results name them.
pub const KINDS: [&str; 2] = ["flair", "t1_contrast"];

/// What serves a modality, or one kind of its images.
#[derive(Clone, Debug, FromRow)]
pub struct Route {
    pub modality: String,
    /// Empty: every kind that has no route of its own.
    pub image_kind: String,
    pub name: String,
    pub version: String,
    pub generation: i64,
}

/// A query over all routes, whichever table holds them.
macro_rules! every_route {
    ($which:literal) => {
        concat!(
            "SELECT * FROM (
                 SELECT modality, image_kind, name, version, generation FROM kind_routes
                 UNION ALL SELECT modality, '', name, version, generation FROM routes
             ) AS every_route ",
            $which
        )
    };
}

/// All of them, each modality's own before those of its kinds.
pub async fn all(executor: impl Executor<'_, Database = Any>) -> Result<Vec<Route>> {
    sqlx::query_as(every_route!("ORDER BY modality, image_kind"))
        .fetch_all(executor)
        .await
        .map_err(failed)
}

/// Those on which the version serves.
pub async fn served_by(
    executor: impl Executor<'_, Database = Any>,
    name: &str,
    version: &str,
) -> Result<Vec<Route>> {
    sqlx::query_as(every_route!("WHERE name = ? AND version = ? ORDER BY modality, image_kind"))
        .bind(name)
        .bind(version)
        .fetch_all(executor)
        .await
        .map_err(failed)
}

/// What serves scans of that kind now: the kind's route, or else the modality's own.
pub async fn serving(unit: &mut Unit, modality: &str, kind: &str) -> Result<Option<Route>> {
    match route(unit, modality, kind).await? {
        None if !kind.is_empty() => route(unit, modality, "").await,
        found => Ok(found),
    }
}

async fn route(unit: &mut Unit, modality: &str, kind: &str) -> Result<Option<Route>> {
    sqlx::query_as(every_route!("WHERE modality = ? AND image_kind = ?"))
        .bind(modality)
        .bind(kind)
        .fetch_optional(&mut **unit)
        .await
        .map_err(failed)
}

/// Lets `version` serve that kind (empty: every kind that has no route of its own) of all that it is made for. Whatever
/// serves nothing then is registered again.
///
/// `Conflict` for a kind of what nothing serves as a whole: what tells no kind would have no model.
pub async fn serve(unit: &mut Unit, version: &Version, kind: &str, forced: &str) -> Result<()> {
    for modality in version.modalities() {
        if !kind.is_empty() && route(unit, modality, "").await?.is_none() {
            return Err(ErrorKind::Conflict.error(format!(
                "nothing serves {modality} as a whole yet: promote a version for every kind first"
            )));
        }
        if let Some(before) = route(unit, modality, kind).await? {
            put_away(unit, &before).await?;
        }
        let generation = next_generation(&mut **unit).await?;
        let insert: Query<'_, Any, AnyArguments> = match kind {
            "" => sqlx::query(
                "INSERT INTO routes (modality, name, version, generation) VALUES (?, ?, ?, ?)",
            ),
            kind => sqlx::query(
                "INSERT INTO kind_routes (image_kind, modality, name, version, generation) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(kind),
        };
        let insert = insert.bind(modality).bind(&version.name).bind(&version.version);
        insert.bind(generation).run(unit).await?;
    }
    set_state(unit, version, State::Serving, forced).await?;
    end_idle(unit).await
}

/// Takes the version off that kind's routes. Answers with the version that serves those scans from now on: the modality's
/// own.
pub async fn withdraw(unit: &mut Unit, version: &Version, kind: &str) -> Result<Version> {
    let Version { name, version, .. } = version;
    let mut own = None;
    for before in served_by(&mut **unit, name, version).await? {
        if kind.is_empty() || before.image_kind != kind {
            continue;
        }
        put_away(unit, &before).await?;
        // The route that is gone had the highest, maybe, and workers are told of each change.
        let generation = next_generation(&mut **unit).await?;
        sqlx::query("UPDATE routes SET generation = ? WHERE modality = ?")
            .bind(generation)
            .bind(&before.modality)
            .run(unit)
            .await?;
        own = own.or(route(unit, &before.modality, "").await?);
    }
    end_idle(unit).await?;
    let own = own.ok_or_else(|| {
        ErrorKind::Conflict.error(format!("{name} {version} serves no route of `{kind}`"))
    })?;
    versions::find(&mut **unit, &own.name, &own.version).await
}

/// Ends a route, and keeps it to go back to.
async fn put_away(unit: &mut Unit, before: &Route) -> Result<()> {
    let Route { modality, image_kind, name, version, generation } = before;
    // The guarded delete comes first: of two that change the same route the second stops here.
    let delete: Query<'_, Any, AnyArguments> = match image_kind.as_str() {
        "" => sqlx::query("DELETE FROM routes WHERE modality = ? AND generation = ?"),
        kind => sqlx::query(
            "DELETE FROM kind_routes WHERE image_kind = ? AND modality = ? AND generation = ?",
        )
        .bind(kind),
    };
    if delete.bind(modality).bind(*generation).run(unit).await? != 1 {
        return Err(ErrorKind::Conflict.error("somebody else changes what serves"));
    }
    let keep: Query<'_, Any, AnyArguments> = match image_kind.as_str() {
        "" => sqlx::query(
            "INSERT INTO past_routes (modality, generation, name, version) VALUES (?, ?, ?, ?)",
        ),
        kind => sqlx::query(
            "INSERT INTO past_kind_routes (image_kind, modality, generation, name, version) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(kind),
    };
    let keep = keep.bind(modality).bind(*generation).bind(name).bind(version);
    keep.run(unit).await.map(drop)
}

/// What served on the route of that version before, the latest first.
pub async fn past(
    unit: &mut Unit,
    Route { modality, image_kind, .. }: &Route,
) -> Result<Vec<Route>> {
    sqlx::query_as(
        "SELECT * FROM (
             SELECT modality, image_kind, name, version, generation FROM past_kind_routes
             UNION ALL SELECT modality, '', name, version, generation FROM past_routes
         ) AS every_past WHERE modality = ? AND image_kind = ? ORDER BY generation DESC LIMIT 100",
    )
    .bind(modality)
    .bind(image_kind)
    .fetch_all(&mut **unit)
    .await
    .map_err(failed)
}

/// One where nothing has ever served.
pub async fn next_generation(executor: impl Executor<'_, Database = Any>) -> Result<i64> {
    let (now,): (Option<i64>,) = sqlx::query_as(
        "SELECT MAX(generation) FROM (
             SELECT generation FROM routes UNION SELECT generation FROM past_routes
             UNION SELECT generation FROM kind_routes UNION SELECT generation FROM past_kind_routes
         ) AS numbers",
    )
    .fetch_one(executor)
    .await
    .map_err(failed)?;
    Ok(now.unwrap_or(0) + 1)
}

/// So that workers see a change beside what serves. In one statement each: a promotion may raise it in the same moment.
pub async fn raise_generation(unit: &mut Unit) -> Result<()> {
    sqlx::query("UPDATE routes SET generation = generation + 1").run(unit).await?;
    sqlx::query("UPDATE kind_routes SET generation = generation + 1").run(unit).await.map(drop)
}

/// What serves nothing any more is registered again.
async fn end_idle(unit: &mut Unit) -> Result<()> {
    sqlx::query(
        "UPDATE versions SET state = 'registered' WHERE state = 'serving'
         AND NOT EXISTS (SELECT 1 FROM routes WHERE routes.name = versions.name AND routes.version = versions.version)
         AND NOT EXISTS (SELECT 1 FROM kind_routes
                         WHERE kind_routes.name = versions.name AND kind_routes.version = versions.version)",
    )
    .run(unit)
    .await
    .map(drop)
}

/// Lets the version look on at that kind (empty: any), in place of another that did.
pub async fn look_on(unit: &mut Unit, shadow: &Version, kind: &str) -> Result<()> {
    sqlx::query("UPDATE versions SET shadow_kind = ? WHERE name = ? AND version = ?")
        .bind(kind)
        .bind(&shadow.name)
        .bind(&shadow.version)
        .run(unit)
        .await?;
    sqlx::query(
        "UPDATE versions SET state = 'registered'
         WHERE state = 'shadow' AND shadow_kind = ? AND NOT (name = ? AND version = ?)",
    )
    .bind(kind)
    .bind(&shadow.name)
    .bind(&shadow.version)
    .run(unit)
    .await
    .map(drop)
}

/// `Invalid` for a kind that no scan has: a route of it would serve nobody, in silence.
pub fn check_kind(kind: &str) -> Result<()> {
    if kind.is_empty() || KINDS.contains(&kind) {
        return Ok(());
    }
    let kinds = KINDS.join("` and `");
    Err(ErrorKind::Invalid.error(format!("`{kind}` is no kind of image: there are `{kinds}`")))
}
