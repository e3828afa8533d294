//! What the words about one scan come to.

use std::collections::BTreeMap;

use domain::feedback::{ReviewState, Truth, Verdict};

/// Of a word: whose it is, and what counts in a review.
#[derive(Clone, Debug)]
pub struct Opinion<'a> {
    pub reader: &'a str,
    pub verdict: Verdict,
    pub truth: Option<Truth>,
}

/// What the latest word of each reader comes to; `opinions` are in the order in which they were given.
///
/// Readers differ where their verdicts do, and where they say two truths.
pub fn state_of<'a>(opinions: impl IntoIterator<Item = Opinion<'a>>) -> ReviewState {
    let latest: BTreeMap<&str, Opinion> =
        opinions.into_iter().map(|opinion| (opinion.reader, opinion)).collect();
    let mut verdicts: Vec<Verdict> = latest.values().map(|opinion| opinion.verdict).collect();
    let mut truths: Vec<Truth> = latest.values().filter_map(|opinion| opinion.truth).collect();
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
            let opinion = |&(reader, verdict, truth): &Said| Opinion { reader, verdict, truth };
            assert_eq!(state_of(words.iter().map(opinion)), state, "{words:?}");
        }
    }
}
