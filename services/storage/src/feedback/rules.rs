//! Whether a reader's word goes with the result that it is about.

use std::collections::BTreeSet;

use domain::Answer;
use domain::feedback::{FindingVerdict, Truth, Verdict, Word};
use domain::limits::{
    FINDING_NOTES_CHARS_MAX, JUDGED_FINDINGS_MAX, MISSED_PLACES_MAX, NOTE_CHARS_MAX,
};

use super::ReadersMask;
use super::judged::Judged;

/// The outline of the reader's own that a word comes with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outline {
    Missing,
    /// It marks nothing.
    Empty,
    Drawn,
}

impl Outline {
    pub fn of(mask: Option<&ReadersMask>) -> Outline {
        match mask {
            None => Outline::Missing,
            Some(mask) if mask.is_empty => Outline::Empty,
            Some(_) => Outline::Drawn,
        }
    }
}

/// Why the word does not go with the result, as a sentence.
pub fn check(word: &Word, outline: Outline, judged: &Judged) -> Result<(), String> {
    lengths(word)?;
    findings(word, judged)?;
    places(word, judged)?;
    correction(word, outline, judged)?;
    agreement(word, judged)?;
    with_tumour(word, outline)?;
    without_tumour(word, outline)
}

fn lengths(word: &Word) -> Result<(), String> {
    let noted: usize = word.findings.iter().map(|finding| finding.note.chars().count()).sum();
    for (count, most, what) in [
        (noted, FINDING_NOTES_CHARS_MAX, "characters of notes of findings"),
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
    for finding in &word.findings {
        let label = finding.label;
        refuse(!judged.labels.contains(&label), || {
            format!("The result has no finding with the label {label}.")
        })?;
        refuse(!seen.insert(label), || format!("The finding {label} is judged twice."))?;
        refuse(finding.note.chars().count() > NOTE_CHARS_MAX, || {
            format!("The note of the finding {label} may have {NOTE_CHARS_MAX} characters at most.")
        })?;
        let agreed = finding.verdict == FindingVerdict::Agree;
        refuse(agreed && finding.reason.is_some(), || {
            format!(
                "Whoever agrees with the finding {label} has no `reason` not to: leave it out, or reject it."
            )
        })?;
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
fn correction(word: &Word, outline: Outline, judged: &Judged) -> Result<(), String> {
    let corrects = word.verdict == Verdict::Correct;
    let has_mask = outline != Outline::Missing;
    let unjudged = judged.answer == Answer::NotAnalysable;
    refuse(corrects && unjudged, || {
        "The scan was not analysed, so there is nothing to correct: agree, reject or say that you are unsure."
            .to_owned()
    })?;
    refuse(has_mask && !corrects, || "A mask goes with the verdict `correct` only.".to_owned())?;
    let shows = has_mask || !word.missed.is_empty() || rejected(word) > 0;
    refuse(corrects && !shows, || {
        "Whoever corrects a result shows what is right: a `mask`, the places in `missed`, or which of the `findings` are \
         none."
            .to_owned()
    })?;
    // Whoever counts words takes a correction without a truth for one that shows a tumour.
    refuse(corrects && word.truth.is_none() && !shows_tumour(word, outline, judged), || {
        "This correction leaves no tumour that is agreed upon: say in `truth` whether there is one."
            .to_owned()
    })
}

/// Whether a correction draws a tumour, points to one, or leaves one of the result's findings.
fn shows_tumour(word: &Word, outline: Outline, judged: &Judged) -> bool {
    match outline {
        Outline::Drawn => true,
        Outline::Empty => false,
        Outline::Missing => {
            let (rejected, doubted) = (rejected(word), said(word, FindingVerdict::Unsure));
            !word.missed.is_empty() || rejected + doubted < judged.labels.len()
        }
    }
}

/// How many findings are none.
fn rejected(word: &Word) -> usize {
    said(word, FindingVerdict::Reject)
}

/// Of how many findings that is said.
fn said(word: &Word, verdict: FindingVerdict) -> usize {
    word.findings.iter().filter(|finding| finding.verdict == verdict).count()
}

/// Nobody says two things at once.
fn agreement(word: &Word, judged: &Judged) -> Result<(), String> {
    let agrees = word.verdict == Verdict::Agree;
    refuse(agrees && rejected(word) > 0, || {
        "Whoever agrees with a result rejects none of its findings: reject or correct it."
            .to_owned()
    })?;
    // What is learned from an agreement is the result's own mask: no finding of it may be in doubt.
    refuse(agrees && said(word, FindingVerdict::Unsure) > 0, || {
        "Whoever agrees with a result is unsure of none of its findings: say that you are unsure, or correct it."
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
    })
}

/// Whoever says that there is a tumour does not draw that there is none. One that no outline can be drawn of is pointed to.
fn with_tumour(word: &Word, outline: Outline) -> Result<(), String> {
    let drawn_away = word.truth == Some(Truth::Tumour) && outline == Outline::Empty;
    refuse(drawn_away, || {
        "The mask marks nothing, and `truth` says that there is a tumour: mark it, or send its place in `missed` and no mask, or \
         say `no_tumour`."
            .to_owned()
    })
}

/// Whoever says that there is no tumour shows none.
fn without_tumour(word: &Word, outline: Outline) -> Result<(), String> {
    let none = word.truth == Some(Truth::NoTumour);
    refuse(none && !word.missed.is_empty(), || {
        "Where there is no tumour, none was missed.".to_owned()
    })?;
    refuse(none && outline == Outline::Drawn, || {
        "Where there is no tumour, a mask marks nothing.".to_owned()
    })?;
    refuse(none && word.findings.len() > rejected(word), || {
        "Where there is no tumour, no finding is one: reject it, or say otherwise in `truth`."
            .to_owned()
    })
}

fn refuse(wrong: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if wrong { Err(why()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
