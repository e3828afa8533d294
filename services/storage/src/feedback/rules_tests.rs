use domain::feedback::{JudgedFinding, Place};

use super::*;

/// Two findings in three slices of 64 x 48.
fn judged(answer: Answer) -> Judged {
    let labels = if answer == Answer::Found { [1, 2].into() } else { BTreeSet::new() };
    Judged {
        answer,
        shape: [3, 64, 48],
        labels,
        model: None,
        image_kind: None,
        mask_fraction: None,
    }
}

fn word(verdict: Verdict) -> Word {
    Word {
        verdict,
        truth: None,
        reason: None,
        note: String::new(),
        findings: Vec::new(),
        missed: Vec::new(),
    }
}

fn truth(verdict: Verdict, truth: Truth) -> Word {
    Word { truth: Some(truth), ..word(verdict) }
}

fn of(verdict: Verdict, findings: &[(u32, FindingVerdict)]) -> Word {
    let judged = |&(label, verdict): &(u32, FindingVerdict)| JudgedFinding { label, verdict };
    Word { findings: findings.iter().map(judged).collect(), ..word(verdict) }
}

fn missed(verdict: Verdict, places: &[[u32; 3]]) -> Word {
    let place = |&[slice, row, column]: &[u32; 3]| Place { slice, row, column };
    Word { missed: places.iter().map(place).collect(), ..word(verdict) }
}

#[test]
fn a_word_goes_with_its_result_or_is_told_why_not() {
    use Answer::{Found, NoneFound, NotAnalysable};
    use FindingVerdict as One;
    use Verdict::{Agree, Correct, Reject, Unsure};
    // The word, whether a mask comes with it, the answer, and a piece of what is wrong; empty: nothing.
    let table = [
        (word(Agree), false, Found, ""),
        (word(Agree), false, NoneFound, ""),
        (word(Agree), false, NotAnalysable, ""),
        (word(Reject), false, NotAnalysable, ""),
        (word(Unsure), false, Found, ""),
        // A mask and a correction belong together, unless places are shown.
        (word(Correct), true, Found, ""),
        (word(Correct), true, NoneFound, ""),
        (missed(Correct, &[[2, 63, 47]]), false, NoneFound, ""),
        (word(Correct), false, Found, "shows what is right"),
        (word(Agree), true, Found, "`correct` only"),
        (word(Reject), true, Found, "`correct` only"),
        (word(Unsure), true, Found, "`correct` only"),
        (word(Correct), true, NotAnalysable, "nothing to correct"),
        // Findings are those of the result.
        (of(Reject, &[(1, One::Reject), (2, One::Agree)]), false, Found, ""),
        (of(Agree, &[(1, One::Agree)]), false, Found, ""),
        (of(Reject, &[(3, One::Reject)]), false, Found, "the label 3"),
        (of(Reject, &[(0, One::Reject)]), false, Found, "the label 0"),
        (of(Reject, &[(1, One::Reject)]), false, NoneFound, "the label 1"),
        (of(Reject, &[(1, One::Reject), (1, One::Agree)]), false, Found, "judged twice"),
        // Places are those of the image.
        (missed(Reject, &[[0, 0, 0]]), false, Found, ""),
        (missed(Reject, &[[3, 0, 0]]), false, Found, "outside"),
        (missed(Reject, &[[0, 64, 0]]), false, Found, "outside"),
        (missed(Reject, &[[0, 0, 0], [0, 0, 48]]), false, Found, "column 48 is outside"),
        // Nobody says two things at once.
        (of(Agree, &[(1, One::Reject)]), false, Found, "rejects none"),
        (missed(Agree, &[[0, 0, 0]]), false, Found, "missed nothing"),
        (truth(Agree, Truth::Tumour), false, Found, ""),
        (truth(Agree, Truth::NoTumour), false, NoneFound, ""),
        (truth(Agree, Truth::NoTumour), false, Found, "`found`"),
        (truth(Agree, Truth::Tumour), false, NoneFound, "`none_found`"),
        (truth(Agree, Truth::Tumour), false, NotAnalysable, ""),
        (truth(Reject, Truth::Tumour), false, Found, ""),
        (truth(Reject, Truth::NoTumour), false, Found, ""),
    ];
    for (word, has_mask, answer, why) in table {
        let said = check(&word, has_mask, &judged(answer)).err().unwrap_or_default();
        let right = if why.is_empty() { said.is_empty() } else { said.contains(why) };
        assert!(right, "{word:?} with a mask: {has_mask}, of {answer:?}: {said:?}");
    }
}

#[test]
fn where_there_is_no_tumour_none_was_missed() {
    let both = Word { truth: Some(Truth::NoTumour), ..missed(Verdict::Reject, &[[0, 0, 0]]) };
    assert!(check(&both, false, &judged(Answer::Found)).is_err());
}

#[test]
fn a_note_a_list_of_findings_and_one_of_places_have_an_end() {
    let noted = |chars| Word { note: "ß".repeat(chars), ..word(Verdict::Unsure) };
    let places = |count| missed(Verdict::Reject, &vec![[0, 0, 0]; count]);
    for (fits, too_long) in [
        (noted(NOTE_CHARS_MAX), noted(NOTE_CHARS_MAX + 1)),
        (places(MISSED_PLACES_MAX), places(MISSED_PLACES_MAX + 1)),
    ] {
        assert_eq!(check(&fits, false, &judged(Answer::Found)), Ok(()));
        assert!(check(&too_long, false, &judged(Answer::Found)).unwrap_err().contains("at most"));
    }
    let many = of(Verdict::Reject, &vec![(1, FindingVerdict::Reject); JUDGED_FINDINGS_MAX + 1]);
    let why = check(&many, false, &judged(Answer::Found)).unwrap_err();
    assert_eq!(why, "There may be 1000 findings at most.");
}
