use std::collections::BTreeSet;

use futures::stream;
use proto::storage::feedback_answer::Answer as Given;
use proto::storage::feedback_part::Part;
use proto::storage::*;
use service::claims::{Role, vouched};
use storage::Peers;
use tonic::{Code, Status};

use crate::faults::volume_of;
use crate::reader::{Reader, header, judged, with_mask};
use crate::world::{World, collect, serve, until};

const NEVER: &str = "01890000-0000-7000-8000-000000000000";

pub async fn a_reader_sees_others_words_only_after_their_own(world: World) {
    let scan = judged(&world).await;
    let (ada, ben) = (Reader::new(&world, "ada"), Reader::new(&world, "ben"));
    let chief = Reader::of(&world, world.hospital, "chief", Role::Admin);
    assert_eq!(ben.seen(&scan).await.unwrap().state(), ReviewState::Unreviewed);
    let mask = b"a reader's mask";
    let header_of_mask = with_mask(header(&scan, Verdict::Correct), mask);
    let parts = vec![Part::Header(header_of_mask), Part::Mask(mask.to_vec().into())];
    let Given::Feedback(entry) = ada.send(parts).await.unwrap() else { panic!() };

    let blind = FeedbackOfScan { hidden: 1, ..FeedbackOfScan::default() };
    assert_eq!(ben.seen(&scan).await.unwrap(), blind);
    assert_eq!(ben.mask(&entry).await.unwrap_err().code(), Code::PermissionDenied);
    // Databases may take one case for the other.
    for prefix in ["feedback", "FEEDBACK", "Feedback"] {
        let as_artefact = world.read(&scan, &format!("{prefix}-{}-mask.png", entry.id)).await;
        assert_eq!(as_artefact.unwrap_err().code(), Code::NotFound, "{prefix}");
    }
    assert!(ben.scans(ReviewState::Corrected).await.is_empty());
    let hidden = (scan.id.clone(), ReviewState::Unspecified);
    assert_eq!(ben.scans(ReviewState::Unspecified).await, [hidden]);
    let corrected = (scan.id.clone(), ReviewState::Corrected);
    for reader in [&ada, &chief] {
        assert_eq!(reader.seen(&scan).await.unwrap().feedback, std::slice::from_ref(&entry));
        assert_eq!(reader.scans(ReviewState::Corrected).await, std::slice::from_ref(&corrected));
        assert_eq!(reader.mask(&entry).await.unwrap(), ("mask.png".to_owned(), mask.to_vec()));
    }
    ben.give(header(&scan, Verdict::Agree)).await;
    let seen = ben.seen(&scan).await.unwrap();
    assert_eq!((seen.feedback.len(), seen.state()), (2, ReviewState::Conflict));
    assert!(ben.mask(&entry).await.is_ok());
}

pub async fn a_mask_is_taken_whole_and_from_ingest_only(world: World) {
    let scan = judged(&world).await;
    let ada = Reader::new(&world, "ada");
    let mask = b"a reader's mask";
    let header = with_mask(header(&scan, Verdict::Correct), mask);
    let cut = vec![Part::Header(header.clone()), Part::Mask(mask[..5].to_vec().into())];
    assert_eq!(ada.send(cut).await.unwrap_err().code(), Code::InvalidArgument);
    let unannounced = FeedbackHeader { mask: None, ..header.clone() };
    let unannounced = vec![Part::Header(unannounced), Part::Mask(mask.to_vec().into())];
    assert_eq!(ada.send(unannounced).await.unwrap_err().code(), Code::InvalidArgument);
    let mut misnamed = header.clone();
    misnamed.mask.as_mut().unwrap().name = "result.json".into();
    assert_eq!(ada.refused(misnamed).await, Code::InvalidArgument);

    let whole = || vec![Part::Header(header.clone()), Part::Mask(mask.to_vec().into())];
    let parts = whole().into_iter().map(|part| FeedbackPart { part: Some(part) });
    let parts: Vec<_> = parts.collect();
    let bare = ada.ask(stream::iter(parts));
    let refused = world.feedback.clone().give(bare).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(world.count("feedback").await, 0);

    let Given::Feedback(entry) = ada.send(whole()).await.unwrap() else { panic!() };
    assert_eq!((entry.has_mask, entry.dice), (true, Some(0.75)));
    // The same mask again is another object, and what the result brought is as it was.
    let Given::Feedback(again) = ada.send(whole()).await.unwrap() else { panic!() };
    assert_ne!(again.id, entry.id);
    assert_eq!(world.read(&scan, "mask.png").await.unwrap(), b"a mask");
    assert_eq!(ada.mask(&again).await.unwrap().1, mask);
    world.require_counted().await;
}

pub async fn an_outline_that_takes_longer_than_its_token_lives_is_kept_and_nothing_else_is_let_in(
    world: World,
) {
    let scan = judged(&world).await;
    let (ada, mask) = (Reader::new(&world, "ada"), b"a reader's mask");
    let header = with_mask(header(&scan, Verdict::Correct), mask);
    let parts = || vec![Part::Header(header.clone()), Part::Mask(mask.to_vec().into())];
    world.clock.advance(20 * 60_000);
    let Given::Feedback(entry) = ada.send(parts()).await.unwrap() else { panic!() };
    assert_eq!((&*entry.reader, entry.has_mask), ("ada", true));
    // What it is compared with is read as late.
    let own = ArtefactRef { id: scan.id.clone(), name: "mask.png".into() };
    let voucher = world.issuer.service_token();
    let read = world.scans.clone().read(vouched(ada.ask(own.clone()), &voucher)).await.unwrap();
    assert_eq!(collect(read.into_inner()).await.unwrap(), b"a mask");

    let refused = world.scans.clone().read(ada.ask(own)).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let word = FeedbackHeader { mask: None, ..header.clone() };
    let word = FeedbackPart { part: Some(Part::Header(word)) };
    let bare = ada.ask(stream::iter([word]));
    let refused = world.feedback.clone().give(bare).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let list = ScanRef { id: scan.id.clone() };
    let list = vouched(ada.ask(list), &voucher);
    let refused = world.feedback.clone().list_of_scan(list).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    world.clock.advance(48 * 3_600_000);
    assert_eq!(ada.send(parts()).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(world.count("feedback").await, 1);
}

pub async fn the_sweep_for_orphans_leaves_readers_masks_alone(world: World) {
    let scan = judged(&world).await;
    let (ada, mask) = (Reader::new(&world, "ada"), b"a reader's mask");
    let header = with_mask(header(&scan, Verdict::Correct), mask);
    let parts = vec![Part::Header(header), Part::Mask(mask.to_vec().into())];
    let Given::Feedback(entry) = ada.send(parts).await.unwrap() else { panic!() };
    let orphan = volume_of(&world, &scan).await.with_file_name(format!(
        "{}-{}-{}",
        scan.id,
        NEVER,
        "ab".repeat(32)
    ));
    std::fs::write(&orphan, b"nobody's").unwrap();
    world.clock.advance(25 * 3_600_000);
    let service =
        storage::build(world.rules.clone(), world.ports.clone(), Peers::auth(world.auth()));
    let _swept = serve(service).await;
    until(async || orphan.try_exists().unwrap(), |there| !there).await;
    // Her token has ended with the day.
    let ada = Reader::new(&world, "ada");
    assert_eq!(ada.mask(&entry).await.unwrap().1, mask);
}

pub async fn another_hospitals_feedback_is_as_if_it_never_was(world: World) {
    let scan = judged(&world).await;
    let mask = b"a reader's mask";
    let header_of_mask = with_mask(header(&scan, Verdict::Correct), mask);
    let parts = vec![Part::Header(header_of_mask), Part::Mask(mask.to_vec().into())];
    let Given::Feedback(entry) = Reader::new(&world, "ada").send(parts).await.unwrap() else {
        panic!()
    };
    let eve = Reader::of(&world, world.neighbour, "eve", Role::Admin);
    let never = Scan { id: NEVER.into(), ..Scan::default() };
    let said = |status: Status| (status.code(), status.message().to_owned());
    let mut seen = BTreeSet::new();
    for scan in [&scan, &never] {
        let refused = eve.seen(scan).await.unwrap_err();
        let given = eve.send(vec![Part::Header(header(scan, Verdict::Agree))]).await.unwrap_err();
        let asked = FeedbackEntry { scan_id: scan.id.clone(), ..entry.clone() };
        let read = eve.mask(&asked).await.unwrap_err();
        let all = [refused, given, read].map(said);
        assert!(all.iter().all(|(code, _)| *code == Code::NotFound), "{all:?}");
        seen.insert(format!("{all:?}"));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(eve.scans(ReviewState::Unspecified).await.is_empty());
    assert_eq!((eve.tenant, world.count("feedback").await), (world.neighbour, 1));
}

pub async fn an_adjudicator_settles_a_conflict_and_nobody_else_does(world: World) {
    let scan = judged(&world).await;
    let (ada, ben) = (Reader::new(&world, "ada"), Reader::new(&world, "ben"));
    let chief = Reader::with(&world, "chief", &[Role::Clinician, Role::Adjudicator]);
    let admin = Reader::of(&world, world.hospital, "admin", Role::Admin);
    let adas = ada.give(header(&scan, Verdict::Agree)).await;
    // Until readers differ an adjudicator is a reader as any other.
    assert_eq!(chief.seen(&scan).await.unwrap().hidden, 1);
    assert!(chief.scans(ReviewState::Agreed).await.is_empty());
    let bens = ben.give(header(&scan, Verdict::Unsure)).await;
    assert_eq!(chief.seen(&scan).await.unwrap().state(), ReviewState::Conflict);
    let differing = (scan.id.clone(), ReviewState::Conflict);
    for state in [ReviewState::Conflict, ReviewState::Unspecified] {
        assert_eq!(chief.scans(state).await, std::slice::from_ref(&differing));
    }
    let settling = |ids: &[&String]| {
        let adjudicates = ids.iter().map(|id| (*id).clone()).collect();
        let word = Some(Word { verdict: Verdict::Agree.into(), adjudicates, ..Word::default() });
        FeedbackHeader { scan_id: scan.id.clone(), word, ..FeedbackHeader::default() }
    };
    for other in [&ada, &admin] {
        assert_eq!(other.refused(settling(&[&bens.id])).await, Code::PermissionDenied);
    }
    // By itself the role reads no scan, and so settles nothing.
    let alone = Reader::of(&world, world.hospital, "alone", Role::Adjudicator);
    assert_eq!(alone.refused(settling(&[&bens.id])).await, Code::PermissionDenied);
    // Who has given one of the verdicts settles none, whatever else they have said since.
    let both = Reader::with(&world, "ben", &[Role::Clinician, Role::Adjudicator]);
    let misfit = async |reader: &Reader<'_>, ids: &[&String]| match reader
        .send(vec![Part::Header(settling(ids))])
        .await
        .unwrap()
    {
        Given::Misfit(why) => why,
        Given::Feedback(entry) => panic!("{entry:?}"),
    };
    assert!(misfit(&both, &[&adas.id]).await.contains("another adjudicator"));
    assert_eq!(world.count("feedback").await, 2);

    // Who is shown what readers differ on gives no verdict beside theirs.
    assert!(misfit(&chief, &[]).await.contains("settle it"));
    assert_eq!(world.count("feedback").await, 2);

    let never = NEVER.to_owned();
    assert!(misfit(&chief, &[&bens.id, &never]).await.contains("what others have said"));
    let settled = chief.give(settling(&[&bens.id])).await;
    assert_eq!(settled.word.unwrap().adjudicates, [&*bens.id]);
    let seen = ada.seen(&scan).await.unwrap();
    assert_eq!((seen.state(), seen.feedback.len()), (ReviewState::Agreed, 3), "nothing is gone");
    assert_eq!(ada.scans(ReviewState::Agreed).await.len(), 1);
    // Who speaks again is heard again, and is settled again by whoever has settled it before; nobody settles a word of their own.
    let again = ben.give(header(&scan, Verdict::Reject)).await;
    assert_eq!(ada.seen(&scan).await.unwrap().state(), ReviewState::Conflict);
    assert!(misfit(&chief, &[&again.id, &settled.id]).await.contains("what others have said"));
    chief.give(settling(&[&again.id])).await;
    assert_eq!(ada.seen(&scan).await.unwrap().state(), ReviewState::Agreed);
    // A verdict that settles nothing makes one of the readers of whoever gives it.
    chief.give(header(&scan, Verdict::Agree)).await;
    let last = ben.give(header(&scan, Verdict::Reject)).await;
    assert!(misfit(&chief, &[&last.id]).await.contains("another adjudicator"));
}
