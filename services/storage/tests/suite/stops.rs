use domain::TenantId;
use proto::events::ScanCompleted;
use proto::storage::*;
use service::claims::Role;
use service::{CloudEvent, topics};
use tonic::{Code, Status};

use crate::reader::{Reader, header, judged, model};
use crate::world::{Upload, World, but, found, next};

/// A rule that four wrong answers in a row are enough for: 2, 4, 8 and 16 at a bound of a fifth.
const RULE: (f64, u32) = (0.2, 10);

async fn set(
    world: &World,
    role: Role,
    (error_max, budget_scans): (f64, u32),
) -> Result<StopState, Status> {
    let rule = StopRule { error_max, budget_scans, ..StopRule::default() };
    let request = world.by_role(world.hospital, role, rule);
    Ok(world.stops.clone().set_rule(request).await?.into_inner())
}

async fn lift(world: &World, role: Role, reason: &str) -> Result<StopState, Status> {
    let lift = LiftStop { model: Some(stopped()), reason: reason.into() };
    let request = world.by_role(world.hospital, role, lift);
    Ok(world.stops.clone().lift(request).await?.into_inner())
}

async fn state(world: &World, tenant: TenantId) -> StopState {
    state_to(world, tenant, Role::Scientist).await
}

async fn state_to(world: &World, tenant: TenantId, role: Role) -> StopState {
    let request = world.by_role(tenant, role, StopsRef {});
    world.stops.clone().get_stops(request).await.unwrap().into_inner()
}

fn stopped() -> StoppedModel {
    StoppedModel { name: model().name, version: model().version }
}

/// A reader says of a new scan's answer that it was wrong.
async fn refute(world: &World) -> Scan {
    let scan = judged(world).await;
    reject(world, &scan).await;
    scan
}

async fn reject(world: &World, scan: &Scan) {
    let mut said = header(scan, Verdict::Reject);
    let word = said.word.take().unwrap();
    said.word = Some(Word { truth: Truth::NoTumour.into(), ..word });
    Reader::new(world, "ada").give(said).await;
}

/// A job of a hospital's new scan.
async fn claimed(world: &World, tenant: TenantId) -> Job {
    let mut ready = world.subscribe(topics::SCAN_READY).await;
    world.accept_for(tenant, Upload::of("another head")).await.unwrap();
    let job = world.announced(&mut ready).await;
    world.claim(&job).await.unwrap()
}

fn by_model(job: &Job) -> Vec<CompletePart> {
    but(found(job), |header| {
        let model = Some(model());
        header.observation = Some(proto::events::Observation { model, ..Default::default() });
    })
}

pub async fn a_model_is_stopped_by_its_hospitals_rule_until_somebody_decides(world: World) {
    refute(&world).await;
    assert!(state(&world, world.hospital).await.stops.is_empty(), "nobody has set a rule");
    let set_at_ms = world.clock.clock().now_ms();
    let rule = set(&world, Role::Admin, RULE).await.unwrap().rule.unwrap();
    assert_eq!((rule.error_max, rule.budget_scans, rule.at_ms), (RULE.0, RULE.1, set_at_ms));
    refute(&world).await;
    refute(&world).await;
    assert!(state(&world, world.hospital).await.stops.is_empty());
    // One that was claimed before, and comes back after.
    let late = claimed(&world, world.hospital).await;
    assert!(late.stopped.is_empty());
    refute(&world).await;

    let stops = state(&world, world.hospital).await.stops;
    assert_eq!((stops.len(), stops[0].stands, &stops[0].model), (1, true, &Some(stopped())));
    assert!(
        stops[0].reason.starts_with("4 of 4 confirmed answers were wrong, and at most 20 % may be"),
        "{stops:?}"
    );
    // Readers are not told what others have said.
    let told = state_to(&world, world.hospital, Role::Clinician).await.stops;
    assert_eq!(
        (told[0].stands, &*told[0].reason),
        (true, "too many of its answers were found wrong")
    );
    let refused = world.complete(by_model(&late)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(world.count("model_stops").await, 1);

    // What is claimed from now on says so, and what comes of it is no answer.
    let mut news = world.completed().await;
    let job = claimed(&world, world.hospital).await;
    assert_eq!(job.stopped, [stopped()]);
    let withheld = but(by_model(&job), |header| {
        header.answer = Answer::NotAnalysable.into();
        header.refusal = "stopped".into();
    });
    let scan = world.complete(withheld).await.unwrap();
    assert_eq!(scan.answer(), Answer::NotAnalysable);
    loop {
        let event =
            CloudEvent::<ScanCompleted>::parse(topics::SCAN_COMPLETED, &next(&mut news).await);
        let event = event.unwrap();
        if event.data.scan_id == scan.id {
            assert_eq!(event.data.refusal.as_deref(), Some("stopped"));
            break;
        }
    }
    assert!(claimed(&world, world.neighbour).await.stopped.is_empty());
    assert_eq!(
        state(&world, world.neighbour).await,
        StopState { rule: Some(StopRule::default()), stops: Vec::new() }
    );
}

pub async fn a_stop_is_lifted_with_a_reason_and_what_was_before_counts_no_more(world: World) {
    let mut before = Vec::new();
    for _ in 0..4 {
        before.push(refute(&world).await);
    }
    // A rule looks at what was confirmed before it was set.
    let stops = set(&world, Role::Admin, RULE).await.unwrap().stops;
    assert!(stops.len() == 1 && stops[0].stands, "{stops:?}");
    for (role, reason, code) in [
        (Role::Clinician, "they were no tumours", Code::PermissionDenied),
        (Role::Scientist, "they were no tumours", Code::PermissionDenied),
        (Role::Admin, " ", Code::InvalidArgument),
    ] {
        assert_eq!(lift(&world, role, reason).await.unwrap_err().code(), code, "{role:?}");
    }
    world.clock.advance(1);
    let lifted = lift(&world, Role::Admin, "the scanner was out of order").await.unwrap().stops;
    assert_eq!((lifted.len(), lifted[0].stands), (1, false));
    assert_eq!((&*lifted[0].reason, &*lifted[0].by), ("the scanner was out of order", "tester"));
    assert_eq!(lift(&world, Role::Admin, "again").await.unwrap_err().code(), Code::NotFound);
    world.clock.advance(1);
    for scan in &before {
        reject(&world, scan).await;
    }
    let stands = state(&world, world.hospital).await.stops[0].stands;
    assert!(!stands, "what was said of the same scans before was counted already");
    for wrong in 1..=4 {
        refute(&world).await;
        let stands = state(&world, world.hospital).await.stops[0].stands;
        assert_eq!(stands, wrong == 4, "{wrong} since it was lifted");
    }
    assert_eq!(world.count("model_stops").await, 3, "each decision is kept");
    let noted: Vec<String> = sqlx::query_scalar(
        "SELECT action FROM audit WHERE action LIKE 'model.%' OR action LIKE 'stops.%' ORDER BY position",
    )
    .fetch_all(world.ports.database.pool())
    .await
    .unwrap();
    assert_eq!(noted, ["stops.rule.set", "model.stopped", "model.lifted", "model.stopped"]);
}

pub async fn a_rule_that_is_none_is_refused_and_nobody_else_sets_one(world: World) {
    for strange in [(1.0, 100), (-0.1, 100), (f64::NAN, 100), (0.1, 9), (0.1, 0), (0.1, u32::MAX)] {
        let refused = set(&world, Role::Admin, strange).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{strange:?}");
    }
    for role in [Role::Clinician, Role::Scientist, Role::Integrator] {
        let refused = set(&world, role, RULE).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}");
    }
    assert_eq!(world.count("stop_rules").await, 0);
    // Without a bound no model is stopped.
    set(&world, Role::Admin, (0.0, 10)).await.unwrap();
    for _ in 0..4 {
        refute(&world).await;
    }
    assert!(state(&world, world.hospital).await.stops.is_empty());
}
