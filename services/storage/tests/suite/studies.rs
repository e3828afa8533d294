use domain::TenantId;
use proto::storage::*;
use service::claims::Role;
use tonic::{Code, Status};

use crate::world::{Upload, World, collect};

/// A scan of that study, of somebody of that name, on that day.
fn of(study: &str, name: &str, day: &str) -> Upload {
    let mut upload = Upload::of(&format!("a head {study} {name} {day}"));
    upload.header.study_uid = study.into();
    upload.header.patient_id = name.to_uppercase();
    upload.header.identity = Some(Identity {
        patient_name: Some(name.into()),
        study_date: Some(day.into()),
        study_instance_uid: Some(study.into()),
        ..Identity::default()
    });
    upload
}

async fn find(
    world: &World,
    tenant: TenantId,
    role: Role,
    asked: StudySearch,
) -> Result<FoundStudies, Status> {
    let request = world.by_role(tenant, role, asked);
    Ok(world.scans.clone().find_studies(request).await?.into_inner())
}

/// The studies that are found, each once, and whether there are more.
async fn found(world: &World, asked: StudySearch) -> (Vec<String>, bool) {
    let found = find(world, world.hospital, Role::Clinician, asked).await.unwrap();
    let mut uids: Vec<String> = Vec::new();
    for scan in found.scans {
        let identity = scan.identity.unwrap();
        assert_eq!(identity.scan_id, scan.scan.unwrap().id);
        let uid = identity.identity.unwrap().study_instance_uid.unwrap();
        if !uids.contains(&uid) {
            uids.push(uid);
        }
    }
    (uids, found.more)
}

pub async fn studies_are_found_by_what_their_files_say_newest_first(world: World) {
    for (study, name, day) in [
        ("1.1", "Doe^Jane", "20240101"),
        ("1.2", "Doe^John", "2024.02.01"),
        ("1.3", "100%^Roe", "20240301"),
        ("1.1", "Doe^Jane", "20240101"),
    ] {
        world.clock.advance(10);
        let mut upload = of(study, name, day);
        // The same study twice is two scans of it.
        upload.volume.extend(world.count("scans").await.to_le_bytes());
        upload.header.volume_sha256 = crate::world::sha256(&upload.volume);
        world.accept(upload).await.unwrap();
    }
    world.accept_for(world.neighbour, of("1.4", "Doe^Jane", "20240101")).await.unwrap();
    let asked = StudySearch::default;
    for (asked, expected) in [
        (asked(), (vec!["1.1", "1.3", "1.2"], false)),
        (StudySearch { limit: 2, ..asked() }, (vec!["1.1", "1.3"], true)),
        (StudySearch { limit: 2, offset: 2, ..asked() }, (vec!["1.2"], false)),
        (StudySearch { patient_name: "doe*".into(), ..asked() }, (vec!["1.1", "1.2"], false)),
        (StudySearch { patient_name: "Doe^J?ne".into(), ..asked() }, (vec!["1.1"], false)),
        (StudySearch { patient_name: "100%*".into(), ..asked() }, (vec!["1.3"], false)),
        (StudySearch { patient_name: "1%".into(), ..asked() }, (vec![], false)),
        (StudySearch { patient_id: "DOE^JANE".into(), ..asked() }, (vec!["1.1"], false)),
        (StudySearch { patient_id: "doe^jane".into(), ..asked() }, (vec![], false)),
        (
            StudySearch {
                study_date_from: "20240115".into(),
                study_date_to: "20240201".into(),
                ..asked()
            },
            (vec!["1.2"], false),
        ),
        (
            StudySearch { study_uids: vec!["1.3".into(), "1.4".into()], ..asked() },
            (vec!["1.3"], false),
        ),
        (StudySearch { modality: "CT".into(), ..asked() }, (vec![], false)),
        (StudySearch { modality: "SEG".into(), ..asked() }, (vec![], false)),
    ] {
        let (uids, more) = found(&world, asked.clone()).await;
        let uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        assert_eq!((uids, more), expected, "{asked:?}");
    }
    let both = StudySearch { study_uids: vec!["1.1".into()], ..asked() };
    let both = find(&world, world.hospital, Role::Integrator, both).await.unwrap();
    assert_eq!(both.scans.len(), 2);
    // Two patients have one study by somebody's mistake: who asks for the one is told of nobody else.
    world.accept(of("1.2", "Roe^Max", "20240401")).await.unwrap();
    for (patient_id, name) in [("DOE^JOHN", "Doe^John"), ("ROE*", "Roe^Max")] {
        let one = StudySearch { patient_id: patient_id.into(), ..asked() };
        let one = find(&world, world.hospital, Role::Clinician, one).await.unwrap();
        let whose = one.scans.into_iter().map(|scan| scan.identity.unwrap().identity.unwrap());
        let whose: Vec<Option<String>> = whose.map(|identity| identity.patient_name).collect();
        assert_eq!(whose, [Some(name.to_owned())]);
    }
}

pub async fn each_identity_that_a_search_tells_is_noted_and_another_hospitals_is_none(
    world: World,
) {
    let scan = world.accept(of("1.1", "Doe^Jane", "20240101")).await.unwrap();
    for role in [Role::Admin, Role::Scientist] {
        let refused = find(&world, world.hospital, role, StudySearch::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let asked = StudySearch { study_uids: vec!["1.1".into()], ..StudySearch::default() };
    let none = find(&world, world.neighbour, Role::Clinician, asked.clone()).await.unwrap();
    assert_eq!(none, FoundStudies::default());
    assert_eq!(world.count("audit").await, 1);
    // A viewer asks for frame after frame of it.
    for _ in 0..3 {
        let found = find(&world, world.hospital, Role::Clinician, asked.clone()).await.unwrap();
        assert_eq!(found.scans.len(), 1);
    }
    let noted: Vec<(String, String)> =
        sqlx::query_as("SELECT action, object_id FROM audit ORDER BY position")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap();
    assert_eq!(noted[1..], [("scan.identity.read".to_owned(), scan.id)]);
    world.clock.advance(6 * 60_000);
    let details = || async {
        let noted = sqlx::query_scalar::<_, String>(
            "SELECT detail FROM audit WHERE action = 'scan.identity.read' ORDER BY position",
        );
        noted.fetch_all(world.ports.database.pool()).await.unwrap()
    };
    let details = crate::world::until(details, |details| details.len() == 2).await;
    assert_eq!(details[1], "again 2 times");
}

pub async fn an_index_of_instances_is_for_those_who_may_know_whose_they_are(world: World) {
    let upload = of("1.1", "Doe^Jane", "20240101");
    let mut parts = upload.parts();
    let index = accept_part::Part::Instances(b"[]".as_slice().into());
    parts.push(AcceptPart { part: Some(index) });
    let request = world.by(world.hospital, futures::stream::iter(parts));
    let scan = world.scans.clone().accept(request).await.unwrap().into_inner();
    let of = || ArtefactRef { id: scan.id.clone(), name: "instances.json".into() };
    let rest = |from| ArtefactRest { id: scan.id.clone(), name: "original".into(), from };
    let mut scans = world.scans.clone();
    let refused = scans.read(world.by_role(world.hospital, Role::Admin, of())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let read = scans.read(world.by(world.hospital, of())).await.unwrap().into_inner();
    assert_eq!(collect(read).await.unwrap(), b"[]");
    let elsewhere = scans.read(world.by(world.neighbour, of())).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::NotFound);

    let whole = world.read(&scan, "original").await.unwrap();
    let behind = scans.read_rest(world.by(world.hospital, rest(3))).await.unwrap().into_inner();
    assert_eq!(collect(behind).await.unwrap(), whole[3..]);
    let elsewhere = scans.read_rest(world.by(world.neighbour, rest(3))).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::NotFound);
}

/// What an earlier version has kept is found too.
pub async fn a_study_of_an_earlier_version_is_found_by_name_and_day(world: World) {
    let upload = of("1.1", "Doe^Jane", "2024.01.31");
    world.accept_at(world.without_keys(), world.hospital, upload).await.unwrap();
    let pool = world.ports.database.pool();
    sqlx::query("UPDATE identities SET patient_name = '', study_date = ''")
        .execute(pool)
        .await
        .unwrap();
    let migration = include_str!("../../migrations/0014_studies.sql");
    let fill = migration.split(';').find(|statement| statement.contains("UPDATE identities"));
    sqlx::query(fill.unwrap()).execute(pool).await.unwrap();
    for asked in [
        StudySearch { patient_name: "Doe^J*".into(), ..StudySearch::default() },
        StudySearch { study_date_from: "20240131".into(), ..StudySearch::default() },
    ] {
        assert_eq!(found(&world, asked).await.0, ["1.1"]);
    }
}
