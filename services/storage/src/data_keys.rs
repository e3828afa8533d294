//! Data keys: one for each patient, with which all objects of their scans are encrypted, and which goes with the last of them.
//!
//! A data key is wrapped with its hospital's key, and that by the key ring: so the ring is asked once for each hospital, and its key is
//! changed by wrapping one row for each. Nothing but a data key's row opens the objects that it is of, in whatever copy they are.

pub mod rows;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Error, ErrorKind, JobId, Random, Result, ScanId, TenantId, hex};
use platform::db::{BindId, Database, failed};
use platform::keys::{DataKey, KeyRing, Wrapped};
use service::Worker;
use sqlx::{Any, Executor};
use tokio::time::Instant;

use crate::jobs::find;
use crate::store::Store;

/// How often it is looked whether the ring has a newer key.
const REWRAP_INTERVAL: Duration = Duration::from_secs(3600);
/// For how long a ring that did not answer is asked nothing more: calls would wait for it one after the other.
const SILENT: Duration = Duration::from_secs(10);
const ID_BYTES: usize = 16;
/// How the text of an identity begins that is encrypted, before its key's id: none that is not is so.
const SEALED: &str = "medseg:1:";

/// The key ring, and hospitals' keys that it has opened.
pub struct Hospitals {
    ring: KeyRing,
    opened: Mutex<HashMap<TenantId, DataKey>>,
    /// When the ring last did not answer.
    silent: Mutex<Option<Instant>>,
}

impl Hospitals {
    pub fn new(ring: KeyRing) -> Hospitals {
        Hospitals { ring, opened: Mutex::default(), silent: Mutex::default() }
    }

    fn known(&self, tenant: TenantId) -> Option<DataKey> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    fn know(&self, tenant: TenantId, key: &DataKey) {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, key.clone());
    }

    /// The key of that row, unless the ring has just not answered.
    async fn open(&self, kept: &Kept) -> Result<DataKey> {
        let silent = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.is_some_and(|since| since.elapsed() < SILENT) {
            return Err(unopened(
                ErrorKind::Unavailable.error("the key ring has just not answered"),
            ));
        }
        let opened = self.ring.open(&kept.wrapped(), &of_hospital(&kept.tenant_id)).await;
        if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
            *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        opened.map_err(unopened)
    }
}

/// With what new objects of a scan are encrypted.
pub struct Seal {
    pub id: String,
    pub key: DataKey,
    /// The digest of the patient whose it must be still; empty: it is of one scan, or of that scan's other objects.
    whose: String,
    /// What its row will be; None: it has one.
    new: Option<New>,
}

impl Seal {
    /// The text of whose that scan is, as its row keeps it; empty stays so.
    pub fn identity(
        &self,
        tenant: TenantId,
        scan: &str,
        text: &str,
        random: &Random,
    ) -> Result<String> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let sealed = self.key.seal(text, &identity_of(tenant, scan), random)?;
        Ok(format!("{SEALED}{}:{sealed}", self.id))
    }
}

struct New {
    wrapped: String,
    made_ms: i64,
}

/// A hospital's key, as its row has it.
#[derive(sqlx::FromRow)]
struct Kept {
    tenant_id: String,
    wrapped_by: String,
    wrapped: String,
}

impl Kept {
    fn wrapped(&self) -> Wrapped {
        Wrapped { by: self.wrapped_by.clone(), text: self.wrapped.clone() }
    }
}

impl Store {
    /// With what a new scan of that patient is encrypted; empty: of nobody. None: there is no key ring.
    pub async fn seal_of_patient(
        &self,
        tenant: TenantId,
        patient: &str,
    ) -> Result<Option<Arc<Seal>>> {
        let Some(hospital) = self.hospital_key(tenant).await? else { return Ok(None) };
        if patient.is_empty() {
            return self.drawn(tenant, &hospital, String::new()).map(Some);
        }
        let whose = hospital.digest("patient", patient);
        let known: Option<(String, String)> = sqlx::query_as(
            "SELECT id, wrapped FROM data_keys WHERE tenant_id = ? AND whose = ? ORDER BY id LIMIT 1",
        )
        .id(tenant)
        .bind(whose.clone())
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        match known {
            Some((id, wrapped)) => {
                let key = hospital.open(&wrapped, &named(tenant, &id))?;
                Ok(Some(Arc::new(Seal { id, key, whose, new: None })))
            }
            None => self.drawn(tenant, &hospital, whose).map(Some),
        }
    }

    /// The same for further objects of a scan: the key of those that it has, else its patient's.
    pub async fn seal_of_scan(&self, tenant: TenantId, scan: ScanId) -> Result<Option<Arc<Seal>>> {
        let Some(hospital) = self.hospital_key(tenant).await? else { return Ok(None) };
        let known: Option<(String, String)> = sqlx::query_as(
            "SELECT k.id, k.wrapped FROM artefacts a JOIN data_keys k ON k.tenant_id = a.tenant_id AND k.id = a.data_key
             WHERE a.tenant_id = ? AND a.scan_id = ? ORDER BY k.id LIMIT 1",
        )
        .id(tenant)
        .id(scan)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        if let Some((id, wrapped)) = known {
            let key = hospital.open(&wrapped, &named(tenant, &id))?;
            return Ok(Some(Arc::new(Seal { id, key, whose: String::new(), new: None })));
        }
        // What came before there was a ring is kept as it came, and what is made of it is not.
        let patient = self.patient_of(tenant, scan).await?.unwrap_or_default();
        self.seal_of_patient(tenant, &patient).await
    }

    /// The same for what the job of that id makes of its scan.
    pub async fn seal_of_job(&self, id: &str) -> Result<Option<Arc<Seal>>> {
        if self.hospitals.is_none() {
            return Ok(None);
        }
        let job = find(self.database.pool(), JobId::from_str(id)?).await?;
        self.seal_of_scan(job.tenant, job.scan).await
    }

    /// What a row keeps of whose the scan is, as text; of before there were keys it is that already. The hospital's key is to be open
    /// by now ([`Store::ask_ring`]): a unit waits for no ring.
    pub async fn identity_text(
        &self,
        executor: impl Executor<'_, Database = Any>,
        tenant: TenantId,
        scan: &str,
        kept: String,
    ) -> Result<String> {
        let sealed = kept.strip_prefix(SEALED).and_then(|rest| rest.split_once(':'));
        let Some((id, sealed)) = sealed else { return Ok(kept) };
        let wrapped: Option<String> =
            sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE tenant_id = ? AND id = ?")
                .id(tenant)
                .bind(id.to_owned())
                .fetch_optional(executor)
                .await
                .map_err(failed)?;
        let wrapped = wrapped.ok_or_else(|| gone(id))?;
        let key = self.opened_key(tenant)?.open(&wrapped, &named(tenant, id))?;
        key.read(sealed, &identity_of(tenant, scan))
    }

    /// The key of that id, wrapped as its row has it (empty: there is none); None where the id is empty: the object is kept as it is.
    pub async fn data_key(
        &self,
        tenant: TenantId,
        id: &str,
        wrapped: &str,
    ) -> Result<Option<DataKey>> {
        if id.is_empty() {
            return Ok(None);
        }
        if wrapped.is_empty() {
            return Err(gone(id));
        }
        self.open_hospital(tenant).await?;
        self.opened_key(tenant)?.open(wrapped, &named(tenant, id)).map(Some)
    }

    /// Has the ring open the hospital's key, where the hospital has one.
    pub async fn open_hospital(&self, tenant: TenantId) -> Result<()> {
        let Some(hospitals) = &self.hospitals else { return Ok(()) };
        if hospitals.known(tenant).is_some() {
            return Ok(());
        }
        let Some(kept) = kept(&self.database, tenant).await? else { return Ok(()) };
        let key = hospitals.open(&kept).await?;
        hospitals.know(tenant, &key);
        Ok(())
    }

    /// The same for a unit that is about to begin: where it fails, whoever needs the key in there is told.
    pub async fn ask_ring(&self, tenant: TenantId) {
        if let Err(error) = self.open_hospital(tenant).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, tenant.id = %tenant, "a hospital's key is not open");
        }
    }

    /// The hospital's key, which is open by now.
    fn opened_key(&self, tenant: TenantId) -> Result<DataKey> {
        let Some(hospitals) = &self.hospitals else {
            return Err(ErrorKind::Unavailable
                .error("stored bytes are encrypted, and DATA_KEYS_URL names no key ring"));
        };
        hospitals.known(tenant).ok_or_else(|| {
            ErrorKind::Unavailable.error(
                "the hospital's key is not open: the key ring does not answer, or its row is gone",
            )
        })
    }

    fn drawn(&self, tenant: TenantId, hospital: &DataKey, whose: String) -> Result<Arc<Seal>> {
        let id = hex(&self.random.bytes::<ID_BYTES>());
        let key = DataKey::drawn(&self.random);
        let wrapped = hospital.wrap(&key, &named(tenant, &id), &self.random)?;
        let new = Some(New { wrapped, made_ms: self.clock.now_ms() });
        Ok(Arc::new(Seal { id, key, whose, new }))
    }

    /// The hospital's key, made where it has none; None: there is no key ring.
    async fn hospital_key(&self, tenant: TenantId) -> Result<Option<DataKey>> {
        let Some(hospitals) = &self.hospitals else { return Ok(None) };
        self.open_hospital(tenant).await?;
        if let Some(key) = hospitals.known(tenant) {
            return Ok(Some(key));
        }
        let key = self.made_for_hospital(hospitals, tenant).await?;
        hospitals.know(tenant, &key);
        Ok(Some(key))
    }

    async fn made_for_hospital(&self, hospitals: &Hospitals, tenant: TenantId) -> Result<DataKey> {
        let key = DataKey::drawn(&self.random);
        let whose = of_hospital(&tenant.to_string());
        let wrapped = hospitals.ring.wrap(&key, &whose).await.map_err(unopened)?;
        let inserted = sqlx::query(
            "INSERT INTO tenant_keys (tenant_id, wrapped_by, wrapped) VALUES (?, ?, ?)",
        )
        .id(tenant)
        .bind(wrapped.by)
        .bind(wrapped.text)
        .execute(self.database.pool())
        .await
        .map_err(failed);
        match inserted {
            Ok(_) => Ok(key),
            // Another call, or another instance, was first: a second key would open nothing.
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let kept = kept(&self.database, tenant).await?.ok_or(error)?;
                hospitals.open(&kept).await
            }
            Err(error) => Err(error),
        }
    }

    /// Wraps anew what an older key of the ring has wrapped; how many hospitals' keys those were. One that cannot be keeps no other from it.
    async fn rewrap(&self, hospitals: &Hospitals) -> Result<u64> {
        let all: Vec<Kept> = sqlx::query_as(
            "SELECT tenant_id, wrapped_by, wrapped FROM tenant_keys ORDER BY tenant_id",
        )
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        if all.is_empty() {
            return Ok(0);
        }
        // The ring says which its newest key is by wrapping something with it.
        let newest = hospitals.ring.wrap(&DataKey::drawn(&self.random), "").await?.by;
        let (mut rewrapped, mut left) = (0, Ok(()));
        for kept in all.iter().filter(|kept| kept.wrapped_by != newest) {
            match self.rewrap_one(hospitals, kept).await {
                Ok(()) => rewrapped += 1,
                Err(error) => left = Err(error),
            }
        }
        left.map(|()| rewrapped)
    }

    async fn rewrap_one(&self, hospitals: &Hospitals, kept: &Kept) -> Result<()> {
        let whose = of_hospital(&kept.tenant_id);
        let key = hospitals.ring.open(&kept.wrapped(), &whose).await?;
        let anew = hospitals.ring.wrap(&key, &whose).await?;
        sqlx::query(
            "UPDATE tenant_keys SET wrapped_by = ?, wrapped = ? WHERE tenant_id = ? AND wrapped = ?",
        )
        .bind(anew.by)
        .bind(anew.text)
        .bind(kept.tenant_id.clone())
        .bind(kept.wrapped.clone())
        .execute(self.database.pool())
        .await
        .map(drop)
        .map_err(failed)
    }
}

/// Refuses a start that could not read what there is: without a ring, with one that has another key, or without the keys' rows.
pub async fn check(database: &Database, ring: Option<&KeyRing>) -> Result<()> {
    let one: Option<Kept> = sqlx::query_as(
        "SELECT tenant_id, wrapped_by, wrapped FROM tenant_keys ORDER BY tenant_id LIMIT 1",
    )
    .fetch_optional(database.pool())
    .await
    .map_err(failed)?;
    let (kept, ring) = match (one, ring) {
        (None, ring) => {
            require_plain(database).await?;
            if ring.is_none() {
                tracing::info!(
                    "scans are kept without encryption: DATA_KEYS_URL names no key ring"
                );
            }
            return Ok(());
        }
        (Some(_), None) => {
            return Err(ErrorKind::Invalid.error(
                "the scans of this database are encrypted, and DATA_KEYS_URL names no key ring",
            ));
        }
        (Some(kept), Some(ring)) => (kept, ring),
    };
    match ring.open(&kept.wrapped(), &of_hospital(&kept.tenant_id)).await {
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the key ring does not answer: scans cannot be read until it does"
            );
            Ok(())
        }
        Err(error) => Err(ErrorKind::Invalid
            .error("DATA_KEYS_URL names a key ring that does not open the keys of this database")
            .because(error)),
        Ok(_) => Ok(()),
    }
}

/// Refuses a database whose objects are encrypted and whose keys did not come back with it: each hospital would get another one, and the
/// rows of the one that opens something could be restored no more.
async fn require_plain(database: &Database) -> Result<()> {
    let newest: Vec<String> =
        sqlx::query_scalar("SELECT MAX(data_key) FROM artefacts GROUP BY tenant_id")
            .fetch_all(database.pool())
            .await
            .map_err(failed)?;
    if newest.iter().all(String::is_empty) {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error(
        "the scans of this database are encrypted, and it has no hospital's key: restore storage-keys.sql, the newest that there is",
    ))
}

/// Wraps hospitals' keys anew when the ring has a newer key, so that the older one is needed no more.
pub fn rewrap(store: Store) -> Worker {
    Worker::new("data-keys", move |stop| async move {
        loop {
            if let Some(hospitals) = &store.hospitals {
                match stop.run_until_cancelled(store.rewrap(hospitals)).await {
                    Some(Ok(0)) => (),
                    Some(Ok(hospitals)) => {
                        tracing::info!(
                            hospitals,
                            "wrapped hospitals' keys with the ring's newest key"
                        );
                    }
                    Some(Err(error)) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(
                            error,
                            "hospitals' keys are not wrapped with the ring's newest key"
                        );
                    }
                    None => return Ok(()),
                }
            }
            let pause = tokio::time::sleep(REWRAP_INTERVAL);
            if stop.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
        }
    })
}

async fn kept(database: &Database, tenant: TenantId) -> Result<Option<Kept>> {
    sqlx::query_as("SELECT tenant_id, wrapped_by, wrapped FROM tenant_keys WHERE tenant_id = ?")
        .id(tenant)
        .fetch_optional(database.pool())
        .await
        .map_err(failed)
}

/// As whose a hospital's key is wrapped.
fn of_hospital(tenant: &str) -> String {
    format!("medseg hospital {tenant}")
}

/// As whose a data key is wrapped.
fn named(tenant: TenantId, id: &str) -> String {
    format!("medseg data key {tenant} {id}")
}

/// As whose the text of an identity is encrypted.
fn identity_of(tenant: TenantId, scan: &str) -> String {
    format!("medseg identity {tenant} {scan}")
}

fn gone(id: &str) -> Error {
    ErrorKind::Internal.error(format!("the data key {id} is gone"))
}

/// Whatever the reason: no scan is damaged for it, and whoever asks may ask again.
fn unopened(error: Error) -> Error {
    ErrorKind::Unavailable.error("the hospital's key cannot be opened").because(error)
}
