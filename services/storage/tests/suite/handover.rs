use proto::storage::*;
use service::claims::{Role, authorised};
use tonic::{Code, Request, Status};

use crate::world::{Upload, World, collect};

fn by_delivery<T>(world: &World, message: T) -> Request<T> {
    authorised(message, &world.issuer.delivery_token())
}

fn of(world: &World, scan: &Scan) -> HandoverRef {
    HandoverRef { tenant_id: world.hospital.to_string(), scan_id: scan.id.clone() }
}

async fn patient(world: &World, scan: &Scan) -> Result<ScanIdentity, Status> {
    let request = by_delivery(world, of(world, scan));
    Ok(world.handover.clone().get_patient(request).await?.into_inner())
}

async fn entries(world: &World) -> Vec<(String, String, String)> {
    sqlx::query_as("SELECT subject, action, object_id FROM audit ORDER BY tenant_id, position")
        .fetch_all(world.ports.database.pool())
        .await
        .unwrap()
}

pub async fn delivery_alone_is_handed_any_hospitals_scan_and_each_joining_is_noted(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let mut handover = world.handover.clone();
    let told = handover.get_scan(by_delivery(&world, of(&world, &scan))).await.unwrap();
    let told = told.into_inner();
    assert_eq!((&told.id, &told.volume_sha256), (&scan.id, &scan.volume_sha256));
    let HandoverRef { tenant_id, scan_id } = of(&world, &scan);
    let file = HandoverFile { tenant_id, scan_id, name: "image.png".into() };
    let bytes = handover.read_file(by_delivery(&world, file.clone())).await.unwrap();
    assert_eq!(collect(bytes.into_inner()).await.unwrap(), b"a preview");
    let known = patient(&world, &scan).await.unwrap();
    let name = known.identity.and_then(|identity| identity.patient_name);
    assert_eq!(name.as_deref(), Some("Doe^Jane"));
    let noted = entries(&world).await;
    let read = ("medseg-delivery".to_owned(), "scan.identity.read".to_owned(), scan.id.clone());
    assert_eq!(noted.last(), Some(&read));

    let elsewhere =
        HandoverRef { tenant_id: world.neighbour.to_string(), scan_id: scan.id.clone() };
    let refused = handover.get_patient(by_delivery(&world, elsewhere)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let mut strangers = vec![world.issuer.service_token()];
    for role in [Role::Clinician, Role::Integrator, Role::Scientist, Role::Admin] {
        strangers.push(world.issuer.token(world.hospital, &[role]));
    }
    for token in strangers {
        let ask = || authorised(of(&world, &scan), &token);
        let refused = [
            handover.get_scan(ask()).await.unwrap_err(),
            handover.get_patient(ask()).await.unwrap_err(),
            handover.read_file(authorised(file.clone(), &token)).await.unwrap_err(),
            handover.note(authorised(DeliveryNote::default(), &token)).await.unwrap_err(),
        ];
        assert!(refused.iter().all(|status| status.code() == Code::PermissionDenied));
    }
    // And it is handed scans by no other door.
    let by_people = by_delivery(&world, ScanRef { id: scan.id.clone() });
    let refused = world.scans.clone().get(by_people).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

pub async fn a_patient_that_was_bound_to_other_voxels_is_handed_to_nobody(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let set = "UPDATE identities SET patient = ? WHERE scan_id = ?";
    let pool = world.ports.database.pool();
    sqlx::query(set).bind("another").bind(&scan.id).execute(pool).await.unwrap();
    assert_eq!(patient(&world, &scan).await.unwrap_err().code(), Code::Internal);
}

pub async fn what_went_where_is_in_the_hospitals_audit_trail(world: World) {
    let note = |act: DeliveryAct| DeliveryNote {
        tenant_id: world.hospital.to_string(),
        at_ms: 7,
        subject: "medseg-delivery:a destination".into(),
        act: act.into(),
        object_id: "a scan".into(),
    };
    let mut handover = world.handover.clone();
    // Also of a hospital that has sent no scan yet.
    handover.note(by_delivery(&world, note(DeliveryAct::Delivered))).await.unwrap();
    handover.note(by_delivery(&world, note(DeliveryAct::Failed))).await.unwrap();
    handover.note(by_delivery(&world, note(DeliveryAct::Closed))).await.unwrap();
    let expected = ["delivery.delivered", "delivery.failed", "delivery.closed"].map(|action| {
        ("medseg-delivery:a destination".to_owned(), action.to_owned(), "a scan".to_owned())
    });
    assert_eq!(entries(&world).await, expected);
    for bad in [
        note(DeliveryAct::Unspecified),
        DeliveryNote { object_id: "long".repeat(10), ..note(DeliveryAct::Failed) },
    ] {
        let refused = handover.note(by_delivery(&world, bad)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
