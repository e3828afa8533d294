use domain::feedback::Verdict;

use super::*;
use crate::quality::groups::{Certainty, Size, Traits};
use crate::quality::reasons::Reasons;
use crate::quality::reviewed::Word;

/// What the reader says of a scan of that kind; whether it has a tumour follows.
fn word(scan: &str, kind: &str, truth: Option<Truth>) -> Word {
    Word {
        scan: scan.into(),
        reader: "x".into(),
        feedback: scan.into(),
        given_ms: 1,
        verdict: if truth.is_some() { Verdict::Correct } else { Verdict::Unsure },
        truth,
        dice: None,
        slices: None,
        adjudicates: Vec::new(),
        reasons: Reasons::default(),
        answer: Answer::Found,
        traits: Traits::new("m", "1", kind, Size::Small),
        certainty: Certainty::High,
        expected_dice: None,
        completed_ms: Some(0),
    }
}

/// Version 2 beside the one that served.
fn seen(
    scan: &str,
    served: &str,
    answer: Answer,
    serving_answer: Answer,
    at_ms: i64,
) -> Comparison {
    Comparison {
        name: "m".into(),
        version: "2".into(),
        serving_name: "m".into(),
        serving_version: served.into(),
        scan_id: scan.into(),
        answer: answer.name().into(),
        serving_answer: serving_answer.name().into(),
        at_ms,
        ..Comparison::default()
    }
}

/// False answers, of how many: of the version, and of what served.
fn counts(rate: Option<&ConfirmedRate>) -> [(u64, u64); 2] {
    let rate = rate.unwrap();
    [&rate.candidate, &rate.serving].map(|share| {
        let share = share.as_ref().unwrap();
        (share.count, share.of)
    })
}

#[test]
fn both_are_counted_by_hand_on_the_same_confirmed_scans() {
    use Answer::{Failed, Found, NoneFound};
    let (tumour, none) = (Some(Truth::Tumour), Some(Truth::NoTumour));
    let words = vec![
        word("a", "flair", tumour),
        word("b", "flair", tumour),
        word("c", "flair", none),
        word("d", "t1_contrast", none),
        word("e", "flair", tumour),
        word("f", "flair", None),
        word("unseen", "flair", tumour),
    ];
    let compared = [
        seen("a", "1", Found, NoneFound, 1),
        seen("b", "1", NoneFound, NoneFound, 2),
        seen("c", "1", Found, NoneFound, 3),
        seen("d", "1", NoneFound, Found, 4),
        // No answer is neither right nor wrong; f is confirmed by nobody, g was read by nobody.
        seen("e", "1", Failed, Found, 5),
        seen("f", "1", Found, Found, 6),
        seen("g", "1", Found, Found, 7),
    ];
    let told = comparison(&compared, &reviewed(words));
    assert_eq!((told.compared, told.confirmed, told.scans_min), (7, 5, 30));
    let groups: Vec<_> =
        told.figures.iter().map(|of| (of.image_kind.as_str(), of.scans, of.enough)).collect();
    assert_eq!(groups, [("", 4, false), ("flair", 3, false), ("t1_contrast", 1, false)]);
    let all = &told.figures[0];
    assert_eq!((all.serving_name.as_str(), all.serving_version.as_str()), ("m", "1"));
    assert_eq!(counts(all.far.as_ref()), [(1, 2), (1, 2)]);
    assert_eq!(counts(all.frr.as_ref()), [(1, 2), (2, 2)]);
    assert_eq!((all.only_candidate_wrong, all.only_serving_wrong), (1, 2));
    let t1 = &told.figures[2];
    assert_eq!((counts(t1.far.as_ref()), counts(t1.frr.as_ref())), ([(0, 1), (1, 1)], [(0, 0); 2]));
}

#[test]
fn of_enough_scans_it_is_told_whether_chance_alone_could_make_the_difference() {
    let ids: Vec<String> = (0..SCANS_MIN).map(|scan| format!("{scan:02}")).collect();
    let words = || ids.iter().map(|id| word(id, "", Some(Truth::Tumour))).collect();
    let holds = |missed: usize| {
        let compared = ids.iter().enumerate().map(|(at, id)| {
            let answer = if at < missed { Answer::NoneFound } else { Answer::Found };
            seen(id, "1", answer, Answer::Found, 1)
        });
        let told = comparison(&compared.collect::<Vec<_>>(), &reviewed(words()));
        let [all] = &told.figures[..] else {
            panic!("a kind that nobody says is no group of its own")
        };
        assert!(all.enough);
        [&all.far, &all.frr].map(|rate| rate.as_ref().unwrap().holds)
    };
    assert_eq!((holds(0), holds(1)), ([true, true], [true, false]));
}

#[test]
fn what_was_compared_last_comes_first() {
    let words = vec![word("a", "", Some(Truth::Tumour)), word("b", "", Some(Truth::Tumour))];
    let compared = [
        seen("a", "0", Answer::Found, Answer::Found, 1),
        seen("b", "1", Answer::Found, Answer::Found, 2),
    ];
    let told = comparison(&compared, &reviewed(words));
    let served: Vec<_> = told.figures.iter().map(|of| of.serving_version.as_str()).collect();
    assert_eq!(served, ["1", "0"]);
}
