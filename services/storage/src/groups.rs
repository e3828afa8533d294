//! What scans of a list belong together by: their study, and the batch that they came in.

use std::collections::BTreeMap;

use domain::{Result, TenantId};
use platform::db::failed;
use proto::storage::{Review, Scan};
use service::claims::Tenant;
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row};

use crate::artefacts::sha256_of;
use crate::store::Store;

/// As many of a digest's digits as no two of a hospital's studies ever share.
const KEY_DIGITS: usize = 32;

impl Store {
    /// Says of each of the scans in which batch it came, and, to whoever may know whose scans are, of which study it is.
    pub async fn group(&self, tenant: Tenant, scans: &mut [Scan], knows: bool) -> Result<()> {
        if scans.is_empty() {
            return Ok(());
        }
        let batches =
            "SELECT scan_id, MIN(batch_id) AS found FROM batch_entries WHERE tenant_id = ";
        let batches = self.found(batches, tenant, scans, " GROUP BY scan_id").await?;
        let studies = match knows {
            true => {
                let studies = "SELECT scan_id, study_uid AS found FROM identities WHERE study_uid <> '' AND tenant_id = ";
                self.found(studies, tenant, scans, "").await?
            }
            false => BTreeMap::new(),
        };
        for scan in scans {
            scan.batch = batches.get(&scan.id).cloned().unwrap_or_default();
            let study = studies.get(&scan.id).map(|uid| key_of(tenant.id(), uid));
            scan.study = study.unwrap_or_default();
        }
        Ok(())
    }

    /// As [`group`](Store::group), of one scan.
    pub async fn grouped(&self, tenant: Tenant, mut scan: Scan, knows: bool) -> Result<Scan> {
        self.group(tenant, std::slice::from_mut(&mut scan), knows).await?;
        Ok(scan)
    }

    /// As [`group`](Store::group), of scans that are listed with their reviews.
    pub async fn group_reviews(
        &self,
        tenant: Tenant,
        reviews: &mut [Review],
        knows: bool,
    ) -> Result<()> {
        let mut scans: Vec<Scan> =
            reviews.iter_mut().map(|review| review.scan.take().unwrap_or_default()).collect();
        self.group(tenant, &mut scans, knows).await?;
        for (review, scan) in reviews.iter_mut().zip(scans) {
            review.scan = Some(scan);
        }
        Ok(())
    }

    /// What the query finds of these scans, by scan.
    async fn found(
        &self,
        query: &'static str,
        tenant: Tenant,
        scans: &[Scan],
        rest: &'static str,
    ) -> Result<BTreeMap<String, String>> {
        let mut query = QueryBuilder::<Any>::new(query);
        query.push_bind(tenant.to_string()).push(" AND scan_id IN (");
        let mut list = query.separated(", ");
        for scan in scans {
            list.push_bind(scan.id.clone());
        }
        query.push(")").push(rest);
        let rows = query.build().fetch_all(self.database.pool()).await.map_err(failed)?;
        let pair = |row: &AnyRow| -> sqlx::Result<(String, String)> {
            Ok((row.try_get("scan_id")?, row.try_get("found")?))
        };
        rows.iter().map(|row| pair(row).map_err(failed)).collect()
    }
}

/// What the study is called: the same each time, of each hospital its own, and it names nobody.
fn key_of(tenant: TenantId, study_uid: &str) -> String {
    let mut digest = sha256_of(&["study", &tenant.to_string(), study_uid]);
    digest.truncate(KEY_DIGITS);
    digest
}
