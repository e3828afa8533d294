//! What a receiver objects to: it has answered, and may take the same another time. It is sent a few times, and then no more.

use crate::outcome::Outcome;

/// So often the same is sent, within a quarter of an hour.
const TIMES_MAX: i64 = 5;

/// What the objection comes to whose words these are: the last one is a refusal. How often in a row it was stands at the end of the
/// words, for those who read them; it is counted in a column of its own.
pub fn objected(words: &str, times: i64) -> Outcome {
    let words = format!("{words} (time {times} of {TIMES_MAX})");
    if times < TIMES_MAX { Outcome::Objected(words) } else { Outcome::Refused(words) }
}

/// How often in a row it has objected once an attempt has ended so, before which it had so often.
pub fn times_after(outcome: &Outcome, times: i64) -> i64 {
    match outcome {
        Outcome::Objected(_) => times.saturating_add(1),
        // It was not asked.
        Outcome::Away(_) | Outcome::Held(_) => times,
        // It did not answer, or has had its last word.
        Outcome::Later(_)
        | Outcome::Delivered(_)
        | Outcome::Refused(_)
        | Outcome::Absent(_)
        | Outcome::Unmade(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_objected_to_a_few_times_and_then_it_is_refused() {
        let mut before = 0;
        for times in 1..=TIMES_MAX {
            let outcome = objected("it answered AE", before + 1);
            let expected = if times < TIMES_MAX { "objected" } else { "refused" };
            assert_eq!(outcome.name(), expected);
            assert_eq!(outcome.words(), format!("it answered AE (time {times} of 5)"));
            before = times_after(&outcome, before);
        }
        assert_eq!(before, 0);
    }

    #[test]
    fn what_the_receiver_was_not_asked_about_neither_counts_nor_begins_anew() {
        let words = || "(time 4 of 5)".to_owned();
        assert_eq!(times_after(&Outcome::Held(words()), 2), 2);
        assert_eq!(times_after(&Outcome::Away(words()), 2), 2);
        assert_eq!(times_after(&Outcome::Later(words()), 2), 0);
        assert_eq!(times_after(&Outcome::Objected(words()), 2), 3);
    }
}
