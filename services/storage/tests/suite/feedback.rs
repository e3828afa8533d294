use proto::events::FeedbackGiven;
use proto::storage::feedback_answer::Answer as Given;
use proto::storage::feedback_part::Part;
use proto::storage::*;
use service::claims::Role;
use service::{CloudEvent, topics};
use tonic::{Code, Request, Status};

use crate::reader::{Reader, header, judged, model, word};
use crate::world::{World, next, until};

pub async fn a_readers_word_is_kept_and_told_to_whoever_listens(world: World) {
    let scan = judged(&world).await;
    let mut news = world.given().await;
    let ada = Reader::new(&world, "virchow");
    let said = Word {
        truth: Truth::Tumour.into(),
        reason: FeedbackReason::FalseFinding.into(),
        note: "the lower one is a vessel \u{2026}".into(),
        findings: vec![
            JudgedFinding { label: 1, verdict: Verdict::Agree.into(), ..Default::default() },
            JudgedFinding {
                label: 2,
                verdict: Verdict::Reject.into(),
                reason: FeedbackReason::WrongSide.into(),
                note: "a canary of one finding".into(),
            },
        ],
        missed: vec![Place { slice: 0, row: 63, column: 7 }],
        ..word(Verdict::Reject)
    };
    let header = FeedbackHeader { word: Some(said.clone()), ..header(&scan, Verdict::Reject) };
    let entry = ada.give(header).await;
    let expected = FeedbackEntry {
        id: entry.id.clone(),
        scan_id: scan.id.clone(),
        reader: "virchow".into(),
        given_ms: world.clock.clock().now_ms(),
        word: Some(said),
        model: Some(model()),
        ..FeedbackEntry::default()
    };
    assert_eq!(entry, expected);
    let seen = ada.seen(&scan).await.unwrap();
    assert_eq!((&seen.feedback[..], seen.state()), (&[entry.clone()][..], ReviewState::Rejected));

    let body = next(&mut news).await;
    let event = CloudEvent::<FeedbackGiven>::parse(topics::FEEDBACK_GIVEN, &body).unwrap();
    let expected = FeedbackGiven {
        tenant_id: world.hospital.to_string(),
        scan_id: scan.id.clone(),
        feedback_id: entry.id.clone(),
        given_ms: entry.given_ms,
        verdict: "reject".into(),
        truth: Some("tumour".into()),
        reader_digest: event.data.reader_digest.clone(),
        dice: None,
        model: Some(model()),
        answer: "found".into(),
        image_kind: Some("flair".into()),
        mask_fraction: Some(0.25),
        adjudicates: Vec::new(),
        slices: None,
        reason: Some("false_finding".into()),
        finding_reasons: vec!["wrong_side".into()],
    };
    assert_eq!((&event.id, &event.subject, &event.data), (&entry.id, &scan.id, &expected));
    let text = String::from_utf8(body).unwrap();
    assert!(event.data.reader_digest.len() == 64, "{text}");
    for kept in ["virchow", "vessel", "canary"] {
        assert!(!text.contains(kept), "{text}");
    }

    let noted: Vec<(String, String)> =
        sqlx::query_as("SELECT action, object_id FROM audit ORDER BY position")
            .fetch_all(world.ports.database.pool())
            .await
            .unwrap();
    assert_eq!(noted.last(), Some(&("feedback.given".to_owned(), scan.id.clone())));
    until(|| world.count("outbox"), |left| *left == 0).await;
}

pub async fn a_later_word_stands_beside_the_earlier_one(world: World) {
    let scan = judged(&world).await;
    let (ada, ben) = (Reader::new(&world, "ada"), Reader::new(&world, "ben"));
    let first = ada.give(header(&scan, Verdict::Agree)).await;
    let bens = ben.give(header(&scan, Verdict::Unsure)).await;
    assert_eq!((&*first.supersedes, &*bens.supersedes), ("", ""));
    assert_eq!(ada.seen(&scan).await.unwrap().state(), ReviewState::Conflict);
    let second = ada.give(header(&scan, Verdict::Unsure)).await;
    assert_eq!(second.supersedes, first.id);
    let seen = ben.seen(&scan).await.unwrap();
    assert_eq!((seen.state(), seen.hidden), (ReviewState::Unsure, 0));
    assert_eq!(seen.feedback, [second, bens, first], "the newest first, each as it was");
}

pub async fn words_that_come_at_once_have_an_order_and_none_is_lost(world: World) {
    let scan = judged(&world).await;
    let (ada, ben) = (Reader::new(&world, "ada"), Reader::new(&world, "ben"));
    let give = |reader: &'static str, verdict| {
        let reader = if reader == "ada" { &ada } else { &ben };
        reader.give(header(&scan, verdict))
    };
    tokio::join!(
        give("ada", Verdict::Agree),
        give("ben", Verdict::Reject),
        give("ada", Verdict::Reject),
        give("ben", Verdict::Agree),
        give("ada", Verdict::Unsure),
    );
    let seen = ada.seen(&scan).await.unwrap();
    assert_eq!(seen.feedback.len(), 5);
    for reader in ["ada", "ben"] {
        let own: Vec<_> = seen.feedback.iter().filter(|word| word.reader == reader).collect();
        // Each names the one before it, so that they are one chain.
        for pair in own.windows(2) {
            assert_eq!(pair[0].supersedes, pair[1].id, "{reader}");
        }
        assert_eq!(own.last().unwrap().supersedes, "", "{reader}");
    }
}

pub async fn the_same_key_gives_once_and_is_its_readers_own(world: World) {
    let scan = judged(&world).await;
    let (ada, ben) = (Reader::new(&world, "ada"), Reader::new(&world, "ben"));
    let keyed = |verdict| FeedbackHeader { idempotency_key: "k".into(), ..header(&scan, verdict) };
    let first = ada.give(keyed(Verdict::Agree)).await;
    let again = ada.give(keyed(Verdict::Agree)).await;
    assert_eq!(again, FeedbackEntry { repeated: true, ..first });
    assert_eq!(ada.refused(keyed(Verdict::Reject)).await, Code::AlreadyExists);
    assert!(!ben.give(keyed(Verdict::Agree)).await.repeated);
    let both =
        FeedbackHeader { idempotency_key: "at once".into(), ..header(&scan, Verdict::Agree) };
    let (one, other) = tokio::join!(ada.give(both.clone()), ada.give(both));
    assert_eq!(one.id, other.id);
    assert_eq!(world.count("feedback").await, 3);
}

pub async fn what_does_not_go_with_the_result_is_said_and_not_kept(world: World) {
    let scan = judged(&world).await;
    let ada = Reader::new(&world, "ada");
    let strange = JudgedFinding { label: 3, verdict: Verdict::Reject.into(), ..Default::default() };
    let unknown = Word { findings: vec![strange], ..word(Verdict::Reject) };
    let outside =
        Word { missed: vec![Place { slice: 1, row: 0, column: 0 }], ..word(Verdict::Reject) };
    for (word, piece) in
        [(unknown, "label 3"), (outside, "outside"), (word(Verdict::Correct), "what is right")]
    {
        let header = FeedbackHeader { word: Some(word), ..header(&scan, Verdict::Agree) };
        let Given::Misfit(why) = ada.send(vec![Part::Header(header)]).await.unwrap() else {
            panic!("{piece}")
        };
        assert!(why.contains(piece), "{why}");
    }
    let silent = FeedbackHeader { word: None, ..header(&scan, Verdict::Agree) };
    assert_eq!(ada.refused(silent).await, Code::InvalidArgument);
    assert_eq!(world.count("feedback").await, 0);
}

pub async fn nobody_speaks_of_a_scan_without_a_result(world: World) {
    let ada = Reader::new(&world, "ada");
    let (scan, job_id) = world.ready().await;
    assert_eq!(ada.refused(header(&scan, Verdict::Agree)).await, Code::AlreadyExists);
    let job = world.claim(&job_id).await.unwrap();
    world.fail(&job, "broken", false).await.unwrap();
    assert_eq!(ada.refused(header(&scan, Verdict::Agree)).await, Code::AlreadyExists);
    assert!(ada.scans(ReviewState::Unspecified).await.is_empty());
}

pub async fn only_readers_give_feedback_and_see_it(world: World) {
    let scan = judged(&world).await;
    for role in [Role::Integrator, Role::Scientist] {
        let other = Reader::of(&world, world.hospital, "other", role);
        assert_eq!(other.refused(header(&scan, Verdict::Agree)).await, Code::PermissionDenied);
        assert_eq!(other.seen(&scan).await.unwrap_err().code(), Code::PermissionDenied);
        let list = other.ask(ListReviews::default());
        let refused = world.feedback.clone().list_scans(list).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let ask = Request::new(ScanRef { id: scan.id.clone() });
    let refused = world.feedback.clone().list_of_scan(ask).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

pub async fn a_review_is_asked_for_beside_other_things_by_those_who_may_know_it(world: World) {
    let [ada, ben] = ["ada", "ben"].map(|name| Reader::new(&world, name));
    let admin = Reader::of(&world, world.hospital, "eve", Role::Admin);
    let system = Reader::of(&world, world.hospital, "pacs", Role::Integrator);
    let scan = judged(&world).await;
    ada.give(header(&scan, Verdict::Agree)).await;
    let listed = async |reader: &Reader<'_>, answer: Answer| {
        let (review, answer) = (ReviewState::Agreed.into(), answer.into());
        let list = ListScans { review, answer, ..ListScans::default() };
        let page = world.scans.clone().list(reader.ask(list)).await?.into_inner();
        Ok::<_, Status>(page.scans.into_iter().map(|scan| scan.id).collect::<Vec<_>>())
    };
    for (reader, answer, expected) in [
        (&ada, Answer::Found, vec![scan.id.clone()]),
        (&ada, Answer::NoneFound, vec![]),
        (&ben, Answer::Found, vec![]),
        (&admin, Answer::Found, vec![scan.id.clone()]),
    ] {
        assert_eq!(listed(reader, answer).await.unwrap(), expected);
    }
    let refused = listed(&system, Answer::Found).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

pub async fn scans_are_listed_by_how_far_their_review_is(world: World) {
    let ada = Reader::of(&world, world.hospital, "ada", Role::Admin);
    let mut scans = Vec::new();
    for verdict in [Some(Verdict::Agree), None, Some(Verdict::Reject)] {
        let scan = judged(&world).await;
        if let Some(verdict) = verdict {
            ada.give(header(&scan, verdict)).await;
        }
        scans.insert(0, scan.id);
        world.clock.advance(10);
    }
    for (state, at) in [
        (ReviewState::Rejected, Some(0)),
        (ReviewState::Unreviewed, Some(1)),
        (ReviewState::Agreed, Some(2)),
        (ReviewState::Conflict, None),
    ] {
        let expected: Vec<_> = at.map(|at: usize| (scans[at].clone(), state)).into_iter().collect();
        assert_eq!(ada.scans(state).await, expected);
    }
    let mut list = ListReviews { limit: 2, model_version: "1".into(), ..ListReviews::default() };
    let mut seen = Vec::new();
    loop {
        let page = world.feedback.clone().list_scans(ada.ask(list.clone())).await.unwrap();
        let ReviewPage { reviews, next_cursor } = page.into_inner();
        seen.extend(reviews.into_iter().map(|review| review.scan.unwrap().id));
        if next_cursor.is_empty() {
            break;
        }
        list.cursor = next_cursor;
    }
    assert_eq!(seen, scans, "the newest first, page by page");
    list = ListReviews { model_version: "2".into(), ..ListReviews::default() };
    let page = world.feedback.clone().list_scans(ada.ask(list)).await.unwrap().into_inner();
    assert_eq!(page, ReviewPage::default());
}
