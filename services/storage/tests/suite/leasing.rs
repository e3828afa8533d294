use futures::StreamExt;
use proto::storage::*;
use serde_json::Value;
use service::topics;
use tonic::Code;

use crate::world::{Upload, World, but, found, next, until};

pub async fn a_job_has_one_holder_at_a_time(world: World) {
    let (_, job) = world.ready().await;
    let claims = (0..8).map(|_| world.claim(&job));
    let claims = futures::future::join_all(claims).await;
    assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
    for refused in claims.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    }
    let unknown = world.claim("01890000-0000-7000-8000-000000000000").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

pub async fn a_stale_attempt_is_refused(world: World) {
    let (scan, id) = world.ready().await;
    let first = world.claim(&id).await.unwrap();
    world.clock.advance(31_000);
    let second = world.claim(&id).await.unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(second.shape, scan.shape);

    assert_eq!(world.complete(found(&first)).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(world.fail(&first, "late", false).await.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(world.volume(&first).await.unwrap_err().code(), Code::AlreadyExists);
    let beat = Lease { job_id: id.clone(), attempt: 1 };
    let beat = world.jobs.clone().heartbeat(world.worker(beat)).await;
    assert_eq!(beat.unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(world.get(&scan).await.state(), State::Running);

    let done = world.complete(found(&second)).await.unwrap();
    assert_eq!(done.attempt, 2);
    assert_eq!(world.complete(found(&first)).await.unwrap_err().code(), Code::AlreadyExists);
}

pub async fn a_heartbeat_keeps_the_lease(world: World) {
    let (_, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    for _ in 0..5 {
        world.clock.advance(20_000);
        let beat = Lease { job_id: id.clone(), attempt: job.attempt };
        world.jobs.clone().heartbeat(world.worker(beat)).await.unwrap();
    }
    assert_eq!(world.claim(&id).await.unwrap_err().code(), Code::AlreadyExists);
    world.complete(found(&job)).await.unwrap();
}

pub async fn the_same_completion_twice_changes_nothing(world: World) {
    let (scan, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    let both = [world.complete(found(&job)), world.complete(found(&job))];
    for done in futures::future::join_all(both).await {
        assert_eq!(done.unwrap().id, scan.id);
    }
    let once = world.get(&scan).await;
    world.clock.advance(5000);
    assert_eq!(world.complete(found(&job)).await.unwrap(), once);
    assert_eq!((world.count("artefacts").await, world.count("audit").await), (5, 2));
    let mut completed = world.completed().await;
    next(&mut completed).await;
    let second =
        tokio::time::timeout(std::time::Duration::from_millis(300), completed.next()).await;
    assert!(second.is_err(), "one event");
}

pub async fn a_result_about_another_patient_is_refused(world: World) {
    let (scan, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    let other = world.accept(Upload::of("another head")).await.unwrap();
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let other_job = world.claim(&world.announced(&mut ready).await).await.unwrap();
    assert_ne!(job.binding, other_job.binding);

    let swapped = but(found(&job), |header| header.binding = other_job.binding.clone());
    assert_eq!(world.complete(swapped).await.unwrap_err().code(), Code::InvalidArgument);
    let swapped = but(found(&job), |header| header.volume_sha256 = other.volume_sha256.clone());
    assert_eq!(world.complete(swapped).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(world.get(&scan).await.state(), State::Running);
    world.complete(found(&job)).await.unwrap();
}

pub async fn an_emptied_queue_loses_nothing(world: World) {
    // `ready` acknowledges the message: nothing else announces the job, unless the sweeper does.
    let (_, id) = world.ready().await;
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    world.clock.advance(31_000);
    assert_eq!(world.announced(&mut ready).await, id);
    let job = world.claim(&id).await.unwrap();
    world.complete(found(&job)).await.unwrap();
}

pub async fn a_worker_that_falls_silent_loses_its_job(world: World) {
    let (scan, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    let mut ready = world.subscribe(topics::SCAN_RETRY).await;
    world.clock.advance(31_000);
    assert_eq!(world.announced(&mut ready).await, id);
    assert_eq!(world.get(&scan).await.state(), State::Queued);
    // It was only slow, and nobody else has begun: its work is not thrown away.
    world.complete(found(&job)).await.unwrap();
}

/// What ended one worker may end another: nobody else's job is to be in hand with it.
pub async fn a_job_that_was_tried_before_is_done_alone(world: World) {
    let (_, id) = world.ready().await;
    let first = world.claim_as(&id, false).await.unwrap();
    world.clock.advance(31_000);
    assert_eq!(world.claim_as(&id, false).await.unwrap_err().code(), Code::AlreadyExists);
    let second = world.claim_as(&id, true).await.unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 2));
}

pub async fn nobodys_scan_waits_behind_another_hospitals_queue(world: World) {
    let mut queue = Vec::new();
    for (number, tenant) in [world.hospital; 5].into_iter().chain([world.neighbour; 2]).enumerate()
    {
        let scan = world.accept_for(tenant, Upload::of(&format!("head {number}"))).await.unwrap();
        queue.push(scan.id);
        world.clock.advance(1);
    }
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let mut taken = Vec::new();
    for _ in 0..queue.len() {
        let named = world.announced(&mut ready).await;
        taken.push(world.claim_in_turn(&named).await.unwrap().scan_id);
    }
    let expected = [0, 5, 1, 6, 2, 3, 4].map(|place: usize| queue[place].clone());
    assert_eq!(taken, expected);
}

pub async fn hospitals_alternate_also_where_one_job_is_in_hand_at_a_time(world: World) {
    let mut queue = Vec::new();
    for (number, tenant) in [world.hospital; 3].into_iter().chain([world.neighbour; 2]).enumerate()
    {
        let scan = world.accept_for(tenant, Upload::of(&format!("head {number}"))).await.unwrap();
        queue.push(scan.id);
        world.clock.advance(1);
    }
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let mut taken = Vec::new();
    for _ in 0..queue.len() {
        let named = world.announced(&mut ready).await;
        let job = world.claim_in_turn(&named).await.unwrap();
        world.complete(found(&job)).await.unwrap();
        taken.push(job.scan_id);
    }
    let expected = [0, 3, 1, 4, 2].map(|place: usize| queue[place].clone());
    assert_eq!(taken, expected);
}

pub async fn who_calls_everything_urgent_stops_nobody(world: World) {
    let mut urgent = world.subscribe(topics::SCAN_READY_STAT).await;
    let routine = world.accept_for(world.neighbour, Upload::of("a head")).await.unwrap();
    for number in 0..5 {
        let mut upload = Upload::of(&format!("head {number}"));
        upload.header.priority = Priority::Stat.into();
        world.accept(upload).await.unwrap();
    }
    let mut taken = Vec::new();
    for _ in 0..5 {
        let named = world.announced(&mut urgent).await;
        taken.push(world.claim_in_turn(&named).await.unwrap());
    }
    let is_urgent = taken.iter().map(|job| job.priority() == Priority::Stat);
    assert_eq!(is_urgent.collect::<Vec<_>>(), [true, true, true, false, true]);
    assert_eq!(taken[3].scan_id, routine.id);
    // Its own message is left, and the last urgent job, for which there is none any more.
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    let named = world.announced(&mut ready).await;
    assert_eq!(world.claim_in_turn(&named).await.unwrap().priority(), Priority::Stat);
}

pub async fn each_message_is_one_job_whichever_it_names(world: World) {
    let (_, named) = world.ready().await;
    for number in 0..7 {
        world.accept(Upload::of(&format!("head {number}"))).await.unwrap();
    }
    let claims = (0..8).map(|_| world.claim_in_turn(&named));
    let claims = futures::future::join_all(claims).await;
    let taken: std::collections::BTreeSet<_> =
        claims.into_iter().map(|claim| claim.unwrap().job_id).collect();
    assert_eq!(taken.len(), 8);
    assert_eq!(world.claim_in_turn(&named).await.unwrap_err().code(), Code::AlreadyExists);
}

pub async fn after_three_attempts_the_scan_has_failed(world: World) {
    let (scan, id) = world.ready().await;
    for attempt in 1..=3 {
        assert_eq!(world.claim(&id).await.unwrap().attempt, attempt);
        world.clock.advance(31_000);
    }
    let failed = until(|| world.get(&scan), |scan| scan.state() == State::Done).await;
    assert_eq!(failed.answer(), Answer::Failed);
    assert_eq!(failed.reason, "the analysis was tried 3 times and never finished");
    assert_eq!(world.claim(&id).await.unwrap_err().code(), Code::AlreadyExists);
}

pub async fn a_failure_that_may_pass_is_tried_again_later(world: World) {
    let (scan, id) = world.ready().await;
    let mut ready = world.subscribe(topics::SCAN_RETRY).await;
    let job = world.claim(&id).await.unwrap();
    let again = world.fail(&job, "no memory", true).await.unwrap();
    assert_eq!((again.state(), again.reason.as_str()), (State::Queued, ""));
    world.clock.advance(2_000);
    assert_eq!(world.announced(&mut ready).await, id);
    for attempt in 2..=3 {
        let job = world.claim(&id).await.unwrap();
        assert_eq!(job.attempt, attempt);
        world.fail(&job, "no memory", true).await.unwrap();
    }
    let failed = world.get(&scan).await;
    assert_eq!((failed.answer(), failed.reason.as_str()), (Answer::Failed, "no memory"));
}

pub async fn a_failure_for_good_says_why(world: World) {
    let (scan, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    let failed = world.fail(&job, "the mask has NaN", false).await.unwrap();
    assert_eq!((failed.answer(), failed.reason.as_str()), (Answer::Failed, "the mask has NaN"));
    assert_eq!(world.fail(&job, "again", false).await.unwrap(), world.get(&scan).await);
}

pub async fn completion_is_news_of_the_right_shape(world: World) {
    let (scan, id) = world.ready().await;
    let job = world.claim(&id).await.unwrap();
    world.clock.advance(1500);
    world.complete(found(&job)).await.unwrap();
    let mut completed = world.completed().await;
    let event: Value = serde_json::from_slice(&next(&mut completed).await).unwrap();
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "scan.completed");
    assert_eq!(
        (&event["id"], &event["data"]["scan_id"]),
        (&scan.id.clone().into(), &scan.id.into())
    );
    assert_eq!(event["data"]["tenant"], world.hospital.to_string());
    assert_eq!(event["data"]["answer"], "found");
    assert_eq!(event["data"]["response_ms"], 1500);
    assert_eq!(event["data"]["observation"]["mask_fraction"], 0.25);
    assert!(event["time"].as_str().unwrap().ends_with('Z'));
    assert!(!event.to_string().contains("Jane"), "no patient in a message");
}
