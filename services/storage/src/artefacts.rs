use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use domain::{Error, ErrorKind, Result, ScanId, TenantId, hex};
use futures::{StreamExt, stream};
use platform::blob::{self, Blobs, ByteStream, Staging};
use platform::db::{BindId, Database, Run, Unit, failed};
use sha2::{Digest, Sha256};
use sqlx::{Any, FromRow, QueryBuilder};

use crate::data_keys::{Seal, rows};
use crate::store::Store;
use crate::stored;

/// The largest object that is taken; an upload's own limits are stricter, and are the gateway's.
const BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
const NAME_MAX: usize = 64;

/// An object that arrives in pieces.
pub struct Incoming {
    name: String,
    staging: Staging,
    size: u64,
    seal: Option<Arc<Seal>>,
}

/// An object that has arrived, and is not kept yet.
pub struct Staged {
    /// The digest of its bytes, as they came.
    pub sha256: String,
    pub size: u64,
    staged: blob::Staged,
    /// What it is encrypted with; None: it is kept as it is.
    seal: Option<Arc<Seal>>,
}

/// Whether an artefact may be called so: the database compares names without regard to case, and may not find another's.
pub fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(plain)
}

impl Incoming {
    pub async fn begin(store: &Store, name: &str, seal: Option<Arc<Seal>>) -> Result<Incoming> {
        if !is_plain(name) {
            return Err(ErrorKind::Invalid.error("an artefact's name may not look like this"));
        }
        let staging = match &seal {
            Some(seal) => store.blobs.stage_sealed(&seal.key, &store.random).await?,
            None => store.blobs.stage().await?,
        };
        Ok(Incoming { name: name.to_owned(), staging, size: 0, seal })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > BYTES_MAX {
            return Err(ErrorKind::Exhausted.error("the upload is larger than any scan may be"));
        }
        self.staging.write(bytes).await
    }

    pub async fn finish(self) -> Result<(String, Staged)> {
        let staged = self.staging.finish().await?;
        let (sha256, size) = (staged.sha256.clone(), staged.size);
        Ok((self.name, Staged { sha256, size, staged, seal: self.seal }))
    }
}

/// What objects that came together are encrypted with.
pub fn seal_of(objects: &[(String, Staged)]) -> Option<Arc<Seal>> {
    objects.iter().find_map(|(_, staged)| staged.seal.clone())
}

/// A durable object with the row that it will have.
pub struct Artefact {
    pub name: String,
    pub key: String,
    pub sha256: String,
    pub size: u64,
    seal: Option<Arc<Seal>>,
}

/// Makes all of `objects` durable at once.
///
/// The key holds who writes it (an attempt, or a reader's feedback), so that no two writers ever mean the same object, and one
/// without a row can be deleted without asking who may be about to write it again.
pub async fn keep(
    blobs: &Blobs,
    tenant: TenantId,
    scan: ScanId,
    writer: impl Display,
    objects: Vec<(String, Staged)>,
) -> Result<Vec<Artefact>> {
    let mut artefacts = Vec::new();
    let mut keyed = Vec::new();
    for (name, Staged { sha256, size, staged, seal }) in objects {
        let key = format!("{tenant}/{scan}-{writer}-{}", staged.ending);
        artefacts.push(Artefact { name, key: key.clone(), sha256, size, seal });
        keyed.push((key, staged));
    }
    blobs.keep(keyed).await?;
    Ok(artefacts)
}

/// Gives `artefacts` their rows, and counts them among what the hospital has stored, as part of `unit` and once the audit trail is held.
pub async fn insert(
    unit: &mut Unit,
    tenant: TenantId,
    scan: ScanId,
    artefacts: &[Artefact],
) -> Result<()> {
    if artefacts.is_empty() {
        return Ok(());
    }
    // Those that came together are encrypted with one key.
    if let Some(seal) = artefacts.iter().find_map(|artefact| artefact.seal.as_deref()) {
        rows::settle(unit, tenant, seal).await?;
    }
    let into =
        "INSERT INTO artefacts (tenant_id, scan_id, name, blob_key, sha256, size_bytes, data_key) ";
    let mut rows = QueryBuilder::<Any>::new(into);
    rows.push_values(artefacts, |mut row, artefact| {
        row.push_bind(tenant.to_string())
            .push_bind(scan.to_string())
            .push_bind(artefact.name.clone())
            .push_bind(artefact.key.clone())
            .push_bind(artefact.sha256.clone())
            .push_bind(i64::try_from(artefact.size).unwrap_or(i64::MAX))
            .push_bind(artefact.seal.as_ref().map_or(String::new(), |seal| seal.id.clone()));
    });
    rows.build().run(unit).await?;
    stored::add(unit, tenant, sum(artefacts.iter().map(|artefact| artefact.size))).await
}

/// How many bytes they are together.
pub fn sum(sizes: impl Iterator<Item = u64>) -> i64 {
    i64::try_from(sizes.fold(0, u64::saturating_add)).unwrap_or(i64::MAX)
}

/// What a row says of an object, with the data key's own row.
#[derive(FromRow)]
struct Row {
    blob_key: String,
    sha256: String,
    size_bytes: i64,
    data_key: String,
    wrapped: String,
}

/// How large one artefact is, and its bytes, verified as they are read.
///
/// `NOT_FOUND` for one that is not there, whichever the reason; `INTERNAL` when its bytes are lost.
pub async fn read(
    store: &Store,
    tenant: TenantId,
    scan: ScanId,
    name: &str,
) -> Result<(u64, ByteStream)> {
    let row = row(&store.database, tenant, scan, name).await?;
    let bytes = match store.data_key(tenant, &row.data_key, &row.wrapped).await? {
        Some(key) => store.blobs.get_sealed(&row.blob_key, &row.sha256, &key).await,
        None => store.blobs.get(&row.blob_key, &row.sha256).await,
    };
    Ok((row.size_bytes.unsigned_abs(), bytes.map_err(lost)?))
}

/// The same without its first `from` bytes. These are not verified: no digest of them is kept here.
pub async fn read_rest(
    store: &Store,
    tenant: TenantId,
    scan: ScanId,
    name: &str,
    from: u64,
) -> Result<(u64, ByteStream)> {
    let row = row(&store.database, tenant, scan, name).await?;
    let size = row.size_bytes.unsigned_abs();
    let bytes = match store.data_key(tenant, &row.data_key, &row.wrapped).await? {
        Some(_) if from >= size => Ok(stream::empty::<Result<Bytes>>().boxed()),
        Some(key) => store.blobs.get_sealed_from(&row.blob_key, from, &key).await,
        None => store.blobs.get_from(&row.blob_key, from).await,
    };
    Ok((size, bytes.map_err(lost)?))
}

async fn row(database: &Database, tenant: TenantId, scan: ScanId, name: &str) -> Result<Row> {
    let found: Option<Row> = sqlx::query_as(
        "SELECT a.blob_key, a.sha256, a.size_bytes, a.data_key, COALESCE(k.wrapped, '') AS wrapped
         FROM artefacts a LEFT JOIN data_keys k ON k.tenant_id = a.tenant_id AND k.id = a.data_key
         WHERE a.tenant_id = ? AND a.scan_id = ? AND a.name = ?",
    )
    .id(tenant)
    .id(scan)
    .bind(name.to_owned())
    .fetch_optional(database.pool())
    .await
    .map_err(failed)?;
    found.ok_or_else(|| ErrorKind::NotFound.error("no such artefact"))
}

/// What has a row has its bytes.
fn lost(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => ErrorKind::Internal.error("stored bytes are lost").because(error),
        _ => error,
    }
}

/// The digest of one artefact's bytes; None where there is no such artefact.
pub async fn digest_of(
    database: &Database,
    tenant: TenantId,
    scan: ScanId,
    name: &str,
) -> Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT sha256 FROM artefacts WHERE tenant_id = ? AND scan_id = ? AND name = ?",
    )
    .id(tenant)
    .id(scan)
    .bind(name.to_owned())
    .fetch_optional(database.pool())
    .await
    .map_err(failed)
}

/// The digest of `parts`, each with its length, so that no two lists are the same text.
pub fn sha256_of(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_of_parts_knows_where_each_ends() {
        assert_ne!(sha256_of(&["ab", "c"]), sha256_of(&["a", "bc"]));
        assert_ne!(sha256_of(&["a", ""]), sha256_of(&["a"]));
        assert_eq!(sha256_of(&["a"]).len(), 64);
    }
}
