use std::fmt::Display;

use bytes::Bytes;
use domain::{Error, ErrorKind, Result, ScanId, TenantId, hex};
use platform::blob::{Blobs, ByteStream, Staged, Staging};
use platform::db::{BindId, Database, Run, Unit, failed};
use sha2::{Digest, Sha256};
use sqlx::{Any, QueryBuilder};

use crate::stored;

/// The largest object that is taken; an upload's own limits are stricter, and are the gateway's.
const BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
const NAME_MAX: usize = 64;

/// An object that arrives in pieces.
pub struct Incoming {
    name: String,
    staging: Staging,
    size: u64,
}

/// Whether an artefact may be called so: the database compares names without regard to case, and may not find another's.
pub fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(plain)
}

impl Incoming {
    pub async fn begin(blobs: &Blobs, name: &str) -> Result<Incoming> {
        if !is_plain(name) {
            return Err(ErrorKind::Invalid.error("an artefact's name may not look like this"));
        }
        Ok(Incoming { name: name.to_owned(), staging: blobs.stage().await?, size: 0 })
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
        Ok((self.name, self.staging.finish().await?))
    }
}

/// A durable object with the row that it will have.
pub struct Artefact {
    pub name: String,
    pub key: String,
    pub sha256: String,
    pub size: u64,
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
    for (name, staged) in objects {
        let key = format!("{tenant}/{scan}-{writer}-{}", staged.sha256);
        let (sha256, size) = (staged.sha256.clone(), staged.size);
        artefacts.push(Artefact { name, key: key.clone(), sha256, size });
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
    let into = "INSERT INTO artefacts (tenant_id, scan_id, name, blob_key, sha256, size_bytes) ";
    let mut rows = QueryBuilder::<Any>::new(into);
    rows.push_values(artefacts, |mut row, artefact| {
        row.push_bind(tenant.to_string())
            .push_bind(scan.to_string())
            .push_bind(artefact.name.clone())
            .push_bind(artefact.key.clone())
            .push_bind(artefact.sha256.clone())
            .push_bind(i64::try_from(artefact.size).unwrap_or(i64::MAX));
    });
    rows.build().run(unit).await?;
    stored::add(unit, tenant, sum(artefacts.iter().map(|artefact| artefact.size))).await
}

/// How many bytes they are together.
pub fn sum(sizes: impl Iterator<Item = u64>) -> i64 {
    i64::try_from(sizes.fold(0, u64::saturating_add)).unwrap_or(i64::MAX)
}

/// How large one artefact is, and its bytes, verified as they are read.
///
/// `NOT_FOUND` for one that is not there, whichever the reason; `INTERNAL` when its bytes are lost.
pub async fn read(
    database: &Database,
    blobs: &Blobs,
    tenant: TenantId,
    scan: ScanId,
    name: &str,
) -> Result<(u64, ByteStream)> {
    let (key, sha256, size) = row(database, tenant, scan, name).await?;
    Ok((size, blobs.get(&key, &sha256).await.map_err(lost)?))
}

/// The same without its first `from` bytes. These are not verified: no digest of them is kept here.
pub async fn read_rest(
    database: &Database,
    blobs: &Blobs,
    tenant: TenantId,
    scan: ScanId,
    name: &str,
    from: u64,
) -> Result<(u64, ByteStream)> {
    let (key, _, size) = row(database, tenant, scan, name).await?;
    Ok((size, blobs.get_from(&key, from).await.map_err(lost)?))
}

/// Under which key its bytes are, their digest, and how many they are.
async fn row(
    database: &Database,
    tenant: TenantId,
    scan: ScanId,
    name: &str,
) -> Result<(String, String, u64)> {
    let found: Option<(String, String, i64)> = sqlx::query_as(
        "SELECT blob_key, sha256, size_bytes FROM artefacts
         WHERE tenant_id = ? AND scan_id = ? AND name = ?",
    )
    .id(tenant)
    .id(scan)
    .bind(name.to_owned())
    .fetch_optional(database.pool())
    .await
    .map_err(failed)?;
    let (key, sha256, size) = found.ok_or_else(|| ErrorKind::NotFound.error("no such artefact"))?;
    Ok((key, sha256, u64::try_from(size).unwrap_or_default()))
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
