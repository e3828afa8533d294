use domain::Answer::{Found, NoneFound};
use domain::feedback::Verdict;

use super::*;
use crate::quality::groups::{Certainty, Size, Traits};
use crate::quality::reasons::Reasons;
use crate::quality::reviewed::{Word, reviewed};

/// What a reader says of a scan of that answer, which the model is so sure of.
fn word(scan: usize, answer: Answer, certainty: Certainty, verdict: Verdict) -> Word {
    Word {
        scan: format!("{scan:05}"),
        reader: "x".into(),
        feedback: format!("{scan}"),
        given_ms: 1,
        verdict,
        truth: (verdict == Verdict::Reject).then_some(Truth::NoTumour),
        dice: None,
        slices: None,
        adjudicates: Vec::new(),
        reasons: Reasons::default(),
        answer,
        traits: Traits::new("m", "1", "flair", Size::Small),
        certainty,
        expected_dice: None,
        completed_ms: Some(0),
    }
}

fn weighted(words: Vec<Word>, scans: &[(Stratum, usize)]) -> Weighted {
    let scans_of = scans.iter().copied().collect();
    let reviewed = reviewed(words);
    Weighted::of(&reviewed.iter().collect::<Vec<_>>(), &scans_of).unwrap()
}

#[test]
fn doubtful_scans_that_are_reviewed_oftener_count_for_what_they_are() {
    use Certainty::{High, Low};
    use Verdict::{Agree, Reject};
    // Of 100 sure findings one was reviewed and right; of 10 doubtful ones all ten, of which half are false.
    let mut words = vec![word(0, Found, High, Agree)];
    words.extend((1..=10).map(|n| word(n, Found, Low, if n <= 5 { Reject } else { Agree })));
    let scans = [(Stratum::of(Found, High), 100), (Stratum::of(Found, Low), 10)];
    let figures = weighted(words, &scans);
    // Raw, 6 of 11 agree; by weight, 105 of 110.
    let agree = figures.agree.unwrap();
    assert!((agree.rate - 105.0 / 110.0).abs() < 1e-12, "{agree:?}");
    // One scan stands for a hundred: that is worth little more than one scan.
    assert!((agree.effective - 110.0 * 110.0 / (100.0 * 100.0 + 10.0)).abs() < 1e-9);
    assert!(agree.interval[0] < 0.3, "{agree:?}");
    assert_eq!(figures.far.map(|far| far.rate), Some(1.0), "all without a tumour were found");
    assert_eq!((figures.frr.map(|frr| frr.rate), figures.covered), (Some(0.0), 1.0));
}

#[test]
fn of_what_nobody_reviews_nothing_is_known_and_that_is_said() {
    use Certainty::{High, Low};
    let words = vec![word(0, NoneFound, Low, Verdict::Correct)];
    let scans = [(Stratum::of(NoneFound, Low), 10), (Stratum::of(NoneFound, High), 30)];
    let figures = weighted(words, &scans);
    assert_eq!((figures.covered, figures.frr.map(|frr| frr.rate)), (0.25, Some(1.0)));
    // A tumour that was missed has a Dice of 0.
    assert_eq!(figures.dice, Some((0.0, [0.0, 0.0])));
    assert_eq!(figures.far, None);
    assert_eq!(Weighted::of(&[], &BTreeMap::new()), None);
    // A scan that drift knows no more is one all the same.
    let figures = weighted(vec![word(0, Found, High, Verdict::Agree)], &[]);
    assert_eq!((figures.covered, figures.agree.map(|agree| agree.effective)), (1.0, Some(1.0)));
}

#[test]
fn by_weight_the_error_of_all_scans_is_found_where_the_raw_figure_is_far_off() {
    use Certainty::{High, Low};
    // 2000 scans in which nothing was found: of the sure ones 2 % have a tumour, of the doubtful ones 30 %; a tenth is doubtful.
    // Readers look at each doubtful scan, and at each tenth of the others.
    let scan = |n: usize| {
        let certainty = if n.is_multiple_of(10) { Low } else { High };
        let missed = if certainty == Low { n % 100 < 30 } else { n % 50 == 1 };
        let verdict = if missed { Verdict::Correct } else { Verdict::Agree };
        word(n, NoneFound, certainty, verdict)
    };
    let looked_at = |n: &usize| n.is_multiple_of(10) || (n / 50) % 10 == 3;
    let truly = (0..2000).map(scan).filter(|word| word.verdict == Verdict::Correct).count();
    let words: Vec<Word> = (0..2000).filter(looked_at).map(scan).collect();
    let raw = words.iter().filter(|word| word.verdict == Verdict::Correct).count();
    let raw = raw as f64 / words.len() as f64;
    let scans = [(Stratum::of(NoneFound, High), 1800), (Stratum::of(NoneFound, Low), 200)];
    let figures = weighted(words, &scans);
    let disagree = 1.0 - figures.agree.unwrap().rate;
    let truly = truly as f64 / 2000.0;
    assert!((disagree - truly).abs() < 0.02, "{disagree} is not {truly}");
    assert!(raw > 2.0 * truly, "{raw} beside {truly}");
}
