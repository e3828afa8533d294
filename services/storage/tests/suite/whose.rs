use domain::TenantId;
use proto::storage::*;
use service::claims::Role;
use tonic::{Code, Status};

use crate::world::{Upload, World, found};

/// An upload whose file, or sender, says whose it is.
fn of(patient_id: &str, accession_number: &str, study_uid: &str, reference: &str) -> Upload {
    let mut upload = Upload::of(&format!("a head {patient_id} {accession_number} {study_uid}"));
    let header = &mut upload.header;
    (header.patient, header.patient_id) = (patient_id.into(), patient_id.into());
    (header.accession_number, header.study_uid) = (accession_number.into(), study_uid.into());
    (header.reference, header.stated) = (reference.into(), reference.into());
    header.identity = Some(of_patient(patient_id));
    upload
}

fn of_patient(patient_id: &str) -> Identity {
    Identity { patient_id: Some(patient_id.into()), ..Identity::default() }
}

async fn ask(
    world: &World,
    tenant: TenantId,
    role: Role,
    id: &str,
) -> Result<ScanIdentity, Status> {
    let request = world.by_role(tenant, role, ScanRef { id: id.into() });
    Ok(world.scans.clone().get_identity(request).await?.into_inner())
}

pub async fn an_identity_is_told_to_those_who_may_know_and_each_reading_is_noted(world: World) {
    let scan = world.accept(of("4711", "A1", "1.2", "order 7")).await.unwrap();
    for role in [Role::Clinician, Role::Integrator] {
        let known = ask(&world, world.hospital, role, &scan.id).await.unwrap();
        assert_eq!((&known.scan_id, known.reference.as_str()), (&scan.id, "order 7"));
        assert_eq!(known.identity, Some(of_patient("4711")));
    }
    for role in [Role::Admin, Role::Scientist] {
        let refused = ask(&world, world.hospital, role, &scan.id).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let readings: Vec<(String, String)> =
        sqlx::query_as("SELECT action, object_id FROM audit ORDER BY position")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap();
    let read = ("scan.identity.read".to_owned(), scan.id.clone());
    assert_eq!(readings[1..], [read.clone(), read]);
}

/// More than the columns of some databases hold, where nobody has asked for longer ones.
pub async fn the_identity_of_a_series_of_a_thousand_slices_is_kept_whole(world: World) {
    let uid = |slice: usize| format!("1.2.826.0.1.3680043.8.498.1{slice:037}");
    let sop_instance_uids = (0..1400).map(uid).collect();
    let identity = Identity { sop_instance_uids, ..of_patient("4711") };
    let mut upload = of("4711", "", "1.2", "");
    upload.header.identity = Some(identity.clone());
    let scan = world.accept(upload).await.unwrap();
    let known = ask(&world, world.hospital, Role::Clinician, &scan.id).await.unwrap();
    assert!(known.identity == Some(identity));
}

pub async fn an_identity_that_was_bound_to_another_patient_or_other_voxels_is_not_told(
    world: World,
) {
    let scan = world.accept(of("4711", "", "", "")).await.unwrap();
    let pool = world.ports.database.pool();
    let digest = scan.volume_sha256.as_str();
    // As a restore or a migration gone wrong would leave it, and as it was.
    for (set, wrong, right) in [
        ("UPDATE identities SET patient = ? WHERE scan_id = ?", "4712", "4711"),
        ("UPDATE scans SET volume_sha256 = ? WHERE id = ?", "of another", digest),
    ] {
        sqlx::query(set).bind(wrong).bind(&scan.id).execute(pool).await.unwrap();
        let refused = ask(&world, world.hospital, Role::Clinician, &scan.id).await.unwrap_err();
        assert_eq!(refused.code(), Code::Internal, "{set}");
        sqlx::query(set).bind(right).bind(&scan.id).execute(pool).await.unwrap();
        assert!(ask(&world, world.hospital, Role::Clinician, &scan.id).await.is_ok(), "{set}");
    }
}

pub async fn an_identity_is_encrypted_and_what_a_version_before_wrote_is_read(world: World) {
    let scan = world.accept(of("4711", "", "", "")).await.unwrap();
    let pool = world.ports.database.pool();
    let row: String =
        sqlx::query_scalar("SELECT identity_json FROM identities").fetch_one(pool).await.unwrap();
    assert!(!row.contains("4711"), "in the clear: {row}");
    let known = ask(&world, world.hospital, Role::Clinician, &scan.id).await.unwrap();
    assert_eq!(known.identity, Some(of_patient("4711")));

    let read = async |row: &str| {
        let set = sqlx::query("UPDATE identities SET identity_json = ?");
        set.bind(row.to_owned()).execute(pool).await.unwrap();
        ask(&world, world.hospital, Role::Clinician, &scan.id).await
    };
    let known = read(r#"{"patient_id":"4712"}"#).await.unwrap();
    assert_eq!(known.identity, Some(of_patient("4712")));
    assert_eq!(read("").await.unwrap().identity, None);
    let refused = read("Canary^Yellow").await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert!(!refused.message().contains("Canary"), "{refused}");
}

pub async fn another_hospitals_identity_is_as_if_it_never_was(world: World) {
    let scan = world.accept(of("4711", "A1", "1.2", "")).await.unwrap();
    let never = "01890000-0000-7000-8000-000000000000";
    let mut said = Vec::new();
    for id in [scan.id.as_str(), never, "no id"] {
        let refused = ask(&world, world.neighbour, Role::Clinician, id).await.unwrap_err();
        said.push((refused.code(), refused.message().to_owned()));
    }
    assert_eq!(said, vec![(Code::NotFound, "no such scan".to_owned()); 3]);
    // Nothing of theirs was read, and nothing says so.
    assert_eq!(world.count("audit").await, 1);
}

pub async fn a_scan_without_an_identity_says_nothing_of_anybody(world: World) {
    let mut upload = Upload::of("a head");
    upload.header.patient.clear();
    upload.header.identity = None;
    let scan = world.accept(upload).await.unwrap();
    let known = ask(&world, world.hospital, Role::Clinician, &scan.id).await.unwrap();
    let nothing = ScanIdentity { scan_id: scan.id, ..ScanIdentity::default() };
    assert_eq!(known, nothing);
}

/// All ids that the list has, page by page.
async fn pages(world: &World, role: Role, list: ListScans) -> Result<Vec<String>, Status> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = ListScans { limit: 2, cursor, ..list.clone() };
        let request = world.by_role(world.hospital, role, list);
        let page = world.scans.clone().list(request).await?.into_inner();
        assert!(page.scans.len() <= 2);
        ids.extend(page.scans.into_iter().map(|scan| scan.id));
        cursor = page.next_cursor;
        if cursor.is_empty() {
            return Ok(ids);
        }
    }
}

pub async fn a_list_has_what_was_asked_for_and_all_of_it(world: World) {
    let begun = world.clock.clock().now_ms();
    let mut ids = Vec::new();
    for number in 0..12 {
        world.clock.advance(10);
        // Neighbours that a careless comparison takes for one another.
        let patient = ["4711", "ab", "AB", "04711"][number % 4];
        let mut upload = of(patient, &format!("A{}", number % 3), &format!("1.{}", number % 2), "");
        upload.header.priority = [Priority::Routine, Priority::Stat][number / 6].into();
        upload.header.reference = if number == 5 { "order 7".into() } else { String::new() };
        upload.header.site = ["Kumasi", "kumasi", ""][number % 3].into();
        upload.header.modality = if number == 7 { "CT".into() } else { "MR".into() };
        ids.push(world.accept(upload).await.unwrap().id);
    }
    world.accept_for(world.neighbour, of("ab", "A1", "1.1", "order 7")).await.unwrap();
    let mut ready = world.subscribe(service::topics::SCAN_READY).await;
    let job = world.announced(&mut ready).await;
    let job = world.claim(&job).await.unwrap();
    let done = world.complete(found(&job)).await.unwrap().id;

    let list = ListScans::default;
    let those = |wanted: &dyn Fn(usize) -> bool| {
        (0..12).rev().filter(|&number| wanted(number)).map(|number| ids[number].clone()).collect()
    };
    let cases: Vec<(ListScans, Vec<String>)> = vec![
        (list(), those(&|_| true)),
        (ListScans { patient_id: "ab".into(), ..list() }, those(&|n| n % 4 == 1)),
        (ListScans { patient_id: "4711".into(), ..list() }, those(&|n| n % 4 == 0)),
        (ListScans { patient_id: "471".into(), ..list() }, vec![]),
        (ListScans { accession_number: "A1".into(), ..list() }, those(&|n| n % 3 == 1)),
        (ListScans { study_uid: "1.1".into(), ..list() }, those(&|n| n % 2 == 1)),
        (ListScans { reference: "order 7".into(), ..list() }, those(&|n| n == 5)),
        (ListScans { priority: Priority::Stat.into(), ..list() }, those(&|n| n >= 6)),
        (ListScans { site: "Kumasi".into(), ..list() }, those(&|n| n % 3 == 0)),
        (ListScans { modality: "CT".into(), ..list() }, those(&|n| n == 7)),
        (ListScans { answer: Answer::Found.into(), ..list() }, vec![done.clone()]),
        (ListScans { answer: Answer::Failed.into(), ..list() }, vec![]),
        (ListScans { state: State::Done.into(), ..list() }, vec![done.clone()]),
        (ListScans { state: State::Queued.into(), ..list() }, those(&|n| ids[n] != done)),
        (ListScans { from_ms: Some(begun + 40), ..list() }, those(&|n| n >= 3)),
        (ListScans { to_ms: Some(begun + 40), ..list() }, those(&|n| n < 3)),
        (
            ListScans { from_ms: Some(begun + 40), to_ms: Some(begun + 90), ..list() },
            those(&|n| (3..8).contains(&n)),
        ),
        (
            ListScans {
                patient_id: "AB".into(),
                study_uid: "1.0".into(),
                priority: Priority::Stat.into(),
                state: State::Queued.into(),
                from_ms: Some(begun),
                ..list()
            },
            those(&|n| n >= 6 && n % 4 == 2),
        ),
        (
            ListScans {
                patient_id: "ab".into(),
                site: "kumasi".into(),
                modality: "MR".into(),
                priority: Priority::Routine.into(),
                ..list()
            },
            those(&|n| n % 4 == 1 && n % 3 == 1),
        ),
        // What contradicts itself is nothing, and no mistake.
        (ListScans { answer: Answer::Found.into(), state: State::Queued.into(), ..list() }, vec![]),
        (ListScans { from_ms: Some(begun + 90), to_ms: Some(begun + 40), ..list() }, vec![]),
        (
            ListScans {
                review: ReviewState::Unreviewed.into(),
                state: State::Queued.into(),
                ..list()
            },
            vec![],
        ),
        (ListScans { review: ReviewState::Unreviewed.into(), ..list() }, vec![done.clone()]),
    ];
    for (list, expected) in cases {
        let said = format!("{list:?}");
        assert_eq!(pages(&world, Role::Clinician, list).await.unwrap(), expected, "{said}");
    }
}

pub async fn who_may_not_know_whose_it_is_cannot_find_it_by_that(world: World) {
    world.accept(of("4711", "A1", "1.2", "order 7")).await.unwrap();
    let list = ListScans::default;
    for by_whom in [
        ListScans { patient_id: "4711".into(), ..list() },
        ListScans { accession_number: "A1".into(), ..list() },
        ListScans { study_uid: "1.2".into(), ..list() },
        ListScans { reference: "order 7".into(), ..list() },
    ] {
        let refused = pages(&world, Role::Admin, by_whom).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    assert_eq!(pages(&world, Role::Admin, list()).await.unwrap().len(), 1);
}

pub async fn the_same_key_with_other_words_about_the_file_is_another_upload(world: World) {
    let upload = of("4711", "A1", "1.2", "order 7").with_key("k");
    let scan = world.accept(upload.clone()).await.unwrap();
    assert_eq!(world.accept(upload).await.unwrap().id, scan.id);
    let other = of("4711", "A1", "1.2", "order 8").with_key("k");
    assert_eq!(world.accept(other).await.unwrap_err().code(), Code::AlreadyExists);
}

/// What an earlier version has kept is found too.
pub async fn a_scan_of_an_earlier_version_is_found_by_whose_it_is(world: World) {
    let mut upload = of("", "", "", "");
    upload.header.identity = Some(Identity {
        patient_name: Some("Doe^Jane".into()),
        study_instance_uid: Some("1.2".into()),
        ..of_patient(" 47 11")
    });
    let scan = world.accept_at(world.without_keys(), world.hospital, upload).await.unwrap();
    let nothing = Upload::of("a picture of nobody");
    let nothing = Upload { header: AcceptHeader { identity: None, ..nothing.header }, ..nothing };
    world.accept(nothing).await.unwrap();
    let migration = include_str!("../../migrations/0004_whose.sql");
    let fill = migration.split(';').find(|statement| statement.contains("UPDATE identities"));
    sqlx::query(fill.unwrap()).execute(world.ports.database.pool()).await.unwrap();

    let list = ListScans::default;
    for by_whom in [
        ListScans { patient_id: "47 11".into(), ..list() },
        ListScans { study_uid: "1.2".into(), ..list() },
    ] {
        assert_eq!(
            pages(&world, Role::Clinician, by_whom).await.unwrap(),
            std::slice::from_ref(&scan.id)
        );
    }
    let null = ListScans { accession_number: "null".into(), ..list() };
    assert!(pages(&world, Role::Clinician, null).await.unwrap().is_empty());
}
