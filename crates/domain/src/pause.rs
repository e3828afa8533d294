//! How long somebody is to wait who was refused: said to people in the words of the refusal, and read from them for programs.

const WORDS: &str = "try again in ";

/// The words that say it.
pub fn try_again_in(seconds: i64) -> String {
    format!("{WORDS}{seconds} s")
}

/// How many seconds such words say, if they say it.
pub fn seconds_said(words: &str) -> Option<u32> {
    let (_, behind) = words.split_once(WORDS)?;
    let (seconds, _) = behind.split_once(" s")?;
    seconds.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        for seconds in [1, 12, 900] {
            let words = format!("too many failed attempts, {}", try_again_in(seconds));
            assert_eq!(seconds_said(&words).map(i64::from), Some(seconds));
        }
        for nothing in ["", "too many uploads", "try again in a while", "try again in -3 s"] {
            assert_eq!(seconds_said(nothing), None, "{nothing}");
        }
    }
}
