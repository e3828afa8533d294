//! How long scans took, and why some have no answer; pure.

use std::collections::BTreeMap;

use domain::{Answer, Unanswered};

use super::groups::Traits;
use crate::report::{Times, times};

/// A scan that came to an end, with an answer or without.
#[derive(Clone, Debug)]
pub struct Ended {
    pub traits: Traits,
    pub at_ms: i64,
    pub answer: Answer,
    /// From upload accepted to result readable. None: not told.
    pub response_ms: Option<i64>,
    /// Why there is no answer. None: there is one, or storage of the version before does not say.
    pub refusal: Option<String>,
}

/// Percentiles of the response times; None where none is known.
pub fn response(ended: &[&Ended]) -> Option<Times> {
    times(ended.iter().filter_map(|scan| scan.response_ms).map(|ms| ms as f64).collect())
}

/// How many scans have no answer, by why.
pub fn refusals(ended: &[&Ended]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::<String, usize>::new();
    for why in ended.iter().filter_map(|scan| scan.why()) {
        *counts.entry(why.to_owned()).or_default() += 1;
    }
    counts
}

impl Ended {
    fn why(&self) -> Option<&str> {
        let said = self.refusal.as_deref();
        match self.answer {
            Answer::Found | Answer::NoneFound => None,
            Answer::NotAnalysable => Some(said.unwrap_or(Unanswered::NoModel.name())),
            Answer::Failed => Some(said.unwrap_or(Unanswered::Failed.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::groups::Size;

    fn ended(answer: Answer, response_ms: Option<i64>, refusal: Option<&str>) -> Ended {
        Ended {
            traits: Traits::new("m", "1", "flair", Size::Nothing),
            at_ms: 0,
            answer,
            response_ms,
            refusal: refusal.map(str::to_owned),
        }
    }

    #[test]
    fn scans_without_an_answer_are_counted_by_why_and_all_scans_by_how_long_they_took() {
        let scans = [
            ended(Answer::Found, Some(100), None),
            ended(Answer::NoneFound, Some(300), None),
            ended(Answer::NotAnalysable, Some(200), Some("stopped")),
            ended(Answer::NotAnalysable, None, None),
            ended(Answer::Failed, None, Some("failed")),
        ];
        let all: Vec<&Ended> = scans.iter().collect();
        let expected = [("failed", 1), ("no_model", 1), ("stopped", 1)];
        let expected = BTreeMap::from(expected.map(|(why, count)| (why.to_owned(), count)));
        assert_eq!(refusals(&all), expected);
        let Times { scans, p50, p99, .. } = response(&all).unwrap();
        assert_eq!((scans, p50), (3, 200.0));
        assert!((p99 - 298.0).abs() < 1e-9, "{p99}");
        assert_eq!((response(&[]), refusals(&[]).len()), (None, 0));
    }
}
