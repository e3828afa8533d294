//! What a hospital forgets: a patient, what is too old, what a restore brings back; and what it may not forget.

use std::collections::BTreeSet;
use std::fs;

use domain::TenantId;
use proto::storage::feedback_answer::Answer as Given;
use proto::storage::feedback_part::Part;
use proto::storage::*;
use serde_json::Value;
use service::claims::{Role, authorised};
use sqlx::Executor;
use storage::Peers;
use tonic::{Code, Status};

use crate::faults::{objects, tombstones};
use crate::reader::{Reader, header, judged, with_mask};
use crate::world::{Upload, World, next, serve, until};

const CANARY: &str = "canary-4711";
const DAY_MS: i64 = 24 * 3_600_000;

/// A head of that patient.
pub fn of(head: &str, patient: &str) -> Upload {
    let mut upload = Upload::of(head);
    let header = &mut upload.header;
    (header.patient, header.patient_id) = (patient.into(), patient.into());
    header.study_uid = format!("1.2.{patient}");
    header.identity = Some(Identity {
        patient_id: Some(patient.into()),
        patient_name: Some(format!("Name^{patient}")),
        ..Identity::default()
    });
    upload
}

pub fn patient(number: &str) -> Option<Whose> {
    Some(Whose { patient_id: number.into(), ..Whose::default() })
}

fn scan(id: &str) -> Option<Whose> {
    Some(Whose { scan_id: id.into(), ..Whose::default() })
}

pub async fn erase(
    world: &World,
    (tenant, role): (TenantId, Role),
    whose: Option<Whose>,
    reason: &str,
) -> Result<Erasure, Status> {
    let request = world.by_role(tenant, role, NewErasure { whose, reason: reason.into() });
    Ok(world.erasures.clone().erase(request).await?.into_inner())
}

async fn hold(world: &World, whose: Option<Whose>, held: bool) -> Result<Hold, Status> {
    let change = HoldChange { whose, held, reason: "a court asks".into() };
    let request = world.by_role(world.hospital, Role::Admin, change);
    Ok(world.erasures.clone().set_hold(request).await?.into_inner())
}

async fn delete(world: &World, id: &str) -> Result<(), Status> {
    let request = world.by_role(world.hospital, Role::Admin, ScanRef { id: id.into() });
    world.scans.clone().delete(request).await.map(drop)
}

/// How often that was done, as the audit trail has it.
async fn noted(world: &World, action: &str) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = ?")
        .bind(action.to_owned())
        .fetch_one(world.ports.database.pool())
        .await
        .unwrap()
}

/// The files below the world's folder that have the text in them.
pub fn naming(world: &World, text: &str) -> Vec<String> {
    let mut folders = vec![world.data.path().to_owned()];
    let mut naming = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read(&path)
                .unwrap()
                .windows(text.len())
                .any(|some| some == text.as_bytes())
            {
                naming.push(path.display().to_string());
            }
        }
    }
    naming
}

pub async fn of_an_erased_patient_nothing_is_left_and_the_receipt_says_what_there_was(
    world: World,
) {
    let judged = judged(&world).await;
    let mut told = world.erased().await;
    let corrected = with_mask(header(&judged, Verdict::Correct), b"an outline");
    let parts = vec![Part::Header(corrected), Part::Mask(b"an outline".as_slice().into())];
    assert!(matches!(Reader::new(&world, "ada").send(parts).await, Ok(Given::Feedback(_))));
    let kept = world.accept(of("another head", "4712")).await.unwrap();
    let report = NewIncident {
        words: "Doe^Jane was mirrored".into(),
        scan_id: judged.id.clone(),
        from_patient: true,
    };
    let mut incidents = world.incidents.clone();
    incidents.report(world.by(world.hospital, report)).await.unwrap();

    let by = (world.hospital, Role::Admin);
    let done = erase(&world, by, scan(&judged.id), "they ask for it").await.unwrap();
    assert_eq!((done.scans.len(), done.reason.as_str()), (1, "they ask for it"));
    let erased = &done.scans[0];
    assert_eq!((&erased.id, erased.words, erased.incidents), (&judged.id, 1, 1));
    assert!(erased.objects.len() >= 5, "{erased:?}");
    assert!(erased.objects.iter().all(|object| object.gone && object.key_sha256.len() == 64));
    assert!(done.left.is_empty() && done.sent.is_empty(), "{done:?}");
    for table in ["feedback", "feedback_keys", "incident_links", "unburied"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    for table in ["jobs", "identities"] {
        assert_eq!(world.count(table).await, 1, "{table}");
    }
    assert!(objects(&world).iter().all(|path| path.to_str().unwrap().contains(&kept.id)));
    assert_eq!(tombstones(&world), [format!("erased.{}.{}", world.hospital, judged.id)]);
    assert_eq!(naming(&world, "Doe^Jane"), Vec::<String>::new());
    assert_eq!((noted(&world, "patient.erased").await, noted(&world, "scan.erased").await), (1, 1));

    let event: Value = serde_json::from_slice(&next(&mut told).await).unwrap();
    assert_eq!(event["data"]["scan_id"], judged.id);
    let again = world.by_role(world.hospital, Role::Admin, ErasureRef { id: done.id.clone() });
    let again = world.erasures.clone().get_erasure(again).await.unwrap().into_inner();
    assert_eq!(again, done);
    let gone = erase(&world, by, scan(&judged.id), "again").await.unwrap_err();
    assert_eq!((gone.code(), gone.message()), (Code::NotFound, "no such scan"));
}

pub async fn only_that_patients_scans_go_and_only_an_admin_says_so(world: World) {
    let first = world.accept(of("one", CANARY)).await.unwrap();
    let second = world.accept(of("two", CANARY)).await.unwrap();
    // Some databases take them for the same.
    let alike = world.accept(of("three", "CANARY-4711")).await.unwrap();
    let theirs = world.accept_for(world.neighbour, of("four", CANARY)).await.unwrap();
    let ours = (world.hospital, Role::Admin);
    for (by, whose, reason, code) in [
        ((world.hospital, Role::Clinician), patient(CANARY), "so", Code::PermissionDenied),
        (ours, patient(CANARY), " ", Code::InvalidArgument),
        (ours, patient(CANARY), "Canary-4711 asks", Code::InvalidArgument),
        (ours, None, "so", Code::InvalidArgument),
        (ours, patient("nobody"), "so", Code::NotFound),
        (ours, scan(&theirs.id), "so", Code::NotFound),
    ] {
        let refused = erase(&world, by, whose, reason).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(!refused.message().to_lowercase().contains("canary"), "{refused}");
    }
    assert_eq!(world.count("erasures").await, 0);

    let done = erase(&world, ours, patient(CANARY), "so").await.unwrap();
    let ids: BTreeSet<_> = done.scans.iter().map(|scan| scan.id.as_str()).collect();
    assert_eq!(ids, BTreeSet::from([first.id.as_str(), second.id.as_str()]));
    assert_eq!(world.get(&alike).await.id, alike.id);
    assert_eq!(world.count("jobs").await, 2);
    let foreign = world.by_role(world.neighbour, Role::Admin, ErasureRef { id: done.id });
    let foreign = world.erasures.clone().get_erasure(foreign).await.unwrap_err();
    assert_eq!((foreign.code(), foreign.message()), (Code::NotFound, "no such erasure"));
    // Another examination of the patient that comes later is a scan again.
    world.accept(another("five", 0)).await.unwrap();
}

/// Another study of the patient, which came then.
fn another(head: &str, received_ms: i64) -> Upload {
    let mut upload = of(head, CANARY);
    (upload.header.study_uid, upload.header.received_ms) = (format!("1.3.{head}"), received_ms);
    upload
}

pub async fn what_was_erased_comes_back_only_once_somebody_lets_it(world: World) {
    let by = (world.hospital, Role::Admin);
    world.accept(of("one", CANARY).with_key("a key")).await.unwrap();
    let done = erase(&world, by, patient(CANARY), "so").await.unwrap();
    world.clock.advance(1);

    // The same file, whoever it is said to be of; another of the same study; and what had come before.
    let mut same = Upload::of("one");
    same.header.patient = "somebody".into();
    let refused = [
        same,
        of("two", CANARY),
        of("one", CANARY).with_key("a key"),
        another("three", done.begun_ms),
    ];
    for upload in refused {
        let refused = world.accept(upload).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
        assert!(!refused.message().contains(CANARY), "{refused}");
    }
    world.accept(another("four", done.begun_ms + 1)).await.unwrap();
    world.accept_for(world.neighbour, of("one", CANARY)).await.unwrap();

    // What ingest asks, and tells: from then on all of that study is refused.
    let before = Arrival {
        patient: CANARY.into(),
        study_uid: "1.3.three".into(),
        received_ms: done.begun_ms,
        ..Arrival::default()
    };
    let late = Arrival { received_ms: 0, ..before.clone() };
    let ask = async |arrivals: &[Arrival]| {
        let asked = world.by(world.hospital, Arrivals { arrivals: arrivals.to_vec() });
        world.erasures.clone().find_erased(asked).await.unwrap().into_inner()
    };
    let found = ask(&[before.clone(), late.clone()]).await;
    assert_eq!(found.erasure_ids, [done.id.clone(), String::new()]);
    let told = ErasedArrival { arrival: Some(before), instances: 8, dropped: true };
    let note = async || {
        let told = world.by(world.hospital, told.clone());
        world.erasures.clone().note_erased(told).await.unwrap();
    };
    note().await;
    let known = ask(std::slice::from_ref(&late)).await;
    assert_eq!(known.erasure_ids, std::slice::from_ref(&done.id));
    assert_ne!(known.version, found.version);
    let receipt = async || {
        let asked = world.by_role(world.hospital, Role::Admin, ErasureRef { id: done.id.clone() });
        world.erasures.clone().get_erasure(asked).await.unwrap().into_inner()
    };
    let refused: Vec<_> =
        receipt().await.refused.iter().map(|one| (one.instances, one.dropped)).collect();
    assert_eq!((refused, noted(&world, "erased.dropped").await), (vec![(8, true)], 1));
    // Whoever sends it again and again fills no table: what comes then is counted in a row that there is.
    let digits = "(SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4
         UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9)";
    let many = format!(
        "INSERT INTO refused_arrivals (tenant_id, id, erasure_id, at_ms, instances, dropped)
         SELECT e.tenant_id, 100 * a.n + 10 * b.n + c.n, e.id, 1, 1, 1
         FROM erasures e, {digits} a, {digits} b, {digits} c"
    );
    world.ports.database.pool().execute(sqlx::AssertSqlSafe(many)).await.unwrap();
    world.clock.advance(1);
    note().await;
    // Nothing else is refused by that: what lies with ingest is not looked at again.
    assert_eq!(ask(std::slice::from_ref(&late)).await.version, known.version);
    let most: i64 = sqlx::query_scalar("SELECT MAX(instances) FROM refused_arrivals")
        .fetch_one(world.ports.database.pool())
        .await
        .unwrap();
    assert_eq!((world.count("refused_arrivals").await, most), (1001, 9));
    assert_eq!(noted(&world, "erased.dropped").await, 2);

    let lift = async |tenant: TenantId, role: Role| {
        let lift = ErasureLift { id: done.id.clone(), reason: "it was another's".into() };
        let lifted = world.erasures.clone().lift(world.by_role(tenant, role, lift)).await;
        lifted.map(drop).map_err(|refused| refused.code())
    };
    let clinician = lift(world.hospital, Role::Clinician).await;
    assert_eq!(clinician, Err(Code::PermissionDenied));
    assert_eq!(lift(world.neighbour, Role::Admin).await, Err(Code::NotFound));
    assert_eq!(lift(world.hospital, Role::Admin).await, Ok(()));
    assert!(ask(&[late]).await.version.is_empty());
    let back = world.accept(of("one", CANARY).with_key("a key")).await.unwrap();
    assert!(!back.repeated);
    let receipt = receipt().await;
    assert!(receipt.lifted_ms > 0 && receipt.lifted_reason == "it was another's", "{receipt:?}");
    assert_eq!(noted(&world, "erasure.lifted").await, 1);
}

pub async fn a_scan_that_was_deleted_before_is_found_by_the_erasure_of_its_patient(world: World) {
    let by = (world.hospital, Role::Admin);
    let (one, two) = (
        world.accept(of("one", CANARY)).await.unwrap(),
        world.accept(another("two", 0)).await.unwrap(),
    );
    let other = world.accept(of("three", "4712")).await.unwrap();
    let scan_id = one.id.clone();
    let words = format!("{CANARY} was mirrored");
    let report = NewIncident { words, scan_id, from_patient: false };
    world.incidents.clone().report(world.by(world.hospital, report)).await.unwrap();
    for deleted in [&one, &other] {
        delete(&world, &deleted.id).await.unwrap();
    }
    assert_eq!(world.count("deleted_scans").await, 2);
    // Of what was only deleted the same study may come.
    let again = world.accept(of("four", CANARY)).await.unwrap();

    let mut told = world.erased().await;
    let done = erase(&world, by, patient(CANARY), "so").await.unwrap();
    let mut erased: Vec<_> = done
        .scans
        .iter()
        .map(|scan| (scan.id.clone(), scan.deleted_ms > 0, scan.incidents))
        .collect();
    erased.sort();
    let mut expected = vec![(one.id.clone(), true, 1), (two.id, false, 0), (again.id, false, 0)];
    expected.sort();
    assert_eq!(erased, expected);
    assert!(done.left.is_empty(), "{done:?}");
    assert_eq!(naming(&world, CANARY), Vec::<String>::new());
    let mut events = BTreeSet::new();
    for _ in 0..3 {
        let event: Value = serde_json::from_slice(&next(&mut told).await).unwrap();
        events.insert(event["data"]["scan_id"].as_str().unwrap().to_owned());
    }
    assert!(events.contains(&one.id), "{events:?}");
    let of_one = tombstones(&world).into_iter().filter(|name| name.ends_with(&one.id));
    assert_eq!(of_one.collect::<Vec<_>>(), [format!("erased.{}.{}", world.hospital, one.id)]);
    assert_eq!(world.count("deleted_scans").await, 1);
    assert_eq!(world.accept(of("five", CANARY)).await.unwrap_err().code(), Code::AlreadyExists);
    // Also of whom nothing else is here.
    let last = erase(&world, by, patient("4712"), "so").await.unwrap();
    assert!(last.scans.len() == 1 && last.scans[0].deleted_ms > 0, "{last:?}");
    let gone = erase(&world, by, patient("4712"), "so").await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
}

pub async fn a_scan_that_is_deleted_while_its_patient_is_erased_is_erased_all_the_same(
    world: World,
) {
    let by = (world.hospital, Role::Admin);
    let pool = world.ports.database.pool();
    // Before the erasure has begun, when it knows its scans; and behind its first scan.
    let moments = [("audit", "NEW.action = 'patient.erased'"), ("erased_scans", "1 = 1")];
    for ((table, when), number) in moments.into_iter().zip(["canary-4712", "canary-4713"]) {
        let mut ids = BTreeSet::new();
        for nth in ["first", "second", "third"] {
            let scan = world.accept(of(&format!("{nth} {number}"), number)).await.unwrap();
            if nth == "first" {
                delete(&world, &scan.id).await.unwrap();
            }
            ids.insert(scan.id);
            world.clock.advance(1);
        }
        let deleted = "IN (SELECT scan_id FROM deleted_scans)";
        let trigger = format!(
            "CREATE TRIGGER in_between AFTER INSERT ON {table} FOR EACH ROW BEGIN
                 INSERT INTO deleted_scans (tenant_id, scan_id, patient, study, series, original, deleted_ms)
                     SELECT s.tenant_id, s.id, d.patient, 'a study', '', '', 7 FROM scans s, deleted_scans d
                     WHERE {when} AND s.state <> 'deleted';
                 DELETE FROM jobs WHERE {when} AND scan_id {deleted};
                 DELETE FROM identities WHERE {when} AND scan_id {deleted};
                 UPDATE scans SET state = 'deleted' WHERE {when} AND id {deleted}; END"
        );
        pool.execute(sqlx::AssertSqlSafe(trigger)).await.unwrap();
        let done = erase(&world, by, patient(number), "so").await;
        pool.execute("DROP TRIGGER in_between").await.unwrap();
        let done = done.unwrap();
        let erased: BTreeSet<_> = done.scans.iter().map(|scan| scan.id.clone()).collect();
        assert_eq!((erased, done.unerased.len()), (ids, 0), "{table}");
        assert!(done.scans.iter().any(|scan| scan.deleted_ms == 7), "{table}: {done:?}");
        assert_eq!(world.count("deleted_scans").await, 0, "{table}");
    }
    assert_eq!(noted(&world, "scan.erased").await, 6);
}

pub async fn nothing_is_said_of_an_erased_scan_by_whoever_had_a_link_in_hand(world: World) {
    let one = world.accept(of("one", CANARY)).await.unwrap();
    let new = NewIncidentLink { scan_id: String::new(), days: 7 };
    let mut incidents = world.incidents.clone();
    let link = incidents.make_incident_link(world.by(world.hospital, new));
    let token = link.await.unwrap().into_inner().token;
    erase(&world, (world.hospital, Role::Admin), patient(CANARY), "so").await.unwrap();
    // As a report has the link that read it a moment before.
    sqlx::query("UPDATE incident_links SET scan_id = ?")
        .bind(one.id.clone())
        .execute(world.ports.database.pool())
        .await
        .unwrap();
    let told = LinkedReport { token, words: "I was mirrored".into() };
    let refused = world.incidents.clone().report_by_link(told).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(world.count("incidents").await, 0);
}

pub async fn a_hold_outlasts_every_way_to_delete(world: World) {
    let one = world.accept(of("one", CANARY)).await.unwrap();
    let two = world.accept(of("two", CANARY)).await.unwrap();
    let by = (world.hospital, Role::Admin);
    let held = hold(&world, scan(&one.id), true).await.unwrap();
    assert_eq!((held.scan_id.as_str(), held.held), (one.id.as_str(), true));
    assert_eq!(hold(&world, scan(&one.id), true).await.unwrap().id, held.id);
    let refused = delete(&world, &one.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("legal hold"), "{refused}");
    // All of the patient, or nothing.
    let refused = erase(&world, by, patient(CANARY), "so").await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!((world.count("jobs").await, world.count("erasures").await), (2, 0));

    assert_eq!(noted(&world, "hold.refused").await, 2);

    // A patient's hold holds what is to come, and names nobody in a list.
    for whose in [patient(CANARY), scan(&two.id)] {
        let reason = format!("a court asks for {CANARY}");
        let naming = HoldChange { whose, held: true, reason };
        let naming = world.by_role(world.hospital, Role::Admin, naming);
        let refused = world.erasures.clone().set_hold(naming).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(!refused.message().contains(CANARY), "{refused}");
    }
    hold(&world, patient(CANARY), true).await.unwrap();
    assert!(!hold(&world, scan(&one.id), false).await.unwrap().held);
    let three = world.accept(of("three", CANARY)).await.unwrap();
    for held in [&one, &two, &three] {
        assert_eq!(delete(&world, &held.id).await.unwrap_err().code(), Code::AlreadyExists);
    }
    let list = || world.by_role(world.hospital, Role::Admin, HoldsRef {});
    let holds = world.erasures.clone().list_holds(list()).await.unwrap().into_inner().holds;
    assert!(holds.len() == 1 && holds[0].scan_id.is_empty(), "{holds:?}");
    assert!(!format!("{holds:?}").contains(CANARY));
    let theirs = world.by_role(world.neighbour, Role::Admin, HoldsRef {});
    let theirs = world.erasures.clone().list_holds(theirs).await.unwrap().into_inner();
    assert!(theirs.holds.is_empty());

    hold(&world, patient(CANARY), false).await.unwrap();
    assert!(!hold(&world, patient(CANARY), false).await.unwrap().held);
    assert_eq!(world.count("holds").await, 0);
    assert_eq!(
        (noted(&world, "hold.placed").await, noted(&world, "hold.taken_back").await),
        (3, 2)
    );
    assert_eq!(erase(&world, by, patient(CANARY), "so").await.unwrap().scans.len(), 3);
}

pub async fn a_hold_that_is_placed_again_is_of_whoever_did_so_last(world: World) {
    let one = world.accept(of("one", CANARY)).await.unwrap();
    let place = async |who: &str, reason: &str| {
        let change = HoldChange { whose: scan(&one.id), held: true, reason: reason.into() };
        let token = world.issuer.token_of(who, world.hospital, &[Role::Admin]);
        let held = world.erasures.clone().set_hold(authorised(change, &token)).await;
        held.unwrap().into_inner()
    };
    let first = place("ada", "a court asks").await;
    world.clock.advance(1000);
    let second = place("eve", "another court asks").await;
    assert_eq!((&second.id, second.placed_by.as_str()), (&first.id, "eve"));
    assert_eq!(
        (second.placed_ms, second.reason.as_str()),
        (first.placed_ms + 1000, "another court asks")
    );
    let list = world.by_role(world.hospital, Role::Admin, HoldsRef {});
    let holds = world.erasures.clone().list_holds(list).await.unwrap().into_inner().holds;
    assert_eq!(holds, [second]);
    hold(&world, scan(&one.id), false).await.unwrap();
    let former: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT action, subject, detail FROM audit WHERE action IN ('hold.replaced', 'hold.taken_back') ORDER BY position",
    )
    .fetch_all(world.ports.database.pool())
    .await
    .unwrap();
    let told: Vec<_> = former
        .iter()
        .map(|(action, by, detail)| {
            let (whose, reason) = (detail.split(',').next(), detail.rsplit(": ").next());
            (action.as_str(), by.as_str(), whose.unwrap(), reason.unwrap())
        })
        .collect();
    let expected = [
        ("hold.replaced", "eve", "ada", "a court asks"),
        ("hold.taken_back", "tester", "eve", "another court asks"),
    ];
    assert_eq!(told, expected);
}

pub async fn a_hold_in_the_middle_of_an_erasure_keeps_the_rest_and_the_receipt_says_so(
    world: World,
) {
    let by = (world.hospital, Role::Admin);
    let one = world.accept(of("one", CANARY)).await.unwrap();
    world.clock.advance(1);
    let two = world.accept(of("two", CANARY)).await.unwrap();
    // Whoever places it comes right behind the first scan.
    let pool = world.ports.database.pool();
    pool.execute(
        "CREATE TRIGGER in_between AFTER INSERT ON erased_scans FOR EACH ROW BEGIN
             INSERT INTO holds (tenant_id, id, scan_id, patient, reason, placed_by, name, placed_ms)
             VALUES (NEW.tenant_id, NEW.scan_id, NULL, 'canary-4711', 'a court asks', 'eve', 'eve', 1); END",
    )
    .await
    .unwrap();
    let refused = erase(&world, by, patient(CANARY), "so").await.unwrap_err();
    pool.execute("DROP TRIGGER in_between").await.unwrap();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    assert_eq!(noted(&world, "hold.refused").await, 1);
    let id: String = sqlx::query_scalar("SELECT id FROM erasures").fetch_one(pool).await.unwrap();
    assert!(refused.message().contains(&id), "{refused}");

    let receipt = async || {
        let asked = world.by_role(world.hospital, Role::Admin, ErasureRef { id: id.clone() });
        world.erasures.clone().get_erasure(asked).await.unwrap().into_inner()
    };
    let far = receipt().await;
    let erased: Vec<_> = far.scans.iter().map(|scan| scan.id.as_str()).collect();
    assert_eq!((erased, &far.unerased), (vec![one.id.as_str()], &vec![two.id.clone()]));
    assert!(far.scans[0].objects.iter().all(|object| object.gone), "{far:?}");
    assert_eq!(far.left.get("scans"), Some(&1));
    assert!(world.read(&two, "original").await.is_ok());
    assert_eq!(
        erase(&world, by, patient(CANARY), "so").await.unwrap_err().code(),
        Code::AlreadyExists
    );

    hold(&world, patient(CANARY), false).await.unwrap();
    let rest = erase(&world, by, scan(&two.id), "so").await.unwrap();
    let erased: Vec<_> = rest.scans.iter().map(|scan| scan.id.as_str()).collect();
    assert_eq!((erased, rest.unerased.len()), (vec![two.id.as_str()], 0));
    let all = receipt().await;
    assert!(all.unerased.is_empty() && all.left.is_empty(), "{all:?}");
}

pub async fn a_held_patient_whose_scans_were_deleted_is_not_erased(world: World) {
    let by = (world.hospital, Role::Admin);
    let one = world.accept(of("one", CANARY)).await.unwrap();
    delete(&world, &one.id).await.unwrap();
    hold(&world, patient(CANARY), true).await.unwrap();
    let refused = erase(&world, by, patient(CANARY), "so").await.unwrap_err();
    assert_eq!((refused.code(), world.count("erasures").await), (Code::AlreadyExists, 0));
    hold(&world, patient(CANARY), false).await.unwrap();
    assert_eq!(erase(&world, by, patient(CANARY), "so").await.unwrap().scans.len(), 1);
}

async fn keep(world: &World, kind: &str, days: u32) -> Result<Retention, Status> {
    let rule = RetentionRule { kind: kind.into(), days, ..RetentionRule::default() };
    let request = world.by_role(world.hospital, Role::Admin, rule);
    Ok(world.erasures.clone().set_retention(request).await?.into_inner())
}

pub async fn what_is_too_old_goes_by_the_hospitals_own_rules(world: World) {
    let (old, held) = (judged(&world).await, judged(&world).await);
    hold(&world, scan(&held.id), true).await.unwrap();
    for (kind, days) in [("pixels", 30), ("scans", 40_000)] {
        assert_eq!(keep(&world, kind, days).await.unwrap_err().code(), Code::InvalidArgument);
    }
    keep(&world, "originals", 10).await.unwrap();
    let rules = keep(&world, "scans", 30).await.unwrap().rules;
    let days: Vec<_> = rules.iter().map(|rule| (rule.kind.as_str(), rule.days)).collect();
    assert_eq!(days, [("scans", 30), ("originals", 10), ("incidents", 0)]);
    let restart = || {
        let (rules, ports) = (world.rules.clone(), world.ports.clone());
        serve(storage::build(rules, ports, Peers::auth(world.auth())))
    };
    world.clock.advance(11 * DAY_MS);
    let _after_eleven_days = restart().await;
    assert!(until(|| world.read(&old, "original"), Result::is_err).await.is_err());
    assert!(world.read(&old, "result.json").await.is_ok());
    world.clock.advance(20 * DAY_MS);
    let _after_a_month = restart().await;
    until(|| world.count("jobs"), |jobs| *jobs == 1).await;
    // What is held stays whole.
    assert_eq!(world.get(&held).await.id, held.id);
    assert!(world.read(&held, "original").await.is_ok());
    assert_eq!(noted(&world, "scan.expired").await, 1);
    world.require_counted().await;
}

pub async fn what_is_said_of_a_held_patient_outlasts_every_rule(world: World) {
    let (held, other) = (
        world.accept(of("one", CANARY)).await.unwrap(),
        world.accept(of("two", "4712")).await.unwrap(),
    );
    for scan in [&held, &other] {
        let scan_id = scan.id.clone();
        let report = NewIncident { words: "it was mirrored".into(), scan_id, from_patient: false };
        world.incidents.clone().report(world.by(world.hospital, report)).await.unwrap();
    }
    hold(&world, patient(CANARY), true).await.unwrap();
    keep(&world, "incidents", 30).await.unwrap();
    world.clock.advance(31 * DAY_MS);
    let (rules, ports) = (world.rules.clone(), world.ports.clone());
    let _after_a_month = serve(storage::build(rules, ports, Peers::auth(world.auth()))).await;
    let said = async || -> Vec<String> {
        sqlx::query_scalar("SELECT scan_id FROM incidents WHERE words <> ''")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap()
    };
    let left = until(said, |said| said.len() < 2).await;
    assert_eq!(left, [held.id]);
}

pub async fn a_database_from_before_deletes_again_what_was_deleted(world: World) {
    let (erased, deleted) = (
        world.accept(of("one", CANARY)).await.unwrap(),
        world.accept(of("two", "4712")).await.unwrap(),
    );
    let kept = world.accept(of("three", "4713")).await.unwrap();
    let mut told = world.erased().await;
    erase(&world, (world.hospital, Role::Admin), patient(CANARY), "so").await.unwrap();
    delete(&world, &deleted.id).await.unwrap();
    assert_eq!(tombstones(&world).len(), 2);
    next(&mut told).await;

    // As a backup has the rows that make a scan one.
    let pool = world.ports.database.pool();
    for id in [&erased.id, &deleted.id] {
        sqlx::query("UPDATE scans SET state = 'queued' WHERE id = ?")
            .bind(id)
            .execute(pool)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO jobs (tenant_id, id, scan_id, state, attempt, due_ms, worker, binding) VALUES (?, ?, ?, 'parked', 0, 0, '', '')",
        )
        .bind(world.hospital.to_string())
        .bind(id)
        .bind(id)
        .execute(pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO identities (tenant_id, scan_id, patient, identity_json) VALUES (?, ?, ?, '{}')",
        )
        .bind(world.hospital.to_string())
        .bind(id)
        .bind("somebody")
        .execute(pool)
        .await
        .unwrap();
    }
    // A database that cannot do it at first is asked again.
    sqlx::query("ALTER TABLE unburied RENAME TO unburied_elsewhere").execute(pool).await.unwrap();
    let (rules, ports) = (world.rules.clone(), world.ports.clone());
    let _restored = serve(storage::build(rules, ports, Peers::auth(world.auth()))).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    sqlx::query("ALTER TABLE unburied_elsewhere RENAME TO unburied").execute(pool).await.unwrap();
    until(|| world.count("identities"), |rows| *rows == 1).await;
    until(|| world.count("jobs"), |rows| *rows == 1).await;
    assert_eq!(world.get(&kept).await.id, kept.id);
    assert_eq!(noted(&world, "scan.deleted.again").await, 2);
    // Others have it again from the same backup.
    let event: Value = serde_json::from_slice(&next(&mut told).await).unwrap();
    assert_eq!(event["data"]["scan_id"], erased.id);
}
