use std::fs;

use futures::StreamExt;
use futures::future::join;
use proto::registry::*;
use service::claims::{PublicKeys, RESULT_PURPOSE, Role};
use service::topics::MODEL_EVALUATE;
use tonic::Code;

use crate::world::{World, evaluation, files, of_kind};

pub async fn a_version_comes_back_bit_by_bit(world: World) {
    let sent = files("m", "1", b"abc");
    let version = world.register(&sent).await.unwrap();
    assert_eq!((version.name.as_str(), version.state()), ("m", State::Registered));
    assert_eq!((version.modalities, version.source.as_str()), (vec!["MR".into()], "a test"));
    assert_eq!(version.data_version, "d1");
    for (file, bytes) in &sent {
        assert!(world.read("1", file).await.unwrap() == *bytes, "{file}");
    }
    assert_eq!(world.read("1", "golden.pbm").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(world.read("2", "model.json").await.unwrap_err().code(), Code::NotFound);
}

pub async fn the_same_version_again_changes_nothing_and_another_under_its_name_is_refused(
    world: World,
) {
    let first = world.register(&files("m", "1", b"abc")).await.unwrap();
    world.clock.advance(1000);
    assert_eq!(world.register(&files("m", "1", b"abc")).await.unwrap(), first);
    let other = world.register(&files("m", "1", b"abd")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
    assert!(other.message().contains("another version"), "{other}");
    assert_eq!(world.actions().await, ["registered 1"]);
}

pub async fn files_that_do_not_fit_each_other_are_refused_and_nothing_is_kept(world: World) {
    let whole = files("m", "1", b"abcdef");
    let mut cut = whole.clone();
    cut[1].1.truncate(3);
    let mut flipped = whole.clone();
    flipped[1].1[0] ^= 1;
    let mut twice = whole.clone();
    twice.push(whole[1].clone());
    let mut stranger = whole.clone();
    stranger.push(("run.sh", b"echo".to_vec()));
    let mut bloated = whole.clone();
    bloated[0].1.resize((1 << 20) + 1, b' ');
    let mut of_others = whole.clone();
    of_others[2].1 = b"| SHA-256 | `abc` |".to_vec();
    let bare = vec![whole[1].clone()];
    let mut others_card = whole.clone();
    others_card[2] = files("m", "1", b"abcdeg").remove(2);
    for (sent, why) in [
        (cut, "cut short"),
        (flipped, "SHA-256"),
        (twice, "twice"),
        (stranger, "`run.sh`"),
        (bloated, "larger than 1 MiB"),
        (of_others, "other weights"),
        (bare, "manifest"),
        (others_card, "card.md tells of other weights"),
        (Vec::new(), "manifest"),
    ] {
        let refused = world.register(&sent).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(why), "{refused}");
    }
    let header = |git_commit: String, data_version: String| RegisterHeader {
        git_commit,
        data_version,
        ..Default::default()
    };
    for (header, why) in [
        (header("c".repeat(65), String::new()), "`git_commit` has 64"),
        (header(String::new(), "d".repeat(191)), "`data_version` has 190"),
    ] {
        let refused = world.send_from(header, &whole).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(why), "{refused}");
    }
    // Its card has not come: so far it would do.
    for end in [None, Some(RegisterEnd { size_bytes: 1 })] {
        let refused = world.send(&whole, end).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("cut short"), "{refused}");
    }
    let request = world.by(Role::Scientist, ListVersions::default());
    assert_eq!(world.models.clone().list(request).await.unwrap().into_inner(), Versions::default());
}

pub async fn a_row_that_somebody_has_swapped_is_refused(world: World) {
    world.register(&files("m", "1", b"abc")).await.unwrap();
    world.register(&files("m", "2", b"xyz")).await.unwrap();
    let swapped = "UPDATE files SET blob_key = (SELECT blob_key FROM (SELECT * FROM files) AS other
                       WHERE version = '2' AND file = 'weights.safetensors'),
                   sha256 = (SELECT sha256 FROM (SELECT * FROM files) AS other
                       WHERE version = '2' AND file = 'weights.safetensors')
                   WHERE version = '1' AND file = 'weights.safetensors'";
    assert_eq!(world.sql(swapped).await, 1);
    for file in ["weights.safetensors", "model.json"] {
        let refused = world.read("1", file).await.unwrap_err();
        assert_eq!(refused.code(), Code::Internal);
        assert!(refused.message().contains("signature"), "{refused}");
    }
    world.read("2", "weights.safetensors").await.unwrap();
}

pub async fn an_object_that_somebody_has_swapped_is_refused(world: World) {
    world.register(&files("m", "1", b"abc")).await.unwrap();
    world.damage(b"abc", |object| fs::write(object, b"abd").unwrap());
    let refused = world.read("1", "weights.safetensors").await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    world.read("1", "model.json").await.unwrap();
}

pub async fn what_is_unsigned_lost_or_swapped_is_whole_again_once_its_very_files_have_come_again(
    world: World,
) {
    let sent = files("m", "1", b"abc");
    world.register(&sent).await.unwrap();
    let unsigned = "UPDATE versions SET signature = ''";
    for (damage, why) in [("unsigned", "signature"), ("lost", "is lost"), ("swapped", "")] {
        match damage {
            "unsigned" => assert_eq!(world.sql(unsigned).await, 1),
            "lost" => world.damage(b"abc", |object| fs::remove_file(object).unwrap()),
            _ => world.damage(b"abc", |object| fs::write(object, b"abd").unwrap()),
        }
        let refused = world.read("1", "weights.safetensors").await.unwrap_err();
        assert_eq!(refused.code(), Code::Internal, "{damage}");
        assert!(refused.message().contains(why), "{damage}: {refused}");
        world.register(&sent).await.unwrap();
        assert_eq!(world.read("1", "weights.safetensors").await.unwrap(), b"abc", "{damage}");
    }
    assert_eq!(world.actions().await, ["registered 1"]);
}

pub async fn of_two_that_register_one_version_at_once_each_is_told_whether_it_is_theirs(
    world: World,
) {
    let (second, _stop) = world.second().await;
    for round in 0..6 {
        let version = round.to_string();
        let sent = [b"abc", b"abd"].map(|weights| files("m", &version, weights));
        let theirs = world.register_by(Role::Scientist, &second, &sent[1]);
        let (ours, theirs) = join(world.register(&sent[0]), theirs).await;
        let both = [ours, theirs];
        let kept = world.read(&version, "weights.safetensors").await.unwrap();
        assert_eq!(both.iter().filter(|one| one.is_ok()).count(), 1, "{both:?}");
        for (one, sent) in both.iter().zip(&sent) {
            match one {
                Ok(_) => assert_eq!(kept, sent[1].1),
                Err(refused) => {
                    assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
                    assert!(refused.message().contains("another version"), "{refused}");
                }
            }
        }
    }
    let same = files("m", "same", b"abc");
    let theirs = world.register_by(Role::Scientist, &second, &same);
    let (ours, theirs) = join(world.register(&same), theirs).await;
    assert_eq!(ours.unwrap(), theirs.unwrap());
    let registered = world.actions().await.into_iter().filter(|action| action == "registered same");
    assert_eq!(registered.count(), 1);
}

pub async fn a_version_waits_for_its_evaluation_until_it_has_one(world: World) {
    let mut announced = world.queue.subscribe_work(MODEL_EVALUATE, 1).await.unwrap();
    world.register(&files("m", "1", b"abc")).await.unwrap();
    let message = announced.next().await.unwrap().unwrap();
    assert_eq!(message.body, b"m/1");
    message.ack().await.unwrap();

    let unknown = world.record(evaluation("m", "9", 0.9)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let sound = || evaluation("m", "1", 0.9);
    for nonsense in [
        Evaluation { far: f64::NAN, ..sound() },
        Evaluation { dice_low: f64::NAN, ..sound() },
        Evaluation { golden_dice: Some(f64::INFINITY), ..sound() },
        Evaluation { frr_high: f64::NAN, failure: "it broke".into(), ..sound() },
        Evaluation { kinds: vec![of_kind("flair", f64::NAN)], ..sound() },
    ] {
        assert_eq!(world.record(nonsense).await.unwrap_err().code(), Code::InvalidArgument);
    }
    world.record(evaluation("m", "1", 0.8)).await.unwrap();
    world.record(evaluation("m", "1", 0.9)).await.unwrap();
    assert_eq!(world.get("1").await.evaluation.unwrap().dice_mean, 0.9);
}

pub async fn only_scientists_register_only_admins_promote_and_only_workers_evaluate(world: World) {
    world.evaluated("m", "1", 0.9).await;
    let mut models = world.models.clone();
    for role in [Role::Clinician, Role::Integrator] {
        let request = world.by(role, ListVersions::default());
        assert_eq!(models.list(request).await.unwrap_err().code(), Code::PermissionDenied);
    }
    for role in [Role::Clinician, Role::Integrator, Role::Scientist] {
        let promotion = Promotion { name: "m".into(), version: "1".into(), ..Default::default() };
        let refused = models.promote(world.by(role, promotion)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = models.retire(world.by(role, world.change("1"))).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    for role in [Role::Scientist, Role::Admin] {
        let request = world.by(role, evaluation("m", "1", 1.0));
        let refused = world.routing.clone().record_evaluation(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let refused = world.routing.clone().get_routes(world.by(role, RoutesRequest {})).await;
        assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    }
}

pub async fn only_workers_have_results_signed_and_anybody_gets_the_keys(world: World) {
    let statement = || ResultStatement { canonical: b"it is so".as_slice().into() };
    let mut routing = world.routing.clone();
    for role in [Role::Scientist, Role::Admin] {
        let refused = routing.sign_result(world.by(role, statement())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let anchor = AnchorStatement { sha256: "ab".into() };
        let refused = routing.sign_anchor(world.by(role, anchor)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let signed = routing.sign_result(world.worker(statement())).await.unwrap().into_inner();
    let keys = world.models.clone().keys(KeysRequest {}).await.unwrap().into_inner().jwks_json;
    assert!(keys.contains(&signed.key_id), "{keys}");
    let keys = PublicKeys::from_jwks(&keys).unwrap();
    let byte = |at: usize| u8::from_str_radix(&signed.value[at..at + 2], 16).unwrap();
    let signature: Vec<u8> = (0..signed.value.len()).step_by(2).map(byte).collect();
    let signature: [u8; 64] = signature.try_into().unwrap();
    assert!(keys.have_signed(&signed.key_id, RESULT_PURPOSE, b"it is so", &signature));
    let long = ResultStatement { canonical: vec![0; 1 << 16].into() };
    let refused = routing.sign_result(world.worker(long)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
