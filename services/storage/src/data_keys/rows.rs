//! Data keys' rows, as part of the units that write, delete and erase what they open.

use std::collections::BTreeSet;

use domain::{ErasureId, ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};

use super::{New, Seal};

/// Gives a new key its row, and asks of another whether it has one still, as part of the unit that writes rows of objects. To be called
/// once the audit trail is held: an erasure comes before it, and the key is gone, or finds those rows. Refused where the hospital's key has
/// no row: what only this process opens is lost with it.
pub async fn settle(unit: &mut Unit, tenant: TenantId, seal: &Seal) -> Result<()> {
    let Seal { id, whose, new, .. } = seal;
    let hospitals: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tenant_keys WHERE tenant_id = ?")
        .id(tenant)
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)?;
    if hospitals == 0 {
        return Err(ErrorKind::Unavailable.error(
            "the hospital's key was taken out of the database: restore it, or start storage anew for another one",
        ));
    }
    if let Some(New { wrapped, made_ms }) = new {
        return sqlx::query(
            "INSERT INTO data_keys (tenant_id, id, whose, wrapped, made_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .id(tenant)
        .bind(id.clone())
        .bind(whose.clone())
        .bind(wrapped.clone())
        .bind(*made_ms)
        .run(unit)
        .await
        .map(drop);
    }
    let now: Option<String> =
        sqlx::query_scalar("SELECT whose FROM data_keys WHERE tenant_id = ? AND id = ?")
            .id(tenant)
            .bind(id.clone())
            .fetch_optional(&mut **unit)
            .await
            .map_err(failed)?;
    match now {
        Some(now) if whose.is_empty() || now == *whose => Ok(()),
        _ => Err(ErrorKind::Unavailable.error(
            "the data key that it was encrypted with is destroyed meanwhile: send it again",
        )),
    }
}

/// The keys of the scan's objects.
pub async fn of_scan(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT DISTINCT data_key FROM artefacts WHERE tenant_id = ? AND scan_id = ? AND data_key <> ''",
    )
    .id(tenant)
    .id(scan)
    .fetch_all(&mut **unit)
    .await
    .map_err(failed)
}

/// Destroys those of the keys that open nothing any more, as part of the unit that deletes rows of objects, once the audit trail is held.
pub async fn destroy(
    unit: &mut Unit,
    tenant: TenantId,
    keys: Vec<String>,
    at_ms: i64,
) -> Result<()> {
    for key in keys {
        let objects: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM artefacts WHERE tenant_id = ? AND data_key = ?",
        )
        .id(tenant)
        .bind(key.clone())
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)?;
        if objects > 0 {
            continue;
        }
        sqlx::query("DELETE FROM data_keys WHERE tenant_id = ? AND id = ?")
            .id(tenant)
            .bind(key.clone())
            .run(unit)
            .await?;
        sqlx::query(
            "UPDATE erased_keys SET destroyed_ms = ? WHERE tenant_id = ? AND key_id = ? AND destroyed_ms = 0",
        )
        .bind(at_ms)
        .id(tenant)
        .bind(key)
        .run(unit)
        .await?;
    }
    Ok(())
}

/// Notes which keys an erasure of those scans is to destroy, and lets no further scan have them: what comes of the patient from now on gets
/// another.
pub async fn retire(
    unit: &mut Unit,
    (tenant, erasure): (TenantId, ErasureId),
    scans: &[ScanId],
) -> Result<()> {
    let mut keys = BTreeSet::new();
    for scan in scans {
        keys.extend(of_scan(unit, tenant, *scan).await?);
    }
    for key in keys {
        sqlx::query("UPDATE data_keys SET whose = '' WHERE tenant_id = ? AND id = ?")
            .id(tenant)
            .bind(key.clone())
            .run(unit)
            .await?;
        sqlx::query(
            "INSERT INTO erased_keys (tenant_id, erasure_id, key_id, made_ms, destroyed_ms)
             SELECT tenant_id, ?, id, made_ms, 0 FROM data_keys WHERE tenant_id = ? AND id = ?",
        )
        .id(erasure)
        .id(tenant)
        .bind(key)
        .run(unit)
        .await?;
    }
    Ok(())
}
