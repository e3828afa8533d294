use domain::feedback::{JudgedFinding, Place, Reason};

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
        volume_ml: None,
        marked_slices: 0,
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
        adjudicates: Vec::new(),
    }
}

fn truth(verdict: Verdict, truth: Truth) -> Word {
    Word { truth: Some(truth), ..word(verdict) }
}

fn of(verdict: Verdict, findings: &[(u32, FindingVerdict)]) -> Word {
    let judged = |&(label, verdict): &(u32, FindingVerdict)| JudgedFinding::bare(label, verdict);
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
    use Outline::{Drawn, Empty, Missing};
    use Verdict::{Agree, Correct, Reject, Unsure};
    // The word, the outline that comes with it, the answer, and a piece of what is wrong; empty: nothing.
    let both = [(1, One::Reject), (2, One::Reject)];
    let none = Word { truth: Some(Truth::NoTumour), ..of(Correct, &both) };
    let table = [
        (word(Agree), Missing, Found, ""),
        (word(Agree), Missing, NoneFound, ""),
        (word(Agree), Missing, NotAnalysable, ""),
        (word(Reject), Missing, NotAnalysable, ""),
        (word(Unsure), Missing, Found, ""),
        // A correction shows what is right, and a mask is one.
        (word(Correct), Drawn, Found, ""),
        (word(Correct), Drawn, NoneFound, ""),
        (missed(Correct, &[[2, 63, 47]]), Missing, NoneFound, ""),
        (of(Correct, &[(2, One::Reject)]), Missing, Found, ""),
        (of(Correct, &[(1, One::Agree), (2, One::Reject)]), Missing, Found, ""),
        (word(Correct), Missing, Found, "shows what is right"),
        (of(Correct, &[(1, One::Agree)]), Missing, Found, "shows what is right"),
        (truth(Correct, Truth::Tumour), Missing, Found, "shows what is right"),
        (word(Agree), Drawn, Found, "`correct` only"),
        (word(Reject), Drawn, Found, "`correct` only"),
        (word(Unsure), Drawn, Found, "`correct` only"),
        (word(Correct), Drawn, NotAnalysable, "nothing to correct"),
        (word(Agree), Empty, Found, "`correct` only"),
        // One that leaves no tumour says whether there is one.
        (word(Correct), Empty, Found, "say in `truth`"),
        (missed(Correct, &[[0, 0, 0]]), Empty, Found, "say in `truth`"),
        (of(Correct, &both), Missing, Found, "say in `truth`"),
        (of(Correct, &both), Drawn, Found, ""),
        (truth(Correct, Truth::NoTumour), Empty, Found, ""),
        (truth(Correct, Truth::Tumour), Empty, Found, "marks nothing, and `truth` says"),
        (truth(Correct, Truth::Tumour), Empty, NoneFound, "marks nothing, and `truth` says"),
        (truth(Correct, Truth::Tumour), Drawn, NoneFound, ""),
        (
            Word { truth: Some(Truth::Tumour), ..missed(Correct, &[[0, 0, 0]]) },
            Empty,
            Found,
            "marks nothing, and `truth` says",
        ),
        (none.clone(), Missing, Found, ""),
        (
            Word { missed: missed(Correct, &[[0, 0, 0]]).missed, truth: None, ..none },
            Missing,
            Found,
            "",
        ),
        // Findings are those of the result.
        (of(Reject, &[(1, One::Reject), (2, One::Agree)]), Missing, Found, ""),
        (of(Agree, &[(1, One::Agree)]), Missing, Found, ""),
        (of(Unsure, &[(1, One::Unsure), (2, One::Reject)]), Missing, Found, ""),
        (of(Correct, &[(1, One::Unsure), (2, One::Reject)]), Missing, Found, "say in `truth`"),
        (of(Agree, &[(1, One::Unsure)]), Missing, Found, "unsure of none"),
        (of(Reject, &[(3, One::Reject)]), Missing, Found, "the label 3"),
        (of(Reject, &[(0, One::Reject)]), Missing, Found, "the label 0"),
        (of(Reject, &[(1, One::Reject)]), Missing, NoneFound, "the label 1"),
        (of(Reject, &[(1, One::Reject), (1, One::Agree)]), Missing, Found, "judged twice"),
        // Places are those of the image.
        (missed(Reject, &[[0, 0, 0]]), Missing, Found, ""),
        (missed(Reject, &[[3, 0, 0]]), Missing, Found, "outside"),
        (missed(Reject, &[[0, 64, 0]]), Missing, Found, "outside"),
        (missed(Reject, &[[0, 0, 0], [0, 0, 48]]), Missing, Found, "column 48 is outside"),
        // Nobody says two things at once.
        (of(Agree, &[(1, One::Reject)]), Missing, Found, "rejects none"),
        (missed(Agree, &[[0, 0, 0]]), Missing, Found, "missed nothing"),
        (truth(Agree, Truth::Tumour), Missing, Found, ""),
        (truth(Agree, Truth::NoTumour), Missing, NoneFound, ""),
        (truth(Agree, Truth::NoTumour), Missing, Found, "`found`"),
        (truth(Agree, Truth::Tumour), Missing, NoneFound, "`none_found`"),
        (truth(Agree, Truth::Tumour), Missing, NotAnalysable, ""),
        (truth(Reject, Truth::Tumour), Missing, Found, ""),
        (truth(Reject, Truth::NoTumour), Missing, Found, ""),
        (truth(Correct, Truth::NoTumour), Drawn, Found, "a mask marks nothing"),
        (
            Word {
                truth: Some(Truth::NoTumour),
                ..of(Reject, &[(1, One::Reject), (2, One::Agree)])
            },
            Missing,
            Found,
            "no finding is one",
        ),
        (Word { truth: Some(Truth::NoTumour), ..of(Reject, &both) }, Missing, Found, ""),
    ];
    for (word, outline, answer, why) in table {
        let said = check(&word, outline, &judged(answer)).err().unwrap_or_default();
        let right = if why.is_empty() { said.is_empty() } else { said.contains(why) };
        assert!(right, "{word:?} with {outline:?}, of {answer:?}: {said:?}");
    }
}

#[test]
fn where_there_is_no_tumour_none_was_missed() {
    let both = Word { truth: Some(Truth::NoTumour), ..missed(Verdict::Reject, &[[0, 0, 0]]) };
    assert!(check(&both, Outline::Missing, &judged(Answer::Found)).is_err());
}

#[test]
fn a_finding_has_a_note_that_ends_and_a_reason_only_where_it_is_not_agreed_with() {
    let why = |one: JudgedFinding| {
        let word = Word { findings: vec![one], ..word(Verdict::Reject) };
        check(&word, Outline::Missing, &judged(Answer::Found)).err().unwrap_or_default()
    };
    let noted = |chars| JudgedFinding {
        note: "ß".repeat(chars),
        ..JudgedFinding::bare(1, FindingVerdict::Unsure)
    };
    assert_eq!(why(noted(NOTE_CHARS_MAX)), "");
    assert!(why(noted(NOTE_CHARS_MAX + 1)).contains("The note of the finding 1"));
    let each = |label| JudgedFinding { label, ..noted(NOTE_CHARS_MAX) };
    let many = Word { findings: (1..=6).map(each).collect(), ..word(Verdict::Unsure) };
    let six = Judged { labels: (1..=6).collect(), ..judged(Answer::Found) };
    let told = check(&many, Outline::Missing, &six).unwrap_err();
    assert_eq!(told, "There may be 10000 characters of notes of findings at most.");
    let because = |verdict| JudgedFinding {
        reason: Some(Reason::Outline),
        ..JudgedFinding::bare(1, verdict)
    };
    assert_eq!(why(because(FindingVerdict::Reject)), "");
    assert!(why(because(FindingVerdict::Agree)).contains("leave it out"));
}

#[test]
fn a_note_a_list_of_findings_and_one_of_places_have_an_end() {
    let noted = |chars| Word { note: "ß".repeat(chars), ..word(Verdict::Unsure) };
    let places = |count| missed(Verdict::Reject, &vec![[0, 0, 0]; count]);
    for (fits, too_long) in [
        (noted(NOTE_CHARS_MAX), noted(NOTE_CHARS_MAX + 1)),
        (places(MISSED_PLACES_MAX), places(MISSED_PLACES_MAX + 1)),
    ] {
        assert_eq!(check(&fits, Outline::Missing, &judged(Answer::Found)), Ok(()));
        assert!(
            check(&too_long, Outline::Missing, &judged(Answer::Found))
                .unwrap_err()
                .contains("at most")
        );
    }
    let many = of(Verdict::Reject, &vec![(1, FindingVerdict::Reject); JUDGED_FINDINGS_MAX + 1]);
    let why = check(&many, Outline::Missing, &judged(Answer::Found)).unwrap_err();
    assert_eq!(why, "There may be 1000 findings at most.");
}
