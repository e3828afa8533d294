//! The rows of versions and of their files.

use domain::{Error, ErrorKind, Result};
use platform::db::{Run, Unit, failed};
use sqlx::{Any, Executor, FromRow};
use strum::{EnumString, IntoStaticStr};

/// What a version does at the moment.
#[derive(Clone, Copy, Debug, EnumString, Eq, IntoStaticStr, PartialEq)]
#[strum(serialize_all = "snake_case")]
pub enum State {
    Registered,
    Shadow,
    Serving,
    Retired,
}

impl State {
    /// The name used in SQL.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl TryFrom<String> for State {
    type Error = Error;

    /// As a column holds it.
    fn try_from(name: String) -> Result<State> {
        name.parse()
            .map_err(|_| ErrorKind::Internal.error(format!("versions.state holds `{name}`")))
    }
}

/// The row of a version.
#[derive(Clone, Debug, FromRow)]
pub struct Version {
    pub name: String,
    pub version: String,
    #[sqlx(try_from = "String")]
    pub state: State,
    pub sha256: String,
    /// DICOM terms, separated by commas.
    pub modalities: String,
    pub preprocessing: String,
    pub source: String,
    pub git_commit: String,
    pub data_version: String,
    pub registered_ms: i64,
    pub registered_by: String,
    pub forced: String,
    pub signature: String,
    pub announced_ms: i64,
    /// The kind of image at which it looks on, while it is a shadow; empty: any.
    pub shadow_kind: String,
}

/// A file of a version, whose bytes are kept.
#[derive(Clone, Debug, FromRow, PartialEq)]
pub struct Kept {
    #[sqlx(rename = "file")]
    pub name: String,
    #[sqlx(rename = "blob_key")]
    pub key: String,
    pub sha256: String,
    #[sqlx(rename = "size_bytes", try_from = "i64")]
    pub size: u64,
}

impl Version {
    pub fn modalities(&self) -> impl Iterator<Item = &str> {
        self.modalities.split(',')
    }
}

pub fn unknown(name: &str, version: &str) -> Error {
    ErrorKind::NotFound.error(format!("no model {name} {version} is registered"))
}

/// The row of a version.
pub async fn find(
    executor: impl Executor<'_, Database = Any>,
    name: &str,
    version: &str,
) -> Result<Version> {
    let row: Option<Version> =
        sqlx::query_as("SELECT * FROM versions WHERE name = ? AND version = ?")
            .bind(name)
            .bind(version)
            .fetch_optional(executor)
            .await
            .map_err(failed)?;
    row.ok_or_else(|| unknown(name, version))
}

/// Sets a version's state, and why it serves or has served although the gate refused it.
///
/// `Conflict` where it is not any more as `of` was read: of two that retire and promote it at once the second is refused.
pub async fn set_state(unit: &mut Unit, of: &Version, state: State, forced: &str) -> Result<()> {
    let set = sqlx::query(
        "UPDATE versions SET state = ?, forced = ? WHERE name = ? AND version = ? AND state = ?",
    )
    .bind(state.name())
    .bind(forced)
    .bind(&of.name)
    .bind(&of.version)
    .bind(of.state.name())
    .run(unit)
    .await?;
    if set != 1 {
        let words = format!("somebody else changes {} {}", of.name, of.version);
        return Err(ErrorKind::Conflict.error(words));
    }
    Ok(())
}

/// Adds the rows of a version and of its files.
pub async fn insert(unit: &mut Unit, row: &Version, files: &[Kept]) -> Result<()> {
    sqlx::query(
        "INSERT INTO versions (name, version, state, sha256, modalities, preprocessing, source, git_commit,
             data_version, registered_ms, registered_by, forced, signature, announced_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&row.name)
    .bind(&row.version)
    .bind(row.state.name())
    .bind(&row.sha256)
    .bind(&row.modalities)
    .bind(&row.preprocessing)
    .bind(&row.source)
    .bind(&row.git_commit)
    .bind(&row.data_version)
    .bind(row.registered_ms)
    .bind(&row.registered_by)
    .bind(&row.forced)
    .bind(&row.signature)
    .bind(row.announced_ms)
    .run(unit)
    .await?;
    for file in files {
        sqlx::query(
            "INSERT INTO files (name, version, file, blob_key, sha256, size_bytes) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&row.name)
        .bind(&row.version)
        .bind(&file.name)
        .bind(&file.key)
        .bind(&file.sha256)
        .bind(i64::try_from(file.size).unwrap_or(i64::MAX))
        .run(unit)
        .await?;
    }
    Ok(())
}
