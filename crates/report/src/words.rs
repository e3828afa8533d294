//! The words of a report: one table for each language, of the same shape.

mod en;
mod fr;
mod said;

use domain::Answer;
use domain::feedback::{FindingVerdict, Reason, Truth, Verdict};
use imaging::{ImageKind, KindSource, Laterality, Plane, Role, Unit};

use crate::Language;
use said::Said;

/// Words that something is put into.
type With<T> = fn(T) -> String;

/// All that a report says in one language.
pub struct Words {
    /// As BCP 47 writes it.
    pub tag: &'static str,
    /// The decimal sign of numbers.
    pub decimal: &'static str,
    /// What results themselves say.
    pub said: Said,
    pub title: &'static str,
    /// In sight at the head and at the foot of each page.
    pub research: &'static str,
    /// What the result is not.
    pub limits: &'static str,
    pub whose: Whose,
    pub answer: fn(Answer) -> AnswerWords,
    pub reason: &'static str,
    pub pictures: Pictures,
    pub findings: Findings,
    pub doubt: Doubt,
    pub origin: Origin,
    pub readers: Readers,
    pub sign: Sign,
    /// Followed by when the report was made.
    pub made: &'static str,
    pub scan: &'static str,
    /// What numbers of characters are, where the report has any.
    pub numbered: &'static str,
}

pub struct Whose {
    pub patient: &'static str,
    pub number: &'static str,
    pub born: &'static str,
    pub sex: &'static str,
    pub study: &'static str,
    pub series: &'static str,
    pub accession: &'static str,
    pub reference: &'static str,
    pub institution: &'static str,
    pub accepted: &'static str,
    pub unknown: &'static str,
    pub left_out: &'static str,
}

/// An answer, and what it does not mean.
pub struct AnswerWords {
    pub title: &'static str,
    pub sentence: &'static str,
}

pub struct Pictures {
    /// Number of the slice, from 1, and of how many.
    pub slice: With<(usize, usize)>,
    pub boxed: &'static str,
    pub outlined: &'static str,
    pub side_unknown: &'static str,
    pub view: With<(Plane, char)>,
    pub none: &'static str,
}

pub struct Findings {
    pub title: &'static str,
    pub columns: [&'static str; 6],
    pub role: fn(Role) -> &'static str,
    pub side: fn(Option<Laterality>) -> &'static str,
    pub unit: fn(Unit) -> &'static str,
    pub pixels: &'static str,
    pub voxels: &'static str,
    /// Number and unit of all main findings, and how many they are.
    pub total: With<(usize, String)>,
    pub lesser: With<usize>,
    /// How many stand in the result alone.
    pub more: With<usize>,
}

pub struct Doubt {
    pub title: &'static str,
    /// Dice, and both ends of its interval.
    pub fit: With<[f64; 3]>,
    pub certainty: With<String>,
    /// How many stand in the result alone.
    pub more: With<usize>,
    pub below: &'static str,
    pub above: &'static str,
}

pub struct Origin {
    pub title: &'static str,
    pub model: &'static str,
    pub no_model: &'static str,
    pub untrained: &'static str,
    pub weights: &'static str,
    pub no_weights: &'static str,
    pub image: &'static str,
    pub kind: fn(ImageKind) -> &'static str,
    pub told_by: fn(Option<KindSource>) -> &'static str,
    pub threshold: &'static str,
    pub software: &'static str,
    pub answered: &'static str,
}

pub struct Readers {
    pub title: &'static str,
    pub none: &'static str,
    pub hidden: With<u32>,
    pub left_out: &'static str,
    pub verdict: fn(Verdict) -> &'static str,
    pub truth: fn(Truth) -> &'static str,
    pub reason: fn(Reason) -> &'static str,
    /// What is said of the finding of that number.
    pub finding: With<(u32, FindingVerdict)>,
    /// How many more have said something.
    pub more: With<usize>,
}

pub struct Sign {
    pub name: &'static str,
    pub signature: &'static str,
    pub date: &'static str,
}

impl Language {
    /// What a report says in this language.
    pub(crate) fn words(self) -> &'static Words {
        match self {
            Self::English => &en::WORDS,
            Self::French => &fr::WORDS,
        }
    }
}

impl Doubt {
    /// A probability; one that is neither 0 nor 1 is never written as if it were.
    pub fn probability(&self, share: f64) -> String {
        match share {
            share if share > 0.0 && share < 0.01 => self.below.to_owned(),
            share if share > 0.99 && share < 1.0 => self.above.to_owned(),
            share => format!("{} %", (100.0 * share).round()),
        }
    }
}
