use domain::TenantId;
use proto::storage::complete_part::Part;
use proto::storage::*;
use service::claims::Role;
use service::topics;
use tonic::{Code, Status};

use crate::world::{Upload, World, found};

/// An upload of that patient, taken on that day; empty: its file does not say.
fn taken(patient: &str, date: &str, study_uid: &str) -> Upload {
    let mut upload = Upload::of(&format!("a head of {patient} {date} {study_uid}"));
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let number = patient.rsplit('\\').next().unwrap_or_default();
    upload.header.patient = patient.into();
    upload.header.patient_id = number.into();
    upload.header.study_uid = study_uid.into();
    upload.header.identity = Some(Identity {
        patient_id: said(number),
        study_date: said(date),
        study_instance_uid: said(study_uid),
        ..Identity::default()
    });
    upload
}

/// The scan of that upload once it is done, as an image of that kind.
async fn analysed(world: &World, tenant: TenantId, upload: Upload, kind: &str) -> String {
    world.clock.advance(10);
    let scan = world.accept_for(tenant, upload).await.unwrap();
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let job = world.announced(&mut ready).await;
    let job = world.claim(&job).await.unwrap();
    let mut parts = found(&job);
    // The document is in two pieces: the second one is the last to say something.
    if let Some(Part::Artefact(piece)) = &mut parts[2].part {
        piece.data = format!(r#""found","image":{{"kind":{{"kind":"{kind}"}}}}}}"#).into();
    }
    world.complete(parts).await.unwrap();
    scan.id
}

async fn ask(world: &World, role: Role, list: ListPriorScans) -> Result<PriorPage, Status> {
    let request = world.by_role(world.hospital, role, list);
    Ok(world.scans.clone().list_priors(request).await?.into_inner())
}

/// Ids and kinds of all priors of the scan.
async fn priors(world: &World, id: &str) -> Vec<(String, String)> {
    let list = ListPriorScans { id: id.into(), ..ListPriorScans::default() };
    let page = ask(world, Role::Clinician, list).await.unwrap();
    assert_eq!(page.next_cursor, "");
    page.priors.into_iter().map(|prior| (prior.scan.unwrap().id, prior.image_kind)).collect()
}

pub async fn the_priors_of_a_scan_are_earlier_ones_of_the_same_patient(world: World) {
    let home = world.hospital;
    let first = analysed(&world, home, taken("A\\4711", "20250101", "1.1"), "flair").await;
    let now = analysed(&world, home, taken("A\\4711", "20260101", "1.3"), "flair").await;
    // Sent after it, taken before it.
    let between = analysed(&world, home, taken("A\\4711", "20250701", "1.2"), "t1_contrast").await;
    // Another series of the same study, a later study, and the same number that somebody else has given.
    analysed(&world, home, taken("A\\4711", "20251231", "1.3"), "flair").await;
    analysed(&world, home, taken("A\\4711", "20260201", "1.4"), "flair").await;
    analysed(&world, home, taken("B\\4711", "20240101", "1.5"), "flair").await;
    analysed(&world, home, taken("4711", "20240101", "1.6"), "flair").await;
    analysed(&world, home, taken("a\\4711", "20240101", "1.7"), "flair").await;
    // One that nobody has analysed yet.
    world.accept(taken("A\\4711", "20240601", "1.8")).await.unwrap();

    let of = |id: &String, kind: &str| (id.clone(), kind.to_owned());
    let expected = vec![of(&between, "t1_contrast"), of(&first, "flair")];
    assert_eq!(priors(&world, &now).await, expected);
    assert!(priors(&world, &first).await.is_empty());

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = ListPriorScans { id: now.clone(), limit: 1, cursor };
        let page = ask(&world, Role::Integrator, list).await.unwrap();
        assert!(page.priors.len() <= 1);
        seen.extend(page.priors.into_iter().map(|prior| prior.scan.unwrap().id));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [between, first]);
}

pub async fn the_same_image_and_the_scan_of_nobody_have_no_priors(world: World) {
    let home = world.hospital;
    let once = taken("4711", "", "");
    analysed(&world, home, once.clone(), "flair").await;
    let again = analysed(&world, home, once, "flair").await;
    assert!(priors(&world, &again).await.is_empty());

    for head in ["one", "other"] {
        let mut nobody = Upload::of(head);
        (nobody.header.patient, nobody.header.identity) = (String::new(), None);
        // With a reference there is a row that says whose it is not.
        nobody.header.reference = "order 7".into();
        let id = analysed(&world, home, nobody, "flair").await;
        assert!(priors(&world, &id).await.is_empty(), "{head}");
    }
}

pub async fn another_hospitals_scans_are_nobodys_priors(world: World) {
    let theirs = taken("4711", "20250101", "1.1");
    let theirs = analysed(&world, world.neighbour, theirs, "flair").await;
    let now = analysed(&world, world.hospital, taken("4711", "20260101", "1.2"), "flair").await;
    assert!(priors(&world, &now).await.is_empty());
    let mut said = Vec::new();
    for id in [theirs.as_str(), "01890000-0000-7000-8000-000000000000", "no id"] {
        let list = ListPriorScans { id: id.into(), ..ListPriorScans::default() };
        let refused = ask(&world, Role::Clinician, list).await.unwrap_err();
        said.push((refused.code(), refused.message().to_owned()));
    }
    assert_eq!(said, vec![(Code::NotFound, "no such scan".to_owned()); 3]);
    for role in [Role::Admin, Role::Scientist] {
        let list = ListPriorScans { id: now.clone(), ..ListPriorScans::default() };
        let refused = ask(&world, role, list).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}");
    }
}

pub async fn a_prior_that_was_bound_to_another_patient_is_not_put_beside_a_scan(world: World) {
    let home = world.hospital;
    let other = analysed(&world, home, taken("4712", "20250101", "1.1"), "flair").await;
    let now = analysed(&world, home, taken("4711", "20260101", "1.2"), "flair").await;
    let pool = world.ports.database.pool();
    // As a restore or a migration gone wrong would leave it.
    let set = "UPDATE identities SET patient = '4711', patient_id = '4711' WHERE scan_id = ?";
    sqlx::query(set).bind(&other).execute(pool).await.unwrap();
    let list = ListPriorScans { id: now, ..ListPriorScans::default() };
    let refused = ask(&world, Role::Clinician, list).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}
