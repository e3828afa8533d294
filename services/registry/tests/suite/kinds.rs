use proto::registry::*;
use service::claims::Role;
use tonic::Code;

use crate::world::{World, evaluation, files, made_for, of_kind};

/// Four versions that are as good as each other, of which the first serves.
async fn four(world: &World) {
    for version in ["1", "2", "3", "4"] {
        world.evaluated("m", version, 0.9).await;
    }
    assert!(world.promote("1", "").await.unwrap().promoted);
}

pub async fn a_kind_of_image_is_served_apart_and_the_rest_as_before(world: World) {
    four(&world).await;
    let decision = world.promote_at("flair", "2").await.unwrap();
    assert!(decision.promoted, "{decision:?}");
    let serves = |kind: &str| Served { modality: "MR".into(), image_kind: kind.into() };
    assert_eq!(decision.version.unwrap().serves, [serves("flair")]);
    // Whoever knows of modalities only is told what he was told before.
    assert_eq!(world.serving().await, ("1".into(), None));
    assert_eq!(world.kinds().await, ["flair:2"]);
    for version in ["1", "2"] {
        assert_eq!(world.get(version).await.state(), State::Serving, "{version}");
    }
    // Neither route moves the other.
    assert!(world.promote("3", "").await.unwrap().promoted);
    assert_eq!(
        (world.serving().await.0, world.kinds().await),
        ("3".into(), vec!["flair:2".into()])
    );
    assert!(world.promote_at("flair", "3").await.unwrap().promoted);
    assert_eq!(world.get("3").await.serves, [serves(""), serves("flair")]);
    assert_eq!(world.get("2").await.state(), State::Registered);
    assert_eq!(world.actions().await[..2], ["promoted 3", "promoted 3"]);
    let request = world.by(Role::Admin, ListEventsRequest::default());
    let events = world.models.clone().list_events(request).await.unwrap().into_inner().events;
    assert_eq!([&*events[0].image_kind, &*events[1].image_kind], ["flair", ""]);
}

pub async fn the_gate_compares_with_what_serves_the_kind_now(world: World) {
    four(&world).await;
    world.evaluated("m", "worse", 0.8).await;
    world.evaluated("m", "better", 0.97).await;
    let refused = world.promote_at("flair", "worse").await.unwrap();
    let dice = refused.checks.iter().find(|check| check.name == "dice").unwrap();
    assert_eq!((refused.promoted, dice.serving), (false, Some(0.9)), "the modality's own");
    assert!(world.promote_at("flair", "better").await.unwrap().promoted);
    let refused = world.promote_at("flair", "2").await.unwrap();
    let dice = refused.checks.iter().find(|check| check.name == "dice").unwrap();
    assert_eq!((refused.promoted, dice.serving), (false, Some(0.97)), "the kind's");
    assert!(world.promote("2", "").await.unwrap().promoted, "beside the modality's own");
}

pub async fn a_version_serves_the_kinds_that_it_is_good_at_and_no_others(world: World) {
    four(&world).await;
    world.register(&files("m", "flair", b"flair")).await.unwrap();
    let kinds = vec![of_kind("flair", 0.95), of_kind("t1_contrast", 0.6)];
    world.record(Evaluation { kinds, ..evaluation("m", "flair", 0.9) }).await.unwrap();
    assert_eq!(world.get("flair").await.evaluation.unwrap().kinds[1].dice_mean, 0.6);
    for kind in ["t1_contrast", ""] {
        let refused = world.promote_at(kind, "flair").await.unwrap();
        let failed: Vec<_> = refused.checks.iter().filter(|check| !check.passed).collect();
        let [dice] = failed.as_slice() else { panic!("{kind}: {failed:?}") };
        assert_eq!((dice.name.as_str(), dice.image_kind.as_str()), ("dice", "t1_contrast"));
        assert_eq!((dice.candidate, dice.serving), (Some(0.6), Some(0.9)));
    }
    assert!(world.promote_at("flair", "flair").await.unwrap().promoted);
    assert_eq!(
        (world.serving().await.0, world.kinds().await),
        ("1".into(), vec!["flair:flair".into()])
    );
}

pub async fn what_tells_no_kinds_is_evaluated_anew(world: World) {
    four(&world).await;
    world.record(Evaluation { kinds: vec![], ..evaluation("m", "2", 0.9) }).await.unwrap();
    let refused = world.promote_at("flair", "2").await.unwrap();
    assert!(!refused.promoted, "{refused:?}");
    assert_eq!(world.get("2").await.evaluation, None);
    assert!(world.get("1").await.evaluation.is_some(), "that of what serves is not out of date");
}

pub async fn a_kind_rolls_back_on_its_own_and_at_last_to_its_modality(world: World) {
    four(&world).await;
    let back = |kind: &str, version: &str| world.by(Role::Admin, world.change_at(kind, version));
    let mut models = world.models.clone();
    world.promote_at("flair", "2").await.unwrap();
    let unnamed = models.roll_back(back("", "2")).await.unwrap_err();
    assert_eq!(unnamed.code(), Code::AlreadyExists);
    assert!(unnamed.message().contains("flair only"), "{unnamed}");
    let before = world.generation().await;
    let own = models.roll_back(back("flair", "2")).await.unwrap().into_inner();
    assert_eq!((own.version.as_str(), world.kinds().await.len()), ("1", 0));
    assert_eq!(world.get("2").await.state(), State::Registered);
    assert!(world.generation().await > before, "workers are told of each change");

    world.promote_at("flair", "3").await.unwrap();
    world.promote_at("flair", "4").await.unwrap();
    models.roll_back(back("flair", "4")).await.unwrap();
    assert_eq!(
        (world.serving().await.0, world.kinds().await),
        ("1".into(), vec!["flair:3".into()])
    );
}

pub async fn a_version_is_withdrawn_from_a_kind_and_goes_on_where_else_it_serves(world: World) {
    four(&world).await;
    world.promote_at("flair", "2").await.unwrap();
    world.promote_at("t1_contrast", "2").await.unwrap();
    let retire = |kind: &str| world.by(Role::Admin, world.change_at(kind, "2"));
    let mut models = world.models.clone();
    let whole = models.retire(retire("")).await.unwrap_err();
    assert_eq!(whole.code(), Code::AlreadyExists, "what serves is not retired");
    let now = models.retire(retire("flair")).await.unwrap().into_inner();
    assert_eq!((now.state(), now.serves.len()), (State::Serving, 1));
    assert_eq!(world.kinds().await, ["t1_contrast:2"]);
    assert_eq!(models.retire(retire("flair")).await.unwrap_err().code(), Code::AlreadyExists);
    let now = models.retire(retire("t1_contrast")).await.unwrap().into_inner();
    assert_eq!((now.state(), world.kinds().await.len()), (State::Registered, 0));
    assert_eq!(world.actions().await[0], "withdrawn 2");
    assert_eq!(models.retire(retire("")).await.unwrap().into_inner().state(), State::Retired);
}

pub async fn a_shadow_looks_on_at_a_kind_beside_one_that_looks_on_at_all(world: World) {
    four(&world).await;
    let shadow =
        |kind: &str, version: &str| world.by(Role::Scientist, world.change_at(kind, version));
    let mut models = world.models.clone();
    models.shadow(shadow("flair", "2")).await.unwrap();
    assert_eq!(
        (world.serving().await, world.kinds().await),
        (("1".into(), None), vec!["flair:1<2".into()])
    );
    models.shadow(shadow("", "3")).await.unwrap();
    assert_eq!(world.serving().await, ("1".into(), Some("3".into())));
    assert_eq!(world.kinds().await, ["flair:1<2"]);
    // One takes the other's place at the same kind only.
    models.shadow(shadow("flair", "4")).await.unwrap();
    assert_eq!(world.kinds().await, ["flair:1<4"]);
    assert_eq!(world.get("2").await.state(), State::Registered);
    assert_eq!(world.get("3").await.state(), State::Shadow);
    assert_eq!(world.get("4").await.shadow_kind, "flair");
    world.promote_at("flair", "4").await.unwrap();
    assert_eq!(world.kinds().await, ["flair:4<3"]);
    assert_eq!(world.get("4").await.shadow_kind, "");
}

pub async fn a_kind_has_a_route_only_where_its_modality_has_one_and_scans_have_the_kind(
    world: World,
) {
    world.evaluated("m", "1", 0.9).await;
    let alone = world.promote_at("flair", "1").await.unwrap_err();
    assert_eq!(alone.code(), Code::AlreadyExists);
    assert!(alone.message().contains("nothing serves MR as a whole"), "{alone}");
    world.promote("1", "").await.unwrap();
    for kind in ["flare", "FLAIR", "unknown", "other"] {
        let refused = world.promote_at(kind, "1").await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{kind}");
        assert!(refused.message().contains("`t1_contrast`"), "{refused}");
    }
    // Of what it is made for, nothing serves CT.
    world.register(&made_for("m", "both", b"both", &["CT", "MR"])).await.unwrap();
    world.record(evaluation("m", "both", 0.9)).await.unwrap();
    let both = world.promote_at("flair", "both").await.unwrap_err();
    assert_eq!(both.code(), Code::AlreadyExists);
    assert_eq!((world.serving().await.0, world.kinds().await.len()), ("1".into(), 0));
}
