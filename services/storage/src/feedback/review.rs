//! What the words about one scan come to.

use std::collections::BTreeMap;

use domain::feedback::{ReviewState, Truth, Verdict};

/// Of a word: whose it is, and what counts in a review.
#[derive(Clone, Debug)]
pub struct Opinion<'a> {
    pub id: &'a str,
    pub reader: &'a str,
    pub verdict: Verdict,
    pub truth: Option<Truth>,
    /// The words that it settles.
    pub adjudicates: Vec<String>,
}

/// Those that count: the latest of each reader, unless a later word settles it; `opinions` are in the order in which they were
/// given. Whatever is said after a conflict was settled counts again.
pub fn counted<'a>(opinions: impl IntoIterator<Item = Opinion<'a>>) -> Vec<Opinion<'a>> {
    let mut latest = BTreeMap::<&str, Opinion>::new();
    for opinion in opinions {
        latest.retain(|_, other| !opinion.adjudicates.iter().any(|id| id == other.id));
        latest.insert(opinion.reader, opinion);
    }
    latest.into_values().collect()
}

/// What the words that count come to; `opinions` are in the order in which they were given.
///
/// Readers differ where their verdicts do, and where they say two truths.
pub fn state_of<'a>(opinions: impl IntoIterator<Item = Opinion<'a>>) -> ReviewState {
    let counted = counted(opinions);
    let mut verdicts: Vec<Verdict> = counted.iter().map(|opinion| opinion.verdict).collect();
    let mut truths: Vec<Truth> = counted.iter().filter_map(|opinion| opinion.truth).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    truths.sort_unstable();
    truths.dedup();
    match verdicts[..] {
        [] => ReviewState::Unreviewed,
        _ if truths.len() > 1 => ReviewState::Conflict,
        [Verdict::Agree] => ReviewState::Agreed,
        [Verdict::Correct] => ReviewState::Corrected,
        [Verdict::Reject] => ReviewState::Rejected,
        [Verdict::Unsure] => ReviewState::Unsure,
        _ => ReviewState::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUMOUR: Option<Truth> = Some(Truth::Tumour);
    const NONE: Option<Truth> = Some(Truth::NoTumour);

    #[test]
    fn a_readers_last_word_counts_and_readers_who_differ_are_in_conflict() {
        use Verdict::{Agree, Correct, Reject, Unsure};
        type Said = (&'static str, Verdict, Option<Truth>);
        let table: [(&[Said], ReviewState); 11] = [
            (&[], ReviewState::Unreviewed),
            (&[("a", Agree, None)], ReviewState::Agreed),
            (&[("a", Correct, TUMOUR)], ReviewState::Corrected),
            (&[("a", Reject, NONE)], ReviewState::Rejected),
            (&[("a", Unsure, None)], ReviewState::Unsure),
            // A later word stands in the place of the one before, and of nobody else's.
            (&[("a", Agree, None), ("a", Reject, None)], ReviewState::Rejected),
            (&[("a", Agree, NONE), ("a", Agree, TUMOUR)], ReviewState::Agreed),
            (&[("a", Agree, None), ("b", Agree, TUMOUR)], ReviewState::Agreed),
            (&[("a", Agree, None), ("b", Unsure, None)], ReviewState::Conflict),
            (&[("a", Reject, NONE), ("b", Reject, TUMOUR)], ReviewState::Conflict),
            (&[("a", Agree, None), ("b", Reject, None), ("b", Agree, None)], ReviewState::Agreed),
        ];
        for (words, state) in table {
            let opinion = |&(reader, verdict, truth): &Said| said("", reader, verdict, truth, &[]);
            assert_eq!(state_of(words.iter().map(opinion)), state, "{words:?}");
        }
    }

    fn said<'a>(
        id: &'a str,
        reader: &'a str,
        verdict: Verdict,
        truth: Option<Truth>,
        adjudicates: &[&str],
    ) -> Opinion<'a> {
        let adjudicates = adjudicates.iter().map(|&id| id.to_owned()).collect();
        Opinion { id, reader, verdict, truth, adjudicates }
    }

    #[test]
    fn what_is_settled_counts_no_more_until_its_reader_speaks_again() {
        use Verdict::{Agree, Correct, Reject};
        let mut words = vec![said("1", "a", Agree, None, &[]), said("2", "b", Reject, NONE, &[])];
        let state = |words: &[Opinion<'static>]| state_of(words.iter().cloned());
        assert_eq!(state(&words), ReviewState::Conflict);
        // One of two is settled: the other still differs.
        words.push(said("3", "chief", Correct, TUMOUR, &["1"]));
        assert_eq!(state(&words), ReviewState::Conflict);
        words.push(said("4", "chief", Correct, TUMOUR, &["1", "2"]));
        assert_eq!(state(&words), ReviewState::Corrected);
        // What is named is a word, and not whoever said it.
        words.push(said("5", "b", Reject, NONE, &[]));
        assert_eq!(state(&words), ReviewState::Conflict);
        words.push(said("6", "b", Correct, TUMOUR, &[]));
        assert_eq!(state(&words), ReviewState::Corrected);
    }
}
