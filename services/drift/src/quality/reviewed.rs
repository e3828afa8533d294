//! What readers have said of a scan, and what follows from it; pure.

use std::collections::{BTreeMap, BTreeSet};

use domain::Answer;
use domain::feedback::{Truth, Verdict};
use domain::statistics::mean;
use proto::events::SliceCounts;

use super::groups::{Certainty, Stratum, Traits};
use super::reasons::Reasons;

/// One word of a reader on a scan that was answered with `found` or `none_found`.
#[derive(Clone, Debug)]
pub struct Word {
    pub scan: String,
    pub reader: String,
    pub feedback: String,
    pub given_ms: i64,
    pub verdict: Verdict,
    /// None: not said.
    pub truth: Option<Truth>,
    /// Of the reader's mask beside the model's; None: none was drawn.
    pub dice: Option<f64>,
    /// The scan's slices, by who marks anything in them; None: it does not follow from the word.
    pub slices: Option<SliceCounts>,
    /// The feedback of others on the same scan that counts no more.
    pub adjudicates: Vec<String>,
    /// Why the reader does not agree.
    pub reasons: Reasons,
    pub answer: Answer,
    pub traits: Traits,
    /// How sure the model is of it, and the Dice that it expects.
    pub certainty: Certainty,
    pub expected_dice: Option<f64>,
    /// When the scan was completed; None: drift has not heard of that.
    pub completed_ms: Option<i64>,
}

impl Word {
    /// Whether there is a tumour, as the reader says, or as follows from the verdict.
    fn says(&self) -> Option<Truth> {
        Truth::said(self.verdict, self.truth, self.answer)
    }
}

/// A scan with the latest word of each of its readers, but for those that a later one has settled.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// When it was completed; where drift has not heard of that, when its first word was given.
    pub at_ms: i64,
    /// Whether drift has heard of its completion, and so counts it among the answered ones already.
    pub is_seen: bool,
    pub answer: Answer,
    pub traits: Traits,
    pub certainty: Certainty,
    pub expected_dice: Option<f64>,
    words: Vec<Word>,
}

/// Puts words together by scan, whatever their order.
pub fn reviewed(words: Vec<Word>) -> Vec<Reviewed> {
    let mut scans = BTreeMap::<String, Vec<Word>>::new();
    for word in words {
        scans.entry(word.scan.clone()).or_default().push(word);
    }
    scans.into_values().filter_map(Reviewed::of).collect()
}

impl Reviewed {
    /// None without a word.
    fn of(mut words: Vec<Word>) -> Option<Reviewed> {
        words.sort_by(|one, other| {
            (one.given_ms, &one.feedback).cmp(&(other.given_ms, &other.feedback))
        });
        let Word { given_ms, completed_ms, answer, traits, certainty, expected_dice, .. } =
            words.first()?.clone();
        let mut latest = BTreeMap::<String, Word>::new();
        for word in words {
            latest.retain(|_, other| !word.adjudicates.contains(&other.feedback));
            latest.insert(word.reader.clone(), word);
        }
        Some(Reviewed {
            at_ms: completed_ms.unwrap_or(given_ms),
            is_seen: completed_ms.is_some(),
            answer,
            traits,
            certainty,
            expected_dice,
            words: latest.into_values().collect(),
        })
    }

    /// Whose words these are.
    pub fn scan(&self) -> Option<&str> {
        self.words.first().map(|word| word.scan.as_str())
    }

    /// Why its readers do not agree: of each word that counts.
    pub fn reasons(&self) -> impl Iterator<Item = &Reasons> {
        self.words.iter().map(|word| &word.reasons)
    }

    pub fn stratum(&self) -> Stratum {
        Stratum::of(self.answer, self.certainty)
    }

    /// Whether the model's answer is wrong; None where nobody says, or its readers differ.
    pub fn is_wrong(&self) -> Option<bool> {
        self.truth()?.refutes(self.answer)
    }

    /// Whether there is a tumour: what all readers say who say it at all.
    pub fn truth(&self) -> Option<Truth> {
        let said = self.said();
        if said.len() == 1 { said.first().copied() } else { None }
    }

    /// Whether its readers differ on that.
    pub fn is_disputed(&self) -> bool {
        self.said().len() > 1
    }

    fn said(&self) -> BTreeSet<Truth> {
        self.words.iter().filter_map(Word::says).collect()
    }

    /// Whether all readers agree who are sure; None where nobody is.
    pub fn is_agreed(&self) -> Option<bool> {
        let mut sure = self.words.iter().filter(|word| word.verdict != Verdict::Unsure).peekable();
        sure.peek()?;
        Some(sure.all(|word| word.verdict == Verdict::Agree))
    }

    /// What is in each slice, by whoever of its readers has outlined it, else by whoever says it otherwise; None where nobody does, and
    /// where they differ on whether there is a tumour.
    pub fn slices(&self) -> Option<SliceCounts> {
        if self.is_disputed() {
            return None;
        }
        let known = || self.words.iter().filter(|word| word.slices.is_some());
        let drawn = known().find(|word| word.dice.is_some());
        drawn.or_else(|| known().next())?.slices
    }

    /// Whether neither its readers nor the model see a tumour.
    pub fn is_empty(&self) -> bool {
        (self.truth(), self.answer) == (Some(Truth::NoTumour), Answer::NoneFound)
    }

    /// The Dice of the model's mask, over the masks of its readers. Without one it follows where one of the two masks is empty;
    /// of a tumour that was found and outlined by nobody it is not known.
    pub fn dice(&self) -> Option<f64> {
        let drawn: Vec<f64> = self
            .words
            .iter()
            .filter_map(|word| word.dice)
            .filter(|dice| dice.is_finite())
            .collect();
        mean(&drawn).or_else(|| match (self.truth()?, self.answer) {
            (Truth::NoTumour, Answer::NoneFound) => Some(1.0),
            (Truth::NoTumour, Answer::Found) | (Truth::Tumour, Answer::NoneFound) => Some(0.0),
            _ => None,
        })
    }
}

#[cfg(test)]
#[path = "reviewed_tests.rs"]
mod tests;
