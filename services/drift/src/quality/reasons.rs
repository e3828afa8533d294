//! Why readers do not agree: how often each reason was given, for whole results and for single findings; pure.

use std::collections::BTreeMap;

use domain::feedback::Reason;

use super::figures::READERS_SCANS_MIN;
use super::reviewed::Reviewed;

/// What one word gives.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reasons {
    /// Of the whole result; None: none.
    pub of_result: Option<Reason>,
    /// How often each, of its findings.
    pub of_findings: BTreeMap<Reason, usize>,
}

impl Reasons {
    pub fn new(of_result: Option<Reason>, of_findings: &[Reason]) -> Reasons {
        let mut counts = BTreeMap::new();
        for reason in of_findings {
            *counts.entry(*reason).or_default() += 1;
        }
        Reasons { of_result, of_findings: counts }
    }

    /// As the row of its word keeps them: one of [`Reason`]'s names, or nothing, and how often each.
    pub fn columns(&self) -> (&'static str, String) {
        let counted = self.of_findings.iter();
        let counted = counted.map(|(reason, count)| format!("{}={count}", reason.name()));
        let of_findings: Vec<String> = counted.collect();
        (self.of_result.map_or("", Reason::name), of_findings.join(","))
    }

    /// What the row says. What a later version has written, and nobody here knows, is left out.
    pub fn of_columns(of_result: &str, of_findings: &str) -> Reasons {
        let counted = of_findings.split_terminator(',').filter_map(|one| {
            let (reason, count) = one.split_once('=')?;
            Some((Reason::named(reason)?, count.parse().ok()?))
        });
        Reasons { of_result: Reason::named(of_result), of_findings: counted.collect() }
    }
}

/// How often each reason was given, by its name.
#[derive(Debug, Default, PartialEq)]
pub struct Counts {
    /// In how many words that count.
    pub of_results: BTreeMap<String, usize>,
    /// Of how many findings, by how many readers together.
    pub of_findings: BTreeMap<String, usize>,
}

impl Counts {
    /// Of the words that count of these scans; to readers nothing of few scans, for they judge without knowing what others think.
    pub fn of(reviewed: &[Reviewed], to_reader: bool) -> Counts {
        let mut counts = Counts::default();
        if to_reader && reviewed.len() < READERS_SCANS_MIN {
            return counts;
        }
        for reasons in reviewed.iter().flat_map(Reviewed::reasons) {
            if let Some(reason) = reasons.of_result {
                *counts.of_results.entry(reason.name().to_owned()).or_default() += 1;
            }
            for (reason, count) in &reasons.of_findings {
                *counts.of_findings.entry(reason.name().to_owned()).or_default() += count;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_what_was_given() {
        use Reason::{Missed, Other, Outline, Quality};
        for (of_result, of_findings, columns) in [
            (None, &[][..], ("", "")),
            (Some(Missed), &[][..], ("missed", "")),
            (Some(Quality), &[Other, Outline, Other][..], ("quality", "outline=1,other=2")),
        ] {
            let reasons = Reasons::new(of_result, of_findings);
            let (reason, counted) = reasons.columns();
            assert_eq!((reason, counted.as_str()), columns);
            assert_eq!(Reasons::of_columns(columns.0, columns.1), reasons);
        }
        assert_eq!(Reasons::of_columns("unheard_of", "unheard_of=3"), Reasons::default());
    }
}
