//! Scans of patients who were erased.

use std::time::Duration;

use domain::{ScanId, TenantId};
use proto::registry::{Comparison, ListComparedRequest, ScansAsked};
use serde_json::json;
use service::claims::{Role, authorised};
use service::topics::SCAN_ERASED;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

use crate::world::World;

pub async fn what_a_shadow_said_of_an_erased_scan_goes_and_does_not_come_back(world: World) {
    for version in ["1", "2"] {
        world.evaluated("m", version, 0.9).await;
    }
    let new = || ScanId::new(&world.clock.clock(), &service::system_random());
    let (erased, kept) = (new(), new());
    for scan in [erased, kept] {
        compare(&world, scan).await;
    }
    assert_eq!(rows(&world, world.hospital, Role::Admin, erased).await.unwrap(), 1);
    assert_eq!(rows(&world, world.neighbour, Role::Admin, erased).await.unwrap(), 0);
    let refused = rows(&world, world.hospital, Role::Scientist, erased).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let told = json!({
        "specversion": "1.0", "id": erased, "source": "/medseg/storage", "type": "scan.erased",
        "data": { "tenant_id": world.hospital, "scan_id": erased, "erased_ms": world.clock.clock().now_ms() },
    });
    let told = told.to_string();
    // Also what is told twice.
    for _ in 0..2 {
        world.queue.emit(SCAN_ERASED, told.as_bytes()).await.unwrap();
    }
    let gone = async {
        while rows(&world, world.hospital, Role::Admin, erased).await.unwrap() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), gone).await.unwrap();

    // A worker that was still looking at it comes late.
    compare(&world, erased).await;
    assert_eq!(rows(&world, world.hospital, Role::Admin, erased).await.unwrap(), 0);
    let asked = ListComparedRequest {
        name: "m".into(),
        version: "2".into(),
        after: String::new(),
        limit: 10,
    };
    let left = world.models.clone().list_compared(world.by(Role::Admin, asked)).await.unwrap();
    let left: Vec<_> = left.into_inner().scans.into_iter().map(|one| one.scan_id).collect();
    assert_eq!(left, [kept.to_string()]);
}

async fn compare(world: &World, scan: ScanId) {
    let comparison = Comparison {
        name: "m".into(),
        version: "2".into(),
        serving_name: "m".into(),
        serving_version: "1".into(),
        tenant_id: world.hospital.to_string(),
        scan_id: scan.to_string(),
        answer: "found".into(),
        serving_answer: "found".into(),
        dice: Some(0.9),
        ..Comparison::default()
    };
    world.routing.clone().record_comparison(world.worker(comparison)).await.unwrap();
}

async fn rows(world: &World, tenant: TenantId, role: Role, scan: ScanId) -> Result<u64, Status> {
    let asked = ScansAsked { scan_ids: vec![scan.to_string()] };
    let request = authorised(asked, &world.issuer.token(tenant, &[role]));
    Ok(world.models.clone().count_rows(request).await?.into_inner().rows)
}
