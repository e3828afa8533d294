//! Scans of patients who were erased.

use domain::{ScanId, TenantId};
use proto::drift::{RowsKept, ScansAsked};
use serde_json::json;
use service::claims::{Role, authorised};
use service::topics::SCAN_ERASED;
use tonic::Code;

use crate::world::{Drift, NOW_MS, completed, scan, tenant, word};

pub async fn an_erased_scan_has_no_rows_and_gets_none_any_more(drift: Drift) -> anyhow::Result<()> {
    let (hospital, neighbour) = (tenant(), tenant());
    let (erased, kept) = (scan(), scan());
    let seen = |scan: ScanId| {
        let mut event = completed(hospital, &format!("event of {scan}"), 0.5);
        event["data"]["scan_id"] = json!(scan);
        event
    };
    for scan in [erased, kept] {
        drift.emit(&seen(scan)).await?;
        drift.give(&word(hospital, scan, "ann", "agree")).await?;
    }
    drift.kept(2, 2).await?;
    let event = json!({
        "specversion": "1.0", "id": erased, "source": "/medseg/storage", "type": "scan.erased",
        "data": { "tenant_id": hospital, "scan_id": erased, "erased_ms": NOW_MS },
    });
    drift.queue.emit(SCAN_ERASED, event.to_string().as_bytes()).await?;
    let client = drift.client.clone();
    let rows = async |tenant: TenantId, role: Role| {
        let token = drift.issuer.token(tenant, &[role]);
        let asked = ScansAsked { scan_ids: vec![erased.to_string()] };
        let told = client.clone().count_rows(authorised(asked, &token)).await?;
        Ok::<RowsKept, tonic::Status>(told.into_inner())
    };
    let gone = async {
        while rows(hospital, Role::Admin).await?.rows > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await??;
    let refused = rows(hospital, Role::Scientist).await.err().map(|status| status.code());
    assert_eq!(refused, Some(Code::PermissionDenied));
    assert_eq!(rows(neighbour, Role::Admin).await?.rows, 0);

    // What comes late, or twice, is not kept: the events behind it are there before anybody looks.
    drift.queue.emit(SCAN_ERASED, event.to_string().as_bytes()).await?;
    drift.emit(&seen(erased)).await?;
    drift.give(&word(hospital, erased, "ben", "reject")).await?;
    let later = scan();
    drift.emit(&seen(later)).await?;
    drift.give(&word(hospital, later, "ann", "agree")).await?;
    drift.kept(2, 2).await?;
    let left = async {
        while rows(hospital, Role::Admin).await?.rows > 0
            || drift.rows("SELECT COUNT(*) FROM observations").await? != 2
            || drift.rows("SELECT COUNT(*) FROM reviews").await? != 2
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), left).await??;
    Ok(())
}
