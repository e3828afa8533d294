//! The sections of the REST face that an API client is confined to. Which there are, the gateway knows.

use domain::{ErrorKind, Result};

const CHARS_MAX: usize = 190;

/// Refuses what is no list of names, in words.
pub fn check(scopes: &[String]) -> Result<()> {
    let is_name = |scope: &String| {
        !scope.is_empty() && scope.bytes().all(|sign| sign.is_ascii_lowercase() || sign == b'_')
    };
    if scopes.iter().all(is_name) && to_text(scopes).len() <= CHARS_MAX {
        return Ok(());
    }
    Err(ErrorKind::Invalid.error("a scope is a word in lower case, as `scans`"))
}

/// As a row keeps them.
pub fn to_text(scopes: &[String]) -> String {
    scopes.join(" ")
}

/// As a row keeps them.
pub fn from_text(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_word() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for good in [&[][..], &["scans"], &["scans", "results"]] {
            assert!(check(&names(good)).is_ok(), "{good:?}");
            assert_eq!(from_text(&to_text(&names(good))), names(good));
        }
        for bad in
            [&[""][..], &["Scans"], &["scans results"], &["a\nb"], &["x".repeat(191).as_str()]]
        {
            assert!(check(&names(bad)).is_err(), "{bad:?}");
        }
    }
}
