use super::*;
use crate::quality::groups::Size;
use Answer::{Found, NoneFound};
use Truth::{NoTumour, Tumour};
use Verdict::{Agree, Correct, Reject, Unsure};

/// What `reader` says at `given_ms` of the scan `s`.
fn word(reader: &str, given_ms: i64, verdict: Verdict) -> Word {
    Word {
        scan: "s".into(),
        reader: reader.into(),
        feedback: format!("{reader}{given_ms}"),
        given_ms,
        verdict,
        truth: None,
        dice: None,
        slices: None,
        adjudicates: Vec::new(),
        reasons: Reasons::default(),
        answer: Found,
        traits: Traits::new("m", "1", "flair", Size::Small),
        certainty: Certainty::High,
        expected_dice: None,
        completed_ms: Some(5),
    }
}

fn one(words: Vec<Word>) -> Reviewed {
    let mut scans = reviewed(words);
    assert_eq!(scans.len(), 1);
    scans.remove(0)
}

#[test]
fn a_verdict_says_of_the_truth_what_follows_from_it_and_no_more() {
    let table = [
        (Agree, None, Found, Some(Tumour)),
        (Agree, None, NoneFound, Some(NoTumour)),
        (Correct, None, Found, Some(Tumour)),
        (Correct, None, NoneFound, Some(Tumour)),
        (Reject, None, Found, None),
        (Reject, None, NoneFound, None),
        (Reject, Some(NoTumour), Found, Some(NoTumour)),
        (Reject, Some(Tumour), Found, Some(Tumour)),
        (Correct, Some(NoTumour), Found, Some(NoTumour)),
        (Agree, Some(Tumour), Found, Some(Tumour)),
        (Unsure, None, Found, None),
        (Unsure, Some(Tumour), Found, None),
    ];
    for (verdict, truth, answer, says) in table {
        let word = Word { truth, answer, ..word("a", 1, verdict) };
        assert_eq!(word.says(), says, "{verdict:?} {truth:?} {answer:?}");
    }
}

#[test]
fn the_latest_word_of_each_reader_counts_in_whatever_order_they_come() {
    let (first, second, other) = (word("a", 1, Reject), word("a", 2, Agree), word("b", 1, Agree));
    for words in [
        vec![first.clone(), second.clone(), other.clone()],
        vec![other.clone(), second.clone(), first.clone()],
        // As a word that is joined with two rows comes twice.
        vec![second.clone(), first, second, other],
    ] {
        let scan = one(words);
        assert_eq!((scan.words.len(), scan.is_agreed()), (2, Some(true)));
    }
    // Of one moment, the one whose id is later.
    let [mut first, mut second] = [Reject, Agree].map(|verdict| word("a", 1, verdict));
    (first.feedback, second.feedback) = ("1".into(), "2".into());
    assert_eq!(one(vec![second, first]).is_agreed(), Some(true));
}

#[test]
fn readers_who_differ_settle_nothing() {
    let without = Word { truth: Some(NoTumour), ..word("b", 1, Reject) };
    let scan = one(vec![word("a", 1, Agree), without.clone()]);
    assert_eq!((scan.truth(), scan.is_disputed(), scan.is_agreed()), (None, true, Some(false)));
    assert_eq!(scan.dice(), None);
    // Until one of them thinks again; whoever is unsure differs from nobody.
    let scan = one(vec![word("a", 1, Agree), without, word("b", 2, Agree), word("c", 3, Unsure)]);
    assert_eq!(
        (scan.truth(), scan.is_disputed(), scan.is_agreed()),
        (Some(Tumour), false, Some(true))
    );
    let scan = one(vec![word("a", 1, Unsure)]);
    assert_eq!((scan.truth(), scan.is_disputed(), scan.is_agreed()), (None, false, None));
}

#[test]
fn dice_is_what_readers_draw_or_what_follows_from_an_empty_mask() {
    let dice = |verdict, truth, answer, drawn| {
        let word = Word { truth, answer, dice: drawn, ..word("a", 1, verdict) };
        let scan = one(vec![word]);
        (scan.dice(), scan.is_empty())
    };
    assert_eq!(dice(Correct, None, Found, Some(0.75)), (Some(0.75), false));
    assert_eq!(dice(Agree, None, Found, None), (None, false), "nobody has drawn it");
    assert_eq!(dice(Agree, None, NoneFound, None), (Some(1.0), true));
    assert_eq!(dice(Correct, None, NoneFound, None), (Some(0.0), false), "missed altogether");
    assert_eq!(dice(Reject, Some(NoTumour), Found, None), (Some(0.0), false));
    assert_eq!(dice(Reject, None, Found, None), (None, false));
    assert_eq!(dice(Correct, None, Found, Some(f64::NAN)), (None, false));
    let drawn = |reader: &str, dice| Word { dice: Some(dice), ..word(reader, 1, Correct) };
    assert_eq!(one(vec![drawn("a", 0.5), drawn("b", 0.75)]).dice(), Some(0.625));
}

#[test]
fn slices_are_told_by_whoever_has_outlined_the_scan_and_by_nobody_where_readers_differ() {
    let counts = |both| Some(SliceCounts { both, ..SliceCounts::default() });
    let agreed = Word { slices: counts(1), ..word("a", 1, Agree) };
    let drawn = Word { slices: counts(2), dice: Some(0.5), ..word("b", 1, Correct) };
    assert_eq!(one(vec![agreed.clone()]).slices(), counts(1));
    assert_eq!(one(vec![agreed.clone(), drawn]).slices(), counts(2));
    let without = Word { truth: Some(NoTumour), slices: counts(3), ..word("b", 1, Reject) };
    assert_eq!(one(vec![agreed, without]).slices(), None);
    assert_eq!(one(vec![word("a", 1, Unsure)]).slices(), None);
}

#[test]
fn a_scan_of_which_drift_knows_no_more_is_of_when_its_first_word_was_given() {
    let unseen = |given_ms| Word { completed_ms: None, ..word("a", given_ms, Agree) };
    let scan = one(vec![unseen(9), unseen(7)]);
    assert_eq!((scan.at_ms, scan.is_seen), (7, false));
    let scan = one(vec![word("a", 9, Agree)]);
    assert_eq!((scan.at_ms, scan.is_seen), (5, true));
}

#[test]
fn what_was_settled_counts_no_more_until_its_reader_speaks_again() {
    let without = |word: Word| Word { truth: Some(NoTumour), ..word };
    let mut words = vec![word("a", 1, Agree), without(word("b", 2, Reject))];
    assert!(one(words.clone()).is_disputed());
    words.push(Word { adjudicates: vec!["b2".into()], ..word("chief", 3, Agree) });
    let settled = one(words.clone());
    assert!(!settled.is_disputed());
    assert_eq!((settled.truth(), settled.is_agreed()), (Some(Tumour), Some(true)));
    words.push(without(word("b", 4, Reject)));
    assert!(one(words).is_disputed());
}
