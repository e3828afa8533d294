//! Whether what readers say of a scan makes it one to learn from, and which mask is then true of it; pure.

use domain::Answer;
use domain::feedback::{Truth, Unconfirmed, Verdict};

/// Of a word that counts: what decides.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    pub id: &'a str,
    pub verdict: Verdict,
    pub truth: Option<Truth>,
    pub has_mask: bool,
}

impl Said<'_> {
    /// Whether the head has a tumour, as far as the word says or shows: whoever corrects without a truth shows one
    /// (`feedback/rules.rs`).
    fn shown_truth(&self) -> Option<Truth> {
        self.truth.or((self.verdict == Verdict::Correct).then_some(Truth::Tumour))
    }
}

/// The mask that is true of a scan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mask<'a> {
    /// The result's own.
    Model,
    /// The one that came with this word.
    Reader(&'a str),
    /// Nothing is marked.
    Empty,
}

/// What readers have confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Confirmed<'a> {
    pub verdict: Verdict,
    pub truth: Truth,
    pub mask: Mask<'a>,
}

/// What the words that count come to. A scan of which nobody says anything is in no other state than one whose readers differ.
pub fn confirmed<'a>(said: &[Said<'a>], answer: Answer) -> Result<Confirmed<'a>, Unconfirmed> {
    if !matches!(answer, Answer::Found | Answer::NoneFound) {
        return Err(Unconfirmed::NotAnalysed);
    }
    let verdict = one_of(said.iter().map(|word| word.verdict)).ok_or(Unconfirmed::Conflict)?;
    let truths: Vec<Truth> = said.iter().filter_map(Said::shown_truth).collect();
    let truth = one_of(truths.iter().copied());
    if truth.is_none() && !truths.is_empty() {
        return Err(Unconfirmed::Conflict);
    }
    match verdict {
        Verdict::Agree => Ok(agreed(answer)),
        Verdict::Correct => corrected(said, truth),
        Verdict::Reject => rejected(said, answer),
        Verdict::Unsure => Err(Unconfirmed::Unsure),
    }
}

/// The one that all are; None where they differ, or there is none.
fn one_of<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

fn agreed<'a>(answer: Answer) -> Confirmed<'a> {
    let (truth, mask) = match answer {
        Answer::Found => (Truth::Tumour, Mask::Model),
        _ => (Truth::NoTumour, Mask::Empty),
    };
    Confirmed { verdict: Verdict::Agree, truth, mask }
}

/// Of a tumour that was found where there is none, nothing is marked. Whoever rejects and does not say so may mean its outline.
fn rejected<'a>(said: &[Said<'a>], answer: Answer) -> Result<Confirmed<'a>, Unconfirmed> {
    let (verdict, truth) = (Verdict::Reject, Truth::NoTumour);
    if answer == Answer::Found && said.iter().all(|word| word.truth == Some(truth)) {
        return Ok(Confirmed { verdict, truth, mask: Mask::Empty });
    }
    Err(Unconfirmed::Rejected)
}

/// Two outlines are never the same to the voxel, and nobody here can tell which is right.
fn corrected<'a>(said: &[Said<'a>], truth: Option<Truth>) -> Result<Confirmed<'a>, Unconfirmed> {
    let verdict = Verdict::Correct;
    if truth == Some(Truth::NoTumour) {
        return Ok(Confirmed { verdict, truth: Truth::NoTumour, mask: Mask::Empty });
    }
    let drawn: Vec<&str> = said.iter().filter(|word| word.has_mask).map(|word| word.id).collect();
    match drawn[..] {
        [] => Err(Unconfirmed::NoOutline),
        [id] => Ok(Confirmed { verdict, truth: Truth::Tumour, mask: Mask::Reader(id) }),
        _ => Err(Unconfirmed::SeveralOutlines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUMOUR: Option<Truth> = Some(Truth::Tumour);
    const NONE: Option<Truth> = Some(Truth::NoTumour);

    type Word = (&'static str, Verdict, Option<Truth>, bool);

    fn of(words: &[Word], answer: Answer) -> Result<Confirmed<'static>, Unconfirmed> {
        let said = |&(id, verdict, truth, has_mask): &Word| Said { id, verdict, truth, has_mask };
        confirmed(&words.iter().map(said).collect::<Vec<_>>(), answer)
    }

    #[test]
    fn what_all_readers_say_is_learned_from_and_nothing_else() {
        use Answer::{Failed, Found, NoneFound, NotAnalysable};
        use Mask::{Empty, Model, Reader};
        use Verdict::{Agree, Correct, Reject, Unsure};
        let yes = |verdict, truth, mask| Ok(Confirmed { verdict, truth, mask });
        let table: [(&[Word], Answer, Result<Confirmed, Unconfirmed>); 20] = [
            (&[("a", Agree, None, false)], Found, yes(Agree, Truth::Tumour, Model)),
            (&[("a", Agree, NONE, false)], NoneFound, yes(Agree, Truth::NoTumour, Empty)),
            (&[("a", Agree, None, false)], NotAnalysable, Err(Unconfirmed::NotAnalysed)),
            (&[("a", Agree, None, false)], Failed, Err(Unconfirmed::NotAnalysed)),
            (&[("a", Correct, None, true)], Found, yes(Correct, Truth::Tumour, Reader("a"))),
            (&[("a", Correct, TUMOUR, true)], NoneFound, yes(Correct, Truth::Tumour, Reader("a"))),
            // A tumour that is pointed to and not outlined.
            (&[("a", Correct, TUMOUR, false)], NoneFound, Err(Unconfirmed::NoOutline)),
            (&[("a", Correct, NONE, false)], Found, yes(Correct, Truth::NoTumour, Empty)),
            (&[("a", Correct, NONE, true)], Found, yes(Correct, Truth::NoTumour, Empty)),
            (
                &[("a", Correct, None, true), ("b", Correct, None, true)],
                Found,
                Err(Unconfirmed::SeveralOutlines),
            ),
            (
                &[("a", Correct, TUMOUR, true), ("b", Correct, NONE, false)],
                Found,
                Err(Unconfirmed::Conflict),
            ),
            (
                &[("a", Agree, None, false), ("b", Correct, None, true)],
                Found,
                Err(Unconfirmed::Conflict),
            ),
            // One without a truth draws a tumour, and the other says that there is none.
            (
                &[("a", Correct, None, true), ("b", Correct, NONE, false)],
                Found,
                Err(Unconfirmed::Conflict),
            ),
            // A false finding is a negative; a rejection that does not say so may be of the outline, or of the image.
            (&[("a", Reject, NONE, false)], Found, yes(Reject, Truth::NoTumour, Empty)),
            (&[("a", Reject, None, false)], Found, Err(Unconfirmed::Rejected)),
            (&[("a", Reject, TUMOUR, false)], Found, Err(Unconfirmed::Rejected)),
            (&[("a", Reject, NONE, false)], NoneFound, Err(Unconfirmed::Rejected)),
            (
                &[("a", Reject, NONE, false), ("b", Reject, None, false)],
                Found,
                Err(Unconfirmed::Rejected),
            ),
            (
                &[("a", Reject, NONE, false), ("b", Reject, TUMOUR, false)],
                Found,
                Err(Unconfirmed::Conflict),
            ),
            (&[("a", Unsure, None, false)], Found, Err(Unconfirmed::Unsure)),
        ];
        for (words, answer, expected) in table {
            assert_eq!(of(words, answer), expected, "{words:?} {answer:?}");
        }
        let both = [("a", Agree, None, false), ("b", Agree, TUMOUR, false)];
        assert_eq!(of(&both, Found), yes(Agree, Truth::Tumour, Model));
    }
}
