//! What people do with scans of their list, and how a list follows its scans.

use std::time::Duration;

use futures::StreamExt;
use proto::storage::complete_part::Part;
use proto::storage::*;
use serde_json::Value;
use service::claims::Role;
use service::topics;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use crate::faults::objects;
use crate::reader::{DOCUMENT, Reader, answered, header, judged};
use crate::world::{Upload, World, but, found, next, until};

const NEVER: &str = "01890000-0000-7000-8000-000000000000";

async fn prioritise(world: &World, scan: &str, priority: Priority) -> Result<Scan, Status> {
    let wanted = NewPriority { id: scan.into(), priority: priority.into() };
    let request = world.by(world.hospital, wanted);
    Ok(world.scans.clone().prioritise(request).await?.into_inner())
}

async fn retry(world: &World, scan: &str) -> Result<Scan, Status> {
    let request = world.by(world.hospital, ScanRef { id: scan.into() });
    Ok(world.scans.clone().retry(request).await?.into_inner())
}

async fn delete(world: &World, role: Role, scan: &str) -> Result<String, Status> {
    let request = world.by_role(world.hospital, role, ScanRef { id: scan.into() });
    Ok(world.scans.clone().delete(request).await?.into_inner().id)
}

async fn get(world: &World, scan: &str) -> Result<Scan, Status> {
    let request = world.by(world.hospital, ScanRef { id: scan.into() });
    Ok(world.scans.clone().get(request).await?.into_inner())
}

/// A scan of which a worker says that it cannot be analysed, and the job.
async fn not_analysable(world: &World) -> (Scan, Job) {
    let (_, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    let parts = but(found(&job), |header| {
        header.answer = Answer::NotAnalysable.into();
        header.reason = "no model for it".into();
    });
    (world.complete(parts).await.unwrap(), job)
}

/// How often that was done, as the audit trail has it.
async fn noted(world: &World, action: &str) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE action = ?")
        .bind(action.to_owned())
        .fetch_one(world.ports.database.pool())
        .await
        .unwrap()
}

pub async fn a_waiting_scan_is_made_urgent_and_is_next(world: World) {
    let scan = world.accept(Upload::of("a head")).await.unwrap();
    let mut urgent = world.subscribe(topics::SCAN_READY_STAT).await;
    for _ in 0..2 {
        let scan = prioritise(&world, &scan.id, Priority::Stat).await.unwrap();
        assert_eq!((scan.state(), scan.priority()), (State::Queued, Priority::Stat));
    }
    assert_eq!(noted(&world, "scan.prioritised").await, 1);
    let named = world.announced(&mut urgent).await;
    let job = world.claim_in_turn(&named).await.unwrap();
    assert_eq!((job.scan_id.as_str(), job.priority()), (scan.id.as_str(), Priority::Stat));
    // The message from before names a job that somebody has.
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let stale = world.announced(&mut ready).await;
    assert_eq!(world.claim_in_turn(&stale).await.unwrap_err().code(), Code::AlreadyExists);

    let begun = prioritise(&world, &scan.id, Priority::Routine).await.unwrap_err();
    assert!(begun.message().contains("does not wait any more"), "{begun}");
    let none = prioritise(&world, &scan.id, Priority::Unspecified).await.unwrap_err();
    assert_eq!((begun.code(), none.code()), (Code::AlreadyExists, Code::InvalidArgument));
}

pub async fn a_scan_without_an_answer_is_analysed_anew_and_what_was_said_is_kept(world: World) {
    let (scan, before) = not_analysable(&world).await;
    world.clock.advance(60_000);
    let again = retry(&world, &scan.id).await.unwrap();
    let said = (again.state(), again.answer(), again.reason.as_str(), again.attempt);
    assert_eq!(said, (State::Queued, Answer::Unspecified, "", 0));
    // Twice is once.
    assert_eq!(retry(&world, &scan.id).await.unwrap(), again);
    assert_eq!(noted(&world, "scan.retried").await, 1);
    assert_eq!(world.read(&scan, "result.json").await.unwrap_err().code(), Code::NotFound);
    assert!(world.read(&scan, "before-1-result.json").await.is_ok());
    assert!(world.read(&scan, "image.png").await.is_ok());

    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    assert_ne!(job.job_id, before.job_id);
    assert_eq!((job.binding.as_str(), job.attempt), (before.binding.as_str(), 1));
    // The worker of before comes too late, and for nobody.
    assert_eq!(world.complete(found(&before)).await.unwrap_err().code(), Code::NotFound);
    world.clock.advance(1_500);
    let done = world.complete(found(&job)).await.unwrap();
    assert_eq!((done.answer(), done.reason.as_str()), (Answer::Found, ""));
    assert_eq!(world.read(&scan, "mask.png").await.unwrap(), b"a mask");

    let mut completed = world.completed().await;
    let events = [next(&mut completed).await, next(&mut completed).await];
    let [first, second] = events.map(|event| serde_json::from_slice::<Value>(&event).unwrap());
    assert_eq!((&first["id"], &second["id"]), (&scan.id.clone().into(), &job.job_id.into()));
    assert_eq!((&first["subject"], &second["subject"]), (&first["id"], &first["id"]));
    assert_eq!(second["data"]["response_ms"], 1_500);
}

pub async fn a_failed_scan_is_tried_as_often_again(world: World) {
    let (scan, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    world.fail(&job, "no memory", false).await.unwrap();
    retry(&world, &scan.id).await.unwrap();
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let id = world.announced(&mut ready).await;
    for attempt in 1..=3 {
        assert_eq!(world.claim(&id).await.unwrap().attempt, attempt);
        world.clock.advance(31_000);
    }
    until(|| world.get(&scan), |scan| scan.answer() == Answer::Failed).await;
}

pub async fn what_has_an_answer_or_was_judged_is_not_analysed_anew(world: World) {
    let answered = judged(&world).await;
    let refused = retry(&world, &answered.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("has an answer"), "{refused}");

    let (scan, _) = not_analysable(&world).await;
    Reader::new(&world, "ada").give(header(&scan, Verdict::Agree)).await;
    let refused = retry(&world, &scan.id).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(refused.message().contains("readers have judged"), "{refused}");
    assert_eq!(get(&world, &scan.id).await.unwrap().answer(), Answer::NotAnalysable);
    assert!(world.read(&scan, "result.json").await.is_ok());
    assert_eq!(noted(&world, "scan.retried").await, 0);
}

pub async fn of_a_deleted_scan_nothing_is_left_but_its_audit_trail(world: World) {
    let scan = judged(&world).await;
    let reader = Reader::new(&world, "ada");
    let keyed = FeedbackHeader { idempotency_key: "k".into(), ..header(&scan, Verdict::Agree) };
    reader.give(keyed).await;
    let entries =
        vec![BatchEntry { name: "Doe.png".into(), scan_id: scan.id.clone(), ..Default::default() }];
    let batch = Batch { entries, ..Default::default() };
    let batch = world.scans.clone().put_batch(world.by(world.hospital, batch)).await.unwrap();
    let batch = BatchRef { id: batch.into_inner().id };

    let judged = delete(&world, Role::Clinician, &scan.id).await.unwrap_err();
    assert_eq!(judged.code(), Code::PermissionDenied);
    assert!(get(&world, &scan.id).await.is_ok());
    for _ in 0..2 {
        assert_eq!(delete(&world, Role::Admin, &scan.id).await.unwrap(), scan.id);
    }
    assert_eq!(noted(&world, "scan.deleted").await, 1);
    assert_eq!(get(&world, &scan.id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.read(&scan, "original").await.unwrap_err().code(), Code::NotFound);
    for table in ["jobs", "artefacts", "identities", "feedback", "feedback_keys"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    assert!(objects(&world).is_empty(), "objects are left");
    let listed = world.scans.clone().list(world.by(world.hospital, ListScans::default())).await;
    assert!(listed.unwrap().into_inner().scans.is_empty());
    let batch = world.scans.clone().get_batch(world.by(world.hospital, batch)).await.unwrap();
    assert_eq!(batch.into_inner().entries, [BatchEntry::default()]);
    let word = reader.refused(header(&scan, Verdict::Agree)).await;
    assert_eq!(word, Code::NotFound);
    for doing in [retry(&world, &scan.id).await, get(&world, &scan.id).await] {
        assert_eq!(doing.unwrap_err().code(), Code::NotFound);
    }
}

pub async fn a_scan_is_deleted_while_it_is_analysed_and_its_key_makes_it_no_more(world: World) {
    let upload = Upload::of("a head").with_key("k");
    let scan = world.accept(upload.clone()).await.unwrap();
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let id = world.announced(&mut ready).await;
    let job = world.claim(&id).await.unwrap();
    delete(&world, Role::Integrator, &scan.id).await.unwrap();
    let beat = Lease { job_id: id.clone(), attempt: job.attempt };
    let beat = world.jobs.clone().heartbeat(world.worker(beat)).await.unwrap_err();
    let late = world.complete(found(&job)).await.unwrap_err();
    let claimed = world.claim(&id).await.unwrap_err();
    assert_eq!([beat.code(), late.code(), claimed.code()], [Code::NotFound; 3]);
    assert!(objects(&world).is_empty(), "objects are left");

    let repeated = world.accept(upload).await.unwrap_err();
    assert_eq!(repeated.code(), Code::AlreadyExists);
    assert!(repeated.message().contains("was deleted"), "{repeated}");
    world.accept(Upload::of("a head").with_key("another")).await.unwrap();
}

pub async fn an_archive_is_kept_of_which_a_scan_was_deleted_before_its_end(world: World) {
    let gone = world.accept(Upload::of("one")).await.unwrap().id;
    let kept = world.accept(Upload::of("two")).await.unwrap().id;
    delete(&world, Role::Clinician, &gone).await.unwrap();
    let entry = |name: &str, scan_id: &str| BatchEntry {
        name: name.into(),
        scan_id: scan_id.into(),
        ..BatchEntry::default()
    };
    let entries = vec![entry("Doe.png", &gone), entry("Roe.png", &kept)];
    let batch = || Batch { entries: entries.clone(), ..Batch::default() };
    let put = world.scans.clone().put_batch(world.by(world.hospital, batch())).await.unwrap();
    let of = BatchRef { id: put.into_inner().id };
    let read = world.scans.clone().get_batch(world.by(world.hospital, of)).await.unwrap();
    assert_eq!(read.into_inner().entries, [BatchEntry::default(), entries[1].clone()]);
    let names: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM batch_entries WHERE name = 'Doe.png'")
            .fetch_one(world.ports.database.pool())
            .await
            .unwrap();
    assert_eq!(names, 0);
    // Elsewhere it never was.
    let stolen = world.scans.clone().put_batch(world.by(world.neighbour, batch())).await;
    assert_eq!(stolen.unwrap_err().code(), Code::NotFound);
}

pub async fn what_is_done_with_a_scan_is_for_its_own_hospital(world: World) {
    let (scan, _) = not_analysable(&world).await;
    for id in [scan.id.as_str(), NEVER, "no id at all"] {
        let of = || ScanRef { id: id.into() };
        let wanted = NewPriority { id: id.into(), priority: Priority::Stat.into() };
        let mut scans = world.scans.clone();
        let refused = [
            scans.retry(world.by(world.neighbour, of())).await.map(drop).unwrap_err(),
            scans.prioritise(world.by(world.neighbour, wanted)).await.map(drop).unwrap_err(),
            scans
                .delete(world.by_role(world.neighbour, Role::Admin, of()))
                .await
                .map(drop)
                .unwrap_err(),
        ];
        for refused in refused {
            assert_eq!((refused.code(), refused.message()), (Code::NotFound, "no such scan"));
        }
    }
    assert_eq!(get(&world, &scan.id).await.unwrap().answer(), Answer::NotAnalysable);
    let scientist = delete(&world, Role::Scientist, &scan.id).await.unwrap_err();
    assert_eq!(scientist.code(), Code::PermissionDenied);
}

pub async fn scans_of_a_study_are_called_alike_for_those_who_may_know(world: World) {
    let upload = |head: &str, study: &str| {
        let mut upload = Upload::of(head);
        upload.header.study_uid = study.into();
        upload
    };
    let one = world.accept(upload("one", "1.2.3")).await.unwrap().id;
    let two = world.accept(upload("two", "1.2.3")).await.unwrap().id;
    let other = world.accept(upload("other", "1.2.4")).await.unwrap().id;
    let none = world.accept(Upload::of("none")).await.unwrap().id;
    let theirs = world.accept_for(world.neighbour, upload("theirs", "1.2.3")).await.unwrap();
    let entry = BatchEntry { scan_id: two.clone(), ..BatchEntry::default() };
    let batch = Batch { entries: vec![entry], ..Batch::default() };
    let batch = world.scans.clone().put_batch(world.by(world.hospital, batch)).await.unwrap();
    let batch = batch.into_inner().id;

    let listed = async |role: Role| {
        let list = world.by_role(world.hospital, role, ListScans::default());
        let page = world.scans.clone().list(list).await.unwrap().into_inner();
        let said = |scan: Scan| (scan.id.clone(), (scan.study, scan.batch));
        page.scans.into_iter().map(said).collect::<std::collections::BTreeMap<_, _>>()
    };
    let seen = listed(Role::Clinician).await;
    let study = &seen[&one].0;
    assert_eq!((study.len(), study), (32, &seen[&two].0));
    assert!(*study != seen[&other].0 && !seen[&other].0.is_empty() && seen[&none].0.is_empty());
    assert_eq!((seen[&one].1.as_str(), &seen[&two].1), ("", &batch));
    assert_eq!(get(&world, &one).await.unwrap().study, *study);
    let of_theirs = world.by(world.neighbour, ScanRef { id: theirs.id });
    let of_theirs = world.scans.clone().get(of_theirs).await.unwrap().into_inner();
    assert!(!of_theirs.study.is_empty() && of_theirs.study != *study);
    // Who manages users need not know who was examined with whom.
    let seen = listed(Role::Admin).await;
    assert!(seen.values().all(|(study, _)| study.is_empty()));
    assert_eq!(seen[&two].1, batch);
}

async fn follow(world: &World, role: Role, since_ms: i64) -> Streaming<ScanChange> {
    let request = world.by_role(world.hospital, role, WatchScans { since_ms });
    world.scans.clone().watch_all(request).await.unwrap().into_inner()
}

/// The next change: the scan's id, and its state; no state: it was deleted.
async fn told(changes: &mut Streaming<ScanChange>) -> (String, Option<State>) {
    let change = timeout(Duration::from_secs(10), changes.next()).await.expect("a change in time");
    match change.unwrap().unwrap() {
        ScanChange { scan: Some(scan), .. } => (scan.id.clone(), Some(scan.state())),
        ScanChange { deleted_id, .. } => (deleted_id, None),
    }
}

pub async fn how_large_findings_are_is_listed_and_read_once_of_a_result_from_before(world: World) {
    let scan = judged(&world).await;
    let volume = async || {
        let list = world.by(world.hospital, ListScans::default());
        let page = world.scans.clone().list(list).await.unwrap().into_inner();
        let listed = page.scans.into_iter().find(|listed| listed.id == scan.id).unwrap();
        assert_eq!(get(&world, &scan.id).await.unwrap().volume_ml, listed.volume_ml);
        listed.volume_ml
    };
    assert_eq!(volume().await, Some(12.5), "as the worker says");
    let forget = async || {
        sqlx::query("UPDATE scans SET volume_ml = NULL")
            .execute(world.ports.database.pool())
            .await
            .unwrap();
    };
    forget().await;
    world.read(&scan, "mask.png").await.unwrap();
    assert_eq!(volume().await, None);
    world.read(&scan, "result.json").await.unwrap();
    assert_eq!(volume().await, Some(3.5), "as the result says");
    world.read(&scan, "result.json").await.unwrap();
    assert_eq!(volume().await, Some(3.5));

    // A worker of the version before says of none while it and this one stand side by side: the result does.
    let (untold, job) = world.ready().await;
    let job = world.claim(&job).await.unwrap();
    let mut parts = but(found(&job), |header| header.volume_ml = None);
    parts.truncate(1);
    let (name, data) = ("result.json".to_owned(), DOCUMENT.into());
    parts.push(CompletePart { part: Some(Part::Artefact(ArtefactPart { name, data })) });
    world.complete(parts).await.unwrap();
    world.read(&untold, "result.json").await.unwrap();
    assert_eq!(get(&world, &untold.id).await.unwrap().volume_ml, Some(3.5));

    let none = answered(&world, Answer::NoneFound).await;
    forget().await;
    world.read(&none, "result.json").await.unwrap();
    assert_eq!(get(&world, &none.id).await.unwrap().volume_ml, None, "nothing was found");
}

pub async fn all_changes_are_told_in_one_stream_and_nobody_elses(world: World) {
    let mut changes = follow(&world, Role::Clinician, 0).await;
    let (scan, id) = world.ready().await;
    assert_eq!(told(&mut changes).await, (scan.id.clone(), Some(State::Queued)));
    world.clock.advance(1);
    let job = world.claim(&id).await.unwrap();
    world.accept_for(world.neighbour, Upload::of("theirs")).await.unwrap();
    assert_eq!(told(&mut changes).await, (scan.id.clone(), Some(State::Running)));
    // That its worker is alive is no change.
    world.clock.advance(1);
    let beat = Lease { job_id: id, attempt: job.attempt };
    world.jobs.clone().heartbeat(world.worker(beat)).await.unwrap();
    world.clock.advance(1);
    world.complete(found(&job)).await.unwrap();
    assert_eq!(told(&mut changes).await, (scan.id.clone(), Some(State::Done)));
    world.clock.advance(1);
    delete(&world, Role::Clinician, &scan.id).await.unwrap();
    assert_eq!(told(&mut changes).await, (scan.id, None));
}

pub async fn who_comes_back_is_told_what_happened_meanwhile(world: World) {
    let before = world.accept(Upload::of("before")).await.unwrap();
    world.clock.advance(60_000);
    let left_ms = world.clock.clock().now_ms();
    let mut expected = Vec::new();
    for number in 0..3 {
        world.clock.advance(60_000);
        expected.push(world.accept(Upload::of(&format!("head {number}"))).await.unwrap().id);
    }
    let mut changes = follow(&world, Role::Admin, left_ms).await;
    for id in expected {
        assert_eq!(told(&mut changes).await, (id, Some(State::Queued)));
    }
    world.clock.advance(1);
    delete(&world, Role::Admin, &before.id).await.unwrap();
    assert_eq!(told(&mut changes).await, (before.id, None));
}

pub async fn changes_that_come_at_once_are_all_told(world: World) {
    const SCANS: usize = 210;
    let mut changes = follow(&world, Role::Clinician, 0).await;
    let names: Vec<_> = (0..SCANS).map(|number| format!("head {number}")).collect();
    let uploads = names.iter().map(|name| world.accept(Upload::of(name)));
    let mut made: Vec<_> =
        futures::future::join_all(uploads).await.into_iter().map(|scan| scan.unwrap().id).collect();
    let mut heard = Vec::new();
    for _ in 0..SCANS {
        heard.push(told(&mut changes).await.0);
    }
    made.sort();
    heard.sort();
    assert_eq!(heard, made);
}
