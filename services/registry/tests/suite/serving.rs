use std::time::Duration;

use futures::future::join;
use proto::registry::*;
use service::claims::{Role, authorised};
use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::world::{World, evaluation, files, made_for};

pub async fn a_version_serves_once_the_gate_lets_it_through(world: World) {
    world.register(&files("m", "1", b"abc")).await.unwrap();
    let early = world.promote("1", "").await.unwrap();
    assert!(!early.promoted && early.checks[0].name == "evaluated", "{early:?}");
    assert_eq!(early.version.unwrap().state(), State::Registered);

    world.record(evaluation("m", "1", 0.9)).await.unwrap();
    let decision = world.promote("1", "").await.unwrap();
    assert!(decision.promoted && decision.checks.iter().all(|check| check.passed));
    assert_eq!(decision.version.unwrap().state(), State::Serving);
    assert_eq!(world.serving().await, ("1".into(), None));
    assert_eq!(world.actions().await, ["promoted 1", "refused 1", "registered 1"]);
}

pub async fn what_is_worse_than_what_serves_is_refused_with_both_figures(world: World) {
    world.evaluated("m", "1", 0.9).await;
    world.evaluated("m", "2", 0.8).await;
    world.promote("1", "").await.unwrap();
    let decision = world.promote("2", "").await.unwrap();
    assert!(!decision.promoted);
    let dice = decision.checks.iter().find(|check| check.name == "dice").unwrap();
    assert_eq!((dice.passed, dice.candidate, dice.serving), (false, Some(0.8), Some(0.9)));
    assert_eq!(world.serving().await.0, "1");
}

pub async fn what_was_evaluated_on_another_gate_set_is_evaluated_anew(world: World) {
    for version in ["1", "2"] {
        world.evaluated("m", version, 0.9).await;
    }
    world.promote("1", "").await.unwrap();
    let newer = |version: &str| Evaluation {
        gate_set: "phantoms-2".into(),
        ..evaluation("m", version, 0.9)
    };
    world.record(newer("2")).await.unwrap();
    let refused = world.promote("2", "").await.unwrap();
    let failed: Vec<_> = refused.checks.iter().filter(|check| !check.passed).collect();
    assert_eq!((failed.len(), failed[0].name.as_str()), (1, "comparable"), "{failed:?}");
    for version in ["1", "2"] {
        assert_eq!(world.get(version).await.evaluation, None, "{version}");
    }
    // Of what serves nothing is known meanwhile, and what is worse than that could be anything.
    world.record(newer("2")).await.unwrap();
    let early = world.promote("2", "").await.unwrap();
    let failed: Vec<_> = early.checks.iter().filter(|check| !check.passed).collect();
    assert_eq!((failed.len(), failed[0].name.as_str()), (1, "comparable"), "{failed:?}");
    assert!(world.get("2").await.evaluation.is_some());
    world.record(newer("1")).await.unwrap();
    assert!(world.promote("2", "").await.unwrap().promoted);
}

pub async fn who_forces_the_gate_says_why_and_it_stands_with_the_version(world: World) {
    world.evaluated("m", "1", 0.9).await;
    world.evaluated("m", "2", 0.8).await;
    world.promote("1", "").await.unwrap();
    let (name, version, reason) = ("m".into(), "2".into(), " ".into());
    let silent = Promotion { name, version, force: true, reason, ..Promotion::default() };
    let refused = world.models.clone().promote(world.by(Role::Admin, silent)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let decision = world.promote("2", "the scanner is new").await.unwrap();
    assert!(decision.promoted && decision.checks.iter().any(|check| !check.passed));
    assert_eq!(world.get("2").await.forced_because, "the scanner is new");
    assert_eq!(world.actions().await[0], "forced 2");
    // No worse than itself, it has been forced all the same.
    assert!(world.promote("2", "").await.unwrap().promoted);
    assert_eq!(world.get("2").await.forced_because, "the scanner is new");
    // What serves by the gate's leave names no reason.
    world.promote("1", "").await.unwrap();
    assert_eq!(world.get("1").await.forced_because, "");
}

pub async fn a_version_that_was_forced_says_why_also_when_it_serves_again(world: World) {
    world.evaluated("m", "1", 0.9).await;
    world.evaluated("m", "2", 0.8).await;
    world.promote("1", "").await.unwrap();
    world.promote("2", "the scanner is new").await.unwrap();
    world.promote("1", "").await.unwrap();
    let mut models = world.models.clone();
    models.shadow(world.by(Role::Scientist, world.change("2"))).await.unwrap();
    let back = models.roll_back(world.by(Role::Admin, world.change("1"))).await.unwrap();
    let back = back.into_inner();
    assert_eq!((back.version.as_str(), back.state()), ("2", State::Serving));
    assert_eq!(back.forced_because, "the scanner is new");
}

pub async fn the_version_before_serves_again(world: World) {
    for (version, dice) in [("1", 0.9), ("2", 0.91), ("3", 0.92)] {
        world.evaluated("m", version, dice).await;
        world.promote(version, "").await.unwrap();
    }
    let back = |version: &str| world.by(Role::Admin, world.change(version));
    let mut models = world.models.clone();
    let wrong = models.roll_back(back("1")).await.unwrap_err();
    assert_eq!(wrong.code(), Code::AlreadyExists);
    assert_eq!(models.roll_back(back("3")).await.unwrap().into_inner().version, "2");
    assert_eq!(world.serving().await.0, "2");
    assert_eq!(world.get("3").await.state(), State::Registered);
    assert_eq!(world.actions().await[0], "rolled_back 3");
}

pub async fn a_shadow_never_serves_and_what_serves_is_no_shadow(world: World) {
    for version in ["1", "2", "3"] {
        world.evaluated("m", version, 0.9).await;
    }
    world.promote("1", "").await.unwrap();
    let shadow = |version: &str| world.by(Role::Scientist, world.change(version));
    let mut models = world.models.clone();
    models.shadow(shadow("2")).await.unwrap();
    assert_eq!(world.serving().await, ("1".into(), Some("2".into())));
    models.shadow(shadow("3")).await.unwrap();
    assert_eq!(world.serving().await, ("1".into(), Some("3".into())));
    assert_eq!(world.get("2").await.state(), State::Registered);
    assert_eq!(models.shadow(shadow("1")).await.unwrap_err().code(), Code::AlreadyExists);
    world.promote("3", "").await.unwrap();
    assert_eq!(world.serving().await, ("3".into(), None));
}

pub async fn what_is_retired_is_promoted_no_more_and_can_still_be_read(world: World) {
    for version in ["1", "2"] {
        world.evaluated("m", version, 0.9).await;
    }
    world.promote("1", "").await.unwrap();
    let retire = |version: &str| world.by(Role::Admin, world.change(version));
    let mut models = world.models.clone();
    assert_eq!(models.retire(retire("1")).await.unwrap_err().code(), Code::AlreadyExists);
    models.retire(retire("2")).await.unwrap();
    assert_eq!(world.promote("2", "by force").await.unwrap_err().code(), Code::AlreadyExists);
    let shadow = world.by(Role::Scientist, world.change("2"));
    assert_eq!(models.shadow(shadow).await.unwrap_err().code(), Code::AlreadyExists);
    world.read("2", "weights.safetensors").await.unwrap();
    assert_eq!(world.serving().await.0, "1");
}

pub async fn of_two_promotions_at_once_one_serves_and_the_routes_are_whole(world: World) {
    for version in ["1", "2", "3"] {
        world.evaluated("m", version, 0.9).await;
    }
    world.promote("1", "").await.unwrap();
    let (mut second, _stop) = world.second().await;
    let other = Promotion { name: "m".into(), version: "3".into(), ..Default::default() };
    let both = join(world.promote("2", ""), second.promote(world.by(Role::Admin, other))).await;
    let both = [both.0, both.1.map(tonic::Response::into_inner)];
    assert!(both.iter().any(Result::is_ok), "{both:?}");
    for refused in both.iter().filter_map(|one| one.as_ref().err()) {
        assert!([Code::AlreadyExists, Code::Unavailable].contains(&refused.code()), "{refused}");
    }
    let (serving, _) = world.serving().await;
    for version in ["1", "2", "3"] {
        let expected = if version == serving { State::Serving } else { State::Registered };
        assert_eq!(world.get(version).await.state(), expected, "{version} where {serving} serves");
    }
}

pub async fn of_two_first_promotions_at_once_one_serves(world: World) {
    for version in ["1", "2"] {
        world.evaluated("m", version, 0.9).await;
    }
    let (mut second, _stop) = world.second().await;
    let other = Promotion { name: "m".into(), version: "2".into(), ..Default::default() };
    let both = join(world.promote("1", ""), second.promote(world.by(Role::Admin, other))).await;
    assert!(both.0.is_ok() || both.1.is_ok(), "{both:?}");
    let (serving, _) = world.serving().await;
    for version in ["1", "2"] {
        let expected = if version == serving { State::Serving } else { State::Registered };
        assert_eq!(world.get(version).await.state(), expected, "{version} where {serving} serves");
    }
}

pub async fn of_two_that_begin_with_a_model_at_once_one_lets_it_serve(world: World) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files("m", "1", b"abc") {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let _running = world.two_that_begin_with(folder.path()).await;
    let begun = async {
        while !world.actions().await.contains(&"promoted 1".to_owned()) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), begun).await.expect("it serves in time");
    // For the other one to try, too.
    sleep(Duration::from_millis(500)).await;
    let mut actions = world.actions().await;
    actions.sort();
    assert_eq!(actions, ["promoted 1", "registered 1"]);
    assert_eq!(world.serving().await, ("1".into(), None));
}

pub async fn what_is_retired_while_it_is_promoted_does_not_serve(world: World) {
    world.evaluated("m", "1", 0.9).await;
    world.promote("1", "").await.unwrap();
    let (mut second, _stop) = world.second().await;
    for version in ["2", "3", "4", "5", "6", "7"] {
        world.evaluated("m", version, 0.9).await;
        let retire = world.by(Role::Admin, world.change(version));
        let (promoted, retired) = join(world.promote(version, ""), second.retire(retire)).await;
        // Whoever comes second is refused: what serves is not retired, and what is retired does not serve.
        assert!(promoted.is_ok() != retired.is_ok(), "{version}: {promoted:?}, {retired:?}");
        let refused = promoted.err().or(retired.err()).unwrap();
        assert!([Code::AlreadyExists, Code::Unavailable].contains(&refused.code()), "{refused}");
        let (serving, _) = world.serving().await;
        assert_eq!(world.get(&serving).await.state(), State::Serving, "{version}: {refused}");
    }
}

pub async fn what_is_not_as_it_was_signed_does_not_serve_and_what_serves_goes_on(world: World) {
    for version in ["1", "2", "3"] {
        world.evaluated("m", version, 0.9).await;
        world.promote(version, "").await.unwrap();
    }
    world.evaluated("m", "4", 0.9).await;
    // Version 2 is the one to go back to.
    world.sql("UPDATE versions SET signature = '' WHERE version = '2'").await;
    world.damage(b"m 4", |object| std::fs::write(object, b"n 4").unwrap());
    world.damage(b"m 1", |object| std::fs::remove_file(object).unwrap());
    for (version, why) in [("1", "is lost"), ("2", "signature"), ("4", "digest")] {
        for force in ["", "it is urgent"] {
            let refused = world.promote(version, force).await.unwrap_err();
            assert_eq!(refused.code(), Code::AlreadyExists, "{version}: {refused}");
            assert!(refused.message().contains(why), "{version}: {refused}");
        }
    }
    let back = world.by(Role::Admin, world.change("3"));
    let refused = world.models.clone().roll_back(back).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
    assert!(refused.message().contains("signature"), "{refused}");
    assert_eq!(world.serving().await, ("3".into(), None));
    assert_eq!(world.get("3").await.state(), State::Serving);
    assert_eq!(world.read("3", "weights.safetensors").await.unwrap(), b"m 3");
    assert_eq!(world.actions().await[0], "registered 4");
}

pub async fn whoever_may_not_changes_nothing(world: World) {
    for version in ["1", "2"] {
        world.evaluated("m", version, 0.9).await;
    }
    world.promote("1", "").await.unwrap();
    let mut models = world.models.clone();
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let forced = |version: &str| {
            let (name, version, reason) = ("m".into(), version.into(), "to try".into());
            let promotion = Promotion { name, version, force: true, reason, ..Default::default() };
            world.by(role, promotion)
        };
        let mut refused = vec![
            models.promote(forced("2")).await.unwrap_err(),
            models.roll_back(world.by(role, world.change("1"))).await.unwrap_err(),
            models.retire(world.by(role, world.change("2"))).await.unwrap_err(),
        ];
        if role != Role::Scientist {
            refused.push(models.shadow(world.by(role, world.change("2"))).await.unwrap_err());
            let sent = files("m", "3", b"abc");
            refused.push(world.register_by(role, &models, &sent).await.unwrap_err());
        }
        for refused in refused {
            assert_eq!(refused.code(), Code::PermissionDenied, "{role:?}: {refused}");
        }
    }
    assert_eq!(world.serving().await, ("1".into(), None));
    assert_eq!(world.actions().await, ["promoted 1", "registered 2", "registered 1"]);
}

pub async fn modalities_are_served_apart(world: World) {
    world.evaluated("m", "1", 0.9).await;
    world.promote("1", "").await.unwrap();
    world.register(&made_for("m", "ct", b"ct", &["CT"])).await.unwrap();
    world.record(evaluation("m", "ct", 0.2)).await.unwrap();
    // Nothing serves CT yet that it could be worse than.
    assert!(world.promote("ct", "").await.unwrap().promoted);
    assert_eq!(world.serving().await.0, "1");
    assert_eq!(world.get("1").await.state(), State::Serving);
    assert_eq!(world.get("ct").await.state(), State::Serving);

    world.register(&made_for("m", "both", b"both", &["CT", "MR"])).await.unwrap();
    world.record(evaluation("m", "both", 0.9)).await.unwrap();
    assert!(world.promote("both", "").await.unwrap().promoted);
    for version in ["1", "ct"] {
        assert_eq!(world.get(version).await.state(), State::Registered);
    }

    // It serves CT alone from now on, and that is what is taken back.
    world.evaluated("m", "2", 0.9).await;
    world.promote("2", "").await.unwrap();
    let back = world.by(Role::Admin, world.change("both"));
    let back = world.models.clone().roll_back(back).await.unwrap().into_inner();
    assert_eq!((back.version.as_str(), back.state()), ("ct", State::Serving));
    assert_eq!(world.serving().await.0, "2");
    assert_eq!(world.get("both").await.state(), State::Registered);
}

pub async fn a_shadows_scans_are_shown_to_their_own_hospital_only(world: World) {
    for version in ["1", "2"] {
        world.evaluated("m", version, 0.9).await;
    }
    let scans = [(world.hospital, 0.9), (world.hospital, 0.2), (world.neighbour, 0.1)];
    for (number, (tenant, dice)) in scans.into_iter().enumerate() {
        let comparison = Comparison {
            name: "m".into(),
            version: "2".into(),
            serving_name: "m".into(),
            serving_version: "1".into(),
            tenant_id: tenant.to_string(),
            scan_id: format!("scan {number}"),
            answer: "found".into(),
            serving_answer: if dice < 0.15 { "none_found" } else { "found" }.into(),
            dice: Some(dice),
            ..Default::default()
        };
        for _ in 0..2 {
            let request = world.worker(comparison.clone());
            world.routing.clone().record_comparison(request).await.unwrap();
        }
    }
    let of = VersionRef { name: "m".into(), version: "2".into() };
    let request = authorised(of, &world.issuer.token(world.hospital, &[Role::Scientist]));
    let told = world.models.clone().list_comparisons(request).await.unwrap().into_inner();
    assert_eq!((told.count, told.answers_changed), (3, 1));
    assert!((told.dice_mean.unwrap() - 0.4).abs() < 1e-9);
    let furthest: Vec<_> = told.furthest.iter().map(|one| one.scan_id.as_str()).collect();
    assert_eq!(furthest, ["scan 1", "scan 0"]);

    let page = async |tenant, after: &str| {
        let (name, version, after) = ("m".into(), "2".into(), after.into());
        let asked = ListComparedRequest { name, version, after, limit: 1 };
        let request = authorised(asked, &world.issuer.token(tenant, &[Role::Admin]));
        let told = world.models.clone().list_compared(request).await.unwrap().into_inner();
        told.scans.into_iter().map(|one| one.scan_id).collect::<Vec<_>>()
    };
    assert_eq!(page(world.hospital, "").await, ["scan 0"]);
    assert_eq!(page(world.hospital, "scan 0").await, ["scan 1"]);
    assert_eq!(page(world.hospital, "scan 1").await, [""; 0]);
    assert_eq!(page(world.neighbour, "").await, ["scan 2"]);
    let asked = ListComparedRequest::default();
    let request = authorised(asked, &world.issuer.token(world.hospital, &[Role::Clinician]));
    let refused = world.models.clone().list_compared(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
