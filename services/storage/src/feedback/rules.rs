//! Whether a reader's word goes with the result that it is about.

use std::collections::BTreeSet;

use domain::Answer;
use domain::feedback::{FindingVerdict, Truth, Verdict, Word};
use domain::limits::{JUDGED_FINDINGS_MAX, MISSED_PLACES_MAX, NOTE_CHARS_MAX};

use super::judged::Judged;

/// Why the word does not go with the result, as a sentence; `has_mask`: it comes with an outline of the reader's own.
pub fn check(word: &Word, has_mask: bool, judged: &Judged) -> Result<(), String> {
    lengths(word)?;
    findings(word, judged)?;
    places(word, judged)?;
    outline(word, has_mask, judged)?;
    agreement(word, judged)
}

fn lengths(word: &Word) -> Result<(), String> {
    for (count, most, what) in [
        (word.note.chars().count(), NOTE_CHARS_MAX, "characters of a note"),
        (word.findings.len(), JUDGED_FINDINGS_MAX, "findings"),
        (word.missed.len(), MISSED_PLACES_MAX, "missed places"),
    ] {
        refuse(count > most, || format!("There may be {most} {what} at most."))?;
    }
    Ok(())
}

fn findings(word: &Word, judged: &Judged) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for label in word.findings.iter().map(|finding| finding.label) {
        refuse(!judged.labels.contains(&label), || {
            format!("The result has no finding with the label {label}.")
        })?;
        refuse(!seen.insert(label), || format!("The finding {label} is judged twice."))?;
    }
    Ok(())
}

fn places(word: &Word, judged: &Judged) -> Result<(), String> {
    let [slices, rows, columns] = judged.shape;
    for place in &word.missed {
        let inside = place.slice < slices && place.row < rows && place.column < columns;
        refuse(!inside, || {
            format!(
                "Slice {}, row {}, column {} is outside of the image, which has {slices} slice(s), {rows} rows and \
                 {columns} columns; all are counted from 0.",
                place.slice, place.row, place.column
            )
        })?;
    }
    Ok(())
}

/// What is right where the result is not: a correction brings it, and nothing else does.
fn outline(word: &Word, has_mask: bool, judged: &Judged) -> Result<(), String> {
    let corrects = word.verdict == Verdict::Correct;
    let unjudged = judged.answer == Answer::NotAnalysable;
    refuse(corrects && unjudged, || {
        "The scan was not analysed, so there is nothing to correct: agree, reject or say that you are unsure."
            .to_owned()
    })?;
    refuse(has_mask && !corrects, || "A mask goes with the verdict `correct` only.".to_owned())?;
    refuse(corrects && !has_mask && word.missed.is_empty(), || {
        "Whoever corrects a result shows what is right: a `mask`, or the places in `missed`."
            .to_owned()
    })
}

/// Nobody says two things at once.
fn agreement(word: &Word, judged: &Judged) -> Result<(), String> {
    let agrees = word.verdict == Verdict::Agree;
    let rejected = word.findings.iter().any(|finding| finding.verdict == FindingVerdict::Reject);
    refuse(agrees && rejected, || {
        "Whoever agrees with a result rejects none of its findings: reject or correct it."
            .to_owned()
    })?;
    refuse(agrees && !word.missed.is_empty(), || {
        "Whoever agrees with a result has missed nothing in it: reject or correct it.".to_owned()
    })?;
    let other = match judged.answer {
        Answer::Found => Some(Truth::NoTumour),
        Answer::NoneFound => Some(Truth::Tumour),
        Answer::NotAnalysable | Answer::Failed => None,
    };
    refuse(agrees && other.is_some() && word.truth == other, || {
        format!(
            "The result's answer is `{}`, and that is not what `truth` says.",
            judged.answer.name()
        )
    })?;
    refuse(word.truth == Some(Truth::NoTumour) && !word.missed.is_empty(), || {
        "Where there is no tumour, none was missed.".to_owned()
    })
}

fn refuse(wrong: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if wrong { Err(why()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
