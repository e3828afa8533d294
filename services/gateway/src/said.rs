//! Text that a request says, or leaves out.

use crate::problem::{INVALID, Problem};

/// The text; empty where it is left out, and refused where it has more characters than the API's description allows.
pub fn at_most(most: usize, name: &str, text: Option<String>) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    if text.chars().count() > most {
        return Err(INVALID.problem(format!("`{name}` has {most} characters at most")));
    }
    Ok(text)
}

/// The same of any length, refused where it is said and empty.
pub fn something(name: &str, text: Option<String>) -> Result<String, Problem> {
    if text.as_deref() == Some("") {
        return Err(INVALID.problem(format!("`{name}` is empty: leave it out, or say it")));
    }
    Ok(text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_described_or_said_and_empty_is_refused_by_name() {
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(at_most(3, "word", said("äöü")).unwrap(), "äöü");
        assert_eq!(at_most(3, "word", None).unwrap(), "");
        assert!(at_most(3, "word", said("four")).is_err());
        assert_eq!(something("word", said("one")).unwrap(), "one");
        assert_eq!(something("word", None).unwrap(), "");
        assert!(something("word", said("")).is_err());
    }
}
