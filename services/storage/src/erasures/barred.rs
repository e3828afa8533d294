//! What may not come back of itself: studies, series and files that were erased, and all of a patient that had come before the erasure.
//!
//! Kept are digests with a key of the hospital. They name nobody by themselves; whoever has this database has the key, too, and may try
//! numbers, so they are as much as a pseudonym is.

use domain::{Error, ErrorKind, Random, Result, ScanId, TenantId, hex};
use hmac::{Hmac, KeyInit, Mac};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{AcceptHeader, Arrival};
use sha2::Sha256;
use sqlx::{Any, Executor};

use crate::identities;
use crate::store::Store;

const KEY_BYTES: usize = 32;

/// Because of what one of those digests may not come. It says nothing of an order: for its sake SQLite would look through all rows of the
/// hospital.
const BARRED: &str = "SELECT erasure_id FROM barred
     WHERE tenant_id = ? AND digest IN (?, ?, ?, ?) AND (until_ms = 0 OR until_ms >= ?)";

/// What is known again of a scan. Digests; empty: nobody says.
#[derive(Debug, Eq, PartialEq)]
pub struct Names {
    pub patient: String,
    pub study: String,
    pub series: String,
    pub original: String,
}

impl Names {
    /// All but the patient's: of a patient something else may come.
    pub fn own(&self) -> [&str; 3] {
        [&self.study, &self.series, &self.original]
    }
}

/// The key of one hospital.
pub struct Key(Hmac<Sha256>);

impl Key {
    /// None: nothing was ever deleted or erased.
    pub async fn if_any(
        executor: impl Executor<'_, Database = Any>,
        tenant: TenantId,
    ) -> Result<Option<Key>> {
        let key: Option<String> =
            sqlx::query_scalar("SELECT key_hex FROM erasure_keys WHERE tenant_id = ?")
                .id(tenant)
                .fetch_optional(executor)
                .await
                .map_err(failed)?;
        key.as_deref().map(Key::of).transpose()
    }

    /// The same; made where there is none. To be asked once the audit trail is held: a second key would know nothing again.
    pub async fn made(unit: &mut Unit, tenant: TenantId, random: &Random) -> Result<Key> {
        if let Some(key) = Key::if_any(&mut **unit, tenant).await? {
            return Ok(key);
        }
        let key_hex = hex(&random.bytes::<KEY_BYTES>());
        let key = Key::of(&key_hex)?;
        sqlx::query("INSERT INTO erasure_keys (tenant_id, key_hex) VALUES (?, ?)")
            .id(tenant)
            .bind(key_hex)
            .run(unit)
            .await
            .map(|_| key)
    }

    fn of(key_hex: &str) -> Result<Key> {
        // The text is the key: HMAC takes any bytes, and so nothing has to be read back from it.
        Hmac::new_from_slice(key_hex.as_bytes()).map(Key).map_err(|error| {
            ErrorKind::Internal.error("a hospital's key of what was erased is none").because(error)
        })
    }

    /// What an arrival is known again by. The patient is as the binding has it.
    pub fn names(&self, arrival: &Arrival) -> Names {
        Names {
            patient: self.digest("patient", &arrival.patient),
            study: self.digest("study", &arrival.study_uid),
            series: self.digest("series", &arrival.series_uid),
            original: self.digest("original", &arrival.original_sha256),
        }
    }

    /// Of whatever stands between blanks and padding; empty: of nothing.
    fn digest(&self, what: &str, value: &str) -> String {
        let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if value.is_empty() {
            return String::new();
        }
        let mut mac = self.0.clone();
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

/// What is known of an upload before it is a scan.
pub fn arrival_of(header: &AcceptHeader) -> Arrival {
    let said = header.identity.as_ref();
    let series_uid = said.and_then(|identity| identity.series_instance_uid.clone());
    Arrival {
        patient: header.patient.clone(),
        study_uid: header.study_uid.clone(),
        series_uid: series_uid.unwrap_or_default(),
        original_sha256: header.original_sha256.clone(),
        received_ms: header.received_ms,
    }
}

/// What a scan that is still there is known again by. To be asked once the audit trail is held.
pub async fn names_of(
    store: &Store,
    unit: &mut Unit,
    tenant: TenantId,
    scan: ScanId,
) -> Result<Names> {
    let key = Key::made(unit, tenant, &store.random).await?;
    let original: Option<String> =
        sqlx::query_scalar("SELECT original_sha256 FROM scans WHERE tenant_id = ? AND id = ?")
            .id(tenant)
            .id(scan)
            .fetch_optional(&mut **unit)
            .await
            .map_err(failed)?;
    let known: Option<(String, String, String)> = sqlx::query_as(
        "SELECT patient, study_uid, identity_json FROM identities WHERE tenant_id = ? AND scan_id = ?",
    )
    .id(tenant)
    .id(scan)
    .fetch_optional(&mut **unit)
    .await
    .map_err(failed)?;
    let (patient, study_uid, identity) = known.unwrap_or_default();
    // What cannot be read must go all the same.
    let identity = store.identity_text(&mut **unit, tenant, &scan.to_string(), identity).await;
    let said = identity.and_then(|identity| identities::read(&identity)).ok().flatten();
    let series_uid = said.and_then(|identity| identity.series_instance_uid).unwrap_or_default();
    let original_sha256 = original.unwrap_or_default();
    Ok(key.names(&Arrival { patient, study_uid, series_uid, original_sha256, received_ms: 0 }))
}

/// Lets nothing of those digests come back because of `by`: whenever it comes, or (`until_ms`) what had come by then. To be called once the
/// audit trail is held.
pub async fn bar(
    unit: &mut Unit,
    tenant: TenantId,
    by: &str,
    digests: &[&str],
    (until_ms, now_ms): (i64, i64),
) -> Result<()> {
    for digest in digests.iter().filter(|digest| !digest.is_empty()) {
        let known: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM barred WHERE tenant_id = ? AND digest = ? AND erasure_id = ?",
        )
        .id(tenant)
        .bind((*digest).to_owned())
        .bind(by.to_owned())
        .fetch_one(&mut **unit)
        .await
        .map_err(failed)?;
        // For a row that is made anew ingest would look at all that lies there once more.
        if known > 0 {
            continue;
        }
        sqlx::query(
            "INSERT INTO barred (tenant_id, digest, erasure_id, until_ms, noted_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .id(tenant)
        .bind((*digest).to_owned())
        .bind(by.to_owned())
        .bind(until_ms)
        .bind(now_ms)
        .run(unit)
        .await?;
    }
    Ok(())
}

/// Because of what that may not come; None: it may.
pub async fn barred_by(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    key: &Key,
    arrival: &Arrival,
) -> Result<Option<String>> {
    let Names { patient, study, series, original } = key.names(arrival);
    // An empty digest is nobody's. Of what nobody knows when it came, the patient says nothing.
    let patient = if arrival.received_ms > 0 { patient } else { String::new() };
    let by: Vec<String> = sqlx::query_scalar(BARRED)
        .id(tenant)
        .bind(study)
        .bind(series)
        .bind(original)
        .bind(patient)
        .bind(arrival.received_ms)
        .fetch_all(executor)
        .await
        .map_err(failed)?;
    Ok(by.into_iter().min())
}

/// Refuses what may not come, as part of `unit`. To be asked once the audit trail is held: an erasure comes before it, or finds the scan.
pub async fn require_free(unit: &mut Unit, tenant: TenantId, arrival: &Arrival) -> Result<()> {
    let Some(key) = Key::if_any(&mut **unit, tenant).await? else { return Ok(()) };
    let barred = barred_by(&mut **unit, tenant, &key, arrival).await?;
    barred.map_or(Ok(()), |by| Err(refusal(&by)))
}

fn refusal(by: &str) -> Error {
    ErrorKind::Conflict.error(format!(
        "it was erased with its patient, or had come before: an administrator lets it come back by lifting the erasure {by}"
    ))
}

#[cfg(test)]
mod tests {
    use platform::db;
    use sqlx::Row;

    use super::*;

    fn arrival(patient: &str, study_uid: &str) -> Arrival {
        Arrival { patient: patient.into(), study_uid: study_uid.into(), ..Arrival::default() }
    }

    #[test]
    fn a_name_is_known_again_whatever_its_padding_and_tells_nothing() {
        let [one, other] = ["ab", "cd"].map(|key| Key::of(key).unwrap());
        let names = one.names(&arrival("4711", "1.2"));
        assert_eq!(names, one.names(&arrival(" 4711", "1.2\0")));
        assert_ne!(names.patient, other.names(&arrival("4711", "1.2")).patient);
        // A study of that number is not the patient.
        assert_ne!(names.patient, one.names(&arrival("", "4711")).study);
        assert!(names.series.is_empty() && names.original.is_empty());
        assert!(names.patient.len() == 64 && !names.patient.contains("4711"));
    }

    #[tokio::test]
    async fn what_is_barred_is_found_by_its_digests_however_much_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/storage.db", folder.path().display());
        let database = db::connect(&url, &crate::MIGRATIONS).await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {BARRED}"));
        let rows = sqlx::query(explain).fetch_all(database.pool()).await.unwrap();
        let plan: String = rows.iter().map(|row| row.get::<String, _>("detail")).collect();
        assert!(plan.contains("tenant_id=? AND digest=?"), "{plan}");
    }
}
