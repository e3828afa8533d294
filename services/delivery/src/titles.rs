//! Titles of application entities, as a destination of C-STORE has them (PS3.5, 6.2: AE).

use domain::{ErrorKind, Result};

use crate::format::Kind;

/// What we call ourselves where nothing else is said.
const OWN: &str = "MEDSEG";

const CHARS_MAX: usize = 16;

/// The titles that are called and that call, as rows keep them. `Invalid` for what is none, and where a destination has no titles.
pub fn checked(kind: Kind, called: &str, calling: &str) -> Result<[String; 2]> {
    if kind != Kind::Cstore {
        if called.is_empty() && calling.is_empty() {
            return Ok([String::new(), String::new()]);
        }
        let words = "only a destination of C-STORE has titles of application entities";
        return Err(ErrorKind::Invalid.error(words));
    }
    let calling = if calling.trim().is_empty() { OWN } else { calling };
    Ok([title(called, "called")?, title(calling, "calling")?])
}

fn title(text: &str, which: &str) -> Result<String> {
    // Blanks around it say nothing, and a backslash separates values.
    let title = text.trim_matches(' ');
    let plain = title.chars().all(|c| (c.is_ascii_graphic() || c == ' ') && c != '\\');
    if title.is_empty() || title.len() > CHARS_MAX || !plain {
        let words =
            format!("the {which} AE title has 1 to {CHARS_MAX} ASCII characters and no backslash");
        return Err(ErrorKind::Invalid.error(words));
    }
    Ok(title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_sixteen_plain_characters_and_ours_has_a_name() {
        let of = |called: &str, calling: &str| checked(Kind::Cstore, called, calling);
        assert_eq!(of(" MAIN PACS ", "").unwrap(), ["MAIN PACS", "MEDSEG"]);
        assert_eq!(of("PACS", "AI_NODE").unwrap(), ["PACS", "AI_NODE"]);
        for bad in ["", "  ", "A\\B", "ÄRCHIV", "a\nb", "SEVENTEEN_LETTERS"] {
            assert_eq!(of(bad, "").unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
        assert!(of("PACS", "SEVENTEEN_LETTERS").is_err());
    }

    #[test]
    fn what_is_no_c_store_has_no_titles() {
        assert_eq!(checked(Kind::Mllp, "", "").unwrap(), ["", ""]);
        assert_eq!(checked(Kind::Stow, "PACS", "").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
