//! Whose scan it is, between the domain and messages.

use domain::{ErrorKind, Identity, Result};
use proto::storage;

/// The same fields in the other type, each by its name: one that is new does not compile until it travels too.
macro_rules! converted {
    ($value:expr, $from:path => $to:path) => {
        converted!(
            $value,
            $from => $to,
            patient_name
            patient_id
            issuer_of_patient_id
            patient_birth_date
            patient_sex
            patient_age
            accession_number
            study_id
            study_date
            study_time
            study_description
            series_description
            series_number
            instance_number
            referring_physician_name
            institution_name
            study_instance_uid
            series_instance_uid
            sop_class_uid
            frame_of_reference_uid
            sop_instance_uids
            frame_numbers
            lossy_image_compression
            lossy_image_compression_ratio
            lossy_image_compression_method
        )
    };
    ($value:expr, $from:path => $to:path, $($field:ident)+) => {{
        let $from { $($field),+ } = $value;
        $to { $($field),+ }
    }};
}

/// The message of an identity.
pub fn identity(identity: Identity) -> storage::Identity {
    converted!(identity, Identity => storage::Identity)
}

/// The identity that a message says.
pub fn identity_of(message: storage::Identity) -> Identity {
    converted!(message, storage::Identity => Identity)
}

/// The identity as JSON: storage's row, and what a peer of the version before reads.
pub fn identity_json(identity: &Identity) -> Result<String> {
    serde_json::to_string(identity)
        .map_err(|error| ErrorKind::Internal.error("an identity cannot be written").because(error))
}

/// What a message says of whose scan it is: its `identity` or, where a peer of the version before has written it, that JSON;
/// None where it has neither. `Invalid` for JSON that is no identity.
pub fn said_identity(message: Option<storage::Identity>, json: &str) -> Result<Option<Identity>> {
    match (message, json) {
        (Some(message), _) => Ok(Some(identity_of(message))),
        (None, "") => Ok(None),
        // Without the cause: the words of the parser could quote it.
        (None, json) => serde_json::from_str(json)
            .map(Some)
            .map_err(|_| ErrorKind::Invalid.error("an identity cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// One that has every attribute, each with a value of its own.
    fn whole() -> Identity {
        let empty = serde_json::to_value(Identity::default()).unwrap();
        let fields = empty.as_object().unwrap().iter().map(|(name, value)| {
            let said = match value.is_array() {
                true if name == "frame_numbers" => serde_json::json!([2, 1]),
                true => serde_json::json!([format!("{name} 1"), format!("{name} 2")]),
                false => name.as_str().into(),
            };
            (name.clone(), said)
        });
        serde_json::from_value(fields.collect::<serde_json::Map<_, _>>().into()).unwrap()
    }

    #[test]
    fn every_attribute_survives_the_wire() {
        let whole = whole();
        assert_eq!(whole.study_date.as_deref(), Some("study_date"));
        assert_eq!(identity_of(identity(whole.clone())), whole);
        assert_eq!(identity_of(identity(Identity::default())), Identity::default());
    }

    #[test]
    fn what_the_version_before_has_written_is_read_and_the_message_goes_first() {
        let (whole, other) = (whole(), Identity::default());
        let json = identity_json(&whole).unwrap();
        assert_eq!(said_identity(None, &json).unwrap(), Some(whole));
        assert_eq!(said_identity(Some(identity(other.clone())), &json).unwrap(), Some(other));
        assert_eq!(said_identity(None, "").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let error = said_identity(None, "Canary^Yellow").unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.source().is_none());
        assert!(!error.to_string().contains("Canary"), "{error}");
    }
}
