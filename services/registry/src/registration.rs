//! How versions are registered, and what is told of them.

use domain::{ErrorKind, Result};
use platform::blob::Staged;
use platform::db::{Run, failed};
use proto::registry::{self as wire, RegisterHeader};

use crate::manifest::{Manifest, Texts};
use crate::store::Store;
use crate::versions::{Kept, State, Version, find, insert};
use crate::{evaluations, events, files, table};

/// Characters of what is told of where a version comes from.
const SOURCE_MAX: usize = 400;
const GIT_COMMIT_MAX: usize = 64;
const DATA_VERSION_MAX: usize = 190;

impl Store {
    /// Keeps a version with its files, signed.
    ///
    /// The same version with the same files again is the one that is there, whose objects and signature it mends; with
    /// others it is a conflict: what a result names must never mean something else.
    pub async fn register(
        &self,
        subject: &str,
        mut header: RegisterHeader,
        texts: &Texts,
        staged: Vec<(String, Staged)>,
    ) -> Result<wire::Version> {
        let files: Vec<_> = staged.iter().map(kept).collect();
        let manifest = Manifest::read(texts, &files)?;
        // Whoever registers it may know better.
        if header.data_version.is_empty() {
            header.data_version.clone_from(&manifest.data_version);
        }
        check_origin(&header)?;
        let there = self.same(&manifest, &files).await?;
        let keys = files.iter().map(|file| file.key.clone());
        self.blobs.keep(keys.zip(staged.into_iter().map(|(_, staged)| staged)).collect()).await?;
        if let Some(there) = there {
            return Ok(there);
        }
        let signature = self.signer.sign(&manifest.name, &manifest.version, &files);
        let row = self.row(subject, header, manifest.clone(), signature);
        let rows = files.clone();
        let inserted = self.unit(move |store, unit| {
            Box::pin(async move {
                insert(unit, &row, &rows).await?;
                let subject = &row.registered_by;
                events::append(&store, unit, ("registered", ""), subject, &row, "").await
            })
        });
        match inserted.await {
            // Somebody else registered it in the same moment, maybe with other files.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return self.same(&manifest, &files).await?.ok_or(error);
            }
            inserted => inserted?,
        }
        self.registered.notify_one();
        self.version(&manifest.name, &manifest.version).await
    }

    fn row(
        &self,
        subject: &str,
        header: RegisterHeader,
        manifest: Manifest,
        signature: String,
    ) -> Version {
        let RegisterHeader { source, git_commit, data_version } = header;
        Version {
            name: manifest.name,
            version: manifest.version,
            state: State::Registered,
            sha256: manifest.sha256,
            modalities: manifest.modalities.join(","),
            preprocessing: manifest.preprocessing,
            source,
            git_commit,
            data_version,
            registered_ms: self.clock.now_ms(),
            registered_by: subject.to_owned(),
            forced: String::new(),
            signature,
            announced_ms: 0,
            shadow_kind: String::new(),
        }
    }

    /// The version that is there already, if it has these very files.
    async fn same(&self, manifest: &Manifest, files: &[Kept]) -> Result<Option<wire::Version>> {
        let (name, version) = (&manifest.name, &manifest.version);
        let there = match files::of(self.database.pool(), name, version).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            there => there?,
        };
        let digests = |files: &[Kept]| {
            let mut all: Vec<_> =
                files.iter().map(|f| (f.name.clone(), f.sha256.clone())).collect();
            all.sort();
            all
        };
        if digests(&there) != digests(files) {
            return Err(ErrorKind::Conflict.error(format!(
                "{name} {version} is registered with other files: give the new one another version"
            )));
        }
        self.sign_anew(name, version, &there).await?;
        self.version(name, version).await.map(Some)
    }

    /// Signs a version again whose very files have come once more, where the deployment has another key than it had.
    async fn sign_anew(&self, name: &str, version: &str, files: &[Kept]) -> Result<()> {
        let row = find(self.database.pool(), name, version).await?;
        if self.signer.verify(name, version, files, &row.signature).is_ok() {
            return Ok(());
        }
        let signature = self.signer.sign(name, version, files);
        self.unit(move |_, unit| {
            Box::pin(async move {
                sqlx::query("UPDATE versions SET signature = ? WHERE name = ? AND version = ?")
                    .bind(signature)
                    .bind(row.name)
                    .bind(row.version)
                    .run(unit)
                    .await
                    .map(drop)
            })
        })
        .await
    }

    /// A version with its files and its evaluation.
    pub async fn version(&self, name: &str, version: &str) -> Result<wire::Version> {
        let row = find(self.database.pool(), name, version).await?;
        self.told(row).await
    }

    /// All versions, or those of that name; the newest first.
    pub async fn versions(&self, name: &str) -> Result<Vec<wire::Version>> {
        let rows: Vec<Version> = sqlx::query_as(
            "SELECT * FROM versions WHERE name = ? OR ? = '' ORDER BY registered_ms DESC, version DESC",
        )
        .bind(name)
        .bind(name)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let mut versions = Vec::with_capacity(rows.len());
        for row in rows {
            versions.push(self.told(row).await?);
        }
        Ok(versions)
    }

    pub async fn told(&self, row: Version) -> Result<wire::Version> {
        let pool = self.database.pool();
        let files = files::of(pool, &row.name, &row.version).await?;
        let evaluation = evaluations::find(pool, &row.name, &row.version).await?;
        let serves = table::served_by(pool, &row.name, &row.version).await?;
        let modalities = row.modalities().map(str::to_owned).collect();
        let shadow_kind = if row.state == State::Shadow { row.shadow_kind } else { String::new() };
        Ok(wire::Version {
            state: state(row.state).into(),
            files: files.into_iter().map(file).collect(),
            evaluation,
            modalities,
            name: row.name,
            version: row.version,
            sha256: row.sha256,
            preprocessing: row.preprocessing,
            source: row.source,
            git_commit: row.git_commit,
            data_version: row.data_version,
            registered_ms: row.registered_ms,
            registered_by: row.registered_by,
            forced_because: row.forced,
            serves: serves.into_iter().map(served).collect(),
            shadow_kind,
        })
    }
}

/// Before anything is kept: a database that counts would refuse the row without saying why.
fn check_origin(
    RegisterHeader { source, git_commit, data_version }: &RegisterHeader,
) -> Result<()> {
    for (what, text, most) in [
        ("source", source, SOURCE_MAX),
        ("git_commit", git_commit, GIT_COMMIT_MAX),
        ("data_version", data_version, DATA_VERSION_MAX),
    ] {
        if text.chars().count() > most {
            let message = format!("a version's `{what}` has {most} characters at most");
            return Err(ErrorKind::Invalid.error(message));
        }
    }
    Ok(())
}

/// Objects are kept under their digest: two versions with the same weights share them.
fn kept((name, staged): &(String, Staged)) -> Kept {
    let (sha256, size) = (staged.sha256.clone(), staged.size);
    Kept { name: name.clone(), key: format!("models/{sha256}"), sha256, size }
}

fn file(kept: Kept) -> wire::File {
    wire::File { name: kept.name, sha256: kept.sha256, size_bytes: kept.size }
}

fn served(table::Route { modality, image_kind, .. }: table::Route) -> wire::Served {
    wire::Served { modality, image_kind }
}

fn state(state: State) -> wire::State {
    match state {
        State::Registered => wire::State::Registered,
        State::Shadow => wire::State::Shadow,
        State::Serving => wire::State::Serving,
        State::Retired => wire::State::Retired,
    }
}
