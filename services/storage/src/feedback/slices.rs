//! What follows from a reader's word for each slice of the scan; pure.

use domain::Answer;
use domain::feedback::{Truth, Verdict, Word};
use proto::events::SliceCounts;

use super::ReadersMask;
use super::judged::Judged;

/// The scan's slices, by what the model marks in them and what the reader does. None where the word does not say that of each: of a
/// tumour that was missed and not outlined, of a rejection without a truth, of doubt.
pub fn slices(word: &Word, mask: Option<&ReadersMask>, judged: &Judged) -> Option<SliceCounts> {
    if !matches!(judged.answer, Answer::Found | Answer::NoneFound) {
        return None;
    }
    if let Some(mask) = mask {
        return mask.slices;
    }
    let marked = judged.marked_slices.min(judged.shape[0]);
    // A result of the version before does not say where its findings are.
    if judged.answer == Answer::Found && marked == 0 {
        return None;
    }
    let neither = judged.shape[0] - marked;
    match (word.verdict, word.truth) {
        (Verdict::Unsure, _) => None,
        (Verdict::Agree, _) => {
            Some(SliceCounts { both: marked, neither, ..SliceCounts::default() })
        }
        (_, Some(Truth::NoTumour)) => {
            Some(SliceCounts { model_only: marked, neither, ..SliceCounts::default() })
        }
        (Verdict::Correct | Verdict::Reject, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn judged(answer: Answer, marked_slices: u32) -> Judged {
        Judged {
            answer,
            shape: [10, 64, 64],
            labels: BTreeSet::new(),
            model: None,
            image_kind: None,
            mask_fraction: None,
            volume_ml: None,
            marked_slices,
        }
    }

    fn of(verdict: Verdict, truth: Option<Truth>, judged: &Judged) -> Option<[u32; 4]> {
        let word = Word {
            verdict,
            truth,
            reason: None,
            note: String::new(),
            findings: Vec::new(),
            missed: Vec::new(),
            adjudicates: Vec::new(),
        };
        let counts = slices(&word, None, judged)?;
        Some([counts.both, counts.model_only, counts.reader_only, counts.neither])
    }

    #[test]
    fn what_a_word_says_of_each_slice_is_counted_and_nothing_else_is() {
        let (found, none) = (judged(Answer::Found, 3), judged(Answer::NoneFound, 0));
        let without = Some(Truth::NoTumour);
        assert_eq!(of(Verdict::Agree, None, &found), Some([3, 0, 0, 7]));
        assert_eq!(of(Verdict::Agree, None, &none), Some([0, 0, 0, 10]));
        assert_eq!(of(Verdict::Reject, without, &found), Some([0, 3, 0, 7]));
        assert_eq!(of(Verdict::Correct, without, &found), Some([0, 3, 0, 7]));
        for (verdict, truth) in [
            (Verdict::Unsure, None),
            (Verdict::Unsure, without),
            (Verdict::Reject, None),
            (Verdict::Reject, Some(Truth::Tumour)),
            (Verdict::Correct, None),
        ] {
            assert_eq!(of(verdict, truth, &found), None, "{verdict:?} {truth:?}");
        }
        assert_eq!(of(Verdict::Agree, None, &judged(Answer::NotAnalysable, 0)), None);
        // A document that says more slices than there are is not believed.
        assert_eq!(of(Verdict::Agree, None, &judged(Answer::Found, 99)), Some([10, 0, 0, 0]));
    }
}
