//! What a receiver objects to: it has answered, and may take the same another time. It is sent a few times, and then no more.
//!
//! How often in a row stands at the end of the words that are kept of the delivery: people read it there, too.

use crate::outcome::Outcome;

/// So often the same is sent, within a quarter of an hour.
const TIMES_MAX: i64 = 5;

/// What the objection comes to whose words these are: the last one is a refusal.
pub fn objected(words: &str, times: i64) -> Outcome {
    let words = format!("{words} (time {times} of {TIMES_MAX})");
    if times < TIMES_MAX { Outcome::Objected(words) } else { Outcome::Refused(words) }
}

/// How often in a row it has objected, as the words of the last attempt say; 0: that was none.
pub fn times_said(words: &str) -> i64 {
    let said = words.rsplit_once(" (time ").map(|(_, said)| said);
    let times = said.and_then(|said| said.strip_suffix(&format!(" of {TIMES_MAX})")));
    times
        .and_then(|times| times.parse().ok())
        .filter(|times| (1..=TIMES_MAX).contains(times))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_objected_to_a_few_times_and_then_it_is_refused() {
        let mut words = String::new();
        for times in 1..=TIMES_MAX {
            let outcome = objected("it answered AE", times_said(&words) + 1);
            let expected = if times < TIMES_MAX { "objected" } else { "refused" };
            assert_eq!(outcome.name(), expected);
            words = outcome.words().to_owned();
            assert_eq!(words, format!("it answered AE (time {times} of 5)"));
        }
        for other in
            ["", "it broke off", "(time 2 of 5) it broke off", " (time -1 of 5)", " (time 9 of 5)"]
        {
            assert_eq!(times_said(other), 0, "{other}");
        }
    }
}
