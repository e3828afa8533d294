//! Why an entry of a batch is no scan, as a message and as JSON.

use domain::{ErrorKind, Result};
use proto::storage::Refusal;

/// The refusal as JSON: storage's row, and what a peer of the version before reads.
pub fn refusal_json(refusal: &Refusal) -> Result<String> {
    serde_json::to_string(refusal)
        .map_err(|error| ErrorKind::Internal.error("a refusal cannot be written").because(error))
}

/// The refusal that an entry says: its `refusal` or, where a peer of the version before has written it, that JSON; None where
/// it has neither. `Invalid` for JSON that is no refusal.
pub fn said_refusal(message: Option<Refusal>, json: &str) -> Result<Option<Refusal>> {
    match (message, json) {
        (Some(refusal), _) => Ok(Some(refusal)),
        (None, "") => Ok(None),
        (None, json) => serde_json::from_str(json)
            .map(Some)
            .map_err(|error| ErrorKind::Invalid.error("a refusal cannot be read").because(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_json_that_the_version_before_reads_and_writes() {
        let refusal = Refusal {
            problem: "too-small".into(),
            title: "The image is too small".into(),
            detail: "12 x 12".into(),
        };
        let json = r#"{"problem":"too-small","title":"The image is too small","detail":"12 x 12"}"#;
        assert_eq!(refusal_json(&refusal).unwrap(), json);
        assert_eq!(said_refusal(None, json).unwrap(), Some(refusal.clone()));
        assert_eq!(said_refusal(Some(refusal.clone()), "{}").unwrap(), Some(refusal));
        assert_eq!(said_refusal(None, "").unwrap(), None);
        assert_eq!(said_refusal(None, "no JSON").unwrap_err().kind(), ErrorKind::Invalid);
    }
}
