//! Erases a patient: every scan with everything that is kept of it, and a receipt that names what there was, and nobody.

mod arrivals;
pub mod barred;
pub mod deleted;
mod receipt;
mod unerased;

use domain::{ErasureId, ErrorKind, Result, ScanId, TenantId};
use platform::db::{BindId, Run, Unit, failed};
use proto::storage::{Arrival, Erasure, NewErasure};
use service::claims::Claims;
use sqlx::{Any, Executor};

use crate::artefacts::sha256_of;
use crate::audit::{self, Entry};
use crate::data_keys::rows;
use crate::deletion::{Object, Order, words_of};
use crate::holds::{Subject, reason, require_free, require_patient_free};
use crate::jobs::name_of;
use crate::learning::pseudonyms::{Of, Pseudonyms};
use crate::scans::of_tenant;
use crate::store::Store;

use barred::Key;

const OBJECTS_PER_ROUND: i64 = 256;
/// The shortest number that a reason is searched for: a shorter one stands in many a date.
const NUMBER_CHARS_MIN: usize = 4;

/// An erasure that has begun.
#[derive(Clone)]
struct Begun {
    id: ErasureId,
    reason: String,
    name: String,
    begun_ms: i64,
    /// None: nobody knows whose the scan is.
    patient: Option<String>,
    order: Order,
}

/// Whom an erasure is of, and which scans that are.
struct Meant {
    patient: Option<String>,
    /// Those that are there, oldest first.
    scans: Vec<ScanId>,
}

/// What is kept of an erased scan beside its objects.
struct Erased {
    /// 0: it was there.
    deleted_ms: i64,
    words: i64,
    incidents: i64,
    pseudonym: String,
    patient_pseudonym: String,
}

impl Store {
    /// Erases the patient's scans, each in one unit, as a deletion is: several would lock jobs and the audit trail in another order than all
    /// others do. What a crash leaves of the objects is deleted when storage runs again; what it leaves
    /// of the scans, a second call erases.
    ///
    /// `NOT_FOUND` where there is none. `Conflict`, and nothing is erased, where one is held; where a hold comes in between, nothing is from then
    /// on, and the receipt says what is left: once it is taken back, another call erases that.
    pub async fn erase_patient(&self, claims: &Claims, new: NewErasure) -> Result<Erasure> {
        let reason = reason(&new.reason)?;
        let tenant = claims.tenant().id();
        let Meant { patient, scans } = self.scans_meant(tenant, Subject::of(new.whose)?).await?;
        require_unnamed(&reason, patient.as_deref())?;
        let id = ErasureId::new(&self.clock, &self.random);
        let order = Order {
            tenant,
            subject: claims.subject.clone(),
            action: "scan.erased",
            with_words: true,
            heeds_holds: true,
            erases: true,
            erasure: Some(id),
        };
        let begun = Begun {
            id,
            reason,
            name: name_of(claims),
            begun_ms: self.clock.now_ms(),
            patient,
            order,
        };
        let (scans, deleted) = match self.begin_erasure(begun.clone(), scans).await {
            Ok(meant) => meant,
            Err(error) => {
                let (by, object) = (claims.subject.clone(), begun.id.to_string());
                return Err(self.refused(tenant, by, object, error).await);
            }
        };
        let erased = self.erase_all(&begun, scans, deleted).await;
        // Also of what was erased before a hold came.
        self.forget().await;
        match erased {
            Ok(()) => self.erasure(claims.tenant(), &begun.id.to_string()).await,
            Err(error) => Err(self.stopped(&begun, error).await),
        }
    }

    async fn erase_all(
        &self,
        begun: &Begun,
        scans: Vec<ScanId>,
        deleted: Vec<ScanId>,
    ) -> Result<()> {
        let tenant = begun.order.tenant;
        for scan in scans {
            self.erase_scan(begun.clone(), scan).await?;
            self.changed(tenant, scan);
        }
        for scan in deleted {
            self.erase_deleted(begun.clone(), scan).await?;
            self.changed(tenant, scan);
        }
        Ok(())
    }

    /// Whose scans are meant, as the binding has it, and which they are. A scan of nobody stands for itself.
    async fn scans_meant(&self, tenant: TenantId, subject: Subject) -> Result<Meant> {
        let patient = match subject {
            Subject::Patient(patient) => patient,
            Subject::Scan(scan) => {
                of_tenant(self.database.pool(), tenant, scan).await?;
                match self.patient_of(tenant, scan).await? {
                    Some(patient) => patient,
                    None => return Ok(Meant { patient: None, scans: vec![scan] }),
                }
            }
        };
        let scans = scans_of(self.database.pool(), tenant, &patient).await?;
        let deleted = self.deleted_of(tenant, &patient).await?;
        if scans.is_empty() && deleted.is_empty() {
            return Err(ErrorKind::NotFound.error("no scan of that patient is here"));
        }
        Ok(Meant { patient: Some(patient), scans })
    }

    /// Whose scan it is, as the binding has it; None: nobody knows.
    pub async fn patient_of(&self, tenant: TenantId, scan: ScanId) -> Result<Option<String>> {
        let patient: Option<String> = sqlx::query_scalar(
            "SELECT patient FROM identities WHERE tenant_id = ? AND scan_id = ?",
        )
        .id(tenant)
        .id(scan)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        Ok(patient.filter(|patient| !patient.is_empty()))
    }

    /// Writes down that it has begun, unless one of the scans is held: all of the patient, or nothing. From then on nothing of the patient
    /// comes back that had come before. Which scans are to be erased: those that are there, and those that were deleted before.
    async fn begin_erasure(
        &self,
        begun: Begun,
        scans: Vec<ScanId>,
    ) -> Result<(Vec<ScanId>, Vec<ScanId>)> {
        let tenant = begun.order.tenant;
        audit::begin(&self.database, tenant).await?;
        self.unit(Some(tenant), move |store, unit| {
            Box::pin(async move { store.begin_in(unit, begun, scans).await })
        })
        .await
    }

    async fn begin_in(
        &self,
        unit: &mut Unit,
        begun: Begun,
        scans: Vec<ScanId>,
    ) -> Result<(Vec<ScanId>, Vec<ScanId>)> {
        let (tenant, id, at_ms) = (begun.order.tenant, begun.id, begun.begun_ms);
        let subject = begun.order.subject.as_str();
        let (action, object) = ("patient.erased", id.to_string());
        audit::append(unit, Entry { tenant, at_ms, subject, action, object }).await?;
        let (scans, deleted) = match begun.patient {
            Some(patient) => {
                require_patient_free(unit, tenant, &patient).await?;
                // What became a scan meanwhile is the patient's, too, and so is what was deleted meanwhile; from here on nothing becomes one
                // that had come before.
                let scans = scans_of(&mut **unit, tenant, &patient).await?;
                let key = Key::made(unit, tenant, &self.random).await?;
                let names = key.names(&Arrival { patient, ..Arrival::default() });
                let when = (at_ms, at_ms);
                barred::bar(unit, tenant, &id.to_string(), &[&names.patient], when).await?;
                (scans, deleted::of_patient(&mut **unit, tenant, names.patient).await?)
            }
            None => (scans, Vec::new()),
        };
        for scan in &scans {
            require_free(unit, tenant, *scan).await?;
        }
        sqlx::query(
            "INSERT INTO erasures (tenant_id, id, reason, asked_by, name, begun_ms) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .id(tenant)
        .id(id)
        .bind(begun.reason)
        .bind(begun.order.subject)
        .bind(begun.name)
        .bind(at_ms)
        .run(unit)
        .await?;
        rows::retire(unit, (tenant, id), &scans).await?;
        unerased::note(unit, (tenant, id), &scans).await?;
        unerased::note(unit, (tenant, id), &deleted).await?;
        Ok((scans, deleted))
    }

    async fn erase_scan(&self, begun: Begun, scan: ScanId) -> Result<()> {
        self.ask_ring(begun.order.tenant).await;
        self.unit(Some(begun.order.tenant), move |store, unit| {
            Box::pin(async move { store.erase_in(unit, &begun, scan).await })
        })
        .await
    }

    async fn erase_in(&self, unit: &mut Unit, begun: &Begun, scan: ScanId) -> Result<()> {
        let tenant = begun.order.tenant;
        let erased = self.about(unit, begun, scan).await?;
        let removed = self.remove(unit, &begun.order, scan).await?;
        unerased::forget(unit, tenant, scan).await?;
        let Some(objects) = removed else {
            // Somebody has deleted it meanwhile, and told nobody that it is to be forgotten.
            return self.erase_deleted_in(unit, begun, scan).await;
        };
        self.insert_erased(unit, begun, scan, erased).await?;
        for object in objects {
            insert_object(unit, tenant, scan, object).await?;
        }
        Ok(())
    }

    /// What is said of the scan once it is gone.
    async fn about(&self, unit: &mut Unit, begun: &Begun, scan: ScanId) -> Result<Erased> {
        let tenant = begun.order.tenant;
        let names = Pseudonyms::if_any(&mut **unit, tenant).await?;
        let id = scan.to_string();
        let of = begun.patient.as_deref().map_or(Of::Scan(&id), Of::Patient);
        let name = |of: Of<'_>| names.as_ref().map(|names| names.name(of)).unwrap_or_default();
        Ok(Erased {
            deleted_ms: 0,
            words: words_of(unit, tenant, scan).await?,
            incidents: incidents_of(unit, tenant, scan).await?,
            pseudonym: name(Of::Scan(&id)),
            patient_pseudonym: name(of),
        })
    }

    async fn insert_erased(
        &self,
        unit: &mut Unit,
        begun: &Begun,
        scan: ScanId,
        erased: Erased,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO erased_scans (tenant_id, scan_id, erasure_id, erased_ms, words, incidents, pseudonym, patient_pseudonym,
                 deleted_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .id(begun.order.tenant)
        .id(scan)
        .id(begun.id)
        .bind(self.clock.now_ms())
        .bind(erased.words)
        .bind(erased.incidents)
        .bind(erased.pseudonym)
        .bind(erased.patient_pseudonym)
        .bind(erased.deleted_ms)
        .run(unit)
        .await
        .map(drop)
    }

    /// Deletes the objects, writes the tombstones and scrubs the database's file. What fails is tried again by the worker.
    async fn forget(&self) {
        let forgotten = async {
            self.discard_erased().await?;
            self.bury().await?;
            self.database.scrub().await
        };
        if let Err(error) = forgotten.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "something of an erased patient is not gone yet");
        }
    }

    /// Deletes objects of erased scans that are not gone yet, a round of them, each with its note.
    pub async fn discard_erased(&self) -> Result<()> {
        loop {
            let keys: Vec<String> = sqlx::query_scalar(
                "SELECT blob_key FROM erased_objects WHERE blob_key <> '' LIMIT ?",
            )
            .bind(OBJECTS_PER_ROUND)
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
            if keys.is_empty() {
                return Ok(());
            }
            for key in keys {
                self.blobs.delete(&key).await?;
                sqlx::query("UPDATE erased_objects SET blob_key = '' WHERE blob_key = ?")
                    .bind(key)
                    .execute(self.database.pool())
                    .await
                    .map_err(failed)?;
            }
        }
    }
}

/// The patient's scans that are there, oldest first.
async fn scans_of(
    executor: impl Executor<'_, Database = Any>,
    tenant: TenantId,
    patient: &str,
) -> Result<Vec<ScanId>> {
    // MySQL's own comparison takes `ab` for `AB `: the bytes decide.
    let scans: Vec<String> = sqlx::query_scalar(
        "SELECT scan_id FROM identities
         WHERE tenant_id = ? AND patient = ? AND HEX(patient) = HEX(?) ORDER BY scan_id",
    )
    .id(tenant)
    .bind(patient.to_owned())
    .bind(patient.to_owned())
    .fetch_all(executor)
    .await
    .map_err(failed)?;
    scans.into_iter().map(ScanId::try_from).collect()
}

/// `NOT_FOUND` where the scan was erased with its patient. To be asked once the audit trail is held: whoever erases comes before it, or
/// takes away what is said.
pub async fn require_not_erased(
    unit: &mut Unit,
    tenant: TenantId,
    scan: Option<&str>,
) -> Result<()> {
    let Some(scan) = scan else { return Ok(()) };
    let erased: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM erased_scans WHERE tenant_id = ? AND scan_id = ?")
            .id(tenant)
            .bind(scan.to_owned())
            .fetch_one(&mut **unit)
            .await
            .map_err(failed)?;
    if erased == 0 { Ok(()) } else { Err(ErrorKind::NotFound.error("no such scan")) }
}

/// Reports about the scan that say something.
async fn incidents_of(unit: &mut Unit, tenant: TenantId, scan: ScanId) -> Result<i64> {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM incidents WHERE tenant_id = ? AND scan_id = ? AND words <> ''",
    )
    .id(tenant)
    .id(scan)
    .fetch_one(&mut **unit)
    .await
    .map_err(failed)
}

async fn insert_object(
    unit: &mut Unit,
    tenant: TenantId,
    scan: ScanId,
    object: Object,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO erased_objects (tenant_id, scan_id, name, key_sha256, blob_key, size_bytes)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .id(tenant)
    .id(scan)
    .bind(object.name)
    .bind(sha256_of(&[&object.blob_key]))
    .bind(object.blob_key)
    .bind(object.size_bytes)
    .run(unit)
    .await
    .map(drop)
}

/// Refuses a reason that has the patient's number in it: it outlives the patient's scans, and is listed to who is not told whose they are.
pub fn require_unnamed(reason: &str, patient: Option<&str>) -> Result<()> {
    let number = patient.map(|patient| patient.rsplit('\\').next().unwrap_or(patient));
    match number {
        Some(number)
            if number.chars().count() >= NUMBER_CHARS_MIN
                && reason.to_lowercase().contains(&number.to_lowercase()) =>
        {
            Err(ErrorKind::Invalid.error("the reason is kept: it may not name the patient"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_no_patient() {
        for (reason, patient, allowed) in [
            ("they ask for it", Some("4711"), true),
            ("4711 asks for it", Some("4711"), false),
            ("ab-4711 asks for it", Some("A\\AB-4711"), false),
            ("on 1 May", Some("1"), true),
            ("nobody knows whose it is", None, true),
        ] {
            assert_eq!(require_unnamed(reason, patient).is_ok(), allowed, "{reason}");
        }
    }
}
