//! What an erasure came to, as rows tell it: what there was, who had a copy, and what is left.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use domain::{ErasureId, ErrorKind, Result, TenantId};
use platform::db::{BindId, failed};
use proto::storage::{
    ErasedKey, ErasedObject, ErasedScan, Erasure, LearnedCopy, RefusedArrival, SentCopy,
};
use service::claims::Tenant;
use sqlx::FromRow;

use crate::store::Store;

/// What may be left of scans of an erasure, and how it is counted.
macro_rules! left {
    ($from:literal) => {
        concat!(
            "SELECT COUNT(*) FROM erased_scans e JOIN ",
            $from,
            " WHERE e.tenant_id = ? AND e.erasure_id = ?"
        )
    };
}

const LEFT: [(&str, &str); 10] = [
    ("scans", "SELECT COUNT(*) FROM unerased_scans WHERE tenant_id = ? AND erasure_id = ?"),
    ("jobs", left!("jobs t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id")),
    ("artefacts", left!("artefacts t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id")),
    ("identities", left!("identities t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id")),
    ("feedback", left!("feedback t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id")),
    (
        "incident_links",
        left!("incident_links t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id"),
    ),
    (
        "incidents",
        left!(
            "incidents t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id AND t.words <> ''"
        ),
    ),
    (
        "batch_entries",
        left!(
            "batch_entries t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id AND t.name <> ''"
        ),
    ),
    (
        "data_keys",
        "SELECT COUNT(*) FROM erased_keys e JOIN data_keys t ON t.tenant_id = e.tenant_id AND t.id = e.key_id
             WHERE e.tenant_id = ? AND e.erasure_id = ?",
    ),
    (
        "objects",
        left!(
            "erased_objects t ON t.tenant_id = e.tenant_id AND t.scan_id = e.scan_id AND t.blob_key <> ''"
        ),
    ),
];

#[derive(FromRow)]
struct Row {
    reason: String,
    name: String,
    begun_ms: i64,
    lifted_ms: i64,
    lifted_by: String,
    lifted_reason: String,
}

#[derive(FromRow)]
struct ScanRow {
    scan_id: String,
    erased_ms: i64,
    words: i64,
    incidents: i64,
    pseudonym: String,
    patient_pseudonym: String,
    deleted_ms: i64,
}

#[derive(FromRow)]
struct ObjectRow {
    scan_id: String,
    name: String,
    key_sha256: String,
    blob_key: String,
    size_bytes: i64,
}

/// An entry of the audit trail about an erased scan.
#[derive(FromRow)]
struct Noted {
    scan_id: String,
    subject: String,
    action: String,
    at_ms: i64,
}

impl Store {
    /// The erasure as it is now. `NOT_FOUND` in the same words for another tenant's and for one that never was.
    pub async fn erasure(&self, tenant: Tenant, id: &str) -> Result<Erasure> {
        let (tenant, id) = (tenant.id(), ErasureId::from_str(id)?);
        let row: Option<Row> = sqlx::query_as(
            "SELECT reason, name, begun_ms, lifted_ms, lifted_by, lifted_reason FROM erasures WHERE tenant_id = ? AND id = ?",
        )
        .id(tenant)
        .id(id)
        .fetch_optional(self.database.pool())
        .await
        .map_err(failed)?;
        let Row { reason, name, begun_ms, lifted_ms, lifted_by, lifted_reason } =
            row.ok_or_else(|| ErrorKind::NotFound.error("no such erasure"))?;
        let (sent, learned) = copies(self.noted_of(tenant, id).await?);
        Ok(Erasure {
            id: id.to_string(),
            reason,
            erased_by: name,
            begun_ms,
            scans: self.erased_scans(tenant, id).await?,
            sent,
            learned,
            left: self.left(tenant, id).await?,
            refused: self.refused_arrivals(tenant, id).await?,
            lifted_ms,
            lifted_by,
            lifted_reason,
            unerased: self.unerased(tenant, id).await?,
            keys: self.erased_keys(tenant, id).await?,
        })
    }

    async fn erased_keys(&self, tenant: TenantId, id: ErasureId) -> Result<Vec<ErasedKey>> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(
            "SELECT key_id, made_ms, destroyed_ms FROM erased_keys WHERE tenant_id = ? AND erasure_id = ? ORDER BY key_id",
        )
        .id(tenant)
        .id(id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let key = |(id, made_ms, destroyed_ms)| ErasedKey { id, made_ms, destroyed_ms };
        Ok(rows.into_iter().map(key).collect())
    }

    async fn refused_arrivals(
        &self,
        tenant: TenantId,
        id: ErasureId,
    ) -> Result<Vec<RefusedArrival>> {
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT at_ms, instances, dropped FROM refused_arrivals WHERE tenant_id = ? AND erasure_id = ? ORDER BY id",
        )
        .id(tenant)
        .id(id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let arrival = |(at_ms, instances, dropped): (i64, i64, i64)| RefusedArrival {
            at_ms,
            instances: instances.unsigned_abs(),
            dropped: dropped != 0,
        };
        Ok(rows.into_iter().map(arrival).collect())
    }

    async fn erased_scans(&self, tenant: TenantId, id: ErasureId) -> Result<Vec<ErasedScan>> {
        let rows: Vec<ScanRow> = sqlx::query_as(
            "SELECT scan_id, erased_ms, words, incidents, pseudonym, patient_pseudonym, deleted_ms FROM erased_scans
             WHERE tenant_id = ? AND erasure_id = ? ORDER BY scan_id",
        )
        .id(tenant)
        .id(id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let mut objects = self.erased_objects(tenant, id).await?;
        let scan = |row: ScanRow| ErasedScan {
            objects: objects.remove(&row.scan_id).unwrap_or_default(),
            id: row.scan_id,
            erased_ms: row.erased_ms,
            words: row.words.unsigned_abs(),
            incidents: row.incidents.unsigned_abs(),
            pseudonym: row.pseudonym,
            patient_pseudonym: row.patient_pseudonym,
            deleted_ms: row.deleted_ms,
        };
        Ok(rows.into_iter().map(scan).collect())
    }

    async fn erased_objects(
        &self,
        tenant: TenantId,
        id: ErasureId,
    ) -> Result<BTreeMap<String, Vec<ErasedObject>>> {
        let rows: Vec<ObjectRow> = sqlx::query_as(
            "SELECT o.scan_id, o.name, o.key_sha256, o.blob_key, o.size_bytes
             FROM erased_objects o JOIN erased_scans e ON e.tenant_id = o.tenant_id AND e.scan_id = o.scan_id
             WHERE e.tenant_id = ? AND e.erasure_id = ? ORDER BY o.scan_id, o.name",
        )
        .id(tenant)
        .id(id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)?;
        let mut objects = BTreeMap::<String, Vec<ErasedObject>>::new();
        for ObjectRow { scan_id, name, key_sha256, blob_key, size_bytes } in rows {
            let (size_bytes, gone) = (size_bytes.unsigned_abs(), blob_key.is_empty());
            let object = ErasedObject { name, key_sha256, size_bytes, gone };
            objects.entry(scan_id).or_default().push(object);
        }
        Ok(objects)
    }

    /// Who was sent the scans, and who has learned from them, in the order in which it was noted: also what was noted afterwards.
    async fn noted_of(&self, tenant: TenantId, id: ErasureId) -> Result<Vec<Noted>> {
        sqlx::query_as(
            "SELECT e.scan_id, a.subject, a.action, a.at_ms
             FROM erased_scans e JOIN audit a ON a.tenant_id = e.tenant_id AND a.object_id = e.scan_id
             WHERE e.tenant_id = ? AND e.erasure_id = ?
                 AND a.action IN ('delivery.delivered', 'delivery.failed', 'scan.learned.from', 'scan.learned.original')
             ORDER BY a.position",
        )
        .id(tenant)
        .id(id)
        .fetch_all(self.database.pool())
        .await
        .map_err(failed)
    }

    async fn left(&self, tenant: TenantId, id: ErasureId) -> Result<HashMap<String, u64>> {
        let mut left = HashMap::new();
        for (what, count) in LEFT {
            let rows: i64 = sqlx::query_scalar(count)
                .id(tenant)
                .id(id)
                .fetch_one(self.database.pool())
                .await
                .map_err(failed)?;
            if rows > 0 {
                left.insert(what.to_owned(), rows.unsigned_abs());
            }
        }
        Ok(left)
    }
}

fn copies(noted: Vec<Noted>) -> (Vec<SentCopy>, Vec<LearnedCopy>) {
    let (mut sent, mut learned) = (Vec::new(), Vec::new());
    for Noted { scan_id, subject, action, at_ms } in noted {
        if action.starts_with("scan.learned.") {
            learned.push(LearnedCopy { scan_id, reader_id: subject, at_ms });
        } else {
            // As delivery names itself: `CLIENT:DESTINATION`.
            let destination_id = subject.rsplit(':').next().unwrap_or_default().to_owned();
            let delivered = action == "delivery.delivered";
            sent.push(SentCopy { scan_id, destination_id, at_ms, delivered });
        }
    }
    (sent, learned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_told_with_where_they_went_and_whether_that_is_known() {
        let noted = |subject: &str, action: &str, at_ms: i64| Noted {
            scan_id: "a scan".into(),
            subject: subject.into(),
            action: action.into(),
            at_ms,
        };
        let (sent, learned) = copies(vec![
            noted("delivery:pacs", "delivery.failed", 1),
            noted("ada", "scan.learned.from", 2),
            noted("delivery:pacs", "delivery.delivered", 3),
            noted("eve", "scan.learned.original", 4),
        ]);
        let told: Vec<_> = sent
            .iter()
            .map(|copy| (copy.destination_id.as_str(), copy.at_ms, copy.delivered))
            .collect();
        assert_eq!(told, [("pacs", 1, false), ("pacs", 3, true)]);
        let learned: Vec<_> =
            learned.iter().map(|copy| (copy.reader_id.as_str(), copy.at_ms)).collect();
        assert_eq!(learned, [("ada", 2), ("eve", 4)]);
    }
}
