//! What people call a patient, an examination or a scan, where it comes in a query.

use domain::limits::IDENTIFIER_CHARS_MAX;
use utoipa::ToSchema;

use crate::problem::{INVALID, Problem};

/// How such a text looks: see [`text`].
#[derive(ToSchema)]
#[schema(
    value_type = String,
    min_length = 1,
    max_length = 64,
    pattern = r"^[^\s\\\x00-\x1f\x7f-\x9f]([^\\\x00-\x1f\x7f-\x9f]*[^\s\\\x00-\x1f\x7f-\x9f])?$",
)]
#[expect(dead_code, reason = "describes the API")]
pub struct Identifier(String);

/// What the parameter `name` says, or nothing where it is not given.
///
/// An empty one is refused: whoever fills in nothing by mistake would see everybody's scans. DICOM allows neither control
/// characters nor backslashes in an identifier.
pub fn text(name: &str, value: Option<String>) -> Result<String, Problem> {
    let Some(value) = value else { return Ok(String::new()) };
    let fit = (1..=IDENTIFIER_CHARS_MAX).contains(&value.chars().count())
        && value.trim() == value
        && !value.contains(|letter: char| letter.is_control() || letter == '\\');
    let bad = || {
        INVALID.problem(format!(
            "`{name}` is a text of 1 to {IDENTIFIER_CHARS_MAX} characters, without blanks around it, control characters and backslashes"
        ))
    };
    if fit { Ok(value) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_is_nothing_and_an_empty_text_is_a_mistake() {
        let said = |value: Option<&str>| text("patient_id", value.map(str::to_owned)).ok();
        assert_eq!(said(None).as_deref(), Some(""));
        assert_eq!(said(Some("Müller 7")).as_deref(), Some("Müller 7"));
        assert_eq!(
            said(Some(&"ü".repeat(IDENTIFIER_CHARS_MAX))),
            Some("ü".repeat(IDENTIFIER_CHARS_MAX))
        );
        for bad in ["", " ", " 7", "7 ", "a\\b", "a\nb", &"x".repeat(IDENTIFIER_CHARS_MAX + 1)] {
            assert_eq!(said(Some(bad)), None, "{bad:?}");
        }
    }
}
